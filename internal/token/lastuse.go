package token

import (
	"context"
	"sync"
	"time"
)

const (
	// flushEvery is how often last uses are written. A crash loses at most that much.
	flushEvery = 10 * time.Second
	// maxPending bounds the memory of last uses while the store cannot be written.
	maxPending = 1 << 16
)

// lastUses holds the last uses of tokens that are not in the store yet, in milliseconds since 1970, by the number of
// the token. It is safe for concurrent use.
type lastUses struct {
	mu      sync.Mutex
	pending map[int64]int64
}

// add makes a last use pending. It reports false if too many are pending.
func (u *lastUses) add(number, ms int64) bool {
	u.mu.Lock()
	defer u.mu.Unlock()

	last, ok := u.pending[number]
	if !ok && len(u.pending) >= maxPending {
		return false
	}

	u.pending[number] = max(last, ms)

	return true
}

// of returns the pending last use of a token, or 0.
func (u *lastUses) of(number int64) int64 {
	u.mu.Lock()
	defer u.mu.Unlock()

	return u.pending[number]
}

// take returns at most limit pending last uses. They stay pending until they are written.
func (u *lastUses) take(limit int) map[int64]time.Time {
	u.mu.Lock()
	defer u.mu.Unlock()

	at := make(map[int64]time.Time, min(limit, len(u.pending)))
	for number, ms := range u.pending {
		if len(at) == limit {
			break
		}
		at[number] = time.UnixMilli(ms)
	}

	return at
}

// written removes last uses that are in the store. A later use of the same token stays pending.
func (u *lastUses) written(at map[int64]time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()

	for number, used := range at {
		if u.pending[number] <= used.UnixMilli() {
			delete(u.pending, number)
		}
	}
}

// Used notes that a request with the token was accepted. It is written within flushEvery. Of a busy token it notes one
// use a second, so that processors do not wait for one another. A signed token that is not stored has no last use.
func (l *Live) Used(now time.Time) {
	if l.Number == 0 {
		return
	}

	ms := now.UnixMilli()
	last := l.lastUsed.Load()
	if ms-last < 1000 || !l.lastUsed.CompareAndSwap(last, ms) {
		return
	}

	if !l.uses.add(l.Number, ms) {
		l.lastUsed.CompareAndSwap(ms, last) // the next use tries again
	}
}

// LastUsed returns when a request with the token was last accepted, or the zero time if none is known.
func (l *Live) LastUsed() time.Time {
	ms := l.lastUsed.Load()
	if ms == 0 {
		return time.Time{}
	}

	return time.UnixMilli(ms).UTC()
}

// latest returns the last use of a stored token, with what is still to be written.
func (t *Tokens) latest(r Record) time.Time {
	ms := t.uses.of(r.Number)
	if ms == 0 || !r.LastUsed.Before(time.UnixMilli(ms)) {
		return r.LastUsed
	}

	return time.UnixMilli(ms).UTC()
}

// flush writes the pending last uses. What could not be written stays pending.
func (t *Tokens) flush(ctx context.Context) {
	const step = 100 // bounds how long other writes wait
	for {
		at := t.uses.take(step)
		if len(at) == 0 {
			return
		}

		if err := t.store.TouchTokens(ctx, at); err != nil {
			t.log.Warn("write last uses of tokens", "count", len(at), "error", err)
			return
		}

		// Only after the commit: until then the token is listed with the use from here.
		t.uses.written(at)
	}
}
