-- A session that a sign-in started at a service is a child of the sign-in session at the issuer, and ends with it.
-- Nodes of the previous version would not end the children, so they cannot go on beside new ones.
ALTER TABLE sessions
  ADD COLUMN parent  BIGINT NOT NULL DEFAULT 0,   -- login of the sign-in session, or 0
  ADD COLUMN methods TEXT   NOT NULL DEFAULT '',  -- how the user was proved (RFC 8176), by spaces
  ADD COLUMN proved  BIGINT NOT NULL DEFAULT -1,  -- last proof by password; -1: never
  ADD COLUMN agent   TEXT   NOT NULL DEFAULT '';  -- User-Agent of the login
CREATE INDEX sessions_of_parent ON sessions (parent) WHERE parent <> 0;

-- One-time secrets for one purpose and a short time. Backups and copies leave them out.
CREATE TABLE tickets (
  hash    BYTEA  PRIMARY KEY,         -- SHA-256 of the secret
  purpose TEXT   COLLATE "C" NOT NULL,
  account BIGINT NOT NULL,            -- user that it is for, or 0
  login   BIGINT NOT NULL,            -- session that it ends with, or 0
  service TEXT   COLLATE "C" NOT NULL,
  data    BYTEA  NOT NULL,
  expires BIGINT NOT NULL,
  used    BIGINT                      -- when it was taken; NULL: not yet
);
CREATE INDEX tickets_of_user ON tickets (account, purpose);
CREATE INDEX tickets_by_end ON tickets (expires);
