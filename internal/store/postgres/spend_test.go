package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/count"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/test/storetest"
)

// twoNodes opens two stores on one empty database.
func twoNodes(t *testing.T) (url string, nodes [2]*DB) {
	t.Helper()
	url = emptied(t)
	return url, [2]*DB{openNode(t, url, Config{}), openNode(t, url, Config{})}
}

// outcomes counts the results of uses.
type outcomes struct{ granted, spent, bad, busy, unknown atomic.Int64 }

// count counts the outcome of a use. Any other error fails the test: callers would not know
// what it means.
func (o *outcomes) count(t *testing.T, err error) {
	switch {
	case err == nil:
		o.granted.Add(1)
	case errors.Is(err, jeton.ErrSpent):
		o.spent.Add(1)
	case errors.Is(err, jeton.ErrBadCredential):
		o.bad.Add(1)
	case errors.Is(err, jeton.ErrBusy):
		o.busy.Add(1)
	case errors.Is(err, jeton.ErrUnavailable):
		o.unknown.Add(1)
	default:
		t.Errorf("Spend = %v, want nil, ErrSpent, ErrUnavailable or ErrBusy", err)
	}
}

// TestTwoNodesGrantExactlyTheLimit is the promise of counted uses over many nodes.
func TestTwoNodesGrantExactlyTheLimit(t *testing.T) {
	_, nodes := twoNodes(t)
	const most = 40

	u := addUser(t, nodes[0], "diane")
	for round := range 5 {
		login := startSession(t, nodes[0], u, fmt.Sprint(round))
		budget := policy.Budget{ID: 1, Max: most}
		var mu sync.Mutex
		var lefts []int64
		var o outcomes

		var wg sync.WaitGroup
		for i := range 64 {
			wg.Go(func() {
				for range 2 {
					left, err := nodes[i%2].Spend(t.Context(), use(login, budget))
					o.count(t, err)
					if err == nil {
						mu.Lock()
						lefts = append(lefts, left[0])
						mu.Unlock()
					}
				}
			})
		}

		wg.Wait()
		g, s := o.granted.Load(), o.spent.Load()
		if g != most || s != 128-most {
			t.Errorf("%d uses were granted and %d refused, want %d granted of 128", g, s, most)
		}

		// Each number of uses left is returned once.
		slices.Sort(lefts)

		for i, left := range lefts {
			if left != int64(i) {
				t.Fatalf("uses left = %v, want each number once", lefts)
			}
		}
	}
}

func TestBudgetsAreTakenAllOrNoneInAnyOrder(t *testing.T) {
	_, nodes := twoNodes(t)
	u := addUser(t, nodes[0], "diane")
	for round := range 4 {
		login := startSession(t, nodes[0], u, fmt.Sprint(round))
		wide := policy.Budget{ID: 1, Max: 60}
		small := policy.Budget{ID: 2, Max: 13}
		third := policy.Budget{ID: 3, Max: 1000}
		var both, alone outcomes

		var wg sync.WaitGroup
		for i := range 32 {
			wg.Go(func() {
				list := []policy.Budget{wide, small, third}
				if i%4 < 2 {
					slices.Reverse(list)
				}

				_, err := nodes[i%2].Spend(t.Context(), use(login, list...))
				both.count(t, err)
				_, err = nodes[i%2].Spend(t.Context(), use(login, third))
				alone.count(t, err)
			})
		}

		wg.Wait()
		if both.granted.Load() != 13 || both.spent.Load() != 19 || alone.granted.Load() != 32 {
			t.Errorf(
				"with both budgets %d were granted and %d refused, with one %d granted; want 13, 19, 32",
				both.granted.Load(), both.spent.Load(), alone.granted.Load(),
			)
		}

		left, err := nodes[1].Left(t.Context(), use(login, wide, small, third))
		must(t, err)

		if !slices.Equal(left, []int64{60 - 13, 0, 1000 - 13 - 32}) {
			t.Errorf("Left = %v, want 47, 0 and 955: a refusal costs no use", left)
		}
	}
}

// TestManyHoldersInOppositeOrders has batches of both nodes name the same counts in every order.
// They must not deadlock.
func TestManyHoldersInOppositeOrders(t *testing.T) {
	_, nodes := twoNodes(t)
	u := addUser(t, nodes[0], "diane")
	var logins []int64
	for i := range 12 {
		logins = append(logins, startSession(t, nodes[0], u, fmt.Sprint(i)))
	}

	a, b := policy.Budget{ID: 1, Max: 1 << 40}, policy.Budget{ID: 2, Max: 1 << 40}
	var o outcomes
	var wg sync.WaitGroup
	for g := range 32 {
		wg.Go(func() {
			for i := range 24 {
				n := i % len(logins)
				if g%4 < 2 {
					n = len(logins) - 1 - n
				}

				list := []policy.Budget{a, b}
				if g%3 == 0 {
					list = list[:1]
				}

				_, err := nodes[g%2].Spend(t.Context(), use(logins[n], list...))
				o.count(t, err)
			}
		})
	}

	wg.Wait()
	if o.granted.Load() != 32*24 {
		t.Errorf(
			"%d uses were granted, want %d; %d of unknown outcome, %d busy",
			o.granted.Load(), 32*24, o.unknown.Load(), o.busy.Load(),
		)
	}
}

// TestTheFirstUseRacesWithTheLogout inserts the first count of a session while the session
// is deleted: a row that comes later would outlive its session.
func TestTheFirstUseRacesWithTheLogout(t *testing.T) {
	url, nodes := twoNodes(t)
	conn := connect(t, url)
	u := addUser(t, nodes[0], "diane")
	one, two := policy.Budget{ID: 1, Max: 9}, policy.Budget{ID: 2, Max: 9}
	for round := range 25 {
		text := fmt.Sprint(round)
		login := startSession(t, nodes[0], u, text)
		var o outcomes
		var wg sync.WaitGroup
		for i := range 6 {
			wg.Go(func() {
				list := []policy.Budget{one, two}[:1+i%2]
				_, err := nodes[i%2].Spend(t.Context(), use(login, list...))
				o.count(t, err)
			})

			if i == round%6 {
				wg.Go(func() {
					if err := endSession(t.Context(), nodes[round%2], text); err != nil {
						t.Errorf("endSession = %v", err)
					}
				})
			}
		}

		wg.Wait()
		if o.unknown.Load()+o.busy.Load()+o.spent.Load() > 0 {
			t.Errorf("unknown %d, busy %d, spent %d, want none", o.unknown.Load(), o.busy.Load(), o.spent.Load())
		}

		var rows int
		queryRow(t, conn, &rows, "SELECT count(*) FROM uses WHERE login = $1", login)

		if rows > 0 {
			t.Fatalf("%d counts are left of a session that was deleted, want 0", rows)
		}
	}
}

func TestGroupByCount(t *testing.T) {
	want := func(holder, budget, most int64) *job {
		return &job{use: count.Use{Holder: holder, Budgets: []policy.Budget{{ID: budget, Max: most}}}}
	}

	list, later := groupByCount([]*job{
		want(9, 1, 3),
		want(2, 5, 3),
		want(9, 1, 3),
		want(2, 1, 3),
		want(9, 1, 4),
		want(-7, 1, 3),
	})
	var got []string
	for _, w := range list {
		got = append(got, fmt.Sprintf("%d/%d: %d of %d", w.holder, w.budget, len(w.jobs), w.limit))
	}

	groups := []string{"-7/1: 1 of 3", "2/1: 1 of 3", "2/5: 1 of 3", "9/1: 2 of 3"}
	if !slices.Equal(got, groups) {
		t.Errorf("groups = %v, want %v", got, groups)
	}
	if len(later) != 1 || later[0].use.Budgets[0].Max != 4 {
		t.Errorf("%d wait for the next batch, want the one with another limit", len(later))
	}
}

func TestLimitsThatDifferAreEachKept(t *testing.T) {
	_, nodes := twoNodes(t)
	login := startSession(t, nodes[0], addUser(t, nodes[0], "diane"), "one")
	var low, high outcomes
	var wg sync.WaitGroup
	for i := range 40 {
		wg.Go(func() {
			if i%2 == 0 {
				left, err := nodes[i%4/2].Spend(t.Context(), use(login, policy.Budget{ID: 1, Max: 3}))
				low.count(t, err)

				if err == nil && (left[0] < 0 || left[0] > 2) {
					t.Errorf("%d of 3 uses are left, want 0 to 2", left[0])
				}

				return
			}

			_, err := nodes[i%4/2].Spend(t.Context(), use(login, policy.Budget{ID: 1, Max: 5}))
			high.count(t, err)
		})
	}

	wg.Wait()
	l, h := low.granted.Load(), high.granted.Load()
	if l > 3 || l+h != 5 {
		t.Errorf("%d uses were granted with limit 3 and %d with limit 5, want 5 together", l, h)
	}
}

// TestAUseOfUnknownOutcomeIsCounted loses the answer to a use. The caller gets
// ErrUnavailable, and the use stays taken: to grant it again could exceed the limit.
func TestAUseOfUnknownOutcomeIsCounted(t *testing.T) {
	name := newDatabase(t, shared.Cluster(t))
	url := shared.Cluster(t).URL(name)
	hasty, other := openImpatient(t, url, Config{}), openNode(t, url, Config{})
	login := startSession(t, other, addUser(t, other, "diane"), "one")
	budget := policy.Budget{ID: 1, Max: 4}
	_, err := other.Spend(t.Context(), use(login, budget)) // makes the count
	must(t, err)

	through := block(t, url, "uses", atUpdate)
	conn := connect(t, url)

	// On a busy machine the caller may give up before it has sent the use, which then takes nothing.
	taken := 0
	for taken == 0 {
		_, err = hasty.Spend(t.Context(), use(login, budget))
		wantUnavailable(t, "a use that is not answered in time", err)
		taken = waitingForLocks(t, conn)
	}
	through()

	var o outcomes
	for range 6 {
		_, err := other.Spend(t.Context(), use(login, budget))
		o.count(t, err)
	}

	granted, spent := o.granted.Load(), o.spent.Load()
	left := int64(3 - taken)
	if granted != left || spent != 6-left {
		t.Errorf("%d uses were granted after %d of unknown outcome, want %d of the 3 left", granted, taken, left)
	}
}

// A statement that returns what it took, and is then rolled back, has taken nothing. The result
// of the next attempt counts.
func TestARolledBackAttemptGrantsNothing(t *testing.T) {
	url := shared.Database(t)
	db, conn := openNode(t, url, Config{}), connect(t, url)
	login := startSession(t, db, addUser(t, db, "diane"), "one")
	budget := policy.Budget{ID: 1, Max: 3}
	_, err := db.Spend(t.Context(), use(login, budget)) // makes the count
	must(t, err)

	// The first attempt is rolled back in its commit. The second waits before it reads.
	for _, text := range []string{
		"CREATE SEQUENCE attempts",
		`CREATE FUNCTION attempt() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
			IF current_setting('the.test', true) = 'yes' THEN RETURN NULL; END IF;
			IF nextval('attempts') = 2 THEN PERFORM pg_advisory_xact_lock_shared(7); END IF;
			RETURN NULL; END $$`,
		`CREATE FUNCTION roll_back() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
			IF current_setting('the.test', true) = 'yes' OR currval('attempts') > 1 THEN RETURN NULL; END IF;
			RAISE EXCEPTION 'rolled back' USING ERRCODE = 'serialization_failure'; END $$`,
		"CREATE TRIGGER attempt BEFORE UPDATE ON uses FOR EACH STATEMENT EXECUTE FUNCTION attempt()",
		`CREATE CONSTRAINT TRIGGER roll_back AFTER UPDATE ON uses DEFERRABLE INITIALLY DEFERRED
			FOR EACH ROW EXECUTE FUNCTION roll_back()`,
		"SET the.test = 'yes'",
		"SELECT pg_advisory_lock(7)",
	} {
		execSQL(t, conn, text)
	}

	answer := make(chan error, 1)
	go func() {
		_, err := db.Spend(t.Context(), use(login, budget))
		answer <- err
	}()

	waitForLocks(t, conn, 1)
	execSQL(t, conn, "UPDATE uses SET used = 3") // another transaction takes what is left
	execSQL(t, conn, "SELECT pg_advisory_unlock(7)")
	wantError(t, "Spend whose second attempt found no use left", <-answer, jeton.ErrSpent)
	var used, tries int64
	queryRow(t, conn, &used, "SELECT used FROM uses")

	queryRow(t, conn, &tries, "SELECT last_value FROM attempts")
	if used != 3 || tries < 2 {
		t.Errorf("%d uses are counted after %d attempts, want 3 after at least 2", used, tries)
	}
}

func TestAFullQueueIsBusyAndCloseAnswersTheRest(t *testing.T) {
	url := shared.Database(t)
	db := openNode(t, url, Config{})
	login := startSession(t, db, addUser(t, db, "diane"), "one")
	budget := policy.Budget{ID: 1, Max: 1 << 40}
	_, err := db.Spend(t.Context(), use(login, budget))
	must(t, err)

	through := block(t, url, "uses", atUpdate)
	var o outcomes
	o.count(t, nil)
	var wg sync.WaitGroup

	ask := func() {
		_, err := db.Spend(context.WithoutCancel(t.Context()), use(login, budget))
		o.count(t, err)
		_, hasTime := jeton.RetryAfter(err)
		if errors.Is(err, jeton.ErrBusy) && !hasTime {
			t.Errorf("Spend = %v, want ErrBusy with a time to retry", err)
		}
	}

	const callers = maxQueued + workers*maxBatch + 500
	for range callers {
		wg.Go(ask)
	}

	eventually(t, "full queue", func() bool { return o.busy.Load() > 0 })
	closed := make(chan error, 1)
	go func() { closed <- db.Close() }()
	through()
	wg.Wait()

	must(t, <-closed)
	after := o.unknown.Load()
	ask()

	if o.unknown.Load() != after+1 {
		t.Error("a closed store granted a use, want a refusal")
	}

	var used int64
	queryRow(t, connect(t, url), &used, "SELECT used FROM uses WHERE login = $1", login)
	g, n := o.granted.Load(), o.unknown.Load()
	if used < g || used > g+n {
		t.Errorf("%d uses are counted, want %d granted and at most %d of unknown outcome", used, g, n)
	}
}

// TestRacesOverTwoNodes runs the races of the contract with calls to two nodes in turn.
func TestRacesOverTwoNodes(t *testing.T) {
	storetest.Races(t, func(t *testing.T) storetest.Store {
		_, nodes := twoNodes(t)
		return &alternating{DB: nodes[0], other: nodes[1]}
	})
}
