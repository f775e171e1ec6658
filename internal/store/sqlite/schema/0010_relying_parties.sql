-- How a client signs users in (OpenID Connect), as JSON; '' for a client that does not.
ALTER TABLE clients ADD COLUMN openid TEXT NOT NULL DEFAULT '';
