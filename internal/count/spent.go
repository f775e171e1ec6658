package count

import (
	"slices"
	"sync"

	"github.com/jeton-auth/jeton/internal/policy"
)

// spent is what a holder is known to have used at least, by budget.
type spent []used

// used is a budget and the number of its uses that a refusal has shown. token is that of the budget.
type used struct{ budget, token, uses int64 }

// of reports whether u is about a budget.
func (u used) of(b policy.Budget) bool { return u.budget == b.ID && u.token == b.Token }

// isSpent reports whether a budget has no use left.
func (s spent) isSpent(b policy.Budget) bool {
	for _, u := range s {
		if u.of(b) && u.uses >= b.Max {
			return true
		}
	}

	return false
}

// forget returns a copy of s without the budgets.
func (s spent) forget(budgets []policy.Budget) spent {
	return slices.DeleteFunc(slices.Clone(s), func(u used) bool {
		return slices.ContainsFunc(budgets, u.of)
	})
}

// learn returns a copy of s that also has the budgets with no use left.
func (s spent) learn(budgets []policy.Budget, left []int64) spent {
	// A copy: others may be reading s without a lock.
	s = slices.Clone(s)
	for i, b := range budgets {
		if i >= len(left) || left[i] > 0 {
			continue
		}

		at := slices.IndexFunc(s, func(u used) bool { return u.of(b) })
		if at < 0 {
			s = append(s, used{b.ID, b.Token, b.Max})
			continue
		}

		// The limit may have been lowered since; what was used before stays used.
		s[at].uses = max(s[at].uses, b.Max)
	}

	return s
}

// Known remembers what holders have spent, for keys that live no longer than a request.
// Its size is bounded; a holder that was dropped to make room costs one question to the
// store. It is safe for concurrent use.
type Known struct {
	shards [64]struct {
		mu    sync.RWMutex
		spent map[int64]spent // by holder
		_     [32]byte        // keeps neighbours off one cache line
	}
	limit int // holders per shard
}

// NewKnown returns a Known for about the given number of holders.
func NewKnown(holders int) *Known {
	k := &Known{}
	k.limit = max(holders/len(k.shards), 1)
	return k
}

// get returns what is known of a holder.
func (k *Known) get(holder int64) spent {
	s := &k.shards[uint64(holder)%uint64(len(k.shards))]
	s.mu.RLock()
	defer s.mu.RUnlock()

	return s.spent[holder] // never changed, only replaced
}

// change replaces what is known of a holder. Holders with uses left take no room.
func (k *Known) change(holder int64, change func(spent) spent) {
	s := &k.shards[uint64(holder)%uint64(len(k.shards))]
	s.mu.Lock()
	defer s.mu.Unlock()

	before, ok := s.spent[holder]
	after := change(before)
	if len(after) == 0 {
		delete(s.spent, holder)
		return
	}

	if !ok && len(s.spent) >= k.limit {
		for other := range s.spent { // an arbitrary one
			delete(s.spent, other)
			break
		}
	}

	if s.spent == nil {
		s.spent = map[int64]spent{}
	}

	s.spent[holder] = after
}
