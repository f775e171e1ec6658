package session

import (
	"iter"
	"math/bits"
	"time"

	"github.com/jeton-auth/jeton/internal/secret"
)

// places returns the two buckets of a key.
func (s *shard) places(k key) (one, two int) {
	n := uint64(len(s.buckets))
	// The upper half of the product is a number below n, without a division.
	a, _ := bits.Mul64(k[0], n)
	b, _ := bits.Mul64(k[1], n-1)
	if b >= a && n > 1 {
		b++ // the other bucket must differ
	}

	return int(a), int(b)
}

// find returns the entry of a key, or nil.
func (s *shard) find(k key) *entry {
	if len(s.buckets) == 0 {
		return nil
	}

	one, two := s.places(k)
	e := s.buckets[one].find(k)
	if e != nil {
		return e
	}

	return s.buckets[two].find(k)
}

// find returns the entry of a session, or nil. A bucket is 8 entries in a row, so no index
// is needed.
func (b *bucket) find(k key) *entry {
	for i := range b {
		e := &b[i]
		if e.key == k && !e.empty() {
			return e
		}
	}

	return nil
}

// entries yields the entries that are not empty.
func (s *shard) entries() iter.Seq[*entry] {
	return func(yield func(*entry) bool) {
		for i := range s.buckets {
			for j := range s.buckets[i] {
				e := &s.buckets[i][j]
				if !e.empty() && !yield(e) {
					return
				}
			}
		}
	}
}

// wait makes a last use pending. It reports false if too many are pending, as when the store
// can be read but not written.
func (s *shard) wait(login int64, w waiting) bool {
	s.waitMu.Lock()
	defer s.waitMu.Unlock()

	had, ok := s.waiting[login]
	if !ok && len(s.waiting) >= 2*s.limit*len(bucket{}) {
		return false
	}
	if s.waiting == nil {
		s.waiting = map[int64]waiting{}
	}

	w.used = max(w.used, had.used)
	s.waiting[login] = w

	return true
}

// waits returns the pending last use of a login, or 0.
func (s *shard) waits(login int64) int64 {
	s.waitMu.Lock()
	defer s.waitMu.Unlock()
	return s.waiting[login].used
}

// settled removes a pending last use that is not later than used.
func (s *shard) settled(login, used int64) {
	s.waitMu.Lock()
	defer s.waitMu.Unlock()

	if w, ok := s.waiting[login]; ok && w.used <= used {
		delete(s.waiting, login)
	}
	if len(s.waiting) == 0 {
		s.waiting = nil // because a map never shrinks
	}
}

// rank is the value of an entry; the lowest is evicted first.
type rank int

const (
	worthless rank = iota // expired, or its owner was invalidated
	written
	unwritten // its last use is pending
)

// rank says how little is lost when an entry is evicted, the least first.
func (t *table) rank(e *entry, now int64) rank {
	c := t.classes.at(e.class()).value
	expired := now-e.created() >= c.lifetime.Milliseconds()
	idle := now-e.lastUsed() >= c.Idle.Milliseconds()

	switch {
	case expired, idle, !t.owners.alive(e.owner()):
		return worthless
	case e.waits():
		return unwritten
	}

	return written
}

// room returns an empty entry in a bucket of a key. The caller has locked the shard.
func (t *table) room(s *shard, k key, now int64) *entry {
	for {
		e := s.vacant(k)
		if e != nil {
			return e
		}

		e, r := t.least(s, k, now)
		// An entry that no request can use goes before the shard grows, a valid one only at its
		// limit.
		if e != nil && (r == worthless || len(s.buckets) == s.limit) {
			t.evict(s, e)
			return e
		}

		t.grow(s, now)
	}
}

// vacant returns an empty entry in the emptier of a key's two buckets, or nil. If both are
// full, it moves one of their entries to that entry's other bucket.
func (s *shard) vacant(k key) *entry {
	if len(s.buckets) == 0 {
		return nil
	}

	one, two := s.places(k)
	first, n := s.buckets[one].vacant()
	second, m := s.buckets[two].vacant()
	if m > n {
		return second
	}
	if first != nil {
		return first
	}

	for _, bucket := range [...]int{one, two} {
		e := s.moveOne(bucket)
		if e != nil {
			return e
		}
	}

	return nil
}

// moveOne moves an entry of a full bucket to its other bucket and returns its place, or nil.
func (s *shard) moveOne(bucket int) *entry {
	for i := range s.buckets[bucket] {
		e := &s.buckets[bucket][i]

		other, two := s.places(e.key)
		if other == bucket {
			other = two
		}

		to, _ := s.buckets[other].vacant()
		if to != nil {
			*to = *e
			*e = entry{}
			return e
		}
	}

	return nil
}

// vacant returns an empty entry, and how many there are.
func (b *bucket) vacant() (first *entry, n int) {
	for i := range b {
		e := &b[i]
		if !e.empty() {
			continue
		}
		if n == 0 {
			first = e
		}
		n++
	}

	return first, n
}

// least returns the entry of lowest rank in the buckets of a key; of equal rank, the least
// recently used.
func (t *table) least(s *shard, k key, now int64) (least *entry, lowest rank) {
	if len(s.buckets) == 0 {
		return nil, 0
	}

	one, two := s.places(k)
	for _, b := range [...]*bucket{&s.buckets[one], &s.buckets[two]} {
		for i := range b {
			e := &b[i]
			r := t.rank(e, now)
			if least == nil || r < lowest || r == lowest && e.lastUsed() < least.lastUsed() {
				least = e
				lowest = r
			}
		}
	}

	return least, lowest
}

// evict empties an entry. Its last use stays pending.
func (t *table) evict(s *shard, e *entry) {
	if e.waits() {
		s.outlive(e.login(), e.lastUsed())
	}
	t.release(s, e)
	*e = entry{}
}

// outlive updates a pending last use.
func (s *shard) outlive(login, used int64) {
	s.waitMu.Lock()
	defer s.waitMu.Unlock()

	if w, ok := s.waiting[login]; ok {
		w.used = max(w.used, used)
		s.waiting[login] = w
	}
}

// grow adds at least a quarter to a shard: with less, not all entries would find a place.
func (t *table) grow(s *shard, now int64) {
	old := s.buckets
	n := len(old)
	step := max(n/4, 4)
	if n+2*step > s.limit {
		step = s.limit - n
	}

	s.buckets = make([]bucket, n+step)

	// Column by column: neighbours one after the other would all go to the same buckets.
	for j := range len(bucket{}) {
		for i := range old {
			e := &old[i][j]
			if e.empty() {
				continue
			}

			to := s.vacant(e.key)
			if to == nil { // rare in a larger shard
				to, _ = t.least(s, e.key, now)
				t.evict(s, to)
			}

			*to = *e
		}
	}
}

// keepOdd keeps a session that does not fit an entry. If there are too many, it replaces one of
// a few: an expired or invalidated one, else the least recently used.
func (t *table) keepOdd(s *shard, o odd, now time.Time) {
	if s.odd == nil {
		s.odd = map[secret.Hash]odd{}
	}

	_, replaces := s.odd[o.hash]
	if !replaces && len(s.odd) >= s.oddMax {
		delete(s.odd, t.leastOdd(s, now).hash)
	}

	s.odd[o.hash] = o
}

// leastOdd returns the odd session to replace, of eight.
func (t *table) leastOdd(s *shard, now time.Time) odd {
	var least odd

	tried := 0
	for _, o := range s.odd {
		if !t.owners.known(o.User, o.since) || o.Check(now) != nil {
			return o
		}
		if least.Live == nil || o.lastUsed.Load() < least.lastUsed.Load() {
			least = o
		}

		// Maps are walked from a random place, so a few are a fair sample.
		tried++
		if tried == 8 {
			break
		}
	}

	return least
}
