-- The grants of a user and a client, whose name is that of the token: each new one counts them.
CREATE INDEX tokens_of_grants ON tokens (account, name) WHERE kind = 'grant';
