package session

import (
	"encoding/binary"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"jeton/internal/policy"
)

// Live is a session in memory. Everything but the last use and what is known to be
// spent never changes; when the session does, another Live takes its place.
type Live struct {
	Record
	lastUsed atomic.Int64 // unix milliseconds
	noted    atomic.Bool  // waits to be written down

	mu    sync.Mutex
	spent []known // what this login is known to have used
}

// known is a number of uses that a login has certainly used of a budget: it only grows.
type known struct{ budget, used int64 }

func newLive(r Record) *Live {
	l := &Live{Record: r}
	l.lastUsed.Store(r.LastUsed.UnixMilli())
	return l
}

// LastUsed returns when the session last let a request through.
func (l *Live) LastUsed() time.Time { return time.UnixMilli(l.lastUsed.Load()) }

// touch moves the last use forward, in steps of a second so that a busy session does
// not keep the processors passing one cache line around. It reports whether the
// session has to be noted for writing.
func (l *Live) touch(now time.Time) bool {
	ms := now.UnixMilli()
	if ms-l.lastUsed.Load() < 1000 {
		return false
	}
	l.lastUsed.Store(ms)
	return !l.noted.Load() && l.noted.CompareAndSwap(false, true)
}

// flushed returns the last use to be written and lets the session be noted again.
func (l *Live) flushed() time.Time {
	l.noted.Store(false)
	return l.LastUsed()
}

// knownSpent reports whether one of the budgets is known to have nothing left, so
// that a flood of refused requests asks the store nothing. Uses only grow, so what
// is known never becomes wrong; a raised limit is compared anew.
func (l *Live) knownSpent(budgets []policy.Budget) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, k := range l.spent {
		for _, b := range budgets {
			if k.budget == b.ID && k.used >= b.Max {
				return true
			}
		}
	}
	return false
}

func (l *Live) learnSpent(budgets []policy.Budget, left []int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, b := range budgets {
		if k := (known{b.ID, b.Max}); i < len(left) && left[i] <= 0 && !slices.Contains(l.spent, k) {
			l.spent = append(l.spent, k)
		}
	}
}

// cache keeps live sessions by hash. A session that is dropped while another
// goroutine is reading it from the store is not put back by that reader: add
// refuses what was read before the last drop.
type cache struct {
	shards [64]shard
	limit  int // entries a shard

	notedMu sync.Mutex
	noted   []*Live
}

type shard struct {
	mu         sync.RWMutex
	live       map[Hash]*Live
	generation uint64 // counts drops
	_          [24]byte
}

func newCache(entries int) *cache {
	c := &cache{}
	c.limit = max(entries/len(c.shards), 1)
	for i := range c.shards {
		c.shards[i].live = map[Hash]*Live{}
	}
	return c
}

func (c *cache) shard(h Hash) *shard {
	return &c.shards[binary.LittleEndian.Uint16(h[30:])%uint16(len(c.shards))]
}

func (c *cache) get(h Hash) *Live {
	s := c.shard(h)
	s.mu.RLock()
	l := s.live[h]
	s.mu.RUnlock()
	return l
}

func (c *cache) generation(h Hash) uint64 {
	s := c.shard(h)
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.generation
}

// add keeps l unless something was dropped since generation was read, and returns
// the one that is kept where two goroutines read the same session.
func (c *cache) add(h Hash, l *Live, generation uint64) *Live {
	s := c.shard(h)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.generation != generation {
		return l
	}
	if first, ok := s.live[h]; ok {
		return first
	}
	if len(s.live) >= c.limit {
		s.makeRoom()
	}
	s.live[h] = l
	return l
}

// makeRoom forgets an arbitrary session whose last use need not be written down first.
func (s *shard) makeRoom() {
	tried := 0
	for h, l := range s.live {
		if tried++; !l.noted.Load() || tried == min(8, len(s.live)) {
			delete(s.live, h)
			return
		}
	}
}

func (c *cache) drop(hashes ...Hash) {
	for _, h := range hashes {
		s := c.shard(h)
		s.mu.Lock()
		s.generation++
		delete(s.live, h)
		s.mu.Unlock()
	}
}

func (c *cache) dropUser(user int64) {
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		s.generation++
		for h, l := range s.live {
			if l.User == user {
				delete(s.live, h)
			}
		}
		s.mu.Unlock()
	}
}

func (c *cache) note(l *Live) {
	c.notedMu.Lock()
	c.noted = append(c.noted, l)
	c.notedMu.Unlock()
}

func (c *cache) takeNoted() []*Live {
	c.notedMu.Lock()
	defer c.notedMu.Unlock()
	noted := c.noted
	c.noted = nil
	return noted
}

// noteAgain keeps, for the next flush, last uses that could not be written: those that
// were tried, and the rest, whose turn did not come.
func (c *cache) noteAgain(tried, rest []*Live) {
	for _, l := range tried {
		if l.noted.CompareAndSwap(false, true) {
			c.note(l)
		}
	}
	c.notedMu.Lock()
	c.noted = append(c.noted, rest...)
	c.notedMu.Unlock()
}
