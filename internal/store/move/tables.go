package move

import "strings"

// Level is the shape of the rows: it grows with every change of the list of tables. What
// a greater one holds, this program cannot keep.
const Level = 1

// kind is what a column holds.
type kind string

const (
	integer kind = "int"
	boolean kind = "bool" // 0 and 1 on SQLite
	text    kind = "text"
	blob    kind = "blob"
	maybe   kind = "blob?" // or NULL
)

type column struct {
	Name string `json:"name"`
	Kind kind   `json:"kind"`
}

// table is a table that both engines have, with the columns that both have.
type table struct {
	Name    string   `json:"name"`
	Columns []column `json:"columns"`
	keys    int      // so many columns from the first on are the key: rows are moved in their order
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

// tables returns what is moved. A test compares it with the schema of each engine.
func tables() []table {
	return []table{
		{
			"users",
			columns("id name:text folded:text password:text version groups:text disabled:bool declared:bool created updated uuid:text email:text email_folded:text first_name:text last_name:text"),
			1,
			true,
			"",
		},
		{
			"clients",
			columns("id name:text folded:text version secret:blob? services:text scopes:text introspects:text source:text disabled:bool declared:bool created updated"),
			1,
			true,
			"",
		},
		{
			"client_keys",
			columns("client kid:text alg:text public:text retired:bool opens closes created"),
			2,
			false,
			"",
		},
		{
			"keys",
			columns("kid:text kind:text alg:text public:text sealed:blob created opens retires closes revoked:bool"),
			1,
			false,
			"",
		},
		{"budgets", columns("id service:text name:text"), 1, true, ""},
		{
			"sessions",
			columns("login id:text hash:blob account service:text created expires idle used source:text"),
			1,
			true,
			"",
		},
		{"logins", columns("account service:text login at"), 3, false, ""},
		{"sources", columns("account source:text at"), 2, false, ""},
		{
			"tokens",
			columns("number accessor:text hash:blob format:text kind:text name:text parent account client version audience:text scopes:text allows:text networks:text max_uses created opens expires source:text"),
			1,
			true,
			"",
		},
		{"uses", columns("login budget used"), 2, false, ""},
		{"assertions", columns("issuer:text jti:blob expires"), 2, false, ""},
		{"revoked", columns("seq hash:blob until"), 1, true, ""},
		{
			"audit",
			columns("seq at request:text actor:text action:text target:text service:text outcome:text reason:text source:text checks:text"),
			1,
			true,
			"",
		},
		{"meta", columns("name:text value:text"), 1, false, metaOwn},
	}
}

// key returns the columns of the key: "(a, b)".
func (t table) key() string { return "(" + names(t.Columns[:t.keys]) + ")" }

func names(list []column) string {
	all := make([]string, len(list))
	for i, c := range list {
		all[i] = c.Name
	}
	return strings.Join(all, ", ")
}
