-- Keys that the server signs with. The private part is encrypted with a key that is
-- not in this file.
CREATE TABLE keys (
  kid     TEXT    PRIMARY KEY,
  kind    TEXT    NOT NULL,       -- of token: it signs no other
  alg     TEXT    NOT NULL,
  public  TEXT    NOT NULL,       -- JWK
  sealed  BLOB    NOT NULL,
  created INTEGER NOT NULL,
  opens   INTEGER NOT NULL,       -- signs from then on
  retires INTEGER NOT NULL,       -- signs no more from then on; -1: not yet known
  closes  INTEGER NOT NULL,       -- checks no more from then on; -1: not yet known
  revoked INTEGER NOT NULL
) STRICT;

-- Software. Names are unique among users and clients together: a token whose subject is
-- one must never be taken for the other's.
CREATE TABLE clients (
  id          INTEGER PRIMARY KEY AUTOINCREMENT,
  name        TEXT    NOT NULL UNIQUE,
  folded      TEXT    NOT NULL UNIQUE,
  version     INTEGER NOT NULL,   -- grows with every change that voids its tokens
  secret      BLOB,               -- SHA-256 of the secret, NULL when it has none
  services    TEXT    NOT NULL,   -- JSON lists, sorted
  scopes      TEXT    NOT NULL,
  introspects TEXT    NOT NULL,
  source      TEXT    NOT NULL,   -- JSON, where its keys are fetched from; '' for nowhere
  disabled    INTEGER NOT NULL,
  declared    INTEGER NOT NULL,
  created     INTEGER NOT NULL,
  updated     INTEGER NOT NULL
) STRICT;

CREATE TABLE client_keys (
  client  INTEGER NOT NULL,
  kid     TEXT    NOT NULL,
  alg     TEXT    NOT NULL,
  public  TEXT    NOT NULL,       -- JWK
  retired INTEGER NOT NULL,
  opens   INTEGER NOT NULL,       -- -1: since ever
  closes  INTEGER NOT NULL,       -- -1: never
  created INTEGER NOT NULL,
  PRIMARY KEY (client, kid)
) STRICT, WITHOUT ROWID;

-- Assertions that have been used. A row stays for longer than its assertion is good, so
-- that a clock that jumps back brings none back.
CREATE TABLE assertions (
  issuer  TEXT    NOT NULL,       -- name of the client, which may be removed and added again
  jti     BLOB    NOT NULL,       -- SHA-256
  expires INTEGER NOT NULL,
  PRIMARY KEY (issuer, jti)
) STRICT, WITHOUT ROWID;
CREATE INDEX assertions_by_end ON assertions (expires);

-- Tokens that somebody has to look up: opaque ones, and all that are counted. In the
-- table of uses a token stands under its number with a minus before it.
CREATE TABLE tokens (
  number   INTEGER PRIMARY KEY AUTOINCREMENT,
  accessor TEXT    NOT NULL UNIQUE,
  hash     BLOB    NOT NULL UNIQUE, -- SHA-256 of the secret, or of the jti of a signed token
  format   TEXT    NOT NULL,      -- opaque or jwt
  kind     TEXT    NOT NULL,      -- access, or personal: made by its owner
  name     TEXT    NOT NULL,      -- that the owner gave a personal one
  parent   INTEGER NOT NULL,      -- token that it was made of and ends with, or 0
  user     INTEGER NOT NULL,      -- whose it is: one of these two, the other is 0
  client   INTEGER NOT NULL,
  version  INTEGER NOT NULL,      -- of the owner's credential when it was issued
  audience TEXT    NOT NULL,      -- JSON lists, sorted
  scopes   TEXT    NOT NULL,
  allows   TEXT    NOT NULL,      -- JSON list of methods and paths; [] for all
  networks TEXT    NOT NULL,      -- JSON list of addresses that it may come from; [] for all
  max_uses INTEGER NOT NULL,      -- -1: not counted
  created  INTEGER NOT NULL,
  opens    INTEGER NOT NULL,
  expires  INTEGER NOT NULL,
  source   TEXT    NOT NULL
) STRICT;
CREATE INDEX tokens_of_client ON tokens (client) WHERE client <> 0;
CREATE INDEX tokens_of_user ON tokens (user) WHERE user <> 0;
CREATE INDEX tokens_of_parent ON tokens (parent) WHERE parent <> 0;
CREATE INDEX tokens_by_end ON tokens (expires);

-- What must no longer be believed although its signature is right: jti and generations,
-- by their SHA-256, until everything that they could be in has expired.
CREATE TABLE revoked (
  seq   INTEGER PRIMARY KEY AUTOINCREMENT,
  hash  BLOB    NOT NULL UNIQUE,
  until INTEGER NOT NULL
) STRICT;
CREATE INDEX revoked_by_end ON revoked (until);
