-- Accounts of users at other providers, with which they sign in here.
CREATE TABLE identities (
  issuer  TEXT    NOT NULL, -- of the provider
  subject TEXT    NOT NULL, -- what it calls the user, for ever
  account INTEGER NOT NULL,
  label   TEXT    NOT NULL, -- for pages
  created INTEGER NOT NULL,
  PRIMARY KEY (issuer, subject)
) STRICT;
CREATE UNIQUE INDEX identities_of_user ON identities (account, issuer);
