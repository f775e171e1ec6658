package postgres

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jeton-auth/jeton/internal/secret"
	"github.com/jeton-auth/jeton/internal/test/pgtest"
)

// order notes what came first.
type order struct {
	mu   sync.Mutex
	list []string
}

func (o *order) note(what string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.list = append(o.list, what)
}

func (o *order) is(t *testing.T, want ...string) {
	t.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()

	if !slices.Equal(o.list, want) {
		t.Errorf("it came as %v, want %v", o.list, want)
	}
}

func TestAnEndIsAnsweredWhenAllNodesHaveHeard(t *testing.T) {
	url := emptied(t)
	// The bound is far away: whoever waited for it would be noticed.
	c := Config{Staleness: MaxStaleness}
	db, other := openNode(t, url, c), openNode(t, url, c)
	ear := record(other)
	u := addUser(t, db, "diane")

	pollNow(t, other)
	var o order
	bound := time.AfterFunc(MaxStaleness, func() { o.note("bound") })
	defer bound.Stop()

	for _, text := range []string{"one", "two", "three"} {
		startSession(t, db, u, text)
		must(t, endSession(t.Context(), db, text))
		if ear.count(sessionEnded(text)) != 1 {
			t.Errorf("the end of %s was answered before the other node had heard", text)
		}
	}

	o.note("answered")
	o.is(t, "answered")
}

// TestAnEndWaitsForANodeThatDoesNotHear cuts a node off in one way after another. The end is
// answered when that node no longer judges, and not before.
func TestAnEndWaitsForANodeThatDoesNotHear(t *testing.T) {
	c := shared.Cluster(t)
	const bound = 400 * time.Millisecond
	for _, tc := range []struct {
		name string
		cut  func(p *pgtest.Proxy)
	}{
		{"cut", (*pgtest.Proxy).Cut},
		{"silent", (*pgtest.Proxy).Hang},
	} {
		t.Run(tc.name, func(t *testing.T) {
			name := newDatabase(t, c)
			proxy, url := proxied(t, c, name)
			db, other := openNode(t, c.URL(name), Config{
				Staleness: 100 * time.Millisecond,
			}), openImpatient(t, url, Config{Staleness: bound})
			u := addUser(t, db, "diane")
			startSession(t, db, u, "one")

			pollNow(t, other)
			tc.cut(proxy)
			began := time.Now()
			must(t, endSession(t.Context(), db, "one"))
			took := time.Since(began)
			if took < bound {
				t.Errorf("answered after %v; the other node may judge from memory for %v", took, bound)
			}

			if err := other.Fresh(t.Context()); err == nil {
				t.Error("a node that has not heard of the end judges after it was answered")
			} else {
				wantUnavailable(t, "Fresh", err)
			}

			must(t, proxy.Heal())
			ear := record(other)
			eventually(t, "the node to come back", func() bool { return other.Fresh(t.Context()) == nil })

			if ear.count(everything) == 0 {
				t.Error("it trusts what it had in memory before it was cut off")
			}
		})
	}
}

func TestANodeThatJoinedBetweenTheCommitAndTheListIsWaitedFor(t *testing.T) {
	url := emptied(t)
	db := openNode(t, url, Config{Staleness: 50 * time.Millisecond})
	startSession(t, db, addUser(t, db, "diane"), "one")
	const bound = 300 * time.Millisecond

	conn := connect(t, url)
	execSQL(t, conn, "BEGIN")
	execSQL(t, conn, "LOCK TABLE nodes IN ACCESS EXCLUSIVE MODE")
	began, answer := time.Now(), make(chan error, 1)
	go func() { answer <- endSession(t.Context(), db, "one") }()

	look := connect(t, url)
	eventually(t, "the commit", func() bool {
		var n int
		queryRow(t, look, &n, "SELECT count(*) FROM sessions")
		return n == 0
	})

	execSQL(
		t,
		conn,
		"INSERT INTO nodes (id, bound, beat, heard, gone) VALUES ('late', $1, 1, pg_current_xact_id(), FALSE)",
		bound.Milliseconds(),
	)
	execSQL(t, conn, "COMMIT")
	must(t, <-answer)
	took := time.Since(began)
	if took < bound {
		t.Errorf("answered after %v, before a node that has said nothing has ceased to judge", took)
	}
}

func TestWhatANodeSaidOnAServerThatIsNoMoreDoesNotCount(t *testing.T) {
	url := emptied(t)
	const bound = 300 * time.Millisecond
	db, other := openNode(t, url, Config{Staleness: bound}), openNode(t, url, Config{Staleness: bound})
	startSession(t, db, addUser(t, db, "diane"), "one")
	// The other node has seen numbers of transactions that a crash took back.
	pollNow(t, other)

	db.node.mu.Lock()
	db.node.acks[other.node.id] = snapshot{xmin: 1 << 40, xmax: 1 << 40}
	db.node.mu.Unlock()
	conn := connect(t, url)
	execSQL(t, conn, "BEGIN")

	execSQL(t, conn, "LOCK TABLE nodes IN ACCESS EXCLUSIVE MODE") // neither can poll
	began, answer := time.Now(), make(chan error, 1)
	go func() { answer <- endSession(t.Context(), db, "one") }()
	look := connect(t, url)
	eventually(t, "the commit", func() bool {
		var n int
		queryRow(t, look, &n, "SELECT count(*) FROM sessions")
		return n == 0
	})

	time.Sleep(20 * time.Millisecond) // whoever trusted what was said would be through by now

	select {
	case err := <-answer:
		t.Errorf("answered (%v) after %v by what was said on another server", err, time.Since(began))
	default:
	}

	execSQL(t, conn, "UPDATE nodes SET gone = TRUE WHERE id = $1", db.node.id)
	execSQL(t, conn, "COMMIT")
	must(t, <-answer)
	db.node.mu.Lock()
	defer db.node.mu.Unlock()

	s := db.node.acks[other.node.id]
	if s.xmin == 1<<40 {
		t.Error("what was said before it began anew is still believed")
	}
}

func TestSilentNodesAreForgottenAndTheirChangesCleared(t *testing.T) {
	url := emptied(t)
	c := Config{Staleness: 20 * time.Millisecond, heartbeatEvery: time.Millisecond, deadAfter: 100 * time.Millisecond}
	db, conn := openNode(t, url, c), connect(t, url)
	u := addUser(t, db, "diane")
	execSQL(
		t,
		conn,
		"INSERT INTO nodes (id, bound, beat, heard, gone) VALUES ('ghost', 10, 1, pg_snapshot_xmin(pg_current_snapshot()), FALSE)",
	)

	startSession(t, db, u, "one")
	must(t, endSession(t.Context(), db, "one"))
	var o order
	var state, last string
	eventually(t, "the silent node to be forgotten", func() bool {
		queryRow(
			t,
			conn,
			&state,
			`SELECT COALESCE((SELECT CASE WHEN gone THEN 'marked' ELSE 'listed' END FROM nodes WHERE id = 'ghost'), 'forgotten')`,
		)
		if state != last {
			o.note(state)
			last = state
		}

		var kept int
		queryRow(
			t,
			conn,
			&kept,
			"SELECT count(*) FROM changes c WHERE c.xid >= (SELECT heard FROM nodes WHERE id = 'ghost') AND c.node = $1",
			db.node.id,
		)

		if state != "forgotten" && kept == 0 {
			var still bool
			queryRow(t, conn, &still, "SELECT EXISTS (SELECT 1 FROM nodes WHERE id = 'ghost')")
			if still {
				t.Fatal("changes were cleared away that a node on the list has not heard")
			}
		}

		return state == "forgotten"
	})

	o.is(t, "listed", "marked", "forgotten")
	eventually(t, "the changes to be cleared away", func() bool {
		var n int
		queryRow(t, conn, &n, "SELECT count(*) FROM changes")
		return n == 0
	})

	if _, err := db.FindSession(t.Context(), secret.HashOf("one")); err == nil {
		t.Error("the session is there again")
	}
}

func TestALivingNodeIsNotForgotten(t *testing.T) {
	url := emptied(t)
	c := Config{Staleness: 20 * time.Millisecond, heartbeatEvery: time.Millisecond, deadAfter: 5 * time.Second}
	db, other := openNode(t, url, c), openNode(t, url, c)
	ear := record(other)
	conn := connect(t, url)

	var from int
	queryRow(t, conn, &from, "SELECT beat FROM nodes WHERE id = $1", other.node.id)
	eventually(t, "many beats", func() bool {
		var beat int
		queryRow(t, conn, &beat, "SELECT beat FROM nodes WHERE id = $1", other.node.id)
		return beat > from+50
	})

	pollNow(t, db)
	got := ear.take()
	if len(got) > 0 {
		t.Errorf("heard %v", got)
	}

	must(t, other.Close())
	var n int
	queryRow(t, conn, &n, "SELECT count(*) FROM nodes")

	if n != 1 {
		t.Errorf("%d nodes are on the list, want the one that is not closed", n)
	}
}
