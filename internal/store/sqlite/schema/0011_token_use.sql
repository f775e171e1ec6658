-- When a request with the token was last accepted, written lazily. -1: never, or before this step.
ALTER TABLE tokens ADD COLUMN used INTEGER NOT NULL DEFAULT -1;
