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
		{"of several budgets all are taken or none", allOrNone},
		{"looking takes nothing", lookingTakesNothing},
		{"counts are a login's own", ownCounts},
		{"an ended session has no uses, spent or not", endedHasNone},
		{"a raised limit gives more and a lowered one less", raisedLimit},
		{"no budget, or one without a limit, is refused", noBudget},
		{"a caller who has gone away leaves a count that is right", gaveUp},
		{"the number of a budget stays the same, whoever asks first", budgetID},
	})
}

// race has n callers take uses until each is refused or has had enough, and returns how many were taken.
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

func threeUses(t *testing.T, s Store) {
	r := started(t, s, at(user(t, s, "diane"), "shop", "one", noon))
	won := race(t, s, 20, use(r, budget(t, s, "*", 3)))
	if won != 3 {
		t.Errorf("%d spends succeeded, want 3", won)
	}
}

func severalUses(t *testing.T, s Store) {
	r := started(t, s, at(user(t, s, "diane"), "shop", "one", noon))
	a, b := budget(t, s, "a", 3), budget(t, s, "b", 5)
	if won := race(t, s, 20, use(r, a, b)); won != 3 {
		t.Errorf("%d spends succeeded, want 3", won)
	}

	left, err := s.Left(t.Context(), use(r, a, b))
	must(t, err)
	same(t, "left", left, []int64{0, 2})

	if won := race(t, s, 20, use(r, b)); won != 2 {
		t.Errorf("%d spends of the other budget succeeded, want 2", won)
	}
}

func countDown(t *testing.T, s Store) {
	r := started(t, s, at(user(t, s, "diane"), "shop", "one", noon))
	b := budget(t, s, "*", 3)
	for _, want := range []int64{2, 1, 0} {
		left, err := s.Spend(t.Context(), use(r, b))
		must(t, err)
		same(t, "left", left, []int64{want})
	}

	for range 2 {
		left, err := s.Spend(t.Context(), use(r, b))
		wants(t, "Spend", err, jeton.ErrSpent)
		if len(left) != 1 || left[0] > 0 {
			t.Errorf("Spend that was refused says %v are left, want 0", left)
		}
	}

	there(t, s, "one") // a session whose uses are gone is still a session
}

func allOrNone(t *testing.T, s Store) {
	r := started(t, s, at(user(t, s, "diane"), "shop", "one", noon))
	a := budget(t, s, "a", 2)
	b := budget(t, s, "b", 1)
	c := budget(t, s, "c", 9)
	left, err := s.Spend(t.Context(), use(r, a, b, c))
	must(t, err)

	same(t, "left", left, []int64{1, 0, 8})

	for _, tc := range []struct {
		name    string
		budgets []policy.Budget
		spent   int // which one has none
	}{
		{"the middle one is spent", []policy.Budget{a, b, c}, 1},
		{"the first one is spent", []policy.Budget{b, a}, 0},
		{"the last one is spent", []policy.Budget{c, b}, 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			left, err := s.Spend(t.Context(), use(r, tc.budgets...))
			wants(t, "Spend", err, jeton.ErrSpent)

			if len(left) != len(tc.budgets) {
				t.Fatalf("Spend returned %v for %d budgets", left, len(tc.budgets))
			}

			for i, n := range left {
				if (n <= 0) != (i == tc.spent) {
					t.Errorf("Spend returned %v; number %d is the spent one", left, tc.spent)
				}
			}

			left, err = s.Left(t.Context(), use(r, a, b, c))
			must(t, err)
			same(t, "left after a refusal", left, []int64{1, 0, 8})
		})
	}
}

func lookingTakesNothing(t *testing.T, s Store) {
	r := started(t, s, at(user(t, s, "diane"), "shop", "one", noon))
	a, b := budget(t, s, "a", 2), budget(t, s, "b", 1)

	look := func(want ...int64) {
		t.Helper()

		for range 3 {
			left, err := s.Left(t.Context(), use(r, a, b))
			must(t, err)
			same(t, "Left", left, want)
		}
	}

	look(2, 1)
	_, err := s.Spend(t.Context(), use(r, a, b))
	must(t, err)
	look(1, 0)
}

func ownCounts(t *testing.T, s Store) {
	u := user(t, s, "diane")
	one, two := started(t, s, at(u, "shop", "one", noon)), started(t, s, at(u, "shop", "two", noon))
	a, b := budget(t, s, "a", 1), budget(t, s, "b", 1)
	for _, use := range []count.Use{use(one, a), use(one, b), use(two, a), use(two, b)} {
		left, err := s.Spend(t.Context(), use)
		must(t, err)
		same(t, "left", left, []int64{0})
		_, err = s.Spend(t.Context(), use)
		wants(t, "second Spend", err, jeton.ErrSpent)
	}
}

func endedHasNone(t *testing.T, s Store) {
	u := user(t, s, "diane")
	a, b := budget(t, s, "a", 1), budget(t, s, "b", 2)
	fresh, used := started(t, s, at(u, "shop", "fresh", noon)), started(t, s, at(u, "shop", "used", noon))
	_, err := s.Spend(t.Context(), use(used, a, b))
	must(t, err)

	_, err = s.EndSessions(t.Context(), session.Which{User: "diane"}, event(audit.LogoutAll, "user:diane"))
	must(t, err)

	for name, u := range map[string]count.Use{
		"fresh, one budget":  use(fresh, a),
		"fresh, two budgets": use(fresh, a, b),
		"spent, one budget":  use(used, a),
		"spent, two budgets": use(used, a, b),
		"never there":        {Holder: used.Login + 100, Budgets: []policy.Budget{a}},
	} {
		_, err := s.Spend(t.Context(), u)
		wants(t, "Spend of "+name, err, jeton.ErrBadCredential)
		_, err = s.Left(t.Context(), u)
		wants(t, "Left of "+name, err, jeton.ErrBadCredential)
	}
}

func raisedLimit(t *testing.T, s Store) {
	r := started(t, s, at(user(t, s, "diane"), "shop", "one", noon))
	b := budget(t, s, "*", 2)
	for _, step := range []struct {
		most int64
		want int64 // uses that twenty callers get
	}{{2, 2}, {5, 3}, {4, 0}, {5, 0}, {6, 1}} {
		b.Max = step.most
		won := race(t, s, 20, use(r, b))
		if won != step.want {
			t.Errorf("with the limit at %d, %d spends succeeded, want %d", step.most, won, step.want)
		}
	}
}

func noBudget(t *testing.T, s Store) {
	r := started(t, s, at(user(t, s, "diane"), "shop", "one", noon))
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

	left, err := s.Left(t.Context(), use(r, good))
	must(t, err)
	same(t, "left of the good one", left, []int64{3})
}

// gaveUp has callers go away at any moment. Of theirs nobody knows whether they were
// counted; with the others' they are never more than there were.
func gaveUp(t *testing.T, s Store) {
	r := started(t, s, at(user(t, s, "diane"), "shop", "one", noon))
	u := use(r, budget(t, s, "*", 30))
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
	won := sure.Load() + race(t, s, 40, u) // after it, nothing is on its way any more
	if won > 30 || won+perhaps.Load() < 30 {
		t.Errorf("%d uses were granted and %d may have been, of 30", won, perhaps.Load())
	}
}

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
		if slices.Min(list) != slices.Max(list) {
			t.Errorf("the budget %s has the numbers %v", of, list)
		}
		all = append(all, list[0])
	}

	slices.Sort(all)
	if len(slices.Compact(all)) != 4 {
		t.Errorf("four budgets have the numbers %v", all)
	}
}
