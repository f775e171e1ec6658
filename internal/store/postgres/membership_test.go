package postgres

import (
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jeton-auth/jeton/internal/secret"
	"github.com/jeton-auth/jeton/internal/test/pgtest"
)

// order records what came first.
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
		t.Errorf("order = %v, want %v", o.list, want)
	}
}

func TestARevocationIsAnsweredWhenAllNodesHaveAcknowledged(t *testing.T) {
	url := emptied(t)
	// The bound is far away: a wait for it would be noticed.
	c := Config{Staleness: MaxStaleness}
	db, other := openNode(t, url, c), openNode(t, url, c)
	received := record(other)
	u := addUser(t, db, "diane")

	pollNow(t, other)
	var o order
	bound := time.AfterFunc(MaxStaleness, func() { o.note("bound") })
	defer bound.Stop()

	for _, text := range []string{"one", "two", "three"} {
		startSession(t, db, u, text)
		must(t, endSession(t.Context(), db, text))
		if received.count(sessionEnded(text)) != 1 {
			t.Errorf("the logout of %s was answered, want it received by the other node before", text)
		}
	}

	o.note("answered")
	o.is(t, "answered")
}

// TestARevocationWaitsForALeaseWithoutAcknowledgement cuts a node off in different ways. The
// revocation is answered when the lease of that node has ended, and not before.
func TestARevocationWaitsForALeaseWithoutAcknowledgement(t *testing.T) {
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
				t.Errorf("answered after %v, want at least %v: the lease of the other node", took, bound)
			}

			if err := other.Fresh(t.Context()); err == nil {
				t.Error("Fresh = nil on a node that has not received the revocation, want an error")
			} else {
				wantUnavailable(t, "Fresh", err)
			}

			must(t, proxy.Heal())
			received := record(other)
			eventually(t, "lease", func() bool { return other.Fresh(t.Context()) == nil })

			if received.count(everything) == 0 {
				t.Error("it kept its cache from before it was cut off, want it dropped")
			}
		})
	}
}

// TestARevocationWaitsForANodeThatJoinedAfterTheCommit lets a node join between the commit
// and the reading of the list of nodes.
func TestARevocationWaitsForANodeThatJoinedAfterTheCommit(t *testing.T) {
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

	execSQL(t, conn, `INSERT INTO nodes (id, bound, beat, heard, gone)
VALUES ('late', $1, 1, pg_current_xact_id(), FALSE)`, bound.Milliseconds())
	execSQL(t, conn, "COMMIT")
	must(t, <-answer)
	took := time.Since(began)
	if took < bound {
		t.Errorf("answered after %v, want %v: the lease of a node without acknowledgement", took, bound)
	}
}

// TestAcknowledgementsOfAFormerServerDoNotCount stands for a crash or a failover, after
// which transaction numbers are given a second time.
func TestAcknowledgementsOfAFormerServerDoNotCount(t *testing.T) {
	url := emptied(t)
	const bound = 300 * time.Millisecond
	db, other := openNode(t, url, Config{Staleness: bound}), openNode(t, url, Config{Staleness: bound})
	startSession(t, db, addUser(t, db, "diane"), "one")
	// The other node has acknowledged transaction numbers that a crash gave back.
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

	time.Sleep(20 * time.Millisecond) // with trust in that acknowledgement, the answer would be here by now

	select {
	case err := <-answer:
		t.Errorf("answered (%v) after %v by an acknowledgement on another server, want none", err, time.Since(began))
	default:
	}

	execSQL(t, conn, "UPDATE nodes SET gone = TRUE WHERE id = $1", db.node.id)
	execSQL(t, conn, "COMMIT")
	must(t, <-answer)
	db.node.mu.Lock()
	defer db.node.mu.Unlock()

	s := db.node.acks[other.node.id]
	if s.xmin == 1<<40 {
		t.Error("the acknowledgement on the former server counts, want it dropped")
	}
}

// recordDead records what happens to the row of the node named dead, and how many changes it has
// not applied at that time.
const recordDead = `CREATE TABLE history (n INT GENERATED ALWAYS AS IDENTITY, what TEXT);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
	IF OLD.id = 'dead' THEN
		INSERT INTO history (what) VALUES
			(CASE TG_OP WHEN 'DELETE' THEN 'removed' ELSE 'marked' END),
			((SELECT count(*) FROM changes
				WHERE xid >= OLD.heard AND cardinality(ids) + length(hashes) > 0) || ' change');
	END IF;
	RETURN COALESCE(NEW, OLD); END $$;
CREATE TRIGGER note BEFORE UPDATE OR DELETE ON nodes FOR EACH ROW EXECUTE FUNCTION note()`

func TestDeadNodesAndTheirChangesAreRemoved(t *testing.T) {
	url := shared.Database(t)
	c := Config{Staleness: 20 * time.Millisecond, heartbeatEvery: time.Millisecond}
	before, conn := openNode(t, url, c), connect(t, url)
	u := addUser(t, before, "diane")
	execSQL(t, conn, recordDead)
	execSQL(t, conn, `INSERT INTO nodes (id, bound, beat, heard, gone)
VALUES ('dead', 10, 1, pg_snapshot_xmin(pg_current_snapshot()), FALSE)`)

	startSession(t, before, u, "one")
	must(t, endSession(t.Context(), before, "one"))
	must(t, before.Close())

	// Another node removes it: one that does so soon could have marked it before there was a change.
	c.deadAfter = 100 * time.Millisecond
	db := openNode(t, url, c)

	var history string
	eventually(t, "removal of the dead node", func() bool {
		queryRow(t, conn, &history, "SELECT COALESCE(string_agg(what, ', ' ORDER BY n), '') FROM history")
		return strings.HasSuffix(history, "removed, 1 change")
	})

	if history != "marked, 1 change, removed, 1 change" {
		t.Errorf("history = %s, want the node marked, then removed, with its change still there", history)
	}

	eventually(t, "removal of the changes", func() bool {
		var n int
		queryRow(t, conn, &n, "SELECT count(*) FROM changes")
		return n == 0
	})

	if _, err := db.FindSession(t.Context(), secret.HashOf("one")); err == nil {
		t.Error("FindSession after a logout = nil, want an error")
	}
}

func TestALiveNodeIsNotRemoved(t *testing.T) {
	url := emptied(t)
	c := Config{Staleness: 20 * time.Millisecond, heartbeatEvery: time.Millisecond, deadAfter: 5 * time.Second}
	db, other := openNode(t, url, c), openNode(t, url, c)
	received := record(other)
	conn := connect(t, url)

	var from int
	queryRow(t, conn, &from, "SELECT beat FROM nodes WHERE id = $1", other.node.id)
	eventually(t, "heartbeats", func() bool {
		var beat int
		queryRow(t, conn, &beat, "SELECT beat FROM nodes WHERE id = $1", other.node.id)
		return beat > from+50
	})

	pollNow(t, db)
	got := received.take()
	if len(got) > 0 {
		t.Errorf("received %v, want nothing", got)
	}

	must(t, other.Close())
	var n int
	queryRow(t, conn, &n, "SELECT count(*) FROM nodes")

	if n != 1 {
		t.Errorf("%d nodes are in the list, want the one that is not closed", n)
	}
}
