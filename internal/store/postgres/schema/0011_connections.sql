-- Which clients a user has signed in at, and what they may learn. Nodes of the previous version would not ask users, so
-- they cannot go on beside new ones.
CREATE TABLE connections (
  account BIGINT NOT NULL,
  client  BIGINT NOT NULL,
  scopes  TEXT   NOT NULL, -- JSON list, sorted
  agreed  BIGINT NOT NULL, -- when the user agreed to them; -1: was not asked
  created BIGINT NOT NULL,
  used    BIGINT NOT NULL, -- the last sign-in
  PRIMARY KEY (account, client)
);
CREATE INDEX connections_of_client ON connections (client);
