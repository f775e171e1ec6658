package pgtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"
)

// Shared is the cluster that the tests of a package share. It starts when the first of them
// asks for it. The zero value is ready:
//
//	var postgres pgtest.Shared
//
//	func TestMain(m *testing.M) { os.Exit(postgres.Main(m)) }
type Shared struct {
	once    sync.Once
	cluster *Cluster
	err     error
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
// that stops the server takes one of its own, by Start.
func (s *Shared) Cluster(tb testing.TB) *Cluster {
	tb.Helper()
	s.once.Do(func() { s.cluster, s.err = New(context.Background(), "") })
	require(tb, s.err)
	s.cluster.explain(tb)
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

// Start makes a cluster for one test, which may do to it what it wants. It goes with the
// test; otherwise it is as Shared.Cluster says.
func Start(tb testing.TB) *Cluster {
	tb.Helper()
	c, err := New(tb.Context(), "")
	require(tb, err)
	tb.Cleanup(func() {
		if err := c.Close(); err != nil {
			tb.Errorf("close the cluster: %v", err)
		}
	})

	c.explain(tb)

	return c
}

func require(tb testing.TB, err error) {
	tb.Helper()
	if errors.Is(err, ErrMissing) && os.Getenv("JETON_CI") == "" {
		tb.Skip(err)
	}
	if err != nil {
		tb.Fatal(err)
	}
}

// explain logs what the server writes from now on if the test fails.
func (c *Cluster) explain(tb testing.TB) {
	from := c.logged()
	tb.Cleanup(func() {
		if tb.Failed() {
			tb.Logf("PostgreSQL wrote\n%s", c.Log(from))
		}
	})
}
