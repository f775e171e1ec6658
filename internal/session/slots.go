package session

import (
	"sync"
	"sync/atomic"
)

// slots gives numbers to values that many entries share, so that an entry holds a number
// where it would hold pointers. A number, a slot, is given again once nobody holds it.
// The zero value gives none; set most. It is safe for concurrent use.
type slots[K comparable, V any] struct {
	mu    sync.Mutex
	most  uint32 // slots; 0 is none of them
	index map[K]uint32
	free  []uint32
	made  uint32
	// chunks is read without the lock. It grows by whole chunks, which stay where they are.
	chunks atomic.Pointer[[]*chunk[K, V]]
}

const chunkBits = 8

type chunk[K comparable, V any] [1 << chunkBits]row[K, V]

// row is what a slot stands for. While somebody holds the slot nobody writes to its key
// and value.
type row[K comparable, V any] struct {
	key   K
	value V
	refs  uint32 // guarded by the mutex
}

// at returns what a slot stands for, to somebody who holds it.
func (s *slots[K, V]) at(slot uint32) *row[K, V] {
	return &(*s.chunks.Load())[slot>>chunkBits][slot&(1<<chunkBits-1)]
}

// hold returns the slot of a key, held once more, or 0 when there are no more slots. Where
// the key has none, or one whose value does not fit any more, it gets a new one. What held
// the other goes on holding it. The functions are called with the lock held.
func (s *slots[K, V]) hold(key K, fits func(*V) bool, fresh func() V) uint32 {
	s.mu.Lock()
	defer s.mu.Unlock()

	if slot, ok := s.index[key]; ok {
		if r := s.at(slot); fits(&r.value) {
			r.refs++
			return slot
		}
	}

	slot := s.take()
	if slot == 0 {
		return 0
	}

	r := s.at(slot)
	r.key, r.value, r.refs = key, fresh(), 1

	if s.index == nil {
		s.index = map[K]uint32{}
	}

	s.index[key] = slot

	return slot
}

// take returns a slot that nobody holds, or 0.
func (s *slots[K, V]) take() uint32 {
	n := len(s.free)
	if n > 0 {
		slot := s.free[n-1]
		s.free = s.free[:n-1]
		return slot
	}

	if s.made >= s.most {
		return 0
	}

	s.made++
	var chunks []*chunk[K, V]
	c := s.chunks.Load()
	if c != nil {
		chunks = *c
	}

	if int(s.made>>chunkBits) == len(chunks) {
		chunks = append(chunks, new(chunk[K, V]))
		s.chunks.Store(&chunks)
	}

	return s.made
}

// release holds a slot once less. It reports whether that was the last, and what the slot
// stood for.
func (s *slots[K, V]) release(slot uint32) (value V, last bool) {
	s.mu.Lock()
	defer s.mu.Unlock()

	r := s.at(slot)
	if r.refs--; r.refs > 0 {
		return value, false
	}
	if s.index[r.key] == slot {
		delete(s.index, r.key)
	}

	value = r.value
	*r = row[K, V]{}
	s.free = append(s.free, slot)

	return value, true
}

// alter lets a function change what the slot of a key stands for, where it has one. Readers
// do not wait: the function may only use atomic operations.
func (s *slots[K, V]) alter(key K, change func(*V)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if slot, ok := s.index[key]; ok {
		change(&s.at(slot).value)
	}
}

// held returns how many slots are held.
func (s *slots[K, V]) held() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return int(s.made) - len(s.free)
}
