package postgres

import (
	"errors"
	"testing"
	"time"

	"github.com/jeton-auth/jeton/internal/store/change"
	"github.com/jeton-auth/jeton/internal/store/statements"

	"github.com/jackc/pgx/v5"
)

func TestLeaseValid(t *testing.T) {
	const bound = 250 * time.Millisecond
	for _, tc := range []struct {
		name      string
		monotonic time.Duration
		wall      time.Duration
		bound     time.Duration
		want      bool
	}{
		{"at once", 0, 0, bound, true},
		{"just before the bound", bound - 1, bound - 1, bound, true},
		{"at the bound", bound, bound, bound, false},
		{"the wall clock jumps ahead, as after a sleep", time.Millisecond, time.Hour, bound, false},
		{"the wall clock jumps back by more than the bound", time.Millisecond, -time.Hour, bound, false},
		{"the wall clock goes back a little", 2 * time.Millisecond, -time.Millisecond, bound, true},
		{"the wall clock stands still", bound, 0, bound, false},
		{"a bound of zero", 0, 0, 0, false},
		{"a bound of zero, and clocks that go back", -1, -1, 0, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := withinBound(tc.monotonic, tc.wall, tc.bound)
			if got != tc.want {
				t.Errorf("withinBound(%v, %v, %v) = %v, want %v", tc.monotonic, tc.wall, tc.bound, got, tc.want)
			}
		})
	}

	now := time.Now()
	if !leaseValid(now, now.Add(bound-1), bound) || leaseValid(now, now.Add(bound), bound) {
		t.Error("the lease ends before or after the bound, want it to end there")
	}
}

// TestLeasesEnd checks the time after which no other node can answer from before a commit,
// with clocks that differ in rate.
func TestLeasesEnd(t *testing.T) {
	for _, bound := range []time.Duration{0, time.Millisecond, 250 * time.Millisecond, MaxStaleness} {
		committed := time.Now()
		end := leasesEnd(committed, bound)

		// A lease that was renewed at the commit, by a clock that runs slower: 1 s there is 1.01 s here.
		age := end.Sub(committed) * 100 / 101
		if withinBound(age, age, bound) {
			t.Errorf("leasesEnd(commit, %v) = commit + %v, want no lease valid then", bound, end.Sub(committed))
		}
	}
}

// TestMustRegister has the cases in which the last snapshot says nothing about the present:
// a new connection, another server, a node that was marked.
func TestMustRegister(t *testing.T) {
	for _, tc := range []struct {
		name    string
		found   pollResult
		newConn bool
		want    bool
	}{
		{"a member on the same server", pollResult{member: true, server: "a"}, false, false},
		{"a new connection", pollResult{member: true, server: "a"}, true, true},
		{"marked, or not in the list", pollResult{server: "a"}, false, true},
		{"another server", pollResult{member: true, server: "b"}, false, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := tc.found.mustRegister(tc.newConn, "a")
			if got != tc.want {
				t.Errorf("%+v.mustRegister(%v) = %v, want %v", tc.found, tc.newConn, got, tc.want)
			}
		})
	}
}

func TestAcknowledged(t *testing.T) {
	acks := map[string]snapshot{"early": {xmin: 5, xmax: 5}, "late": {xmin: 9, xmax: 9}}
	for _, tc := range []struct {
		name  string
		nodes []string
		want  bool
	}{
		{"no other node", nil, true},
		{"one that shows it", []string{"late"}, true},
		{"one that does not show it", []string{"early"}, false},
		{"one of two", []string{"late", "early"}, false},
		{"one without an acknowledgement", []string{"late", "silent"}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := acknowledged(tc.nodes, acks, 7)
			if got != tc.want {
				t.Errorf("acknowledged(%v, 7) = %v, want %v", tc.nodes, got, tc.want)
			}
		})
	}
}

func TestOverdue(t *testing.T) {
	const limit = time.Minute
	for _, tc := range []struct {
		name   string
		silent time.Duration
		marked bool
		want   string
	}{
		{"just before the limit", limit - 1, false, ""},
		{"at the limit", limit, false, markPeerSQL},
		{"marked, just before the limit", limit - 1, true, ""},
		{"marked, at the limit", limit, true, removePeerSQL},
	} {
		t.Run(tc.name, func(t *testing.T) {
			now := time.Now()
			p := peer{marked: tc.marked, since: now.Add(-tc.silent)}
			got := p.overdue(now, limit)
			if got != tc.want {
				t.Errorf("overdue after %v = %q, want %q", tc.silent, got, tc.want)
			}
		})
	}
}

// TestAStepIsPublishedOnceInAnyOrder tries the orders in which the answer of a commit and the
// poll that finds the step may come.
func TestAStepIsPublishedOnceInAnyOrder(t *testing.T) {
	lost := &commitError{errors.New("connection reset")}
	for _, tc := range []struct {
		name   string
		before bool // a poll finds the step before its commit is answered
		err    error
		after  bool // a poll finds it afterwards
		want   int  // how often it is published
	}{
		{"committed, then found", false, nil, true, 1},
		{"found, then committed", true, nil, false, 1},
		{"found, then the answer is lost", true, lost, false, 1},
		{"the answer is lost, then found", false, lost, true, 1},
		{"the answer is lost, and it was not committed", false, lost, false, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			db := &DB{c: Config{}.withDefaults()}
			db.Store = statements.New(engine{db})
			settings, err := pgx.ParseConfig("postgres://user@localhost/nothing")
			must(t, err)
			n := newNode(db, settings)
			db.node = n
			published := record(db)

			changes := []change.Change{{Kind: change.Users, IDs: []int64{1}}}
			found := map[uint64][]change.Change{7: changes}
			n.steps[7] = stepPending

			if tc.before {
				n.publishOwn(found)
				if published.count("user 1") != 1 {
					t.Error("what a poll has found is in the cache, want it invalidated once")
				}
			}

			n.commitAnswered(committed{xid: 7, changes: changes}, tc.err)
			if tc.after {
				n.publishOwn(found)
			}

			got := published.count("user 1")
			if got != tc.want {
				t.Errorf("published %d times, want %d", got, tc.want)
			}

			n.forgetSteps("8:8:")
			if len(n.steps) > 0 {
				t.Errorf("steps = %v after a snapshot that shows them, want none", n.steps)
			}
		})
	}
}

func TestStepStates(t *testing.T) {
	for _, tc := range []struct {
		name    string
		state   stepState
		event   stepEvent
		next    stepState
		publish bool
	}{
		{"a poll is first", stepPending, foundByPoll, stepPublished, true},
		{"the answer is first", stepPending, commitDone, stepDone, true},
		{"rolled back", stepPending, commitRefused, stepDone, false},
		{"no answer", stepPending, commitLost, stepUnknown, false},
		{"still running", stepPending, snapshotPassed, stepPending, false},
		{"found, then answered", stepPublished, commitDone, stepDone, false},
		{"found, then no answer", stepPublished, commitLost, stepDone, false},
		{"found twice", stepPublished, foundByPoll, stepPublished, false},
		{"found, not answered yet", stepPublished, snapshotPassed, stepPublished, false},
		{"no answer, then found", stepUnknown, foundByPoll, stepDone, true},
		{"no answer, never found", stepUnknown, snapshotPassed, stepDone, false},
		{"answered, then found", stepDone, foundByPoll, stepDone, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			next, publish := tc.state.on(tc.event)
			if next != tc.next || publish != tc.publish {
				t.Errorf("on = %v, %v, want %v, %v", next, publish, tc.next, tc.publish)
			}
		})
	}
}
