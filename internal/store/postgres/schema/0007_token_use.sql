-- When a request with the token was last accepted, written lazily. -1: never, or before this step. Room is left in each
-- page, so that a use is written beside the row that it replaces and touches no index.
ALTER TABLE tokens ADD COLUMN used BIGINT NOT NULL DEFAULT -1;
ALTER TABLE tokens SET (fillfactor = 90);
