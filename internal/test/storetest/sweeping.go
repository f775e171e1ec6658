package storetest

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/secret"
	"github.com/jeton-auth/jeton/internal/sweep"
	"github.com/jeton-auth/jeton/internal/token"
)

// Sweeping is the contract of sweep.Store.
func Sweeping(t *testing.T, open Open) {
	each(t, open, []test{
		{"a mark is kept to the millisecond", markIsKept},
		{"of many moves at once, none is lost", movesAreSerial},
		{"a used assertion outlives a clock that jumps and is set back", assertionOutlivesJump},
	})
}

func markIsKept(t *testing.T, s Store) {
	want := sweep.Mark{Time: noon, Seen: noon.Add(1234 * time.Millisecond)}

	first, err := s.MoveSweepMark(t.Context(), func(m sweep.Mark) sweep.Mark {
		if m != (sweep.Mark{}) {
			t.Errorf("the first mark = %v, want none", m)
		}
		return want
	})
	must(t, err)

	again, err := s.MoveSweepMark(t.Context(), func(m sweep.Mark) sweep.Mark { return m })
	must(t, err)

	for _, got := range []sweep.Mark{first, again} {
		if !got.Time.Equal(want.Time) || !got.Seen.Equal(want.Seen) {
			t.Errorf("mark = %v, want %v", got, want)
		}
	}
}

func movesAreSerial(t *testing.T, s Store) {
	move := func(m sweep.Mark) sweep.Mark {
		if m.Time.IsZero() {
			m = sweep.Mark{Time: noon, Seen: noon}
		}
		m.Time = m.Time.Add(time.Second)
		return m
	}

	const moves = 20
	var wg sync.WaitGroup
	for range moves {
		wg.Go(func() {
			if _, err := s.MoveSweepMark(t.Context(), move); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()

	got, err := s.MoveSweepMark(t.Context(), func(m sweep.Mark) sweep.Mark { return m })
	must(t, err)
	if want := noon.Add(moves * time.Second); !got.Time.Equal(want) {
		t.Errorf("mark after %d moves = %v, want %v", moves, got.Time, want)
	}
}

func assertionOutlivesJump(t *testing.T, s Store) {
	used := token.Once{Issuer: "ci", JTI: secret.HashOf("jti"), Expires: noon.Add(time.Minute)}
	must(t, s.UseOnce(t.Context(), used))

	clock := sweep.NewClock(s)
	sweepAt := func(now time.Time) {
		t.Helper()
		must(t, sweep.Run(t.Context(), func(ctx context.Context, limit int) (int, error) {
			before, err := clock.Before(ctx, now, time.Hour)
			if err != nil {
				return 0, err
			}
			return s.SweepTokens(ctx, before, limit)
		}))
	}

	sweepAt(noon)
	for i := range 5 {
		sweepAt(noon.Add(48*time.Hour + time.Duration(i)*time.Minute)) // the clock is two days ahead
	}

	if err := s.UseOnce(t.Context(), used); !errors.Is(err, jeton.ErrBadCredential) {
		t.Errorf("the assertion a second time, after the clock was set back: %v, want it refused", err)
	}
}
