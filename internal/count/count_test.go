package count_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/client"
	"github.com/jeton-auth/jeton/internal/count"
	"github.com/jeton-auth/jeton/internal/jose"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/secret"
	"github.com/jeton-auth/jeton/internal/store/sqlite"
	"github.com/jeton-auth/jeton/internal/token"
)

var noon = time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)

// countingStore counts the calls that reach the store.
type countingStore struct {
	*sqlite.DB
	spends, looks atomic.Int64
}

func (c *countingStore) Spend(ctx context.Context, u count.Use) ([]int64, error) {
	c.spends.Add(1)
	return c.DB.Spend(ctx, u)
}

func (c *countingStore) Left(ctx context.Context, u count.Use) ([]int64, error) {
	c.looks.Add(1)
	return c.DB.Left(ctx, u)
}

// fixture is counts over a real store, with tokens whose uses are counted.
type fixture struct {
	*count.Counts
	t     *testing.T
	store *countingStore
	owner client.Client
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	db, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(t.TempDir(), "jeton.db")})
	if err != nil {
		t.Fatal(err)
	}

	t.Cleanup(func() { _ = db.Close() })
	key, err := jose.Generate(jose.EdDSA)
	if err != nil {
		t.Fatal(err)
	}

	job := client.Client{
		Name:    "job",
		Folded:  "job",
		Version: 1,
		Keys:    []client.Key{{Key: key.Key()}},
		Created: noon,
		Updated: noon,
	}
	if err := db.AddClient(t.Context(), job, jeton.Event{Time: noon}); err != nil {
		t.Fatal(err)
	}
	if job, err = db.FindClient(t.Context(), "job"); err != nil {
		t.Fatal(err)
	}

	s := &countingStore{DB: db}
	return &fixture{
		Counts: count.New(s),
		t:      t,
		store:  s,
		owner:  job,
	}
}

// keys creates a token and returns two keys for its uses, as two requests would have.
func (f *fixture) keys(text string) (one, two *count.Key) {
	f.t.Helper()
	err := f.store.MintToken(f.t.Context(), token.Mint{Keep: true, Record: token.Record{
		Accessor: "t_" + text,
		Hash:     secret.HashOf(text),
		Format:   policy.Opaque,
		Kind:     token.Access,
		Owner:    token.ClientOwner(f.owner),
		MaxUses:  3,
		Window:   policy.Window{Opens: noon, Closes: noon.Add(time.Hour)},
		Created:  noon,
	}})
	if err != nil {
		f.t.Fatal(err)
	}

	tok, err := f.store.FindToken(f.t.Context(), secret.HashOf(text))
	if err != nil {
		f.t.Fatal(err)
	}

	return &count.Key{Token: tok.Number}, &count.Key{Token: tok.Number}
}

func (f *fixture) budget(name string, limit int64) policy.Budget {
	f.t.Helper()
	id, err := f.BudgetID(f.t.Context(), "shop", name)
	if err != nil {
		f.t.Fatal(err)
	}

	return policy.Budget{ID: id, Name: name, Max: limit}
}

// spend spends a use, and checks the result and whether the store was asked.
func (f *fixture) spend(k *count.Key, want int64, outcome error, asks bool, budgets ...policy.Budget) {
	f.t.Helper()
	before := f.store.spends.Load()
	left, err := f.Spend(f.t.Context(), k, budgets)
	if left != want || !errors.Is(err, outcome) {
		f.t.Errorf("Spend = %d, %v, want %d, %v", left, err, want, outcome)
	}

	got := f.store.spends.Load() > before
	if got != asks {
		f.t.Errorf("the store was asked = %t, want %t", got, asks)
	}
}

func TestASpentBudgetDoesNotAskTheStoreAgain(t *testing.T) {
	f := newFixture(t)
	key, other := f.keys("one")
	own, route := f.budget("own", 2), f.budget("route", 5)
	f.spend(key, 1, nil, true, own, route)
	f.spend(key, 0, nil, true, own)

	f.spend(key, 0, jeton.ErrSpent, true, own) // now known to be spent

	for range 3 {
		f.spend(key, 0, jeton.ErrSpent, false, own)
		f.spend(key, 0, jeton.ErrSpent, false, route, own)
	}

	f.spend(key, 3, nil, true, route) // the other budget is untouched
	if left, err := f.Left(t.Context(), key, []policy.Budget{route}); left != 3 || err != nil {
		t.Errorf("Left = %d, %v, want 3: a refused spend takes no use", left, err)
	}

	t.Run("another key of the same token asks the store once", func(t *testing.T) {
		f.spend(other, 0, jeton.ErrSpent, true, own, route)
		f.spend(other, 0, jeton.ErrSpent, false, own, route)
	})

	t.Run("a raised limit asks the store again", func(t *testing.T) {
		more := own
		more.Max = 3
		f.spend(key, 0, nil, true, more)
		f.spend(key, 0, jeton.ErrSpent, true, more)
		f.spend(key, 0, jeton.ErrSpent, false, more)
	})

	t.Run("a lowered limit does not", func(t *testing.T) {
		less := own
		less.Max = 1
		f.spend(key, 0, jeton.ErrSpent, false, less)
		f.spend(key, 0, jeton.ErrSpent, false, own)
	})

	t.Run("nor do concurrent spends", func(t *testing.T) {
		before := f.store.spends.Load()
		var wg sync.WaitGroup
		for range 64 {
			wg.Go(func() {
				if _, err := f.Spend(t.Context(), key, []policy.Budget{own}); !errors.Is(err, jeton.ErrSpent) {
					t.Errorf("Spend = %v, want ErrSpent", err)
				}
			})
		}

		wg.Wait()
		n := f.store.spends.Load() - before
		if n != 0 {
			t.Errorf("the store was asked %d times, want 0", n)
		}
	})
}

func TestKeysOfOneRequestEachShareWhatIsKnown(t *testing.T) {
	f := newFixture(t)
	known := count.NewKnown(64)
	key, _ := f.keys("one")
	newKey := func() *count.Key { return &count.Key{Token: key.Token, Known: known} }
	own, route := f.budget("own", 1), f.budget("route", 2)
	f.spend(newKey(), 0, nil, true, own, route)

	f.spend(newKey(), 0, jeton.ErrSpent, true, own)
	f.spend(newKey(), 0, jeton.ErrSpent, false, own)
	f.spend(newKey(), 0, nil, true, route)
	f.spend(newKey(), 0, jeton.ErrSpent, true, route)

	for range 3 {
		f.spend(newKey(), 0, jeton.ErrSpent, false, route)
		f.spend(newKey(), 0, jeton.ErrSpent, false, own)
	}

	more := own
	more.Max = 2
	f.spend(newKey(), 0, nil, true, more)
	other, _ := f.keys("two")
	other.Known = known

	f.spend(other, 0, nil, true, own, route)
}

func TestWhatIsKnownToBeSpentIsBounded(t *testing.T) {
	f := newFixture(t)
	known := count.NewKnown(64) // one per shard
	own := f.budget("own", 1)
	var keys []*count.Key
	for i := range 130 {
		key, _ := f.keys(fmt.Sprint("token-", i))
		key.Known = known
		f.spend(key, 0, nil, true, own)
		f.spend(key, 0, jeton.ErrSpent, true, own)
		f.spend(key, 0, jeton.ErrSpent, false, own)

		keys = append(keys, key)
	}

	remembered := 0
	for _, key := range slices.Backward(keys) { // the last ones are known
		before := f.store.spends.Load()
		if _, err := f.Spend(t.Context(), key, []policy.Budget{own}); !errors.Is(err, jeton.ErrSpent) {
			t.Fatalf("Spend = %v, want ErrSpent", err)
		}
		if f.store.spends.Load() == before {
			remembered++
		}
	}

	if remembered != 64 {
		t.Errorf("%d keys are known to be spent, want 64", remembered)
	}
}

func TestConcurrentSpendsSucceedAsOftenAsUsesAreLeft(t *testing.T) {
	f := newFixture(t)
	one, two := f.keys("one")
	own, route := f.budget("own", 7), f.budget("route", 5)
	var both, alone atomic.Int64
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			key := one
			budgets := []policy.Budget{own, route}
			won := &both

			if i%2 == 0 {
				key = two
			}
			if i%4 < 2 {
				budgets, won = budgets[:1], &alone
			}

			_, err := f.Spend(t.Context(), key, budgets)
			if err == nil {
				won.Add(1)
			} else if !errors.Is(err, jeton.ErrSpent) {
				t.Errorf("Spend = %v, want ErrSpent", err)
			}
		})
	}

	wg.Wait()
	if both.Load()+alone.Load() != 7 || both.Load() > 5 {
		t.Errorf(
			"%d spends of both budgets and %d of one, want 7 in total and at most 5 of both",
			both.Load(), alone.Load(),
		)
	}
}

func TestLeftTakesNoUse(t *testing.T) {
	f := newFixture(t)
	key, _ := f.keys("one")
	few, many := f.budget("few", 1), f.budget("many", 9)
	for range 5 {
		if left, err := f.Left(t.Context(), key, []policy.Budget{many, few}); left != 1 || err != nil {
			t.Errorf("Left = %d, %v, want 1, the smaller of the two", left, err)
		}
	}

	f.spend(key, 0, nil, true, many, few)

	for range 2 { // Left asks the store even when the budget is known to be spent
		before := f.store.looks.Load()
		left, err := f.Left(t.Context(), key, []policy.Budget{many, few})
		if left != 0 || !errors.Is(err, jeton.ErrSpent) || f.store.looks.Load() == before {
			t.Errorf("Left = %d, %v, want ErrSpent from the store", left, err)
		}
	}

	if left, err := f.Left(t.Context(), key, []policy.Budget{many}); left != 8 || err != nil {
		t.Errorf("Left = %d, %v, want 8", left, err)
	}
}

func TestOtherOutcomesAreNotTakenForSpent(t *testing.T) {
	f := newFixture(t)
	key, _ := f.keys("one")
	own := f.budget("own", 1)
	t.Run("a key without a number", func(t *testing.T) {
		f.spend(&count.Key{}, 0, jeton.ErrBadCredential, true, own)
		if _, err := f.Left(t.Context(), &count.Key{}, []policy.Budget{own}); !errors.Is(err, jeton.ErrBadCredential) {
			t.Errorf("Left = %v, want ErrBadCredential", err)
		}
	})

	t.Run("no budget", func(t *testing.T) {
		if _, err := f.Spend(t.Context(), key, nil); !errors.Is(err, jeton.ErrSpent) {
			t.Errorf("Spend of no budget = %v, want ErrSpent", err)
		}
		if _, err := f.Left(t.Context(), key, nil); !errors.Is(err, jeton.ErrSpent) {
			t.Errorf("Left of no budget = %v, want ErrSpent", err)
		}
	})

	t.Run("a revoked token", func(t *testing.T) {
		revoked, _ := f.keys("revoked")
		err := f.store.EndTokens(t.Context(), token.Which{Accessor: "t_revoked"}, nil, jeton.Event{Time: noon})
		if err != nil {
			t.Fatal(err)
		}

		f.spend(revoked, 0, jeton.ErrBadCredential, true, own)
		f.spend(revoked, 0, jeton.ErrBadCredential, true, own)
	})

	t.Run("a store that is down", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()

		if _, err := f.Left(ctx, key, []policy.Budget{own}); !errors.Is(err, jeton.ErrUnavailable) {
			t.Errorf("Left = %v, want ErrUnavailable", err)
		}

		f.spend(key, 0, nil, true, own)
		if err := f.store.Close(); err != nil {
			t.Fatal(err)
		}

		other := &count.Key{Token: key.Token}
		f.spend(other, 0, jeton.ErrUnavailable, true, own)
		f.spend(other, 0, jeton.ErrUnavailable, true, own)

		if _, err := f.BudgetID(t.Context(), "shop", "new"); !errors.Is(err, jeton.ErrUnavailable) {
			t.Errorf("BudgetID = %v, want ErrUnavailable", err)
		}
	})
}
