-- Browsers in which a user has signed in. A sign-in in another one sends a notice.
CREATE TABLE devices (
  account INTEGER NOT NULL,
  hash    BLOB    NOT NULL, -- SHA-256 of the secret in the cookie of the browser
  seen    INTEGER NOT NULL, -- the last sign-in
  PRIMARY KEY (account, hash)
) STRICT, WITHOUT ROWID;

-- The user has shown that mail to the address arrives.
ALTER TABLE users ADD COLUMN verified INTEGER NOT NULL DEFAULT 0;
