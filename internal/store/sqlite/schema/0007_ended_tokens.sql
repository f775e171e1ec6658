-- Opaque tokens that were revoked, as long as the audit log: which token it was, by whom and when
-- it was revoked. A token's row in tokens is deleted.
CREATE TABLE ended_tokens (
  hash     BLOB    PRIMARY KEY,
  accessor TEXT    NOT NULL,
  name     TEXT    NOT NULL,
  owner    TEXT    NOT NULL,          -- user:NAME or client:NAME
  at       INTEGER NOT NULL,
  actor    TEXT    NOT NULL,          -- as in audit
  action   TEXT    NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX ended_tokens_by_time ON ended_tokens (at);
