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

// asked is a store that counts how often it was asked for uses.
type asked struct {
	*sqlite.DB
	spends, looks atomic.Int64
}

func (a *asked) Spend(ctx context.Context, u count.Use) ([]int64, error) {
	a.spends.Add(1)
	return a.DB.Spend(ctx, u)
}

func (a *asked) Left(ctx context.Context, u count.Use) ([]int64, error) {
	a.looks.Add(1)
	return a.DB.Left(ctx, u)
}

// bench is counts over a real store, in which tokens hold uses.
type bench struct {
	*count.Counts
	t     *testing.T
	store *asked
	owner client.Client
}

func newBench(t *testing.T) *bench {
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

	s := &asked{DB: db}
	return &bench{count.New(s), t, s, job}
}

// holder makes a token, and returns what its uses hang on as two that hold it see it.
func (b *bench) holder(text string) (one, two *count.Key) {
	b.t.Helper()
	err := b.store.MintToken(b.t.Context(), token.Mint{Keep: true, Record: token.Record{
		Accessor: "t_" + text,
		Hash:     secret.HashOf(text),
		Format:   policy.Opaque,
		Kind:     token.Access,
		Owner:    token.ClientOwner(b.owner),
		MaxUses:  3,
		Window:   policy.Window{Opens: noon, Closes: noon.Add(time.Hour)},
		Created:  noon,
	}})
	if err != nil {
		b.t.Fatal(err)
	}

	tok, err := b.store.FindToken(b.t.Context(), secret.HashOf(text))
	if err != nil {
		b.t.Fatal(err)
	}

	return &count.Key{Number: -tok.Number}, &count.Key{Number: -tok.Number}
}

func (b *bench) budget(name string, most int64) policy.Budget {
	b.t.Helper()
	id, err := b.BudgetID(b.t.Context(), "shop", name)
	if err != nil {
		b.t.Fatal(err)
	}

	return policy.Budget{ID: id, Name: name, Max: most}
}

// spends expects what a spend says, and whether it asked the store.
func (b *bench) spends(h *count.Key, want int64, outcome error, asks bool, budgets ...policy.Budget) {
	b.t.Helper()
	before := b.store.spends.Load()
	left, err := b.Spend(b.t.Context(), h, budgets)
	if left != want || !errors.Is(err, outcome) {
		b.t.Errorf("Spend = %d, %v, want %d, %v", left, err, want, outcome)
	}

	got := b.store.spends.Load() > before
	if got != asks {
		b.t.Errorf("the store was asked: %t, want %t", got, asks)
	}
}

func TestWhatIsKnownToBeSpentAsksNobody(t *testing.T) {
	b := newBench(t)
	h, other := b.holder("one")
	own, route := b.budget("own", 2), b.budget("route", 5)
	b.spends(h, 1, nil, true, own, route)
	b.spends(h, 0, nil, true, own)

	b.spends(h, 0, jeton.ErrSpent, true, own) // it is heard of here

	for range 3 {
		b.spends(h, 0, jeton.ErrSpent, false, own)
		b.spends(h, 0, jeton.ErrSpent, false, route, own)
	}

	b.spends(h, 3, nil, true, route) // what is left of another budget is not touched
	if left, err := b.Left(t.Context(), h, []policy.Budget{route}); left != 3 || err != nil {
		t.Errorf("Left = %d, %v, want 3: what was refused took nothing", left, err)
	}

	t.Run("another holder of the same has to hear of it first", func(t *testing.T) {
		b.spends(other, 0, jeton.ErrSpent, true, own, route)
		b.spends(other, 0, jeton.ErrSpent, false, own, route)
	})

	t.Run("a raised limit is asked for anew", func(t *testing.T) {
		more := own
		more.Max = 3
		b.spends(h, 0, nil, true, more)
		b.spends(h, 0, jeton.ErrSpent, true, more)
		b.spends(h, 0, jeton.ErrSpent, false, more)
	})

	t.Run("a lowered one is not", func(t *testing.T) {
		less := own
		less.Max = 1
		b.spends(h, 0, jeton.ErrSpent, false, less)
		b.spends(h, 0, jeton.ErrSpent, false, own)
	})

	t.Run("nor does it help to ask often", func(t *testing.T) {
		before := b.store.spends.Load()
		var wg sync.WaitGroup
		for range 64 {
			wg.Go(func() {
				if _, err := b.Spend(t.Context(), h, []policy.Budget{own}); !errors.Is(err, jeton.ErrSpent) {
					t.Errorf("Spend: %v, want ErrSpent", err)
				}
			})
		}

		wg.Wait()
		n := b.store.spends.Load() - before
		if n != 0 {
			t.Errorf("the store was asked %d times", n)
		}
	})
}

// TestHoldersThatComeAndGoKnowTheSame makes a holder for every spend, as requests do.
func TestHoldersThatComeAndGoKnowTheSame(t *testing.T) {
	b := newBench(t)
	known := count.NewKnown(64)
	h, _ := b.holder("one")
	fresh := func() *count.Key { return &count.Key{Number: h.Number, Known: known} }
	own, route := b.budget("own", 1), b.budget("route", 2)
	b.spends(fresh(), 0, nil, true, own, route)

	b.spends(fresh(), 0, jeton.ErrSpent, true, own)
	b.spends(fresh(), 0, jeton.ErrSpent, false, own)
	b.spends(fresh(), 0, nil, true, route)
	b.spends(fresh(), 0, jeton.ErrSpent, true, route)

	for range 3 {
		b.spends(fresh(), 0, jeton.ErrSpent, false, route)
		b.spends(fresh(), 0, jeton.ErrSpent, false, own)
	}

	more := own
	more.Max = 2
	b.spends(fresh(), 0, nil, true, more)
	other, _ := b.holder("two")
	other.Known = known

	b.spends(other, 0, nil, true, own, route)
}

func TestWhatIsKnownIsBounded(t *testing.T) {
	b := newBench(t)
	known := count.NewKnown(64) // one a shard
	own := b.budget("own", 1)
	var holders []*count.Key
	for i := range 130 {
		h, _ := b.holder(fmt.Sprint("holder-", i))
		h.Known = known
		b.spends(h, 0, nil, true, own)
		b.spends(h, 0, jeton.ErrSpent, true, own)
		b.spends(h, 0, jeton.ErrSpent, false, own)

		holders = append(holders, h)
	}

	remembered := 0
	for _, h := range slices.Backward(holders) { // those that come last are known
		before := b.store.spends.Load()
		if _, err := b.Spend(t.Context(), h, []policy.Budget{own}); !errors.Is(err, jeton.ErrSpent) {
			t.Fatalf("Spend: %v, want ErrSpent", err)
		}
		if b.store.spends.Load() == before {
			remembered++
		}
	}

	if remembered != 64 {
		t.Errorf("%d holders are known to have spent, want 64", remembered)
	}
}

func TestExactlyAsManyAsThereAre(t *testing.T) {
	b := newBench(t)
	one, two := b.holder("one")
	own, route := b.budget("own", 7), b.budget("route", 5)
	var both, alone atomic.Int64
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			h := one
			budgets := []policy.Budget{own, route}
			won := &both

			if i%2 == 0 {
				h = two
			}
			if i%4 < 2 {
				budgets, won = budgets[:1], &alone
			}

			switch _, err := b.Spend(t.Context(), h, budgets); {
			case err == nil:
				won.Add(1)
			case !errors.Is(err, jeton.ErrSpent):
				t.Errorf("Spend: %v", err)
			}
		})
	}

	if wg.Wait(); both.Load()+alone.Load() != 7 || both.Load() > 5 {
		t.Errorf(
			"%d spends of both and %d of the one alone, want 7 together and at most 5 of both",
			both.Load(),
			alone.Load(),
		)
	}
}

func TestLookingTakesNothing(t *testing.T) {
	b := newBench(t)
	h, _ := b.holder("one")
	few, many := b.budget("few", 1), b.budget("many", 9)
	for range 5 {
		if left, err := b.Left(t.Context(), h, []policy.Budget{many, few}); left != 1 || err != nil {
			t.Errorf("Left = %d, %v, want 1, the smaller of the two", left, err)
		}
	}

	b.spends(h, 0, nil, true, many, few)

	for range 2 { // what is spent is looked up all the same: a look is for whoever wants to know
		before := b.store.looks.Load()
		if left, err := b.Left(t.Context(), h, []policy.Budget{
			many,
			few,
		}); left != 0 || !errors.Is(err, jeton.ErrSpent) || b.store.looks.Load() == before {
			t.Errorf("Left = %d, %v, want ErrSpent", left, err)
		}
	}

	if left, err := b.Left(t.Context(), h, []policy.Budget{many}); left != 8 || err != nil {
		t.Errorf("Left = %d, %v, want 8", left, err)
	}
}

func TestWhatIsNotSpent(t *testing.T) {
	b := newBench(t)
	h, _ := b.holder("one")
	own := b.budget("own", 1)
	t.Run("nobody holds anything without a number", func(t *testing.T) {
		b.spends(&count.Key{}, 0, jeton.ErrBadCredential, true, own)
		if _, err := b.Left(t.Context(), &count.Key{}, []policy.Budget{own}); !errors.Is(err, jeton.ErrBadCredential) {
			t.Errorf("Left: %v", err)
		}
	})

	t.Run("no budget gives nothing", func(t *testing.T) {
		if _, err := b.Spend(t.Context(), h, nil); !errors.Is(err, jeton.ErrSpent) {
			t.Errorf("Spend: %v", err)
		}
		if _, err := b.Left(t.Context(), h, nil); !errors.Is(err, jeton.ErrSpent) {
			t.Errorf("Left: %v", err)
		}
	})

	t.Run("a holder that has ended is not taken for spent, nor remembered as it", func(t *testing.T) {
		gone, _ := b.holder("gone")
		if err := b.store.EndTokens(t.Context(), token.Which{
			Accessor: "t_gone",
		}, nil, jeton.Event{Time: noon}); err != nil {
			t.Fatal(err)
		}

		b.spends(gone, 0, jeton.ErrBadCredential, true, own)
		b.spends(gone, 0, jeton.ErrBadCredential, true, own)
	})

	t.Run("a store that cannot tell grants nothing, and nothing is remembered", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()

		if _, err := b.Left(ctx, h, []policy.Budget{own}); !errors.Is(err, jeton.ErrUnavailable) {
			t.Errorf("Left: %v, want ErrUnavailable", err)
		}

		b.spends(h, 0, nil, true, own)
		if err := b.store.Close(); err != nil {
			t.Fatal(err)
		}

		fresh := &count.Key{Number: h.Number}
		b.spends(fresh, 0, jeton.ErrUnavailable, true, own)
		b.spends(fresh, 0, jeton.ErrUnavailable, true, own)

		if _, err := b.BudgetID(t.Context(), "shop", "new"); !errors.Is(err, jeton.ErrUnavailable) {
			t.Errorf("BudgetID: %v, want ErrUnavailable", err)
		}
	})
}
