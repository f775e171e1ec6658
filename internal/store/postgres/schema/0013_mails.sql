-- Mails that wait to be sent. The secret of a link is not in here: it is derived from the id. Nodes of the previous
-- version would change users without telling them, so they cannot go on beside new ones.
CREATE TABLE mails (
  id        TEXT COLLATE "C" PRIMARY KEY,
  kind      TEXT COLLATE "C" NOT NULL,
  account   BIGINT NOT NULL, -- that it is about; 0: not known yet
  recipient TEXT COLLATE "C" NOT NULL,
  language  TEXT COLLATE "C" NOT NULL,
  facts     TEXT COLLATE "C" NOT NULL, -- JSON
  created   BIGINT NOT NULL,
  expires   BIGINT NOT NULL,
  due       BIGINT NOT NULL,
  tries     BIGINT NOT NULL,
  linked    BOOLEAN NOT NULL DEFAULT FALSE -- the ticket of its link was issued
);
CREATE INDEX mails_due ON mails (due);
