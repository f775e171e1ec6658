package outbox

import (
	"context"
	"testing"
	"time"
)

// TestNothingIsClaimedOnceTheBoxIsNotReady removes what the work needs while some of it is claimed.
func TestNothingIsClaimedOnceTheBoxIsNotReady(t *testing.T) {
	claims := 0
	b := New(Config[int]{
		Next: func(context.Context) (time.Time, bool, error) { return time.Time{}, true, nil },
		Claim: func(context.Context, time.Time) ([]int, error) {
			claims++
			if claims > 1 {
				return nil, nil
			}

			return []int{1}, nil
		},
		Do:    func(context.Context, int) {},
		Ready: func() bool { return claims == 0 },
		Now:   time.Now,
	})

	_, err := b.doDue(t.Context())
	if claims != 1 || err != nil {
		t.Errorf("got %d claims, %v, want the one before", claims, err)
	}
}
