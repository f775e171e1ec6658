package outbox

import (
	"context"
	"testing"
	"time"

	"github.com/jeton-auth/jeton/internal/store/change"
)

// still is a feed without changes.
type still struct{}

func (still) Subscribe(func(change.Change)) {}

// TestNothingIsClaimedOnceTheBoxIsNotReady removes what the work needs while some of it is claimed.
func TestNothingIsClaimedOnceTheBoxIsNotReady(t *testing.T) {
	claims := 0
	b := New(Config[int]{
		Feed: still{},
		Next: func(context.Context) (time.Time, bool, error) { return time.Time{}, true, nil },
		Claim: func(context.Context, time.Time, int) ([]int, error) {
			claims++
			if claims > 1 {
				return nil, nil
			}

			return []int{1}, nil
		},
		Do:     func(context.Context, int) {},
		AtOnce: 8,
		Ready:  func() bool { return claims == 0 },
		Now:    time.Now,
	})

	_, err := b.begin(t.Context())
	if claims != 1 || err != nil {
		t.Errorf("got %d claims, %v, want the one before", claims, err)
	}
}

// TestWhatIsNotClaimedIsLookedAtAgain claims nothing of what is due.
func TestWhatIsNotClaimedIsLookedAtAgain(t *testing.T) {
	for _, tc := range []struct {
		name string
		busy int64
		want time.Duration
	}{
		{"another node has claimed it", 0, time.Second},
		{"work is in progress, whose end wakes the box", 1, poll},
	} {
		b := New(Config[int]{
			Feed:   still{},
			Next:   func(context.Context) (time.Time, bool, error) { return time.Time{}, true, nil },
			Claim:  func(context.Context, time.Time, int) ([]int, error) { return nil, nil },
			AtOnce: 8,
			Ready:  func() bool { return true },
			Now:    time.Now,
		})
		b.busy.Store(tc.busy)

		if wait, err := b.begin(t.Context()); wait != tc.want || err != nil {
			t.Errorf("%s: got a wait of %v, %v, want %v", tc.name, wait, err, tc.want)
		}
	}
}

// TestWorkThatTakesLongDelaysNoOther has two places, one of which a piece of work holds until all others are done.
func TestWorkThatTakesLongDelaysNoOther(t *testing.T) {
	const long, last = 1, 9
	left := []int{long, 2, 3, 4, 5, 6, 7, 8, last}
	done := make(chan struct{})

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	b := New(Config[int]{
		Feed: still{},
		Next: func(context.Context) (time.Time, bool, error) { return time.Time{}, len(left) > 0, nil },
		Claim: func(_ context.Context, _ time.Time, limit int) ([]int, error) {
			if limit > 2 {
				t.Errorf("claim of %d, want at most 2", limit)
			}
			n := min(limit, len(left))
			list := left[:n]
			left = left[n:]

			return list, nil
		},
		Do: func(_ context.Context, work int) {
			switch work {
			case long:
				<-done
				cancel()
			case last:
				close(done)
			}
		},
		AtOnce: 2,
		Ready:  func() bool { return true },
		Failed: func(err error) { t.Error(err) },
		Now:    time.Now,
	})

	if err := b.Run(ctx); err != nil || len(left) > 0 {
		t.Errorf("Run = %v with %v left, want all done", err, left)
	}
}
