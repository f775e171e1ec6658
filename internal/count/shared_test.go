package count_test

import (
	"errors"
	"testing"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/policy"
)

func TestAUseOfASharedBudgetIsTakenFromBothOrNone(t *testing.T) {
	f := newFixture(t)
	parent, _ := f.keys("parent")
	child, other := f.keys("child")
	of := f.budget("token", 3)
	shared := of
	shared.Token = parent.Token
	own := f.budget("token", 3)

	if _, err := f.Spend(t.Context(), parent, []policy.Budget{of}); err != nil {
		t.Fatalf("Spend of the parent = %v, want a use", err)
	}
	for range 2 {
		if _, err := f.Spend(t.Context(), child, []policy.Budget{own, shared}); err != nil {
			t.Fatalf("Spend = %v, want a use of both", err)
		}
	}

	// The budget of the parent has no use left, so none is taken from the child either.
	left, err := f.Spend(t.Context(), child, []policy.Budget{own, shared})
	if !errors.Is(err, jeton.ErrSpent) {
		t.Errorf("third Spend = %d, %v, want ErrSpent", left, err)
	}
	if left, err := f.Left(t.Context(), other, []policy.Budget{own}); err != nil || left != 1 {
		t.Errorf("Left of the child = %d, %v, want 1", left, err)
	}
	if _, err := f.Spend(t.Context(), parent, []policy.Budget{of}); !errors.Is(err, jeton.ErrSpent) {
		t.Errorf("Spend of the parent = %v, want ErrSpent", err)
	}

	before := f.store.spends.Load()
	if _, err := f.Spend(t.Context(), child, []policy.Budget{own, shared}); !errors.Is(err, jeton.ErrSpent) {
		t.Errorf("fourth Spend = %v, want ErrSpent", err)
	}
	if n := f.store.spends.Load() - before; n != 0 {
		t.Errorf("the store was asked %d times for a budget that is known to be spent, want 0", n)
	}

	// What is known of the parent's budget is not taken for the child's, which has the same number.
	if left, err := f.Spend(t.Context(), child, []policy.Budget{own}); err != nil || left != 0 {
		t.Errorf("Spend of the child's own budget = %d, %v, want 0", left, err)
	}
}

func TestAChildOfADeletedTokenHasNoUses(t *testing.T) {
	f := newFixture(t)
	child, _ := f.keys("child")
	own := f.budget("token", 5)
	shared := own
	shared.Token = child.Token + 1000

	if _, err := f.Spend(t.Context(), child, []policy.Budget{own, shared}); !errors.Is(err, jeton.ErrBadCredential) {
		t.Errorf("Spend = %v, want ErrBadCredential", err)
	}
	if left, err := f.Left(t.Context(), child, []policy.Budget{own}); err != nil || left != 5 {
		t.Errorf("Left of the child = %d, %v, want 5", left, err)
	}
}
