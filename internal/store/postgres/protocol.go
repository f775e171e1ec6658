package postgres

import (
	"time"
)

// stepState is what a node knows of a step of its own. A step that was committed is told once: by
// itself, or by a poll that finds it before its commit is answered.
type stepState int

const (
	stepPending   stepState = iota
	stepPublished           // a poll has seen it committed, and told of it
	stepUnknown             // nobody knows whether it is
)

// leaseValid reports whether less than a bound has passed since a time. The monotonic clock
// says so. The wall clock may only say no: of a machine that slept, it alone knows.
func leaseValid(since, now time.Time, bound time.Duration) bool {
	return within(now.Sub(since), now.Round(0).Sub(since.Round(0)), bound)
}

func within(passed, wall, bound time.Duration) bool {
	return passed < bound && wall < bound && wall > -bound
}
