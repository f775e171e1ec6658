package sweep

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestRunTakesStepsUntilNothingIsLeft(t *testing.T) {
	down := errors.New("the store is down")
	for _, tc := range []struct {
		name  string
		left  int
		err   error
		steps int
	}{
		{"nothing", 0, nil, 1},
		{"less than a step", step - 1, nil, 1},
		{"a step", step, nil, 2},
		{"two steps and one", 2*step + 1, nil, 3},
		{"a store that is down", 9 * step, down, 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			steps := 0
			err := Run(t.Context(), func(_ context.Context, most int) (int, error) {
				steps++
				n := min(most, tc.left)
				tc.left -= n
				return n, tc.err
			})
			if steps != tc.steps || !errors.Is(err, tc.err) {
				t.Errorf("%d steps and %v, want %d and %v", steps, err, tc.steps, tc.err)
			}
		})
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		steps, first := 0, time.Now()

		err := Run(ctx, func(_ context.Context, most int) (int, error) {
			steps++
			time.Sleep(time.Second)
			cancel()
			return most, nil
		})
		if steps != 1 || err != nil || time.Since(first) != time.Second {
			t.Errorf(
				"%d steps in %v and %v after the context has ended, want one in a second and none",
				steps, time.Since(first), err,
			)
		}
	})
}

func TestLoopSweepsOnceInAnInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 3*Interval+time.Second)
		defer cancel()

		sweeps := 0
		Loop(ctx, Interval, func(context.Context) { sweeps++ })

		if sweeps != 3 {
			t.Errorf("%d sweeps in three intervals", sweeps)
		}
	})
}

func TestPausesShrinkAsASweepGoesOn(t *testing.T) {
	for _, tc := range []struct{ sweeping, want time.Duration }{
		{0, 9 * time.Millisecond},
		{Interval - 1, 9 * time.Millisecond},
		{2 * Interval, 3 * time.Millisecond},
		{8 * Interval, time.Millisecond},
		{24 * time.Hour, 6245 * time.Nanosecond},
	} {
		got := pause(tc.sweeping, time.Millisecond)
		if got != tc.want {
			t.Errorf("after %v a step of a millisecond is followed by %v, want %v", tc.sweeping, got, tc.want)
		}
	}
}
