package sqlite

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/jeton-auth/jeton/internal/store/change"
	"github.com/jeton-auth/jeton/internal/store/statements"
)

// queryLog holds the texts of the statements that a database runs.
type queryLog struct {
	mu    sync.Mutex
	texts map[string]bool
}

func (l *queryLog) add(text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.texts[text] = true
}

// loggingEngine is an engine that logs its statements.
type loggingEngine struct {
	statements.Engine
	*queryLog
}

// Query notes the text of a statement, as the other methods do.
func (e loggingEngine) Query(ctx context.Context, text string, args ...any) (statements.Rows, error) {
	e.add(text)
	return e.Engine.Query(ctx, text, args...)
}

func (e loggingEngine) QueryRow(ctx context.Context, text string, args ...any) statements.Row {
	e.add(text)
	return e.Engine.QueryRow(ctx, text, args...)
}

func (e loggingEngine) Do(ctx context.Context, s statements.Step) error {
	run := s.Run
	s.Run = func(ctx context.Context, tx statements.Conn) ([]change.Change, error) {
		return run(ctx, loggingTx{tx, e.queryLog})
	}

	return e.Engine.Do(ctx, s)
}

// loggingTx is loggingEngine inside a step.
type loggingTx struct {
	statements.Conn
	*queryLog
}

func (t loggingTx) Query(ctx context.Context, text string, args ...any) (statements.Rows, error) {
	t.add(text)
	return t.Conn.Query(ctx, text, args...)
}

func (t loggingTx) QueryRow(ctx context.Context, text string, args ...any) statements.Row {
	t.add(text)
	return t.Conn.QueryRow(ctx, text, args...)
}

func (t loggingTx) Exec(ctx context.Context, text string, args ...any) (int64, error) {
	t.add(text)
	return t.Conn.Exec(ctx, text, args...)
}

// growing names the tables that grow, and their aliases.
var growing = []string{
	"sessions", "tokens", "uses", "logins", "sources", "assertions", "revoked", "ended_tokens", "tickets",
	"s", "t", "g", "users", "audit", "mails",
}

// checkPlans checks that SQLite finds an index for every statement on a table that grows.
// With ten million rows, a step that reads all of them would hold the writer for seconds.
func checkPlans(t *testing.T, db *DB, log *queryLog) {
	if len(log.texts) < 50 {
		t.Fatalf("%d statements logged, want at least 50: run the whole contract", len(log.texts))
	}

	for _, text := range slices.Sorted(maps.Keys(log.texts)) {
		// SQLite looks at the value of such a parameter: a prepared statement is parsed again for each.
		if strings.Contains(text, "LIMIT $") || strings.Contains(text, "OFFSET $") {
			t.Errorf("%s\nhas a limit as a parameter, want a number in the text", text)
		}

		for _, line := range queryPlan(t, db, text) {
			verb, rest, _ := strings.Cut(line, " ")
			table, _, _ := strings.Cut(rest, " ")

			// This index has only the users in one group.
			few := strings.HasSuffix(line, "USING INDEX users_in_admin")
			if verb == "SCAN" && slices.Contains(growing, table) && !mayScan(text) && !few {
				t.Errorf("%s\nreads the whole table: %s", text, line)
			}
		}
	}
}

// mayScan reports statements that may read a whole table: a list is read from its end, as
// far as it is shown, and ending all sessions of a service needs all of them.
func mayScan(text string) bool {
	list := strings.HasPrefix(text, "SELECT") && strings.Contains(text, "LIMIT")
	// The oldest events are the first. The users of the file are compared with all.
	list = list || strings.HasPrefix(text, "DELETE FROM audit WHERE seq IN (SELECT seq FROM (SELECT seq, at FROM audit")
	list = list || strings.HasSuffix(text, "FROM users ORDER BY name") || text == "SELECT count(*) FROM users"
	// How many mails wait is shown to the operator.
	list = list || text == "SELECT count(*) FROM mails"

	return list || strings.Contains(text, "WHERE TRUE AND service = $1 RETURNING") ||
		strings.Contains(text, "WHERE TRUE RETURNING")
}

// queryPlan returns how SQLite would run a statement. Arguments are NULL: the plan does not
// depend on them.
func queryPlan(t *testing.T, db *DB, text string) (lines []string) {
	t.Helper()
	args := make([]any, strings.Count(text, "$"))
	rows, err := db.conn.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+text, args...)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	defer rows.Close()

	for rows.Next() {
		var id, parent, unused int
		var line string
		if err := rows.Scan(&id, &parent, &unused, &line); err != nil {
			t.Fatal(err)
		}

		lines = append(lines, line)
	}

	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}

	return lines
}
