-- The attempts on each account that failed, on all nodes.
CREATE TABLE failed_attempts (
  name   BYTEA  NOT NULL PRIMARY KEY, -- HMAC of the name of the account, which need not exist
  gone   BIGINT NOT NULL              -- when all have been forgiven
);
