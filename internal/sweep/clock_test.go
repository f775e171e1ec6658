package sweep_test

import (
	"context"
	"testing"
	"time"

	"github.com/jeton-auth/jeton/internal/sweep"
)

var noon = time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)

// kept is a store of one mark.
type kept struct{ mark sweep.Mark }

func (k *kept) MoveSweepMark(_ context.Context, move func(sweep.Mark) sweep.Mark) (sweep.Mark, error) {
	k.mark = move(k.mark)
	return k.mark, nil
}

func TestSweepsBelieveAJumpOfTheClockOnlyAsTimePasses(t *testing.T) {
	const (
		day   = 24 * time.Hour
		slack = 20 * time.Minute
	)

	type step struct {
		passes time.Duration // of real time, with a sweep each minute
		ahead  time.Duration // of the clock, from then on
	}

	for _, tc := range []struct {
		name     string
		steps    []step
		earliest time.Duration // what a sweep deletes expired before, from noon
		latest   time.Duration
	}{
		{"a clock that is right", []step{{3 * day, 0}}, 3*day - slack, 3 * day},
		{"a jump by two days, at once", []step{{time.Hour, 0}, {0, 2 * day}}, time.Hour - slack, time.Hour + slack},
		{"a day after the jump", []step{{0, 2 * day}, {day, 2 * day}}, day, 2*day + slack},
		{"two days after the jump", []step{{0, 2 * day}, {2 * day, 2 * day}}, 4*day - 2*slack, 4 * day},
		{"set back after an hour", []step{{time.Hour, 2 * day}, {0, 0}}, 0, time.Hour},
		{"an hour after that", []step{{time.Hour, 2 * day}, {time.Hour, 0}}, time.Hour, 2 * time.Hour},
		{"a clock that is a day behind", []step{{day, -day}}, -day, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			// Three nodes share the mark, and the clocks of all jump.
			store := &kept{}
			clocks := []*sweep.Clock{sweep.NewClock(store), sweep.NewClock(store), sweep.NewClock(store)}

			var got time.Time
			real := noon
			ask := func(ahead time.Duration) {
				for _, c := range clocks {
					var err error
					got, err = c.Before(t.Context(), real.Add(ahead), 0)
					if err != nil {
						t.Fatal(err)
					}
				}
			}

			ask(0)

			for _, s := range tc.steps {
				for end := real.Add(s.passes); real.Before(end); {
					real = real.Add(time.Minute)
					ask(s.ahead)
				}
				ask(s.ahead)
			}

			if at := got.Sub(noon); at < tc.earliest || at > tc.latest {
				t.Errorf("sweeps delete what expired before noon+%v, want %v to %v", at, tc.earliest, tc.latest)
			}
		})
	}
}
