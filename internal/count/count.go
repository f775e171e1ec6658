// Package count counts uses: of a user, a login or a token, at a route or at a whole service.
//
// Of any number of concurrent spends of a budget with n uses left, exactly n succeed.
// Each is durable before it is answered. A look-up costs no use. A budget that is known
// to be spent is refused without asking the store. If the store is down, the outcome is
// jeton.ErrUnavailable and no use was granted.
//
// Whether a credential is valid is judged by package gate.
//
// # Example
//
//	key := &count.Key{Login: sess.Login}
//	left, err := counts.Spend(ctx, key, []policy.Budget{{ID: id, Name: "*", Max: 3}})
//	switch {
//	case errors.Is(err, jeton.ErrSpent): // refuse; nothing was taken
//	case err != nil: // unknown or unavailable; grant nothing
//	}
//
// Decision 0002 has the argument why the count is exact.
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

// Use asks for one use of each of some budgets.
type Use struct {
	Holder  int64 // as Key.Holder returns it
	User    int64 // number of the user that Budget.PerUser means, or 0
	Budgets []policy.Budget
}

// UserHolders is what the store adds to the number of a user, so that it differs from the
// number of every login and token.
const UserHolders = 1 << 62

// HolderOf returns the holder of one of the budgets as the store keeps it: the user of a budget
// that is per user, the token that shares one, and otherwise the login or the token of the use.
func (u Use) HolderOf(b policy.Budget) int64 {
	switch {
	case b.PerUser && u.User != 0:
		return UserHolders + u.User
	case b.Token != 0:
		return -b.Token
	}

	return u.Holder
}

// Store keeps counts. Methods are safe for concurrent use, on many nodes.
type Store interface {
	// Spend takes one use of every budget, or of none, in a single atomic step that is durable
	// when it returns. It returns how many of each are left; or jeton.ErrSpent when one of them
	// has none, with 0 or less for those; or jeton.ErrBadCredential when a holder is deleted.
	// Counts of a user begin again with each login at the service (session.Store).
	Spend(ctx context.Context, u Use) (left []int64, err error)
	// Left returns how many uses of each budget are left and takes none; or
	// jeton.ErrBadCredential when a holder is deleted.
	Left(ctx context.Context, u Use) ([]int64, error)
	// BudgetID returns the number of a budget, the same on every call.
	BudgetID(ctx context.Context, service, name string) (int64, error)
}

// Key says whose uses are counted: those of a login or of a token. Set its fields before it
// is shared, and do not copy it.
type Key struct {
	Login int64  // number of the login, or 0
	Token int64  // number of the token, or 0
	User  int64  // number of the user whose it is, or 0
	Known *Known // remembers what is spent; nil: the key itself does

	spent atomic.Pointer[spent]
}

// Holder returns the key as the store keeps it: logins are positive, tokens negative.
func (k *Key) Holder() int64 {
	if k.Token != 0 {
		return -k.Token
	}
	return k.Login
}

// isSpent reports whether one of the budgets is known to have no use left, so that a flood
// of refused requests does not reach the store, and whether that is for good. The number of
// uses of a login or a token never decreases; it is compared with the current limit, which may
// be raised. That of a user begins again with the next login, perhaps on another node.
func (k *Key) isSpent(budgets []policy.Budget) (known, forGood bool) {
	s := k.known()
	for _, b := range budgets {
		if s.isSpent(b) {
			known = true
			forGood = forGood || !b.PerUser || k.User == 0
		}
	}

	return known, forGood
}

func (k *Key) known() spent {
	if k.Known != nil {
		return k.Known.get(k.Holder())
	}

	s := k.spent.Load()
	if s == nil {
		return nil
	}

	return *s
}

// change replaces what is known.
func (k *Key) change(change func(spent) spent) {
	if k.Known != nil {
		k.Known.change(k.Holder(), change)
		return
	}

	for {
		// Requests with one credential run at the same time: the loop loses no limit that
		// another has learned.
		old := k.spent.Load()
		var before spent
		if old != nil {
			before = *old
		}

		after := change(before)
		if k.spent.CompareAndSwap(old, &after) {
			return
		}
	}
}

func (k *Key) use(budgets []policy.Budget) Use {
	return Use{Holder: k.Holder(), User: k.User, Budgets: budgets}
}

// Counts counts uses in a store.
type Counts struct {
	store Store
	taken atomic.Int64
}

// New returns the counts of a server.
func New(s Store) *Counts { return &Counts{store: s} }

// Taken returns how many uses this process has taken since it started.
func (c *Counts) Taken() int64 { return c.taken.Load() }

// Spend takes one use of every budget and returns the smallest number left.
// It returns jeton.ErrSpent, and takes nothing, when one of them has none.
func (c *Counts) Spend(ctx context.Context, k *Key, budgets []policy.Budget) (int64, error) {
	// A flood of refused requests ends here, without the store.
	known, forGood := k.isSpent(budgets)
	if forGood {
		return 0, jeton.ErrSpent
	}

	// A look that costs no writing, as long as the user has not logged in again.
	if known {
		if _, err := c.Left(ctx, k, budgets); err != nil {
			return 0, err
		}
		k.change(func(s spent) spent { return s.forget(budgets) })
	}

	left, err := c.store.Spend(ctx, k.use(budgets))
	if errors.Is(err, jeton.ErrSpent) {
		// Only a refusal is remembered: how many uses are left is known to the store alone,
		// as other nodes take them, too.
		k.change(func(s spent) spent { return s.learn(budgets, left) })
		return 0, err
	}

	if err != nil {
		return 0, fmt.Errorf("spend: %w", err)
	}

	c.taken.Add(1)

	return slices.Min(left), nil
}

// Left returns the smallest number of uses left, or jeton.ErrSpent when there are none.
// It takes none.
func (c *Counts) Left(ctx context.Context, k *Key, budgets []policy.Budget) (int64, error) {
	if len(budgets) == 0 {
		return 0, jeton.ErrSpent // as Spend does for no budget
	}

	left, err := c.store.Left(ctx, k.use(budgets))
	if err != nil {
		return 0, fmt.Errorf("look up uses: %w", err)
	}

	n := slices.Min(left)
	if n <= 0 {
		return 0, jeton.ErrSpent
	}

	return n, nil
}

// BudgetID returns the number of a budget in the store.
func (c *Counts) BudgetID(ctx context.Context, service, name string) (int64, error) {
	id, err := c.store.BudgetID(ctx, service, name)
	if err != nil {
		return 0, fmt.Errorf("budget %q of %s: %w", name, service, err)
	}
	return id, nil
}
