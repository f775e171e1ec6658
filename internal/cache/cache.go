// Package cache keeps in memory what was read from a store, by hash.
//
// It promises that a reader that began before a drop does not put the old value back: Add
// takes only what was read after the last drop. Its size is bounded. When a value has to be
// dropped is for its owner to know, such as token or signin, from internal/store/change.
//
// # Example
//
// The order matters: the generation is read before the store.
//
//	v := c.Get(hash)
//	if v == nil {
//		generation := c.Generation(hash)
//		found, err := store.Find(ctx, hash)
//		if err != nil {
//			return err
//		}
//		v = c.Add(hash, &found, generation) // not kept if something was dropped meanwhile
//	}
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

// shard is a part of the cache with a lock of its own. The padding keeps locks of
// neighbours off one cache line.
type shard[V any] struct {
	mu         sync.RWMutex
	values     map[secret.Hash]*V
	generation uint64 // counts drops
	_          [24]byte
}

// New returns a cache of at most about entries values. pinned, unless it is nil, reports
// values that should not be evicted yet.
func New[V any](entries int, pinned func(*V) bool) *Cache[V] {
	c := &Cache[V]{pinned: pinned}
	c.limit = max(entries/len(c.shards), 1)

	for i := range c.shards {
		c.shards[i].values = map[secret.Hash]*V{}
	}

	return c
}

// shard returns the shard of a hash. Hashes are SHA-256, so any of their bytes spread
// evenly.
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

// Generation returns an argument of Add: call it before reading the store.
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

// Renew is Add for a value that replaces an older one. It is not a drop: a concurrent reader
// of another hash may still add its value.
func (c *Cache[V]) Renew(k secret.Hash, v *V, generation uint64) {
	c.put(k, v, generation, true)
}

// put is Add and Renew. What was read before the last drop may be outdated, hence is
// returned and not kept.
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

// makeRoom evicts an arbitrary value, if possible one that is not pinned.
func (c *Cache[V]) makeRoom(s *shard[V]) {
	tried := 0
	for k, v := range s.values {
		// A few tries only: where all are pinned, one of them goes.
		tried++
		if c.pinned == nil || !c.pinned(v) || tried == min(8, len(s.values)) {
			delete(s.values, k)
			return
		}
	}
}

// Drop removes values. After it has returned, Get does not find them.
func (c *Cache[V]) Drop(keys ...secret.Hash) {
	for _, k := range keys {
		s := c.shard(k)
		s.mu.Lock()
		s.generation++
		delete(s.values, k)
		s.mu.Unlock()
	}
}

// DropIf removes every value that outdated reports.
func (c *Cache[V]) DropIf(outdated func(*V) bool) {
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		s.generation++

		for k, v := range s.values {
			if outdated(v) {
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
