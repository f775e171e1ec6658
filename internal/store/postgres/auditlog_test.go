package postgres

import (
	"slices"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/audit"
)

// TestAnEventThatMayStillComeHoldsUpThoseBehindIt has somebody take a number for an event and
// not come to an end.
func TestAnEventThatMayStillComeHoldsUpThoseBehindIt(t *testing.T) {
	url := emptied(t)
	db := openImpatient(t, url, Config{Answer: time.Second})

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
		t.Fatalf("the record is %v", got)
	}

	const insert = `INSERT INTO audit (at, request, actor, action, target, service, outcome, reason, source, checks) VALUES (0, '', '', 'test', $1, '', '', '', '', '')`

	slow, other := connect(t, url), connect(t, url)
	execSQL(t, slow, "BEGIN")
	execSQL(t, slow, insert, "slow") // when it happened says nothing
	add("behind it")

	if got := read(); slices.Contains(got, "behind it") {
		t.Errorf("the record is read as %v; who reads on from there never sees what is still to come", got)
	}

	execSQL(t, slow, "COMMIT")
	if got := read(); !slices.Equal(got, []string{"first", "slow", "behind it"}) {
		t.Errorf("the record is %v", got)
	}

	// What was rolled back, and what others do for long, hold up nothing.
	execSQL(t, slow, "BEGIN")
	execSQL(t, slow, insert, "never")
	execSQL(t, slow, "ROLLBACK")
	execSQL(t, other, "BEGIN")
	execSQL(t, other, "SELECT pg_current_xact_id()")

	add("last")
	if got := read(); !slices.Equal(got, []string{"first", "slow", "behind it", "last"}) {
		t.Errorf("the record is %v", got)
	}
}
