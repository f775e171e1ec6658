-- What proves a user beside the password: authenticator apps, recovery codes and passkeys. Nodes of the previous version
-- would not ask for them, so they cannot go on beside new ones.
CREATE TABLE factors (
  id         TEXT COLLATE "C" NOT NULL PRIMARY KEY,
  account    BIGINT NOT NULL,
  kind       TEXT COLLATE "C" NOT NULL, -- totp, recovery or passkey
  name       TEXT COLLATE "C" NOT NULL,
  created    BIGINT NOT NULL,
  confirmed  BIGINT NOT NULL, -- since when it proves the user; -1: not yet
  used       BIGINT NOT NULL, -- -1: never
  handle     BYTEA,           -- SHA-256 of a recovery code, credential ID of a passkey
  secret     BYTEA  NOT NULL, -- sealed secret of TOTP, public key of a passkey
  counter    BIGINT NOT NULL, -- last step of TOTP, sign count of a passkey, 1 for a code that was used
  flags      BIGINT NOT NULL, -- of a passkey, as are the next two
  transports TEXT COLLATE "C" NOT NULL,
  model      TEXT COLLATE "C" NOT NULL
);
CREATE INDEX factors_of_user ON factors (account);
CREATE UNIQUE INDEX factors_by_handle ON factors (kind, handle) WHERE handle IS NOT NULL;
CREATE INDEX factors_not_confirmed ON factors (created) WHERE confirmed < 0;

-- Attempts with a factor that failed in a row.
CREATE TABLE factor_attempts (
  account BIGINT NOT NULL PRIMARY KEY,
  failed  BIGINT NOT NULL,
  ready   BIGINT NOT NULL -- when the next one is allowed
);
