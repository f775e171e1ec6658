-- Mails that wait to be sent. The secret of a link is not in here: it is derived from the id.
CREATE TABLE mails (
  id        TEXT    PRIMARY KEY,
  kind      TEXT    NOT NULL,
  account   INTEGER NOT NULL, -- that it is about; 0: not known yet
  recipient TEXT    NOT NULL,
  language  TEXT    NOT NULL,
  facts     TEXT    NOT NULL, -- JSON
  created   INTEGER NOT NULL,
  expires   INTEGER NOT NULL,
  due       INTEGER NOT NULL,
  tries     INTEGER NOT NULL,
  linked    INTEGER NOT NULL DEFAULT 0 -- the ticket of its link was issued
) STRICT, WITHOUT ROWID;
CREATE INDEX mails_due ON mails (due);
