package session

import (
	"context"
	"sync"
	"time"

	"github.com/jeton-auth/jeton/internal/sweep"
)

const (
	// flushEvery bounds how much of a last use a crash can lose. Losing it makes a
	// session idle earlier, never later.
	flushEvery = 10 * time.Second
	// sweepGrace is how long an ended session stays, so that its owner is told that
	// it has expired and not that it was never there.
	sweepGrace = 24 * time.Hour
)

// Run writes down last uses and sweeps ended sessions away until ctx ends.
func (s *Sessions) Run(ctx context.Context) error {
	var sweeping sync.WaitGroup
	defer sweeping.Wait()

	sweeping.Go(func() { sweep.Loop(ctx, sweep.Interval, s.sweep) }) // last uses do not wait for it
	tick := time.NewTicker(flushEvery)
	defer tick.Stop()

	for {
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
			defer cancel()
			s.flush(last)
			return nil
		case <-tick.C:
			s.flush(ctx)
		}
	}
}

// flush writes the last uses that wait. What could not be written goes on waiting.
func (s *Sessions) flush(ctx context.Context) {
	const step = 100 // bounds how long others wait for their turn
	for list := s.table.unwritten(); len(list) > 0; {
		n := min(step, len(list))
		at := make(map[int64]time.Time, n)
		for i := range list[:n] {
			s.table.newest(&list[i])
			at[list[i].login] = time.UnixMilli(list[i].used)
		}

		if err := s.store.TouchSessions(ctx, at); err != nil {
			s.log.Warn("last uses of sessions were not written", "count", len(list), "error", err)
			return
		}

		for _, w := range list[:n] {
			s.table.written(w)
		}

		list = list[n:]
	}
}

func (s *Sessions) sweep(ctx context.Context) {
	err := sweep.Run(ctx, func(ctx context.Context, most int) (int, error) {
		return s.store.SweepSessions(ctx, s.now().Add(-sweepGrace), most)
	})
	if err != nil {
		s.log.Warn("ended sessions were not swept away", "error", err)
	}
}
