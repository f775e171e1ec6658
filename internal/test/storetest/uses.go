package storetest

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/count"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/session"
)

// Uses checks that uses are counted exactly.
func Uses(t *testing.T, open Open) {
	each(t, open, []test{
		{"three uses, twenty callers", threeUses},
		{"several budgets, twenty callers", severalUses},
		{"uses count down to the last, which is a full use", countDown},
		{"of several budgets all are spent or none", allOrNone},
		{"Left takes no use", lookingTakesNothing},
		{"each login has its own counts", ownCounts},
		{"an ended session has no uses, spent or not", endedHasNone},
		{"a raised limit gives more and a lowered one less", raisedLimit},
		{"no budget, or one without a limit, is refused", noBudget},
		{"a caller that cancels leaves a correct count", cancelledCallers},
		{"the number of a budget stays the same for concurrent callers", budgetID},
	})
}

// race has n callers take uses until each is refused or done, and returns the number of uses.
func race(t *testing.T, s Store, n int, u count.Use) int64 {
	t.Helper()
	var won atomic.Int64
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			if _, err := s.Spend(t.Context(), u); err == nil {
				won.Add(1)
			} else if !errors.Is(err, jeton.ErrSpent) {
				t.Errorf("Spend: %v, want ErrSpent", err)
			}
		})
	}

	wg.Wait()

	return won.Load()
}

// threeUses is the promise in its shortest form.
func threeUses(t *testing.T, s Store) {
	r := started(t, s, newLogin(user(t, s, "diane"), "shop", "one", noon))
	won := race(t, s, 20, sessionUse(r, budget(t, s, "*", 3)))
	if won != 3 {
		t.Errorf("%d spends succeeded, want 3", won)
	}
}

// severalUses spends two budgets together: the smaller one limits, and the larger one loses
// only what was granted.
func severalUses(t *testing.T, s Store) {
	r := started(t, s, newLogin(user(t, s, "diane"), "shop", "one", noon))
	a, b := budget(t, s, "a", 3), budget(t, s, "b", 5)
	if won := race(t, s, 20, sessionUse(r, a, b)); won != 3 {
		t.Errorf("%d spends succeeded, want 3", won)
	}

	left, err := s.Left(t.Context(), sessionUse(r, a, b))
	must(t, err)
	same(t, "left", left, []int64{0, 2})

	if won := race(t, s, 20, sessionUse(r, b)); won != 2 {
		t.Errorf("%d spends of the other budget succeeded, want 2", won)
	}
}

// countDown checks the number that is left after each use, which the header of the response
// shows.
func countDown(t *testing.T, s Store) {
	r := started(t, s, newLogin(user(t, s, "diane"), "shop", "one", noon))
	b := budget(t, s, "*", 3)
	for _, want := range []int64{2, 1, 0} {
		left, err := s.Spend(t.Context(), sessionUse(r, b))
		must(t, err)
		same(t, "left", left, []int64{want})
	}

	for range 2 {
		left, err := s.Spend(t.Context(), sessionUse(r, b))
		wants(t, "Spend", err, jeton.ErrSpent)
		if len(left) != 1 || left[0] > 0 {
			t.Errorf("refused Spend = %v left, want 0", left)
		}
	}

	hasSessions(t, s, "one") // a session without uses left is still found
}

// allOrNone refuses for one of three budgets, at each place in the list: none of the others
// may lose a use.
func allOrNone(t *testing.T, s Store) {
	r := started(t, s, newLogin(user(t, s, "diane"), "shop", "one", noon))
	a := budget(t, s, "a", 2)
	b := budget(t, s, "b", 1)
	c := budget(t, s, "c", 9)
	left, err := s.Spend(t.Context(), sessionUse(r, a, b, c))
	must(t, err)

	same(t, "left", left, []int64{1, 0, 8})

	for _, tc := range []struct {
		name    string
		budgets []policy.Budget
		spent   int // the one without uses left
	}{
		{"the middle one is spent", []policy.Budget{a, b, c}, 1},
		{"the first one is spent", []policy.Budget{b, a}, 0},
		{"the last one is spent", []policy.Budget{c, b}, 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			left, err := s.Spend(t.Context(), sessionUse(r, tc.budgets...))
			wants(t, "Spend", err, jeton.ErrSpent)

			if len(left) != len(tc.budgets) {
				t.Fatalf("Spend returned %v for %d budgets", left, len(tc.budgets))
			}

			for i, n := range left {
				if (n <= 0) != (i == tc.spent) {
					t.Errorf("Spend returned %v; number %d is the spent one", left, tc.spent)
				}
			}

			left, err = s.Left(t.Context(), sessionUse(r, a, b, c))
			must(t, err)
			same(t, "left after a refusal", left, []int64{1, 0, 8})
		})
	}
}

// lookingTakesNothing checks that looking costs no use and makes no count.
func lookingTakesNothing(t *testing.T, s Store) {
	r := started(t, s, newLogin(user(t, s, "diane"), "shop", "one", noon))
	a, b := budget(t, s, "a", 2), budget(t, s, "b", 1)

	look := func(want ...int64) {
		t.Helper()

		for range 3 {
			left, err := s.Left(t.Context(), sessionUse(r, a, b))
			must(t, err)
			same(t, "Left", left, want)
		}
	}

	look(2, 1)
	_, err := s.Spend(t.Context(), sessionUse(r, a, b))
	must(t, err)
	look(1, 0)
}

// ownCounts checks that counts are apart for each session and each budget.
func ownCounts(t *testing.T, s Store) {
	u := user(t, s, "diane")
	one, two := started(t, s, newLogin(u, "shop", "one", noon)), started(t, s, newLogin(u, "shop", "two", noon))
	a, b := budget(t, s, "a", 1), budget(t, s, "b", 1)
	for _, use := range []count.Use{sessionUse(one, a), sessionUse(one, b), sessionUse(two, a), sessionUse(two, b)} {
		left, err := s.Spend(t.Context(), use)
		must(t, err)
		same(t, "left", left, []int64{0})
		_, err = s.Spend(t.Context(), use)
		wants(t, "second Spend", err, jeton.ErrSpent)
	}
}

// endedHasNone spends sessions that have ended, with and without a count: a new count must
// not begin for a session that is gone.
func endedHasNone(t *testing.T, s Store) {
	u := user(t, s, "diane")
	a, b := budget(t, s, "a", 1), budget(t, s, "b", 2)
	fresh, used := started(t, s, newLogin(u, "shop", "fresh", noon)), started(t, s, newLogin(u, "shop", "used", noon))
	_, err := s.Spend(t.Context(), sessionUse(used, a, b))
	must(t, err)

	_, err = s.EndSessions(t.Context(), session.Which{User: "diane"}, event(audit.LogoutAll, "user:diane"))
	must(t, err)

	for name, u := range map[string]count.Use{
		"fresh, one budget":  sessionUse(fresh, a),
		"fresh, two budgets": sessionUse(fresh, a, b),
		"spent, one budget":  sessionUse(used, a),
		"spent, two budgets": sessionUse(used, a, b),
		"never there":        {Holder: used.Login + 100, Budgets: []policy.Budget{a}},
	} {
		_, err := s.Spend(t.Context(), u)
		wants(t, "Spend of "+name, err, jeton.ErrBadCredential)
		_, err = s.Left(t.Context(), u)
		wants(t, "Left of "+name, err, jeton.ErrBadCredential)
	}
}

// raisedLimit changes max_uses in the configuration while sessions live. Uses that were
// taken stay taken.
func raisedLimit(t *testing.T, s Store) {
	r := started(t, s, newLogin(user(t, s, "diane"), "shop", "one", noon))
	b := budget(t, s, "*", 2)
	// A lower limit than what was used admits nothing, and raising it back gives no use twice.
	for _, step := range []struct {
		most int64
		want int64 // uses granted to twenty callers
	}{{2, 2}, {5, 3}, {4, 0}, {5, 0}, {6, 1}} {
		b.Max = step.most
		won := race(t, s, 20, sessionUse(r, b))
		if won != step.want {
			t.Errorf("with the limit at %d, %d spends succeeded, want %d", step.most, won, step.want)
		}
	}
}

// noBudget checks that no budget, a zero limit and an unlimited one admit nothing: what is not counted
// is not to get here, and a forgotten field must admit nothing.
func noBudget(t *testing.T, s Store) {
	r := started(t, s, newLogin(user(t, s, "diane"), "shop", "one", noon))
	good := budget(t, s, "good", 3)
	for name, budgets := range map[string][]policy.Budget{
		"no budget":                      nil,
		"a zero limit":                   {{ID: good.ID, Name: "good"}},
		"unlimited":                      {{ID: good.ID, Name: "good", Max: policy.Unlimited}},
		"a zero limit beside a good one": {good, budget(t, s, "zero", 0)},
	} {
		_, err := s.Spend(t.Context(), count.Use{Holder: r.Login, Budgets: budgets})
		wants(t, "Spend with "+name, err, jeton.ErrSpent)
	}

	left, err := s.Left(t.Context(), sessionUse(r, good))
	must(t, err)
	same(t, "uses left of the valid one", left, []int64{3})
}

// cancelledCallers has callers cancel at any moment. Their uses may be counted or not, but
// all uses together stay within the limit.
func cancelledCallers(t *testing.T, s Store) {
	r := started(t, s, newLogin(user(t, s, "diane"), "shop", "one", noon))
	u := sessionUse(r, budget(t, s, "*", 30))
	var sure, perhaps atomic.Int64
	var wg sync.WaitGroup
	for i := range 40 {
		wg.Go(func() {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()

			if i%2 == 0 {
				go cancel()
			}

			switch _, err := s.Spend(ctx, u); {
			case err == nil:
				sure.Add(1)
			case errors.Is(err, jeton.ErrUnavailable) && i%2 == 0:
				perhaps.Add(1)
			case !errors.Is(err, jeton.ErrSpent):
				t.Errorf("Spend: %v", err)
			}
		})
	}

	wg.Wait()
	won := sure.Load() + race(t, s, 40, u) // all earlier calls are done after it
	if won > 30 || won+perhaps.Load() < 30 {
		t.Errorf("%d uses were granted and %d perhaps, want 30", won, perhaps.Load())
	}
}

// budgetID asks for the numbers of budgets at the same time, as nodes do that start
// together.
func budgetID(t *testing.T, s Store) {
	var mu sync.Mutex

	got := map[string][]int64{}
	var wg sync.WaitGroup
	for range 8 {
		for _, service := range []string{"shop", "bank"} {
			for _, name := range []string{"*", "GET /limited"} {
				wg.Go(func() {
					id, err := s.BudgetID(t.Context(), service, name)
					if err != nil {
						t.Errorf("BudgetID: %v", err)
					}

					mu.Lock()
					defer mu.Unlock()

					got[service+" "+name] = append(got[service+" "+name], id)
				})
			}
		}
	}

	wg.Wait()
	var all []int64
	for of, list := range got {
		// Two numbers for one budget would be two counts, hence twice the uses.
		if slices.Min(list) != slices.Max(list) {
			t.Errorf("numbers of the budget %s = %v, want one", of, list)
		}
		all = append(all, list[0])
	}

	slices.Sort(all)
	if len(slices.Compact(all)) != 4 {
		t.Errorf("numbers of four budgets = %v, want four", all)
	}
}
