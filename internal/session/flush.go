package session

import (
	"context"
	"time"

	"github.com/jeton-auth/jeton/internal/sweep"
)

const (
	// flushEvery is how often last uses are written. A crash loses at most that much and a step,
	// which makes a session idle earlier, never later.
	flushEvery = 10 * time.Second
	// sweepGrace is how long an expired session is kept, so that its secret is answered with
	// "expired" rather than "bad credential".
	sweepGrace = 24 * time.Hour
)

// Run writes last uses and deletes expired sessions until ctx ends.
func (s *Sessions) Run(ctx context.Context) error {
	sweep.FlushLoop(ctx, flushEvery, s.flush, s.sweep)
	return nil
}

// flush writes the pending last uses. What could not be written stays pending.
func (s *Sessions) flush(ctx context.Context) {
	const step = 100 // bounds how long other writes wait
	for list := s.table.unwritten(); len(list) > 0; {
		n := min(step, len(list))
		at := make(map[int64]time.Time, n)
		for i := range list[:n] {
			// The session may have been used again since the list was made.
			s.table.newest(&list[i])
			at[list[i].login] = time.UnixMilli(list[i].used)
		}

		if err := s.store.TouchSessions(ctx, at); err != nil {
			s.log.Warn("write last uses of sessions", "count", len(list), "error", err)
			return
		}

		// Only after the commit: until then a session that is read again takes its last use
		// from here.
		for _, w := range list[:n] {
			s.table.written(w)
		}

		list = list[n:]
	}
}

// sweep deletes sessions that expired more than sweepGrace ago. Another node may do the
// same at the same time.
func (s *Sessions) sweep(ctx context.Context) {
	err := sweep.Run(ctx, func(ctx context.Context, limit int) (int, error) {
		before, err := s.clock.Before(ctx, s.now(), sweepGrace)
		if err != nil {
			return 0, err
		}

		return s.store.SweepSessions(ctx, before, limit)
	})
	if err != nil {
		s.log.Warn("delete expired sessions", "error", err)
	}
}
