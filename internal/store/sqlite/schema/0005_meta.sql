-- What is known of the database itself: its id, the epoch that it is in, and when it was
-- last brought back from the past.
CREATE TABLE meta (
  name  TEXT PRIMARY KEY,
  value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

INSERT INTO meta (name, value) VALUES ('id', lower(hex(randomblob(16))));
