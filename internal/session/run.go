package session

import (
	"context"
	"time"
)

const (
	// flushEvery bounds how much of a last use a crash can lose. Losing it makes a
	// session idle earlier, never later.
	flushEvery = 10 * time.Second
	sweepEvery = time.Minute
	// sweepStep bounds how long a sweep holds the writer. Between two steps it leaves it to
	// others for as long.
	sweepStep = 100
	// sweepGrace is how long an ended session stays, so that its owner is told that
	// it has expired and not that it was never there.
	sweepGrace = 24 * time.Hour
)

// Run writes down last uses and sweeps ended sessions away until ctx ends.
func (s *Sessions) Run(ctx context.Context) error {
	flush, sweep := time.NewTicker(flushEvery), time.NewTicker(sweepEvery)
	defer flush.Stop()
	defer sweep.Stop()
	for {
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
			defer cancel()
			s.flush(last)
			return nil
		case <-flush.C:
			s.flush(ctx)
		case <-sweep.C:
			s.sweep(ctx)
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
	for ctx.Err() == nil {
		began := time.Now()
		n, err := s.store.SweepSessions(ctx, s.now().Add(-sweepGrace), sweepStep)
		if err != nil {
			s.log.Warn("ended sessions were not swept away", "error", err)
			return
		}
		if n < sweepStep {
			return
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Since(began)):
		}
	}
}
