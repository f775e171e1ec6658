-- A session that a sign-in started at a service is a child of the sign-in session at the issuer, and ends with it.
ALTER TABLE sessions ADD COLUMN parent INTEGER NOT NULL DEFAULT 0;   -- login of the sign-in session, or 0
ALTER TABLE sessions ADD COLUMN methods TEXT NOT NULL DEFAULT '';    -- how the user was proved (RFC 8176), by spaces
ALTER TABLE sessions ADD COLUMN proved INTEGER NOT NULL DEFAULT -1;  -- last proof by password; -1: never
ALTER TABLE sessions ADD COLUMN agent TEXT NOT NULL DEFAULT '';      -- User-Agent of the login
CREATE INDEX sessions_of_parent ON sessions (parent) WHERE parent <> 0;

-- One-time secrets for one purpose and a short time. Backups and copies leave them out.
CREATE TABLE tickets (
  hash    BLOB    NOT NULL PRIMARY KEY, -- SHA-256 of the secret
  purpose TEXT    NOT NULL,
  account INTEGER NOT NULL,             -- user that it is for, or 0
  login   INTEGER NOT NULL,             -- session that it ends with, or 0
  service TEXT    NOT NULL,
  data    BLOB    NOT NULL,
  expires INTEGER NOT NULL,
  used    INTEGER                       -- when it was taken; NULL: not yet
) STRICT;
CREATE INDEX tickets_of_user ON tickets (account, purpose);
CREATE INDEX tickets_by_end ON tickets (expires);
