package session

import (
	"sync"
	"sync/atomic"
	"time"

	"jeton/internal/cache"
	"jeton/internal/count"
)

// Live is a session in memory. Everything but the last use and what is known to be
// spent never changes; when the session does, another Live takes its place.
type Live struct {
	Record
	count.Holder              // of the login
	lastUsed     atomic.Int64 // unix milliseconds
	noted        atomic.Bool  // waits to be written down
}

func newLive(r Record) *Live {
	l := &Live{Record: r}
	l.Number = r.Login
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

// seen moves the last use forward to one that is written down already.
func (l *Live) seen(at time.Time) {
	for ms := at.UnixMilli(); ; {
		known := l.lastUsed.Load()
		if known >= ms || l.lastUsed.CompareAndSwap(known, ms) {
			return
		}
	}
}

// flushed returns the last use to be written and lets the session be noted again.
func (l *Live) flushed() time.Time {
	l.noted.Store(false)
	return l.LastUsed()
}

// lives keeps sessions by hash, and notes whose last use waits to be written down.
type lives struct {
	*cache.Cache[Live]
	notedMu sync.Mutex
	noted   []*Live
}

func newLives(entries int) *lives {
	// A session whose last use has not been written yet had better stay until it is.
	return &lives{Cache: cache.New(entries, func(l *Live) bool { return l.noted.Load() })}
}

// drop forgets sessions that have ended.
func (c *lives) drop(hashes ...Hash) {
	for _, h := range hashes {
		c.Drop(cache.Key(h))
	}
}

func (c *lives) note(l *Live) {
	c.notedMu.Lock()
	c.noted = append(c.noted, l)
	c.notedMu.Unlock()
}

func (c *lives) takeNoted() []*Live {
	c.notedMu.Lock()
	defer c.notedMu.Unlock()
	noted := c.noted
	c.noted = nil
	return noted
}

// noteAgain keeps, for the next flush, last uses that could not be written: those that
// were tried, and the rest, whose turn did not come.
func (c *lives) noteAgain(tried, rest []*Live) {
	for _, l := range tried {
		if l.noted.CompareAndSwap(false, true) {
			c.note(l)
		}
	}
	c.notedMu.Lock()
	c.noted = append(c.noted, rest...)
	c.notedMu.Unlock()
}
