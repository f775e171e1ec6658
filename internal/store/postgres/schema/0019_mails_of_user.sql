-- needs: 18
-- What waits to be sent about a user, of any number of mails.
CREATE INDEX mails_of_user ON mails (account, kind) WHERE account <> 0;
