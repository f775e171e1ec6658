-- Invitations: a user who has the secret of one makes an account, a limited number of times.
CREATE TABLE invitations (
  id      TEXT    NOT NULL PRIMARY KEY,
  hash    BLOB    NOT NULL, -- SHA-256 of the secret
  note    TEXT    NOT NULL,
  email   TEXT    NOT NULL, -- of the new user, to which the link was sent; '': none
  groups  TEXT    NOT NULL, -- JSON list, of the new users
  inviter INTEGER NOT NULL, -- number of the user; 0: an operator
  actor   TEXT    NOT NULL, -- as in the audit log
  most    INTEGER NOT NULL, -- uses
  used    INTEGER NOT NULL,
  created INTEGER NOT NULL,
  expires INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX invitations_by_hash ON invitations (hash);
CREATE INDEX invitations_expire ON invitations (expires);
CREATE INDEX invitations_of_inviter ON invitations (inviter) WHERE inviter <> 0;
