package postgres

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/account"
	"github.com/jeton-auth/jeton/internal/secret"
	"github.com/jeton-auth/jeton/internal/store/change"
	"github.com/jeton-auth/jeton/internal/store/statements"

	"github.com/google/go-cmp/cmp"
)

// pollNow makes a node poll.
func pollNow(t *testing.T, db *DB) {
	t.Helper()
	eventually(t, "poll", func() bool { return db.Ping(t.Context()) == nil })
}

// endOtherConnections ends every other connection to the database: those of the node under
// test.
const endOtherConnections = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()`

// addChange inserts a change as another node would.
const addChange = "INSERT INTO changes (node, kind, ids, hashes) VALUES ('another', $1, $2, '')"

// TestAPollSeesChangesInAnyOrderOfCommits commits a transaction that began early after one
// that began late: a poll that compared numbers would miss it.
func TestAPollSeesChangesInAnyOrderOfCommits(t *testing.T) {
	url := emptied(t)
	db := openNode(t, url, Config{})
	received := record(db)
	early := connect(t, url)
	late := connect(t, url)

	last := connect(t, url)
	execSQL(t, early, "BEGIN")
	execSQL(t, early, addChange, change.Users, []int64{1}) // it has its transaction number from now on
	execSQL(t, late, "BEGIN")
	execSQL(t, late, addChange, change.Users, []int64{2})

	pollNow(t, db)
	execSQL(t, last, addChange, change.Users, []int64{3})
	execSQL(t, late, "COMMIT")
	pollNow(t, db)

	if got := received.take(); !slices.Equal(got, []string{"user 2", "user 3"}) {
		t.Errorf("received %v, want what was committed out of order", got)
	}

	execSQL(t, early, "COMMIT")

	for range 3 {
		pollNow(t, db)
	}

	if got := received.take(); !slices.Equal(got, []string{"user 1"}) {
		t.Errorf("received %v, want once what began first and was committed last", got)
	}

	execSQL(t, early, "BEGIN")
	execSQL(t, early, addChange, change.Users, []int64{4})
	execSQL(t, early, "ROLLBACK")
	pollNow(t, db)

	if got := received.take(); len(got) > 0 {
		t.Errorf("received %v, want nothing: it was rolled back", got)
	}
}

func TestEveryKindOfChangeReachesAnotherNode(t *testing.T) {
	url := emptied(t)
	db := openNode(t, url, Config{})
	received, conn := record(db), connect(t, url)
	for _, tc := range []struct {
		name string
		kind change.Kind
		want string
	}{
		{"a user", change.Users, "user 8"},
		{"a client", change.Clients, "client 8"},
		{"the keys", change.Keys, "keys"},
		{"everything", change.All, everything},
		{"a kind of a newer version", 99, everything},
	} {
		t.Run(tc.name, func(t *testing.T) {
			execSQL(t, conn, addChange, tc.kind, []int64{8})
			pollNow(t, db)
			got := received.take()
			if !slices.Equal(got, []string{tc.want}) {
				t.Errorf("received %v, want %s", got, tc.want)
			}
		})
	}
}

func TestARevocationReachesEveryNodeOnce(t *testing.T) {
	url := emptied(t)
	nodes := []*DB{
		openNode(t, url, Config{Staleness: 50 * time.Millisecond}),
		openNode(t, url, Config{}),
		openNode(t, url, Config{Staleness: 250 * time.Millisecond}),
	}
	var received []*recorder
	for _, db := range nodes {
		received = append(received, record(db))
	}

	u := addUser(t, nodes[0], "diane")
	const logouts = 40
	var wg sync.WaitGroup
	var done atomic.Bool
	wg.Go(func() {
		for !done.Load() {
			if err := nodes[1].Ping(t.Context()); err != nil {
				t.Errorf("Ping: %v", err)
				return
			}
		}
	})

	var work sync.WaitGroup
	for g := range 4 {
		work.Go(func() {
			for i := range logouts / 4 {
				text := fmt.Sprint(g, " ", i)
				startSession(t, nodes[g%3], u, text)

				if err := endSession(t.Context(), nodes[(g+i)%3], text); err != nil {
					t.Errorf("endSession = %v", err)
				}

				// The promise: by now every node has received it, or has no lease.
				for n, db := range nodes {
					if err := db.Fresh(t.Context()); err != nil || received[n].count(sessionEnded(text)) == 0 {
						t.Errorf("node %d: Fresh = %v, want nil and the revocation received before the answer", n, err)
					}
				}
			}
		})
	}

	work.Wait()
	done.Store(true)
	wg.Wait()

	for n, db := range nodes {
		pollNow(t, db)

		for g := range 4 {
			for i := range logouts / 4 {
				times := received[n].count(sessionEnded(fmt.Sprint(g, " ", i)))
				if times != 1 {
					t.Errorf("node %d received a revocation %d times, want once", n, times)
				}
			}
		}
	}
}

// TestARevocationWithALostAnswerReachesItsOwnNode holds a commit up until its caller has
// given up. The node does not know the outcome, and learns it by a later poll.
func TestARevocationWithALostAnswerReachesItsOwnNode(t *testing.T) {
	name := newDatabase(t, shared.Cluster(t))
	url := shared.Cluster(t).URL(name)
	db, other := openImpatient(t, url, Config{}), openNode(t, url, Config{})
	mine := record(db)
	others := record(other)

	conn := connect(t, url)
	startSession(t, other, addUser(t, other, "diane"), "one")
	through := block(t, url, "changes", atCommit)
	wantUnavailable(t, "a revocation whose commit is not answered", endSession(t.Context(), db, "one"))

	pollNow(t, db)
	if mine.count(sessionEnded("one")) != 0 {
		t.Error("received what is not committed, want nothing")
	}

	waitForLocks(t, conn, 1) // the commit continues without its caller
	through()
	eventually(t, "the commit", func() bool {
		var n int
		queryRow(t, conn, &n, "SELECT count(*) FROM sessions")
		return n == 0
	})

	for _, n := range []*DB{db, other, db, other} {
		pollNow(t, n)
	}

	if mine.count(sessionEnded("one")) != 1 || others.count(sessionEnded("one")) != 1 {
		t.Errorf(
			"its own node received it %d times, another %d times, want once",
			mine.count(sessionEnded("one")), others.count(sessionEnded("one")),
		)
	}

	eventually(t, "end of the step", func() bool {
		pollNow(t, db)
		db.node.mu.Lock()
		defer db.node.mu.Unlock()
		return len(db.node.steps) == 0
	})
}

// TestARevocationWhoseConnectionEndsInTheCommitHasNoEffect is the opposite outcome: nothing
// is committed, so nothing may be published.
func TestARevocationWhoseConnectionEndsInTheCommitHasNoEffect(t *testing.T) {
	name := newDatabase(t, shared.Cluster(t))
	url := shared.Cluster(t).URL(name)
	db := openNode(t, url, Config{})
	received, conn := record(db), connect(t, shared.Cluster(t).Superuser(name))
	startSession(t, db, addUser(t, db, "diane"), "one")

	block(t, url, "changes", atCommit)
	answer := make(chan error, 1)
	go func() { answer <- endSession(context.WithoutCancel(t.Context()), db, "one") }()
	waitForLocks(t, conn, 1)
	execSQL(t, conn, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND wait_event_type = 'Lock'`)

	wantUnavailable(t, "a revocation whose connection ended", <-answer)
	pollNow(t, db)
	_, err := db.FindSession(t.Context(), secret.HashOf("one"))
	if n := received.count(sessionEnded("one")); err != nil || n != 0 {
		t.Errorf("FindSession = %v, received %d times; want the session, and nothing received", err, n)
	}
}

func TestANodeThatWasMarkedOrRemovedDropsItsCache(t *testing.T) {
	url := emptied(t)
	db := openNode(t, url, Config{})
	received, conn := record(db), connect(t, url)
	for name, text := range map[string]string{
		"marked":    "UPDATE nodes SET gone = TRUE",
		"forgotten": "DELETE FROM nodes",
	} {
		pollNow(t, db)
		received.take()
		execSQL(t, conn, text)
		must(t, db.Fresh(t.Context()))
		eventually(t, "invalidation", func() bool { return received.count(everything) > 0 })

		pollNow(t, db)
		got := received.take()
		if !slices.Equal(got, []string{everything}) {
			t.Errorf("%s: received %v, want everything once", name, got)
		}

		var there bool
		queryRow(t, conn, &there, "SELECT NOT gone FROM nodes")

		if !there {
			t.Errorf("%s: the node is not in the list, want it there again", name)
		}
	}
}

func TestANewConnectionDropsTheCache(t *testing.T) {
	name := newDatabase(t, shared.Cluster(t))
	db := openNode(t, shared.Cluster(t).URL(name), Config{})
	received, conn := record(db), connect(t, shared.Cluster(t).Superuser(name))
	pollNow(t, db)
	received.take()

	u := addUser(t, db, "diane")
	execSQL(t, conn, endOtherConnections)
	pollNow(t, db)
	eventually(t, "invalidation of everything", func() bool { return received.count(everything) > 0 })

	if _, err := db.FindUser(t.Context(), u.Name); err != nil {
		t.Errorf("FindUser after all connections were ended = %v", err)
	}
}

// A node that was cut off while its database was restored may have cached keys and users that do
// not exist in it: it answers nothing until it is restarted.
func TestANodeStopsWhenItsDatabaseWasReplaced(t *testing.T) {
	for _, change := range []string{
		"UPDATE meta SET value = 'another' WHERE name = 'id'",
		"INSERT INTO meta (name, value) VALUES ('epoch', '1')",
	} {
		t.Run(change, func(t *testing.T) {
			name := newDatabase(t, shared.Cluster(t))
			url := shared.Cluster(t).URL(name)
			db := openNode(t, url, Config{})
			conn := connect(t, shared.Cluster(t).Superuser(name))
			startSession(t, db, addUser(t, db, "diane"), "one")

			pollNow(t, db)
			tag, err := conn.Exec(t.Context(), change)
			must(t, err)

			if tag.RowsAffected() != 1 {
				t.Fatalf("%s changed %d rows, want 1", change, tag.RowsAffected())
			}

			execSQL(t, conn, endOtherConnections)

			for range 5 {
				err := db.Fresh(t.Context())
				wantUnavailable(t, "a lease on another database", err)
				_, err = db.FindSession(t.Context(), secret.HashOf("one"))
				wantUnavailable(t, "a session", err)
				time.Sleep(50 * time.Millisecond)
			}

			// It works after a restart.
			must(t, db.Close())
			again := openNode(t, url, Config{})
			pollNow(t, again)
			_, err = again.FindSession(t.Context(), secret.HashOf("one"))
			must(t, err)
		})
	}
}

func TestWithABoundOfZeroEachRequestPolls(t *testing.T) {
	url := emptied(t)
	db := openNode(t, url, Config{Staleness: 0})
	for range 20 {
		began := time.Now()
		must(t, db.Fresh(t.Context()))
		at := db.node.renewed.Load()
		if at == nil || at.Before(began) {
			t.Fatalf("Fresh used the poll of %v, want one that began after the request of %v", at, began)
		}
	}

	// A poll is blocked; requests that arrive meanwhile share the next one.
	conn := connect(t, url)
	execSQL(t, conn, "BEGIN")
	execSQL(t, conn, "LOCK TABLE nodes IN ACCESS EXCLUSIVE MODE")
	go func() { _ = db.Fresh(context.WithoutCancel(t.Context())) }()
	waitForLocks(t, connect(t, url), 1)

	rounds := make(chan *pendingPoll, 200)
	var wg sync.WaitGroup
	for range cap(rounds) {
		wg.Go(func() {
			db.node.mu.Lock()
			rounds <- db.node.nextPoll
			db.node.mu.Unlock()

			if err := db.Fresh(t.Context()); err != nil {
				t.Errorf("Fresh: %v", err)
			}
		})
	}

	var first *pendingPoll
	for range cap(rounds) {
		r := <-rounds
		if first == nil {
			first = r
		}
		if r != first {
			t.Fatal("waiting requests have several polls, want them to share one")
		}
	}

	execSQL(t, conn, "COMMIT")
	wg.Wait()
}

// TestAVeryLargeChangeInvalidatesEverything checks that a change which names too many rows
// drops the whole cache of a node rather than a part.
func TestAVeryLargeChangeInvalidatesEverything(t *testing.T) {
	url := emptied(t)
	db, other := openNode(t, url, Config{}), openNode(t, url, Config{})
	received := record(other)
	pollNow(t, other)
	received.take()

	must(t, engine{db}.Do(t.Context(), statements.Step{Run: func(
		ctx context.Context,
		tx statements.Conn,
	) ([]change.Change, error) {
		return []change.Change{{Kind: change.Users, IDs: make([]int64, 5000)}}, nil
	}}))

	pollNow(t, other)
	got := received.take()
	if !slices.Equal(got, []string{everything}) {
		t.Errorf("received %d changes, want %s", len(got), everything)
	}
}

func TestReadingInvalidatesNothing(t *testing.T) {
	url := emptied(t)
	db, other := openNode(t, url, Config{}), openNode(t, url, Config{})
	received := record(other)
	pollNow(t, other)
	received.take()

	u := addUser(t, db, "diane")
	login := startSession(t, db, u, "one")
	must(t, db.TouchSessions(t.Context(), map[int64]time.Time{login: noon.Add(time.Minute)}))
	pollNow(t, other)
	diff := cmp.Diff([]string(nil), received.take())
	if diff != "" {
		t.Errorf("received what invalidates nothing (-want +got):\n%s", diff)
	}

	pw := "new"
	err := db.ChangeUser(t.Context(), u.Name, account.Change{
		Password: &pw,
	}, noon, jeton.Event{Action: "user.password"})
	must(t, err)
	pollNow(t, other)

	if received.count(fmt.Sprint("user ", u.ID)) == 0 {
		t.Error("a changed password was not received, want it to be")
	}
}
