// Package cache keeps what was read from a store in memory, by hash, and stays exact.
//
// It promises that a value which has been dropped is not put back by a reader who began
// before: Add takes only what was read after the last drop. Its size is bounded. What a
// value is good for, and when it has to be dropped, is for its owner to know.
package cache

import (
	"encoding/binary"
	"sync"

	"github.com/jeton-auth/jeton/internal/secret"
)

// Cache keeps values by hash, which spreads them over its shards. It is safe for concurrent use.
type Cache[V any] struct {
	shards [64]shard[V]
	limit  int // entries a shard
	pinned func(*V) bool
}

type shard[V any] struct {
	mu         sync.RWMutex
	values     map[secret.Hash]*V
	generation uint64 // counts drops
	_          [24]byte
}

// New returns a cache of about so many values. pinned, where it is not nil, reports
// values that had better not make room for others yet.
func New[V any](entries int, pinned func(*V) bool) *Cache[V] {
	c := &Cache[V]{pinned: pinned}
	c.limit = max(entries/len(c.shards), 1)

	for i := range c.shards {
		c.shards[i].values = map[secret.Hash]*V{}
	}

	return c
}

func (c *Cache[V]) shard(k secret.Hash) *shard[V] {
	return &c.shards[binary.LittleEndian.Uint16(k[30:])%uint16(len(c.shards))]
}

// Get returns the value, or nil when it is not here.
func (c *Cache[V]) Get(k secret.Hash) *V {
	s := c.shard(k)
	s.mu.RLock()
	v := s.values[k]
	s.mu.RUnlock()
	return v
}

// Generation returns what Add wants to be told: read it before the store.
func (c *Cache[V]) Generation(k secret.Hash) uint64 {
	s := c.shard(k)
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.generation
}

// Add keeps v unless something was dropped since generation was read, and returns
// the one that is kept where two goroutines read the same value.
func (c *Cache[V]) Add(k secret.Hash, v *V, generation uint64) *V {
	return c.put(k, v, generation, false)
}

// Renew is Add for a value that takes the place of an older one. It is no drop: who reads
// a neighbour meanwhile is not kept from adding it.
func (c *Cache[V]) Renew(k secret.Hash, v *V, generation uint64) {
	c.put(k, v, generation, true)
}

func (c *Cache[V]) put(k secret.Hash, v *V, generation uint64, renew bool) *V {
	s := c.shard(k)
	s.mu.Lock()
	defer s.mu.Unlock()

	if s.generation != generation {
		return v
	}

	first, ok := s.values[k]
	if ok && !renew {
		return first
	}
	if !ok && len(s.values) >= c.limit {
		c.makeRoom(s)
	}

	s.values[k] = v

	return v
}

// makeRoom forgets an arbitrary value, if possible one that is not pinned.
func (c *Cache[V]) makeRoom(s *shard[V]) {
	tried := 0
	for k, v := range s.values {
		if tried++; c.pinned == nil || !c.pinned(v) || tried == min(8, len(s.values)) {
			delete(s.values, k)
			return
		}
	}
}

// Drop forgets values. After it has returned none of them is found without the store.
func (c *Cache[V]) Drop(keys ...secret.Hash) {
	for _, k := range keys {
		s := c.shard(k)
		s.mu.Lock()
		s.generation++
		delete(s.values, k)
		s.mu.Unlock()
	}
}

// DropIf forgets every value that gone reports.
func (c *Cache[V]) DropIf(gone func(*V) bool) {
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		s.generation++

		for k, v := range s.values {
			if gone(v) {
				delete(s.values, k)
			}
		}

		s.mu.Unlock()
	}
}

// Len returns how many values are kept.
func (c *Cache[V]) Len() int {
	n := 0
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.RLock()
		n += len(s.values)
		s.mu.RUnlock()
	}

	return n
}
