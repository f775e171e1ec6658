package postgres

import (
	"slices"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/audit"
)

// TestEventsAreNotReadBeforeEarlierNumbers has a transaction that has a number for its event, and
// does not end.
func TestEventsAreNotReadBeforeEarlierNumbers(t *testing.T) {
	url := emptied(t)
	db := openImpatient(t, url, Config{Answer: 3 * time.Second})

	add := func(target string) {
		t.Helper()
		must(t, db.Append(t.Context(), []jeton.Event{{Time: noon, Action: "test", Target: target}}))
	}

	read := func() (targets []string) {
		t.Helper()
		events, err := db.Events(t.Context(), audit.Filter{})
		must(t, err)

		for _, e := range events {
			targets = append(targets, e.Target)
		}

		return targets
	}

	add("first")
	if got := read(); !slices.Equal(got, []string{"first"}) {
		t.Fatalf("events = %v, want the first", got)
	}

	const insert = `INSERT INTO audit (at, request, actor, action, target, service, outcome, reason, source, checks)
VALUES (0, '', '', 'test', $1, '', '', '', '', '')`

	slow, other := connect(t, url), connect(t, url)
	execSQL(t, slow, "BEGIN")
	execSQL(t, slow, insert, "slow") // the time of the event proves nothing
	add("behind it")

	if got := read(); slices.Contains(got, "behind it") {
		t.Errorf("events = %v, want none behind the slow one: a reader that continues there misses it", got)
	}

	execSQL(t, slow, "COMMIT")
	if got := read(); !slices.Equal(got, []string{"first", "slow", "behind it"}) {
		t.Errorf("events = %v, want first, slow, behind it", got)
	}

	// A rollback, and a long transaction without an event, delay nothing.
	execSQL(t, slow, "BEGIN")
	execSQL(t, slow, insert, "never")
	execSQL(t, slow, "ROLLBACK")
	execSQL(t, other, "BEGIN")
	execSQL(t, other, "SELECT pg_current_xact_id()")

	add("last")
	if got := read(); !slices.Equal(got, []string{"first", "slow", "behind it", "last"}) {
		t.Errorf("events = %v, want first, slow, behind it, last", got)
	}
}
