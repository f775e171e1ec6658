-- What the pages of administrators and of accounts read, of any number of rows.
CREATE INDEX users_in_admin ON users (id) WHERE groups LIKE '%"admin"%';
CREATE INDEX sessions_of_service ON sessions (service, login);
CREATE INDEX audit_of_actor ON audit (actor, seq) WHERE actor LIKE 'user:%';
CREATE INDEX audit_of_target ON audit (target, seq) WHERE target LIKE 'user:%';
CREATE INDEX audit_of_action ON audit (action, seq);
