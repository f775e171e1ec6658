-- The clients that act for the owner of a token, the latest first: [{"client": name, "id": number, "from": service}].
ALTER TABLE tokens ADD COLUMN actors TEXT NOT NULL DEFAULT '[]';
-- The counts of other tokens that its uses are taken from, too: [{"token": number, "max": uses}].
ALTER TABLE tokens ADD COLUMN shares TEXT NOT NULL DEFAULT '[]';
