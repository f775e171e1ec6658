package postgres

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/test/pgtest"
	"github.com/jeton-auth/jeton/internal/test/storetest"
)

// shared is for tests that leave the server alone. faulty is for those that stop it or change
// its settings; they run one after another. A kill of a process is no crash of the machine, so
// neither needs to sync.
var (
	shared = pgtest.Shared{NoSync: true}
	faulty = pgtest.Shared{NoSync: true}
)

func TestMain(m *testing.M) {
	code := shared.Main(m)
	if err := faulty.Close(); err != nil {
		fmt.Fprintln(os.Stderr, "close the faulty cluster:", err)
		code = 1
	}

	os.Exit(code)
}

func TestKeepsItsContract(t *testing.T) {
	l := lender{suite: t}
	storetest.Run(t, l.lend)
}

// lender lends open stores to the tests of the contract, which run one after another. To open a store takes six
// connections, each a process of PostgreSQL: longer than most of the tests.
type lender struct {
	suite *testing.T
	idle  *DB // nil: it is lent, or there is none
}

// lend returns an empty store until the test ends.
func (l *lender) lend(t *testing.T) storetest.Store {
	t.Helper()
	if l.idle == nil {
		l.idle = openNode(l.suite, emptied(l.suite), Config{})
	}

	s := &lent{DB: l.idle}
	l.idle = nil

	t.Cleanup(func() {
		if s.closed {
			return
		}

		s.finish(t)
		s.empty(t)
		l.idle = s.DB
	})

	return s
}

// lent is a store that another test uses next, unless this one closes it.
type lent struct {
	*DB
	closed bool
}

// finish waits for what callers began and did not wait for.
func (s *lent) finish(t *testing.T) {
	t.Helper()
	s.spender.close()
	s.spender = spender{}
	s.spender.start(context.Background(), s.DB) // until Close

	// PostgreSQL's own workers come and go as they like.
	const others = `SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND state <> 'idle' AND backend_type = 'client backend'`
	eventually(t, "no transaction under way", func() bool {
		var n int
		err := s.pool.QueryRow(context.Background(), others).Scan(&n)
		return err == nil && n == 0
	})
}

// empty deletes what the test has stored. The node that the store is goes on, so its own rows stay.
func (s *lent) empty(t *testing.T) {
	t.Helper()
	for _, sql := range []string{
		pgtest.Empty("migrations", "nodes", "meta"),
		"DELETE FROM meta WHERE name <> 'id'",
	} {
		_, err := s.pool.Exec(context.Background(), sql)
		must(t, err)
	}

	s.SendNotices(false)
}

// Close closes the store for all tests.
func (s *lent) Close() error {
	s.closed = true
	return s.DB.Close()
}

// emptied returns the URL of a database with our tables, all empty. The test must leave the
// schema as it is.
func emptied(t *testing.T) string {
	t.Helper()
	prepare := func(url string) {
		_, err := Migrate(t.Context(), patient(url, Config{}), false)
		must(t, err)
	}

	return shared.Emptied(t, prepare, "migrations")
}

// patient returns a configuration that waits long: a slow machine is not a fault of the store.
func patient(url string, c Config) Config {
	c.URL = jeton.NewSecret(url)
	c.Where = "the test's"
	c.Upgrade = true
	c.Answer = max(c.Answer, 10*time.Second)
	c.Connect = max(c.Connect, 10*time.Second)

	return c
}

// openNode opens a store on a database, and closes it when the test ends.
func openNode(t testing.TB, url string, c Config) *DB {
	t.Helper()
	db, err := Open(t.Context(), patient(url, c))
	if err != nil {
		t.Fatal(err)
	}

	t.Cleanup(func() { _ = db.Close() })

	return db
}
