package pgtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"

	"github.com/jeton-auth/jeton/internal/test/need"
)

// Shared is the cluster that the tests of a package share. It starts when the first of them
// asks for it. The zero value is ready:
//
//	var postgres pgtest.Shared
//
//	func TestMain(m *testing.M) { os.Exit(postgres.Main(m)) }
type Shared struct {
	// NoSync leaves syncing to the kernel. What the server has committed survives its kill all
	// the same; it does not survive a crash of the machine, which no test causes. Commits, and
	// making and dropping databases, are faster.
	NoSync bool

	once    sync.Once
	cluster *Cluster
	err     error

	mu     sync.Mutex
	unused []string // databases for Emptied
}

// Main runs the tests of a package and closes the cluster. TestMain hands its result to
// os.Exit.
func (s *Shared) Main(m *testing.M) int {
	code := m.Run()
	if err := s.Close(); err != nil {
		fmt.Fprintln(os.Stderr, "close the shared cluster:", err)
		return max(code, 1)
	}

	return code
}

// Close closes the cluster if it was started. It is for a TestMain that has more to do than
// Main does; no test may run any more.
func (s *Shared) Close() error {
	s.once.Do(func() { s.err = errors.New("the shared cluster is closed") })
	if s.cluster == nil {
		return nil
	}
	return s.cluster.Close()
}

// Cluster returns the cluster. When the test fails, what the server wrote during it is
// logged. Without PostgreSQL the test is skipped, and fails where $JETON_CI is set. A test
// that stops the server takes one that no other test uses at the same time.
func (s *Shared) Cluster(tb testing.TB) *Cluster {
	tb.Helper()
	need.External(tb)
	s.once.Do(func() { s.cluster, s.err = newCluster(context.Background(), "", s.NoSync) })
	require(tb, s.err)
	s.cluster.logOnFailure(tb)
	return s.cluster
}

// Database makes an empty database in the shared cluster and returns its URL for the socket.
// It goes with the test.
func (s *Shared) Database(tb testing.TB) string {
	tb.Helper()
	url, drop, err := s.Cluster(tb).Database(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}

	tb.Cleanup(drop)
	return url
}

// Emptied returns the URL of a database in the shared cluster, with tables that prepare has
// made and that are empty. That is much faster than a new database: prepare runs once, and
// after each test the tables are emptied, but for those to keep, and numbers begin again at 1.
// The test must leave the schema as it is.
func (s *Shared) Emptied(tb testing.TB, prepare func(url string), keep ...string) string {
	tb.Helper()
	c := s.Cluster(tb)
	db := s.takeUnused()
	if db == "" {
		made, err := c.Create(tb.Context())
		if err != nil {
			tb.Fatal(err)
		}

		db = made
		prepare(c.URL(db))
		empty(tb, c, db, keep)
	}

	tb.Cleanup(func() {
		empty(tb, c, db, keep)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.unused = append(s.unused, db)
	})

	return c.URL(db)
}

// empty empties a database, also after the context of the test has ended.
func empty(tb testing.TB, c *Cluster, db string, keep []string) {
	tb.Helper()
	if err := c.empty(context.Background(), db, keep); err != nil {
		tb.Fatal(err)
	}
}

// takeUnused returns a database that a finished test has left empty, or "".
func (s *Shared) takeUnused() string {
	s.mu.Lock()
	defer s.mu.Unlock()

	last := len(s.unused) - 1
	if last < 0 {
		return ""
	}

	db := s.unused[last]
	s.unused = s.unused[:last]

	return db
}

// Start makes a cluster for one test, which may do to it what it wants. It goes with the
// test; otherwise it is as Shared.Cluster says.
func Start(tb testing.TB) *Cluster {
	tb.Helper()
	need.External(tb)
	c, err := New(tb.Context(), "")
	require(tb, err)
	tb.Cleanup(func() {
		if err := c.Close(); err != nil {
			tb.Errorf("close the cluster: %v", err)
		}
	})

	c.logOnFailure(tb)

	return c
}

// require ends the test at an error, and leaves it out without PostgreSQL.
func require(tb testing.TB, err error) {
	tb.Helper()
	if errors.Is(err, ErrMissing) {
		need.Missing(tb, err.Error())
	}
	if err != nil {
		tb.Fatal(err)
	}
}

// logOnFailure logs what the server writes from now on if the test fails.
func (c *Cluster) logOnFailure(tb testing.TB) {
	from := c.logSize()
	tb.Cleanup(func() {
		if tb.Failed() {
			tb.Logf("PostgreSQL wrote\n%s", c.Log(from))
		}
	})
}
