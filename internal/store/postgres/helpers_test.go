package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/account"
	"github.com/jeton-auth/jeton/internal/count"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/secret"
	"github.com/jeton-auth/jeton/internal/session"
	"github.com/jeton-auth/jeton/internal/store/change"
	"github.com/jeton-auth/jeton/internal/test/pgtest"

	"github.com/jackc/pgx/v5"
)

var noon = time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantError(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s = %v, want %v", what, err, want)
	}
}

// wantUnavailable checks that a call without a database has failed as such.
func wantUnavailable(t *testing.T, what string, err error) {
	t.Helper()
	if !errors.Is(err, jeton.ErrUnavailable) && !errors.Is(err, jeton.ErrBusy) {
		t.Errorf("%s without a database = %v, want ErrUnavailable or ErrBusy", what, err)
	}
}

// eventually waits until something is true.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()

	for deadline := time.Now().Add(time.Minute); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("timeout; want %s", what)
		}
	}
}

// recorder records the changes that a node publishes.
type recorder struct {
	mu   sync.Mutex
	seen []string
}

// everything is what a node publishes when it may have missed changes.
const everything = "everything"

var kinds = map[change.Kind]string{
	change.Sessions: "session",
	change.Tokens:   "token",
	change.Users:    "user",
	change.Clients:  "client",
	change.Keys:     "keys",
	change.All:      everything,
	change.Replaced: "replaced",
}

// record notes what a node publishes to its caches.
func record(db *DB) *recorder {
	e := &recorder{}
	note := func(what string) {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.seen = append(e.seen, what)
	}

	db.Subscribe(func(c change.Change) {
		for _, h := range c.Hashes {
			note(fmt.Sprintf("%s %x", kinds[c.Kind], h))
		}

		switch c.Kind {
		case change.Users, change.Clients:
			for _, id := range c.IDs {
				note(fmt.Sprintf("%s %d", kinds[c.Kind], id))
			}
		case change.Keys, change.All:
			note(kinds[c.Kind])
		}
	})

	return e
}

func (e *recorder) count(what string) (n int) {
	e.mu.Lock()
	defer e.mu.Unlock()

	for _, h := range e.seen {
		if h == what {
			n++
		}
	}

	return n
}

// take returns what was published since the last call, sorted.
func (e *recorder) take() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	list := slices.Sorted(slices.Values(e.seen))
	e.seen = nil
	return list
}

// addUser adds a user.
func addUser(t testing.TB, db *DB, name string) account.Account {
	t.Helper()
	a := account.Account{
		Name:     name,
		Folded:   name,
		Password: "hash",
		Version:  1,
		Created:  noon,
		Updated:  noon,
	}
	if err := db.AddUser(t.Context(), a, jeton.Event{Time: noon, Action: "user.add"}); err != nil {
		t.Fatal(err)
	}

	a, err := db.FindUser(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}

	return a
}

func findUser(t testing.TB, db *DB, name string) account.Account {
	t.Helper()
	a, err := db.FindUser(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}

	return a
}

// newSession returns a session to start.
func newSession(u account.Account, text string) session.Start {
	return session.Start{
		Record: session.Record{
			ID:       "s_" + text,
			Hash:     secret.HashOf(text),
			User:     u.ID,
			Service:  "shop",
			Created:  noon,
			Expires:  noon.Add(time.Hour),
			Idle:     time.Hour,
			LastUsed: noon,
			Source:   "192.0.2.7",
			Name:     u.Name,
			Groups:   []string{},
		},
		Version:  u.Version,
		Network:  "192.0.2.7",
		Siblings: true,
		Event:    jeton.Event{Time: noon, Action: "login"},
	}
}

func allow(policy.History) ([]int64, error) { return nil, nil }

// startSession logs in, and returns the number of the login.
func startSession(t testing.TB, db *DB, u account.Account, text string) int64 {
	t.Helper()
	in := newSession(u, text)
	if err := db.StartSession(t.Context(), in, allow); err != nil {
		t.Fatal(err)
	}

	r, err := db.FindSession(t.Context(), in.Hash)
	if err != nil {
		t.Fatal(err)
	}

	return r.Login
}

// tryStartSession logs in, from any goroutine.
func tryStartSession(t testing.TB, db *DB, in session.Start) {
	in.Siblings = false
	if err := db.StartSession(t.Context(), in, allow); err != nil {
		t.Errorf("StartSession: %v", err)
	}
}

// endSession ends the session that newSession made of a text.
func endSession(ctx context.Context, db *DB, text string) error {
	_, err := db.EndSessions(ctx, session.Which{ID: "s_" + text}, jeton.Event{Time: noon, Action: "logout"})
	return err
}

func sessionEnded(text string) string { return fmt.Sprintf("session %x", secret.HashOf(text)) }

func use(login int64, budgets ...policy.Budget) count.Use {
	return count.Use{Holder: login, Budgets: budgets}
}

// connect opens a connection to a database, beside those of the stores.
func connect(t testing.TB, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}

	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

func queryRow(t testing.TB, q interface {
	QueryRow(context.Context, string, ...any) pgx.Row
}, into any, text string, args ...any) {
	t.Helper()
	if err := q.QueryRow(t.Context(), text, args...).Scan(into); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
}

func execSQL(t testing.TB, conn *pgx.Conn, text string, args ...any) {
	t.Helper()
	if _, err := conn.Exec(t.Context(), text, args...); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
}

// block makes changes of a table wait until the test opens it. They continue also when their
// client has given up.
func block(t testing.TB, url, table, when string) (open func()) {
	t.Helper()
	conn := connect(t, url)
	// A client that gives up sends a cancel request, which may arrive or not.
	execSQL(t, conn, `CREATE FUNCTION gate() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN LOOP
		BEGIN PERFORM pg_advisory_xact_lock_shared(7); RETURN NEW; EXCEPTION WHEN query_canceled THEN END;
	END LOOP; END'`)

	execSQL(t, conn, fmt.Sprintf(when, table))
	execSQL(t, conn, "SELECT pg_advisory_lock(7)")

	return func() { execSQL(t, conn, "SELECT pg_advisory_unlock(7)") }
}

// When block blocks: as a transaction is committed, or before a row is changed.
const (
	atCommit = `CREATE CONSTRAINT TRIGGER gate AFTER INSERT ON %s DEFERRABLE INITIALLY DEFERRED
FOR EACH ROW EXECUTE FUNCTION gate()`
	atUpdate = "CREATE TRIGGER gate BEFORE UPDATE ON %s FOR EACH ROW EXECUTE FUNCTION gate()"
)

// waitForLocks waits until n statements wait for a lock.
func waitForLocks(t *testing.T, conn *pgx.Conn, n int) {
	t.Helper()

	eventually(t, fmt.Sprint(n, " waiting statements"), func() bool {
		return waitingForLocks(t, conn) >= n
	})
}

// waitingForLocks returns how many statements wait for a lock.
func waitingForLocks(t *testing.T, conn *pgx.Conn) int {
	t.Helper()

	var found int
	queryRow(t, conn, &found, `SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND wait_event_type = 'Lock'`)

	return found
}

// proxied starts a proxy in front of a cluster, and returns the URL of a database through it.
func proxied(t *testing.T, c *pgtest.Cluster, db string) (*pgtest.Proxy, string) {
	t.Helper()
	p, err := pgtest.NewProxy(c.Addr())
	must(t, err)
	t.Cleanup(p.Close)
	return p, c.Via(p.Addr(), db)
}

// newDatabase makes an empty database and returns its name.
func newDatabase(t *testing.T, c *pgtest.Cluster) string {
	t.Helper()
	name, err := c.Create(t.Context())
	must(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_ = c.Drop(ctx, name)
	})

	return name
}

// openImpatient opens a store that waits for answers as long as that of a server.
func openImpatient(t *testing.T, url string, c Config) *DB {
	t.Helper()
	c.URL, c.Where = jeton.NewSecret(url), "the test's"
	db, err := Open(t.Context(), c)
	must(t, err)
	t.Cleanup(func() { _ = db.Close() })

	return db
}
