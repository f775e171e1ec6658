package session

import (
	"iter"
	"math/bits"
	"time"

	"github.com/jeton-auth/jeton/internal/secret"
)

// places returns the two buckets where an entry may stand.
func (s *shard) places(k key) (one, two int) {
	n := uint64(len(s.buckets))
	a, _ := bits.Mul64(k[0], n)
	b, _ := bits.Mul64(k[1], n-1)
	if b >= a && n > 1 {
		b++ // another bucket
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

func (b *bucket) find(k key) *entry {
	for i := range b {
		e := &b[i]
		if e.key == k && !e.empty() {
			return e
		}
	}

	return nil
}

// entries yields those that are not empty.
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

// wait keeps a last use until it is written down. It reports false when too many wait: while
// the store reads and does not write, sessions that come and go may lose theirs.
func (s *shard) wait(login int64, w waiting) bool {
	s.waitMu.Lock()
	defer s.waitMu.Unlock()

	had, ok := s.waiting[login]
	if !ok && len(s.waiting) >= 2*s.most*len(bucket{}) {
		return false
	}
	if s.waiting == nil {
		s.waiting = map[int64]waiting{}
	}

	w.used = max(w.used, had.used)
	s.waiting[login] = w

	return true
}

// waits returns the last use of a login that waits, or 0.
func (s *shard) waits(login int64) int64 {
	s.waitMu.Lock()
	defer s.waitMu.Unlock()
	return s.waiting[login].used
}

// settled ends the waiting of a last use that is no later than used.
func (s *shard) settled(login, used int64) {
	s.waitMu.Lock()
	defer s.waitMu.Unlock()

	if w, ok := s.waiting[login]; ok && w.used <= used {
		delete(s.waiting, login)
	}
	if len(s.waiting) == 0 {
		s.waiting = nil // a map never shrinks
	}
}

// rank says how much an entry is worth.
type rank int

const (
	worthless rank = iota // its owner was forgotten, or it has ended by time
	written
	unwritten // its last use waits to be written down
)

func (t *table) rank(e *entry, now int64) rank {
	c, used := t.classes.at(e.class()).value, e.lastUsed()
	switch {
	case !t.owners.alive(e.owner()), now-e.created() >= c.lifetime.Milliseconds(), now-used >= c.Idle.Milliseconds():
		return worthless
	case e.waits():
		return unwritten
	}

	return written
}

// room returns an empty entry where one with that key may stand. The shard is locked.
func (t *table) room(s *shard, k key, now int64) *entry {
	for {
		if e := s.vacant(k); e != nil {
			return e
		}

		if e, r := t.least(s, k, now); e != nil && (r == worthless || len(s.buckets) == s.most) {
			t.evict(s, e)
			return e
		}

		t.grow(s, now)
	}
}

// vacant returns an empty entry, in the emptier of its two buckets, or nil. Where both are
// full it lets one of their entries change over to its other bucket.
func (s *shard) vacant(k key) *entry {
	if len(s.buckets) == 0 {
		return nil
	}

	one, two := s.places(k)
	e, n := s.buckets[one].vacant()
	f, m := s.buckets[two].vacant()
	if m > n {
		return f
	}

	if e != nil {
		return e
	}

	for _, here := range [...]int{one, two} {
		for i := range s.buckets[here] {
			e := &s.buckets[here][i]
			a, b := s.places(e.key)
			to, _ := s.buckets[a+b-here].vacant()
			if to != nil {
				*to, *e = *e, entry{}
				return e
			}
		}
	}

	return nil
}

// vacant returns an empty entry, and how many there are.
func (b *bucket) vacant() (first *entry, n int) {
	for i := range b {
		e := &b[i]
		if e.empty() {
			if n++; n == 1 {
				first = e
			}
		}
	}

	return first, n
}

// least returns the entry that is worth least of those where one with that key may stand;
// of equals the one that was used longest ago.
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
				least, lowest = e, r
			}
		}
	}

	return least, lowest
}

// evict makes an entry empty that is not. Its last use goes on waiting.
func (t *table) evict(s *shard, e *entry) {
	if e.waits() {
		s.outlive(e.login(), e.lastUsed())
	}
	t.release(s, e)
	*e = entry{}
}

// outlive brings a last use that waits up to date.
func (s *shard) outlive(login, used int64) {
	s.waitMu.Lock()
	defer s.waitMu.Unlock()

	if w, ok := s.waiting[login]; ok {
		w.used = max(w.used, used)
		s.waiting[login] = w
	}
}

// grow gives a shard at least a quarter more room: with less, not all would find their
// place in it.
func (t *table) grow(s *shard, now int64) {
	old, n := s.buckets, len(s.buckets)
	step := max(n/4, 4)
	if n+2*step > s.most {
		step = s.most - n
	}

	s.buckets = make([]bucket, n+step)

	// Neighbours one after the other would all find the same buckets.
	for j := range len(bucket{}) {
		for i := range old {
			e := &old[i][j]
			if e.empty() {
				continue
			}

			to := s.vacant(e.key)
			if to == nil { // hardly ever, in a larger shard
				to, _ = t.least(s, e.key, now)
				t.evict(s, to)
			}

			*to = *e
		}
	}
}

// keepOdd keeps a session that does not fit an entry. Where there are too many it takes the
// place of one of a few: the one that was used longest ago, if none of them is worthless.
func (t *table) keepOdd(s *shard, o odd, now time.Time) {
	if s.odd == nil {
		s.odd = map[secret.Hash]odd{}
	}

	if _, ok := s.odd[o.hash]; !ok && len(s.odd) >= s.mostOdd {
		var least odd

		tried := 0
		for _, p := range s.odd {
			if least.Live == nil || p.lastUsed.Load() < least.lastUsed.Load() {
				least = p
			}

			if !t.owners.known(p.User, p.since) || p.Check(now) != nil {
				least = p
				break
			}

			if tried++; tried == 8 {
				break
			}
		}

		delete(s.odd, least.hash)
	}

	s.odd[o.hash] = o
}
