package sweep

import (
	"context"
	"fmt"
	"time"
)

// Mark is what the nodes of a store keep of the clock by which they sweep.
type Mark struct {
	Time time.Time // sweeps take it to be no later than this
	Seen time.Time // when a node last moved Time, by its own clock
}

// markInterval is how often a mark moves.
const markInterval = 10 * time.Minute

// pace is how many times as fast as the clock a mark moves at most.
const pace = 2

// Advance returns the mark that follows m when a clock shows now. It moves every ten minutes, and
// then by twenty at most: twice as fast as time passes.
//
// So a clock that jumps ahead by two days is believed only two days later, and what an expired
// token or a used assertion was kept for is still there when the clock is set back before. After
// a server was stopped for a week, its sweeps catch up within a week. The mark never moves back:
// sweeps go by the clock while that is behind.
func (m Mark) Advance(now time.Time) Mark {
	if m.Time.IsZero() {
		return Mark{Time: now, Seen: now}
	}

	// Negative if the clock of the node that moved it was ahead, and was set back.
	passed := now.Sub(m.Seen)
	if passed >= 0 && passed < markInterval || !now.After(m.Time) {
		return m
	}

	next := m.Time.Add(pace * markInterval)
	if next.After(now) {
		next = now
	}

	return Mark{Time: next, Seen: now}
}

// Store keeps the mark.
type Store interface {
	// MoveSweepMark replaces the mark by what move returns, in one atomic step, and returns
	// that. move may be called again after a rollback.
	MoveSweepMark(ctx context.Context, move func(Mark) Mark) (Mark, error)
}

// Clock is what the sweeps of a store go by, also after the clock of a node has jumped. It is
// safe for concurrent use.
type Clock struct{ store Store }

// NewClock returns the clock of the sweeps of a store.
func NewClock(s Store) *Clock { return &Clock{s} }

// Before returns the time before which a row must have expired that a sweep deletes now: age
// before the clock, or before the mark if that is earlier. A nil Clock goes by the clock alone.
func (c *Clock) Before(ctx context.Context, now time.Time, age time.Duration) (time.Time, error) {
	if c == nil {
		return now.Add(-age), nil
	}

	mark, err := c.store.MoveSweepMark(ctx, func(m Mark) Mark { return m.Advance(now) })
	if err != nil {
		return time.Time{}, fmt.Errorf("read the clock of sweeps: %w", err)
	}

	if mark.Time.Before(now) {
		now = mark.Time
	}

	return now.Add(-age), nil
}
