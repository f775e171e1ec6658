-- Browsers in which a user has signed in. A sign-in in another one sends a notice.
CREATE TABLE devices (
  account BIGINT NOT NULL,
  hash    BYTEA  NOT NULL, -- SHA-256 of the secret in the cookie of the browser
  seen    BIGINT NOT NULL, -- the last sign-in
  PRIMARY KEY (account, hash)
);

-- The user has shown that mail to the address arrives. Nodes of the previous version would keep the mark for a new
-- address, so they cannot go on beside new ones.
ALTER TABLE users ADD COLUMN verified BOOLEAN NOT NULL DEFAULT FALSE;
