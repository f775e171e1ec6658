-- The only service that a user is valid at, such as one at which anyone can register; '' for every service.
ALTER TABLE users ADD COLUMN service TEXT NOT NULL DEFAULT '';
CREATE INDEX users_of_service ON users (service) WHERE service <> '';

-- Sessions that were to end with the process had a service with a slash. No session has that any more.
DELETE FROM sessions WHERE service LIKE '%/process';
