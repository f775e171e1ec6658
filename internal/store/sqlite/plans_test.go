package sqlite

import (
	"context"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/jeton-auth/jeton/internal/store/change"
	"github.com/jeton-auth/jeton/internal/store/statements"
	"github.com/jeton-auth/jeton/internal/test/storetest"
)

// said is what was said to the database.
type said struct {
	mu    sync.Mutex
	texts map[string]bool
}

func (s *said) note(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.texts[text] = true
}

// noting is an engine that keeps what is said to it.
type noting struct {
	statements.Engine
	*said
}

func (n noting) Query(ctx context.Context, text string, args ...any) (statements.Rows, error) {
	n.note(text)
	return n.Engine.Query(ctx, text, args...)
}

func (n noting) QueryRow(ctx context.Context, text string, args ...any) statements.Row {
	n.note(text)
	return n.Engine.QueryRow(ctx, text, args...)
}

func (n noting) Do(ctx context.Context, s statements.Step) error {
	run := s.Run
	s.Run = func(ctx context.Context, tx statements.Conn) ([]change.Change, error) {
		return run(ctx, notingTx{tx, n.said})
	}
	return n.Engine.Do(ctx, s)
}

type notingTx struct {
	statements.Conn
	*said
}

func (n notingTx) Query(ctx context.Context, text string, args ...any) (statements.Rows, error) {
	n.note(text)
	return n.Conn.Query(ctx, text, args...)
}

func (n notingTx) QueryRow(ctx context.Context, text string, args ...any) statements.Row {
	n.note(text)
	return n.Conn.QueryRow(ctx, text, args...)
}

func (n notingTx) Exec(ctx context.Context, text string, args ...any) (int64, error) {
	n.note(text)
	return n.Conn.Exec(ctx, text, args...)
}

// Everything that the contract asks for has to be found by an index in the tables that
// grow: with ten million rows, a step that reads them all would hold the writer for seconds.
func TestNothingReadsTheWholeOfALargeTable(t *testing.T) {
	all := &said{texts: map[string]bool{}}
	storetest.Run(t, func(t *testing.T) storetest.Store {
		db := opened(t, filepath.Join(t.TempDir(), "jeton.db"))
		db.Store = statements.New(noting{engine{db}, all})
		return db
	})

	if len(all.texts) < 50 {
		t.Fatalf("only %d statements were said", len(all.texts))
	}

	db := opened(t, filepath.Join(t.TempDir(), "jeton.db"))
	for _, text := range slices.Sorted(maps.Keys(all.texts)) {
		for _, line := range planOf(t, db, text) {
			scan, of, _ := strings.Cut(line, " ")
			table, _, _ := strings.Cut(of, " ")

			large := slices.Contains([]string{
				"sessions",
				"tokens",
				"uses",
				"logins",
				"sources",
				"assertions",
				"revoked",
				"s",
				"t",
			}, table)

			// A list is read from its end, and only as far as it is shown; who ends all sessions
			// of a service wants to have them all.
			fine := strings.HasPrefix(
				text,
				"SELECT",
			) && strings.Contains(text, "LIMIT") || strings.Contains(text, "WHERE TRUE AND service = $1 RETURNING")
			if scan == "SCAN" && large && !fine {
				t.Errorf("%s\nreads all of it: %s", text, line)
			}
		}
	}
}

func planOf(t *testing.T, db *DB, text string) (lines []string) {
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
