package session

import (
	"sync"
	"sync/atomic"
)

// slots numbers values that many entries share, so that an entry holds a number instead of a
// pointer. A number, a slot, is reused once its last reference is released. The zero value has
// no slots; set limit. It is safe for concurrent use.
type slots[K comparable, V any] struct {
	mu    sync.Mutex
	limit uint32 // of slots; slot 0 is never used
	index map[K]uint32
	free  []uint32
	made  uint32
	// chunks is read without the lock. It grows by whole chunks, which never move.
	chunks atomic.Pointer[[]*chunk[K, V]]
}

const chunkBits = 8

type chunk[K comparable, V any] [1 << chunkBits]row[K, V]

// row is the value of a slot. Its key and value do not change while the slot has references.
type row[K comparable, V any] struct {
	key   K
	value V
	refs  uint32 // guarded by the mutex
}

// at returns the row of a slot; the caller holds a reference.
func (s *slots[K, V]) at(slot uint32) *row[K, V] {
	return &(*s.chunks.Load())[slot>>chunkBits][slot&(1<<chunkBits-1)]
}

// hold returns the slot of a key, with one more reference, or 0 if there are no more slots. A
// key without a slot, or with one whose value no longer fits, gets a new one; references to
// the old one stay valid. The functions are called with the lock held.
func (s *slots[K, V]) hold(key K, fits func(*V) bool, fresh func() V) uint32 {
	s.mu.Lock()
	defer s.mu.Unlock()

	if slot, ok := s.index[key]; ok {
		r := s.at(slot)
		if fits(&r.value) {
			r.refs++
			return slot
		}
	}

	slot := s.take()
	if slot == 0 {
		return 0
	}

	r := s.at(slot)
	r.key = key
	r.value = fresh()
	r.refs = 1

	if s.index == nil {
		s.index = map[K]uint32{}
	}

	s.index[key] = slot

	return slot
}

// take returns an unused slot, or 0.
func (s *slots[K, V]) take() uint32 {
	n := len(s.free)
	if n > 0 {
		slot := s.free[n-1]
		s.free = s.free[:n-1]
		return slot
	}

	if s.made >= s.limit {
		return 0
	}

	s.made++
	var chunks []*chunk[K, V]
	c := s.chunks.Load()
	if c != nil {
		chunks = *c
	}

	if int(s.made>>chunkBits) == len(chunks) {
		// Readers go on with the previous slice: nothing that it reaches is changed.
		chunks = append(chunks, new(chunk[K, V]))
		s.chunks.Store(&chunks)
	}

	return s.made
}

// release removes a reference to a slot. If that was the last one, it returns the value.
func (s *slots[K, V]) release(slot uint32) (value V, last bool) {
	s.mu.Lock()
	defer s.mu.Unlock()

	r := s.at(slot)
	r.refs--
	if r.refs > 0 {
		return value, false
	}

	// The key may have a newer slot by now, with another value.
	if s.index[r.key] == slot {
		delete(s.index, r.key)
	}

	value = r.value
	*r = row[K, V]{}
	s.free = append(s.free, slot)

	return value, true
}

// alter changes the value of a key's slot, if it has one. Readers do not wait: the function may
// use only atomic operations.
func (s *slots[K, V]) alter(key K, change func(*V)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if slot, ok := s.index[key]; ok {
		change(&s.at(slot).value)
	}
}

// held returns how many slots have references.
func (s *slots[K, V]) held() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return int(s.made) - len(s.free)
}
