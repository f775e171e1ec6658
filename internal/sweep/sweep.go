// Package sweep deletes expired rows in small batches, so that requests are not delayed.
//
// It promises batches of a bounded size and pauses between them. The pauses get shorter the
// longer a sweep lasts, so that rows which expire faster than they are deleted do not pile
// up. Which rows are expired, and when to look, is for packages session, token and audit.
package sweep

import (
	"context"
	"time"
)

const (
	// Interval is how often expired rows are deleted.
	Interval = time.Minute
	// step is the size of a batch. Other writes wait while a store deletes one.
	step = 20
	// rest is how many times as long as a batch took the pause after it is, in the first
	// minute of a sweep.
	rest = 9
)

// Loop sweeps once in an interval until ctx ends. A sweep may take minutes: callers with other
// periodic work run Loop in a goroutine of its own.
func Loop(ctx context.Context, interval time.Duration, sweep func(ctx context.Context)) {
	tick := time.NewTicker(interval)
	defer tick.Stop()

	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			sweep(ctx)
		}
	}
}

// Run calls remove until it deletes fewer rows than limit, fails, or ctx ends. It returns the
// error of remove.
func Run(ctx context.Context, remove func(ctx context.Context, limit int) (int, error)) error {
	first := time.Now()
	for ctx.Err() == nil {
		began := time.Now()
		n, err := remove(ctx, step)
		// Fewer than a batch: nothing expired is left.
		if err != nil || n < step {
			return err
		}

		select {
		case <-ctx.Done():
		case <-time.After(pause(began.Sub(first), time.Since(began))):
		}
	}

	return nil
}

// pause returns how long to rest after a batch that took that long.
func pause(sweeping, took time.Duration) time.Duration {
	// Nine tenths of the time are for other writes at first. After a minute it is a half of
	// that pause, then a third.
	return took * rest / (1 + sweeping/Interval)
}
