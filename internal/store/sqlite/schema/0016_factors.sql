-- What proves a user beside the password: authenticator apps, recovery codes and passkeys.
CREATE TABLE factors (
  id         TEXT    NOT NULL PRIMARY KEY,
  account    INTEGER NOT NULL,
  kind       TEXT    NOT NULL, -- totp, recovery or passkey
  name       TEXT    NOT NULL,
  created    INTEGER NOT NULL,
  confirmed  INTEGER NOT NULL, -- since when it proves the user; -1: not yet
  used       INTEGER NOT NULL, -- -1: never
  handle     BLOB,             -- SHA-256 of a recovery code, credential ID of a passkey
  secret     BLOB    NOT NULL, -- sealed secret of TOTP, public key of a passkey
  counter    INTEGER NOT NULL, -- last step of TOTP, sign count of a passkey, 1 for a code that was used
  flags      INTEGER NOT NULL, -- of a passkey, as are the next two
  transports TEXT    NOT NULL,
  model      TEXT    NOT NULL
) STRICT;
CREATE INDEX factors_of_user ON factors (account);
CREATE UNIQUE INDEX factors_by_handle ON factors (kind, handle) WHERE handle IS NOT NULL;
CREATE INDEX factors_not_confirmed ON factors (created) WHERE confirmed < 0;

-- Attempts with a factor that failed in a row.
CREATE TABLE factor_attempts (
  account INTEGER NOT NULL PRIMARY KEY,
  failed  INTEGER NOT NULL,
  ready   INTEGER NOT NULL -- when the next one is allowed
) STRICT, WITHOUT ROWID;
