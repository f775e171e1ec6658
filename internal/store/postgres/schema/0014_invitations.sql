-- Invitations: a user who has the secret of one makes an account, a limited number of times. Nodes of the
-- previous version would keep those of a user who was removed, so they cannot go on beside new ones.
CREATE TABLE invitations (
  id      TEXT COLLATE "C" NOT NULL PRIMARY KEY,
  hash    BYTEA  NOT NULL, -- SHA-256 of the secret
  note    TEXT COLLATE "C" NOT NULL,
  email   TEXT COLLATE "C" NOT NULL, -- of the new user, to which the link was sent; '': none
  groups  TEXT COLLATE "C" NOT NULL, -- JSON list, of the new users
  inviter BIGINT NOT NULL, -- number of the user; 0: an operator
  actor   TEXT COLLATE "C" NOT NULL, -- as in the audit log
  most    BIGINT NOT NULL, -- uses
  used    BIGINT NOT NULL,
  created BIGINT NOT NULL,
  expires BIGINT NOT NULL
);
CREATE UNIQUE INDEX invitations_by_hash ON invitations (hash);
CREATE INDEX invitations_expire ON invitations (expires);
CREATE INDEX invitations_of_inviter ON invitations (inviter) WHERE inviter <> 0;
