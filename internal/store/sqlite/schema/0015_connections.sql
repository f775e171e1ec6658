-- Which clients a user has signed in at, and what they may learn.
CREATE TABLE connections (
  account INTEGER NOT NULL,
  client  INTEGER NOT NULL,
  scopes  TEXT    NOT NULL, -- JSON list, sorted
  agreed  INTEGER NOT NULL, -- when the user agreed to them; -1: was not asked
  created INTEGER NOT NULL,
  used    INTEGER NOT NULL, -- the last sign-in
  PRIMARY KEY (account, client)
) STRICT, WITHOUT ROWID;
CREATE INDEX connections_of_client ON connections (client);
