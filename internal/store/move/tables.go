package move

import (
	"slices"
	"strings"
)

// Level is the version of the list of tables. This program cannot keep the rows of a greater one.
const Level = 15

// firstSchema has the number of the schema with which each level began, from level 1 on, by Head.Engine.
var firstSchema = map[string][Level]int{
	"sqlite":   {5, 6, 7, 8, 10, 11, 12, 13, 14, 15, 16, 18, 19, 20, 21},
	"postgres": {1, 2, 3, 4, 6, 7, 8, 9, 10, 11, 12, 14, 15, 16, 17},
}

// LevelOf returns the level of a schema of an engine, and 0 for one that is older than backups.
func LevelOf(engine string, schema int) (level int) {
	for i, first := range firstSchema[engine] {
		if schema >= first {
			level = i + 1
		}
	}

	return level
}

// kind is what a column holds.
type kind string

const (
	integer kind = "int"
	boolean kind = "bool" // 0 and 1 on SQLite
	text    kind = "text"
	blob    kind = "blob"
	maybe   kind = "blob?" // or NULL
)

// column is a column as a backup names it.
type column struct {
	Name string `json:"name"`
	Kind kind   `json:"kind"`
}

// table is a table that both engines have, with the columns that both have.
type table struct {
	Name    string   `json:"name"`
	Columns []column `json:"columns"`
	keys    int      // number of leading columns that are the key: rows are in its order
	gives   bool     // the key is a number that is never given twice
	own     string   // condition of the rows that are moved; "" for all
}

// columns reads "name name:kind …"; what has no kind is a number.
func columns(list string) []column {
	var all []column
	for _, c := range strings.Fields(list) {
		name, k, ok := strings.Cut(c, ":")
		if !ok {
			k = string(integer)
		}
		all = append(all, column{name, kind(k)})
	}

	return all
}

// withNumber is a table whose first column is a number that is never given twice.
func withNumber(name, list string) table {
	t := withKey(name, 1, list)
	t.gives = true

	return t
}

// withKey is a table whose first columns are its key.
func withKey(name string, keys int, list string) table {
	return table{Name: name, Columns: columns(list), keys: keys}
}

// tables returns what is moved. A test compares it with the schema of each engine. Tickets are left
// out: one that was taken after the backup would be valid again. So are mails, which would be sent again, and failed
// attempts, which are forgiven in a short time.
func tables() []table {
	meta := withKey("meta", 1, "name:text value:text")
	meta.own = metaOwn

	return []table{
		withNumber("users", "id name:text folded:text password:text version groups:text disabled:bool "+
			"declared:bool created updated uuid:text email:text email_folded:text first_name:text "+
			"last_name:text service:text verified:bool"),
		withNumber("clients", "id name:text folded:text version secret:blob? services:text scopes:text "+
			"introspects:text source:text disabled:bool declared:bool created updated openid:text"),
		withKey("client_keys", 2, "client kid:text alg:text public:text retired:bool opens closes created"),
		withKey("keys", 1, "kid:text kind:text alg:text public:text sealed:blob "+
			"created opens retires closes revoked:bool"),
		withNumber("budgets", "id service:text name:text"),
		withNumber("sessions", "login id:text hash:blob account service:text created expires idle used source:text "+
			"parent methods:text proved agent:text"),
		withKey("logins", 3, "account service:text login at"),
		withKey("sources", 2, "account source:text at"),
		withKey("devices", 2, "account hash:blob seen"),
		withNumber("tokens", "number accessor:text hash:blob format:text kind:text name:text parent "+
			"account client version audience:text scopes:text allows:text networks:text "+
			"max_uses created opens expires source:text used actors:text shares:text"),
		withKey("grants", 1, "code:blob number client login session:text offline:bool "+
			"signed_in methods:text turn turned acr:text"),
		withKey("identities", 2, "issuer:text subject:text account label:text created"),
		withKey("connections", 2, "account client scopes:text agreed created used"),
		withKey("factors", 1, "id:text account kind:text name:text created confirmed used handle:blob? "+
			"secret:blob counter flags transports:text model:text"),
		withKey("factor_attempts", 1, "account failed ready"),
		withKey("invitations", 1, "id:text hash:blob note:text email:text groups:text inviter actor:text most used "+
			"created expires"),
		withKey("relying_sessions", 2, "login client session:text subject:text due tries"),
		withKey("uses", 2, "login budget used"),
		withKey("assertions", 2, "issuer:text jti:blob expires"),
		withNumber("revoked", "seq hash:blob until"),
		withKey("ended_tokens", 1, "hash:blob accessor:text name:text owner:text at actor:text action:text"),
		withNumber("audit", "seq at request:text actor:text action:text target:text service:text "+
			"outcome:text reason:text source:text checks:text"),
		meta,
	}
}

// later has the level with which a table, or a column of a table, was added.
var later = map[string]int{
	"users.service":    2,
	"ended_tokens":     3,
	"sessions.parent":  4,
	"sessions.methods": 4,
	"sessions.proved":  4,
	"sessions.agent":   4,
	"clients.openid":   5,
	"tokens.used":      6,
	"grants":           7,
	"identities":       8,
	"relying_sessions": 9,
	"connections":      10,
	"factors":          11,
	"factor_attempts":  11,
	"invitations":      12,
	"grants.acr":       13,
	"devices":          14,
	"users.verified":   14,
	"tokens.actors":    15,
	"tokens.shares":    15,
}

// tablesOf returns what a schema of a level has of it.
func tablesOf(level int) []table {
	list := slices.DeleteFunc(tables(), func(t table) bool { return later[t.Name] > level })
	for i, t := range list {
		list[i].Columns = slices.DeleteFunc(t.Columns, func(c column) bool { return later[t.Name+"."+c.Name] > level })
	}

	return list
}

// missing returns the tables that a schema of a level does not have.
func missing(level int) (names []string) {
	for name, since := range later {
		if since > level && !strings.Contains(name, ".") {
			names = append(names, name)
		}
	}
	if level < ticketsSince {
		names = append(names, "tickets")
	}

	return names
}

// ticketsSince is the level with which the table of tickets came, which is not moved.
const ticketsSince = 4

// key returns the columns of the key: "(a, b)".
func (t table) key() string { return "(" + names(t.Columns[:t.keys]) + ")" }

// names returns the names for an INSERT or a SELECT.
func names(list []column) string {
	all := make([]string, len(list))
	for i, c := range list {
		all[i] = c.Name
	}
	return strings.Join(all, ", ")
}
