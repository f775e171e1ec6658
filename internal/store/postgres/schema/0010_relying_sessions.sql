-- Where the user of a sign-in session has signed in, and what is to be sent there since the session has ended
-- (OpenID Connect Back-Channel Logout 1.0). Nodes of the previous version would end sessions without sending anything,
-- so they cannot go on beside new ones.
CREATE TABLE relying_sessions (
  login   BIGINT NOT NULL,           -- sign-in session
  client  BIGINT NOT NULL,
  session TEXT COLLATE "C" NOT NULL, -- its public id: sid
  subject TEXT COLLATE "C" NOT NULL, -- the user, as the client knows it: sub
  due     BIGINT NOT NULL,           -- when to send; -1: the session has not ended
  tries   BIGINT NOT NULL,
  PRIMARY KEY (login, client)
);
CREATE INDEX relying_sessions_due ON relying_sessions (due) WHERE due >= 0;
CREATE INDEX relying_sessions_of_client ON relying_sessions (client);
