-- What one authorization code gave to a client: a token of kind grant, and its access tokens are its children.
-- Nodes of the previous version would not end grants with their session, so they cannot go on beside new ones.
CREATE TABLE grants (
  code      BYTEA  PRIMARY KEY,        -- SHA-256 of the code
  number    BIGINT NOT NULL,           -- of the token
  client    BIGINT NOT NULL,
  login     BIGINT NOT NULL,           -- sign-in session
  session   TEXT COLLATE "C" NOT NULL, -- its public id
  offline   BOOLEAN NOT NULL,          -- has refresh tokens and outlives the session
  signed_in BIGINT NOT NULL,           -- when the user was proved
  methods   TEXT   NOT NULL,           -- how (RFC 8176), by spaces
  turn      BIGINT NOT NULL,           -- number of refreshes
  turned    BIGINT NOT NULL            -- the last one; -1: none
);
CREATE INDEX grants_of_client ON grants (client);
CREATE INDEX grants_of_login ON grants (login);
CREATE UNIQUE INDEX grants_of_token ON grants (number);
