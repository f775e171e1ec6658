-- What one authorization code gave to a client: a token of kind grant, and its access tokens are its children.
CREATE TABLE grants (
  code      BLOB    NOT NULL PRIMARY KEY, -- SHA-256 of the code
  number    INTEGER NOT NULL,             -- of the token
  client    INTEGER NOT NULL,
  login     INTEGER NOT NULL,             -- sign-in session
  session   TEXT    NOT NULL,             -- its public id
  offline   INTEGER NOT NULL,             -- 1: has refresh tokens and outlives the session
  signed_in INTEGER NOT NULL,             -- when the user was proved
  methods   TEXT    NOT NULL,             -- how (RFC 8176), by spaces
  turn      INTEGER NOT NULL,             -- number of refreshes
  turned    INTEGER NOT NULL              -- the last one; -1: none
) STRICT;
CREATE INDEX grants_of_client ON grants (client);
CREATE INDEX grants_of_login ON grants (login);
CREATE UNIQUE INDEX grants_of_token ON grants (number);
