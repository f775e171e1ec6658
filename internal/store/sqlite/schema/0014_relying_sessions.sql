-- Where the user of a sign-in session has signed in, and what is to be sent there since the session has ended
-- (OpenID Connect Back-Channel Logout 1.0).
CREATE TABLE relying_sessions (
  login   INTEGER NOT NULL, -- sign-in session
  client  INTEGER NOT NULL,
  session TEXT    NOT NULL, -- its public id: sid
  subject TEXT    NOT NULL, -- the user, as the client knows it: sub
  due     INTEGER NOT NULL, -- when to send; -1: the session has not ended
  tries   INTEGER NOT NULL,
  PRIMARY KEY (login, client)
) STRICT, WITHOUT ROWID;
CREATE INDEX relying_sessions_due ON relying_sessions (due) WHERE due >= 0;
CREATE INDEX relying_sessions_of_client ON relying_sessions (client);
