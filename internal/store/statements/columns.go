package statements

import "strings"

// The columns of the tables that have many, without a number that the database assigns.
// Each list is the order of the values of an INSERT and of the variables of a Scan. A test
// of each engine compares the lists with its schema.
const (
	userColumns = "name, folded, password, version, groups, disabled, declared, created, updated, " +
		"uuid, email, email_folded, first_name, last_name, service, verified"
	clientColumns = "name, folded, version, secret, services, scopes, introspects, source, " +
		"disabled, declared, created, updated, openid"
	sessionColumns = "id, hash, account, service, created, expires, idle, used, source, " +
		"parent, methods, proved, agent"
	tokenColumns = "accessor, hash, format, kind, name, parent, version, audience, scopes, " +
		"allows, networks, max_uses, created, opens, expires, source, used, actors, shares"
	ticketColumns     = "hash, purpose, account, login, service, data, expires, used"
	keyColumns        = "kid, kind, alg, public, sealed, created, opens, retires, closes, revoked"
	grantColumns      = "code, number, client, login, session, offline, signed_in, methods, turn, turned, acr"
	identityColumns   = "issuer, subject, account, label, created"
	connectionColumns = "account, client, scopes, agreed, created, used"
	factorColumns     = "id, account, kind, name, created, confirmed, used, handle, secret, counter, " +
		"flags, transports, model"
	attemptColumns    = "account, failed, ready"
	failureColumns    = "name, gone"
	relyingColumns    = "login, client, session, subject, due, tries"
	mailColumns       = "id, kind, account, recipient, language, facts, created, expires, due, tries, linked"
	invitationColumns = "id, hash, note, email, groups, inviter, actor, most, used, created, expires"
	deviceColumns     = "account, hash, seen"
	endedColumns      = "hash, accessor, name, owner, at, actor, action"
	auditColumns      = "at, request, actor, action, target, service, outcome, reason, source, checks"
)

// insertInto returns "INSERT INTO table (a, b) VALUES ($1, $2)".
func insertInto(table, columns string) string {
	values := places(strings.Count(columns, ",") + 1)
	return "INSERT INTO " + table + " (" + columns + ") VALUES (" + values + ")"
}

// of returns the columns with the alias of their table: "s.a, s.b".
func of(alias, columns string) string {
	return alias + "." + strings.ReplaceAll(columns, ", ", ", "+alias+".")
}

// replaced returns the assignments of ON CONFLICT DO UPDATE: "a = excluded.a, b = excluded.b".
func replaced(columns string) string {
	list := strings.Split(columns, ", ")
	for i, c := range list {
		list[i] = c + " = excluded." + c
	}

	return strings.Join(list, ", ")
}
