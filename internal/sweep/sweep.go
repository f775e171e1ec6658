// Package sweep removes what is over from a store, a little at a time, so that who is served
// meanwhile hardly notices.
//
// It promises steps of a bounded size, and rests between them: long ones at first, shorter
// ones the longer there is something left, so that what ends faster than it is swept away
// does not pile up. What is over, and when to look, is for its callers to know.
package sweep

import (
	"context"
	"time"
)

const (
	// Interval is how often what ends by itself is swept away.
	Interval = time.Minute
	// step is how many rows a store removes at once. It has one writer, and others wait for it.
	step = 20
	// rest is how many times as long as a step took the store, and the processors, are left
	// to others, in the first minute of a sweep.
	rest = 9
)

// Loop sweeps once in an interval until ctx ends. A sweep may take minutes: callers who have
// other things to do at their time run it beside them.
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

// Run calls remove until it removes less than it may, fails, or ctx ends. It returns the
// error of remove.
func Run(ctx context.Context, remove func(ctx context.Context, most int) (int, error)) error {
	first := time.Now()
	for ctx.Err() == nil {
		began := time.Now()
		n, err := remove(ctx, step)
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

// pause is how long to rest after a step that took so long, in a sweep that began so long ago.
func pause(sweeping, took time.Duration) time.Duration {
	return took * rest / (1 + sweeping/Interval)
}
