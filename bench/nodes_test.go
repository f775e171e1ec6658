//go:build linux

package main

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jeton-auth/jeton/internal/test/need"
	"github.com/jeton-auth/jeton/internal/test/pgtest"
)

// newSharedBench is a bench with a PostgreSQL.
func newSharedBench(t *testing.T) *bench {
	t.Helper()
	b := newTestBench(t)
	b.quick, b.most = true, 400
	err := b.postgres(t.Context())
	if errors.Is(err, pgtest.ErrMissing) {
		need.Missing(t, err.Error())
	}
	if err != nil {
		t.Fatal(err)
	}

	return b
}

func TestEveryNodeAnswersTheLoad(t *testing.T) {
	b := newSharedBench(t)
	for _, staleness := range []time.Duration{bound, 0} {
		sqlite, g, done, err := b.twins(t.Context(), shared, staleness, 2)
		if err != nil {
			t.Fatal(err)
		}

		for name, measure := range map[string]subject{
			"SQLite, check":    b.get(sqlite, shared, check(b.sessions)),
			"one node, check":  b.spread(g.list[:1], g.also, shared, check(b.sessions)),
			"two nodes, check": b.spread(g.list, g.also, shared, check(b.sessions)),
			"two nodes, use":   b.spread(g.list, g.also, shared, use(b.sessions)),
		} {
			// An answer that is not a 200 is an error.
			if s, err := measure(t.Context()); err != nil || s.rate <= 0 || s.p99 < s.p50 {
				t.Errorf("staleness %v, %s: %+v, %v", staleness, name, s, err)
			}
		}

		done()
	}
}

func TestALogoutIsMeasuredUntilEveryNodeRefusesTheSession(t *testing.T) {
	b := newSharedBench(t)
	for _, stuck := range []bool{false, true} {
		s, err := b.revoke(t.Context(), 2, stuck, 5)
		if err != nil || s.rate <= 0 || s.p50 <= 0 {
			t.Errorf("one of two nodes suspended: %t: got %+v, %v", stuck, s, err)
		}
		if stuck && s.p50 < float64(bound.Milliseconds()) {
			t.Errorf("logout beside a suspended node answered after %.0f ms, want at least its bound", s.p50)
		}
	}

	// The same by the stores of nodes alone, of which one process can have many.
	s, _, err := b.acknowledged(t.Context(), 3, 5, time.Millisecond)
	if err != nil || s.rate <= 0 || s.p50 <= 0 {
		t.Errorf("revocations with 3 stores: got %+v, %v", s, err)
	}

	d, err := b.database(t.Context(), stored{sessions: 5})
	if err != nil {
		t.Fatal(err)
	}

	g, err := b.nodesUp(t.Context(), d, bound, 1, nil, setup{})
	if err != nil {
		t.Fatal(err)
	}

	t.Cleanup(g.stop)
	if err := b.loggedOut(t.Context(), g.list, 5); err == nil {
		t.Error("loggedOut accepts sessions that are still active, want an error")
	}
}

func TestUsesAtTheStoreAreTakenOncePerCall(t *testing.T) {
	b := newSharedBench(t)
	d, err := b.database(t.Context(), stored{sessions: b.sessions})
	if err != nil {
		t.Fatal(err)
	}

	s, err := b.newSpending(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}

	t.Cleanup(s.close)
	var counted uint64
	for _, do := range []struct {
		what    string
		callers int // two batches at once would lock each other out
		worth   int
		take    call
	}{{"jeton", 4, 1, s.take}, {"bare", 4, 1, s.bare(s.few)}, {"batch", 1, s.together(), s.batch}} {
		h, err := s.run(t.Context(), do.callers, 100*time.Millisecond, do.take)
		if err != nil || h.count == 0 {
			t.Fatalf("%s: %d calls, %v", do.what, h.count, err)
		}

		counted += h.count * uint64(do.worth)
		var used uint64
		if err := s.few.QueryRow(
			t.Context(),
			"SELECT sum(used)::bigint FROM uses",
		).Scan(&used); err != nil || used != counted {
			t.Fatalf("%s: %d uses stored, want the %d measured: %v", do.what, used, counted, err)
		}

		if m, err := s.by(do.callers, do.worth, do.take)(t.Context()); err != nil || m.rate <= 0 || m.p99 < m.p50 {
			t.Errorf("%s: %+v, %v", do.what, m, err)
		}
		if err := s.few.QueryRow(t.Context(), "SELECT sum(used)::bigint FROM uses").Scan(&counted); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAGrownStoreIsMeasured(t *testing.T) {
	b := newSharedBench(t)
	file, err := b.grownFile(t.Context())
	if err != nil {
		t.Fatal(err)
	}

	t.Cleanup(func() { _ = file.db.Close() })
	shared, err := b.grownDatabase(t.Context())
	if err != nil {
		t.Fatal(err)
	}

	t.Cleanup(func() { _ = shared.db.Close() })

	for _, g := range []*grown{file, shared} {
		t.Run(g.name, func(t *testing.T) {
			b.report.block(g.name)
			if err := b.firstAnswers(t.Context(), g); err != nil {
				t.Error(err)
			}
			if err := b.cold(t.Context(), g); err != nil {
				t.Error(err)
			}

			if err := b.remembers(t.Context(), g); err != nil {
				t.Error(err)
			}

			for _, of := range sweeps() {
				now := time.Now()
				if n, err := g.toSweep(t.Context(), of, now); n != 0 || err != nil {
					t.Errorf("%d %s are to be swept before any has ended: %v", n, of.table, err)
				}
				if err := g.expire(t.Context(), of, 200, 50, now); err != nil {
					t.Fatal(err)
				}

				if n, err := g.toSweep(t.Context(), of, now); n != 50 || err != nil {
					t.Errorf("%d %s are to be swept, not 50: %v", n, of.table, err)
				}
			}
		})
	}
}

func TestALoadIsSpreadOverAllServers(t *testing.T) {
	var asked [3]atomic.Int64
	var addrs []string
	for i := range asked {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			asked[i].Add(1)
			_, _ = w.Write([]byte("ok"))
		}))

		t.Cleanup(s.Close)
		addrs = append(addrs, s.Listener.Addr().String())
	}

	if _, err := generate(t.Context(), nil, load{
		Kind:  kindPlain,
		Path:  "/",
		Addrs: addrs,
		Conns: 3,
		Run:   50 * time.Millisecond,
	}); err != nil {
		t.Fatal(err)
	}

	for i := range asked {
		if asked[i].Load() == 0 {
			t.Errorf("server %d got no request", i)
		}
	}
}

func TestWhatIsMeasured(t *testing.T) {
	for _, tc := range []struct {
		name       string
		args       []string
		wants, not string
		many, most int
	}{
		{"everything but what takes very long", nil, "nodes", "scale", 1_000_000, 10_000_000},
		{"what is asked for", []string{"-only", "scale,check"}, "scale", "nodes", 1_000_000, 10_000_000},
		{"a size for all", []string{"-many", "500", "-quick"}, "start", "scale", 500, 500},
		{"quickly", []string{"-quick"}, "start", "scale", 100_000, 100_000},
	} {
		t.Run(tc.name, func(t *testing.T) {
			o, err := parse(tc.args)
			if err != nil || o.many != tc.many || o.most != tc.most {
				t.Fatalf("parse = %+v, %v", o, err)
			}

			names := o.wanted()
			if !slices.Contains(names, tc.wants) || slices.Contains(names, tc.not) {
				t.Errorf("measures %v: want %s and not %s", names, tc.wants, tc.not)
			}
		})
	}
}
