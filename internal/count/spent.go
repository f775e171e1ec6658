package count

import (
	"slices"
	"sync"

	"github.com/jeton-auth/jeton/internal/policy"
)

// spent is what a holder is known to have used of some budgets: uses only grow.
type spent []known

type known struct{ budget, used int64 }

func (s spent) has(budgets []policy.Budget) bool {
	for _, k := range s {
		for _, b := range budgets {
			if k.budget == b.ID && k.used >= b.Max {
				return true
			}
		}
	}

	return false
}

// learn returns a copy of s with the budgets of which nothing is left: one element a budget.
func (s spent) learn(budgets []policy.Budget, left []int64) spent {
	s = slices.Clone(s)
next:
	for i, b := range budgets {
		if i >= len(left) || left[i] > 0 {
			continue
		}

		for j := range s {
			if s[j].budget == b.ID {
				s[j].used = max(s[j].used, b.Max)
				continue next
			}
		}

		s = append(s, known{b.ID, b.Max})
	}

	return s
}

// Known remembers by their number what holders have spent, where values of Holder come
// and go with every request. Its size is bounded: what makes room costs a question to
// the store when it is asked for again. It is safe for concurrent use.
type Known struct {
	shards [64]struct {
		mu    sync.RWMutex
		spent map[int64]spent
		_     [32]byte // keeps neighbours off one cache line
	}
	most int // holders a shard
}

// NewKnown returns what remembers for about so many holders.
func NewKnown(holders int) *Known {
	k := &Known{}
	k.most = max(holders/len(k.shards), 1)
	return k
}

func (k *Known) has(number int64, budgets []policy.Budget) bool {
	s := &k.shards[uint64(number)%uint64(len(k.shards))]
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.spent[number].has(budgets)
}

func (k *Known) learn(number int64, budgets []policy.Budget, left []int64) {
	s := &k.shards[uint64(number)%uint64(len(k.shards))]
	s.mu.Lock()
	defer s.mu.Unlock()

	had, ok := s.spent[number]
	now := had.learn(budgets, left)
	if len(now) == 0 {
		return
	}

	if !ok && len(s.spent) >= k.most {
		for other := range s.spent { // an arbitrary one
			delete(s.spent, other)
			break
		}
	}

	if s.spent == nil {
		s.spent = map[int64]spent{}
	}

	s.spent[number] = now
}
