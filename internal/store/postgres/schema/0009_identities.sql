-- Accounts of users at other providers, with which they sign in here. Nodes of the previous version would not delete
-- those of a user whom they remove, so they cannot go on beside new ones.
CREATE TABLE identities (
  issuer  TEXT COLLATE "C" NOT NULL, -- of the provider
  subject TEXT COLLATE "C" NOT NULL, -- what it calls the user, for ever
  account BIGINT NOT NULL,
  label   TEXT COLLATE "C" NOT NULL, -- for pages
  created BIGINT NOT NULL,
  PRIMARY KEY (issuer, subject)
);
CREATE UNIQUE INDEX identities_of_user ON identities (account, issuer);
