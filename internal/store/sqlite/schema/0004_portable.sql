-- "user" is a word of SQL itself in other engines, which share our statements.
ALTER TABLE sessions RENAME COLUMN user TO account;
ALTER TABLE logins RENAME COLUMN user TO account;
ALTER TABLE sources RENAME COLUMN user TO account;
ALTER TABLE tokens RENAME COLUMN user TO account;
