// Package count counts uses: of a login, of a token, at a route or at a whole service.
//
// It promises that of any number of concurrent spends of a budget with n uses exactly n
// succeed, and that each was durable before it was answered; that looking costs nothing;
// and that what is known to be spent is refused without asking the store. When the store
// cannot tell, the answer is jeton.ErrUnavailable, and no use has been granted.
//
// Who holds a credential, and whether it is good, is for others to know.
package count

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/policy"
)

// Use asks for one use of each of some budgets of a holder.
type Use struct {
	Holder  int64 // number of a login, or minus the number of a token
	Budgets []policy.Budget
}

// Store keeps counts. Methods are safe for concurrent use, on many nodes.
type Store interface {
	// Spend takes one use of every budget, or of none. It returns how many of each are
	// left; or jeton.ErrSpent when one of them has none, with 0 or less for those; or
	// jeton.ErrBadCredential when the holder has ended. It is a single atomic step
	// and what it took is durable when it returns.
	Spend(ctx context.Context, u Use) (left []int64, err error)
	// Left returns how many uses of each budget are left and takes nothing; or
	// jeton.ErrBadCredential when the holder has ended.
	Left(ctx context.Context, u Use) ([]int64, error)
	// BudgetID returns the number of a budget, the same on every call.
	BudgetID(ctx context.Context, service, name string) (int64, error)
}

// Key is a credential in memory, as far as its uses go. Its zero value holds
// nothing; set Number, and Known where there is one, before it is shared. It must not
// be copied.
type Key struct {
	Number int64  // as in Use.Holder
	Known  *Known // what remembers for it; nil: it does itself

	spent atomic.Pointer[spent]
}

// knownSpent reports whether one of the budgets is known to have nothing left, so
// that a flood of refused requests asks the store nothing. Uses only grow, so what
// is known never becomes wrong; a raised limit is compared anew.
func (h *Key) knownSpent(budgets []policy.Budget) bool {
	if h.Known != nil {
		return h.Known.has(h.Number, budgets)
	}
	s := h.spent.Load()
	return s != nil && s.has(budgets)
}

func (h *Key) learnSpent(budgets []policy.Budget, left []int64) {
	if h.Known != nil {
		h.Known.learn(h.Number, budgets, left)
		return
	}

	for {
		old := h.spent.Load()
		var had spent
		if old != nil {
			had = *old
		}

		now := had.learn(budgets, left)
		if h.spent.CompareAndSwap(old, &now) {
			return
		}
	}
}

// Budgets counts uses in a store.
type Counts struct{ store Store }

// New returns the counts of a server.
func New(s Store) *Counts { return &Counts{s} }

// Spend takes one use of every budget and returns the smallest number left.
// It returns jeton.ErrSpent, and takes nothing, when one of them has none.
func (c *Counts) Spend(ctx context.Context, h *Key, budgets []policy.Budget) (int64, error) {
	if h.knownSpent(budgets) {
		return 0, jeton.ErrSpent
	}

	left, err := c.store.Spend(ctx, Use{Holder: h.Number, Budgets: budgets})
	switch {
	case errors.Is(err, jeton.ErrSpent):
		h.learnSpent(budgets, left)
		return 0, err
	case err != nil:
		return 0, fmt.Errorf("spend: %w", err)
	}

	return slices.Min(left), nil
}

// Left returns the smallest number of uses left, or jeton.ErrSpent when there are none.
// It takes nothing.
func (c *Counts) Left(ctx context.Context, h *Key, budgets []policy.Budget) (int64, error) {
	if len(budgets) == 0 {
		return 0, jeton.ErrSpent // as Spend says of no budget
	}

	left, err := c.store.Left(ctx, Use{Holder: h.Number, Budgets: budgets})
	if err != nil {
		return 0, fmt.Errorf("look up uses: %w", err)
	}

	n := slices.Min(left)
	if n <= 0 {
		return 0, jeton.ErrSpent
	}

	return n, nil
}

// BudgetID returns the number that the store knows a budget by.
func (c *Counts) BudgetID(ctx context.Context, service, name string) (int64, error) {
	id, err := c.store.BudgetID(ctx, service, name)
	if err != nil {
		return 0, fmt.Errorf("budget %q of %s: %w", name, service, err)
	}
	return id, nil
}
