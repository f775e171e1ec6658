package sqlite

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

// insertInto matches the columns of an INSERT in the statements.
var insertInto = regexp.MustCompile(`^INSERT INTO (\w+) \(([^)]*)\)`)

// checkColumns compares the columns that the statements name with the schema. The tests of
// move compare the schema of each engine with the list of what is moved.
func checkColumns(t *testing.T, db *DB, log *queryLog) {
	inserted := map[string]bool{}

	for text := range log.texts {
		m := insertInto.FindStringSubmatch(text)
		if m == nil || m[1] == "uses" || m[1] == "meta" {
			continue
		}

		inserted[m[1]] = true
		columns, number := tableColumns(t, db, m[1])
		want := slices.DeleteFunc(slices.Clone(columns), func(c string) bool { return c == number })
		got := strings.Split(m[2], ", ")
		slices.Sort(got)

		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("INSERT INTO %s names the columns %v, want those of the schema %v", m[1], got, want)
		}

		for _, c := range columns {
			derived := m[1] == "client_keys" && c == "alg" // the key in public has it
			if !derived && !isRead(log, m[1], c) {
				t.Errorf("no SELECT and no WHERE names column %s of %s", c, m[1])
			}
		}
	}

	if len(inserted) != 24 {
		t.Errorf("statements insert into %d tables, want 24: %v", len(inserted), inserted)
	}
}

// isRead reports whether a statement other than an INSERT names the column of a table.
func isRead(log *queryLog, table, column string) bool {
	word := regexp.MustCompile(`\b` + column + `\b`)
	from := regexp.MustCompile(`\b` + table + `\b`)

	for text := range log.texts {
		if !strings.HasPrefix(text, "INSERT") && from.MatchString(text) && word.MatchString(text) {
			return true
		}
	}

	return false
}

// tableColumns returns the columns of a table, and the one that SQLite numbers, if any.
func tableColumns(t *testing.T, db *DB, table string) (columns []string, number string) {
	t.Helper()
	const list = "SELECT name, type, pk, (SELECT wr FROM pragma_table_list WHERE name = $1) FROM pragma_table_info($1)"
	rows, err := db.conn.QueryContext(t.Context(), list, table)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()

	keys := 0
	for rows.Next() {
		var name, kind string
		var key int
		var given bool // WITHOUT ROWID: SQLite numbers nothing
		if err := rows.Scan(&name, &kind, &key, &given); err != nil {
			t.Fatal(err)
		}

		columns = append(columns, name)
		if key > 0 {
			keys++
		}
		if key == 1 && kind == "INTEGER" && !given {
			number = name
		}
	}

	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}

	if keys > 1 {
		number = "" // SQLite numbers no part of a longer key
	}

	return columns, number
}
