-- Times are milliseconds since 1970 UTC. Truth values are 0 and 1.
-- Numbers of users and logins are never given twice (AUTOINCREMENT): counts and
-- records hang on them.

CREATE TABLE users (
  id       INTEGER PRIMARY KEY AUTOINCREMENT,
  name     TEXT    NOT NULL UNIQUE,
  folded   TEXT    NOT NULL UNIQUE, -- no two names differ in case alone
  password TEXT    NOT NULL,        -- PHC string, '' when nobody can log in with one
  version  INTEGER NOT NULL,        -- grows with every change of the credential
  groups   TEXT    NOT NULL,        -- JSON list, sorted
  disabled INTEGER NOT NULL,
  declared INTEGER NOT NULL,        -- in the configuration file
  created  INTEGER NOT NULL,
  updated  INTEGER NOT NULL
) STRICT;

CREATE TABLE sessions (
  login   INTEGER PRIMARY KEY AUTOINCREMENT,
  id      TEXT    NOT NULL UNIQUE,
  hash    BLOB    NOT NULL UNIQUE,  -- SHA-256 of the secret
  user    INTEGER NOT NULL,
  service TEXT    NOT NULL,
  created INTEGER NOT NULL,
  expires INTEGER NOT NULL,
  idle    INTEGER NOT NULL,         -- milliseconds
  used    INTEGER NOT NULL,         -- last use, written lazily
  source  TEXT    NOT NULL
) STRICT;
CREATE INDEX sessions_of_user ON sessions (user, service);
CREATE INDEX sessions_by_end ON sessions (expires);

-- Uses that a login has taken of a budget. Narrow and dense on purpose: what a
-- commit costs is the number of pages it touches.
CREATE TABLE uses (
  login  INTEGER NOT NULL,
  budget INTEGER NOT NULL,
  used   INTEGER NOT NULL,
  PRIMARY KEY (login, budget)
) STRICT, WITHOUT ROWID;

CREATE TABLE budgets (
  id      INTEGER PRIMARY KEY,
  service TEXT NOT NULL,
  name    TEXT NOT NULL,
  UNIQUE (service, name)
) STRICT;

-- When users logged in, for the terms of the next login.
CREATE TABLE logins (
  user    INTEGER NOT NULL,
  service TEXT    NOT NULL,
  login   INTEGER NOT NULL,
  at      INTEGER NOT NULL,
  PRIMARY KEY (user, service, login)
) STRICT, WITHOUT ROWID;

-- Addresses that users have logged in from: strangers' failures do not slow these down.
CREATE TABLE sources (
  user   INTEGER NOT NULL,
  source TEXT    NOT NULL,
  at     INTEGER NOT NULL,
  PRIMARY KEY (user, source)
) STRICT, WITHOUT ROWID;

CREATE TABLE audit (
  seq     INTEGER PRIMARY KEY AUTOINCREMENT,
  at      INTEGER NOT NULL,
  request TEXT NOT NULL,
  actor   TEXT NOT NULL,
  action  TEXT NOT NULL,
  target  TEXT NOT NULL,
  service TEXT NOT NULL,
  outcome TEXT NOT NULL,
  reason  TEXT NOT NULL,
  source  TEXT NOT NULL,
  checks  TEXT NOT NULL             -- JSON list, '' for none
) STRICT;
CREATE INDEX audit_of_request ON audit (request) WHERE request <> '';
