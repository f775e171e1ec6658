package openid

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/jeton-auth/jeton/internal/store/change"
)

// endless is a store in which logouts of all clients are always due, those of client 1 first, then those of 2.
type endless struct{}

func (endless) Subscribe(func(change.Change)) {}

func (endless) NextLogout(context.Context) (at time.Time, waiting bool, err error) {
	return time.Time{}, true, nil
}

func (endless) ClaimLogouts(
	_ context.Context,
	_ time.Time,
	limit int,
	skip []int64,
	_ func(tries int) time.Duration,
) ([]Logout, error) {
	client := int64(1)
	for slices.Contains(skip, client) {
		client++
	}

	return slices.Repeat([]Logout{{ClientID: client}}, limit), nil
}

func (endless) DropLogout(context.Context, Logout) error { return nil }

// TestClientsThatDoNotAnswerLeavePlacesToOthers claims for clients of which none answers, until no place is free.
func TestClientsThatDoNotAnswerLeavePlacesToOthers(t *testing.T) {
	s := NewSender(SenderConfig{Store: endless{}})

	for free := logoutsAtOnce; free > 0; {
		list, err := s.claim(t.Context(), time.Time{}, free)
		if len(list) == 0 || len(list) > free || err != nil {
			t.Fatalf("with %d places: got %d logouts, %v, want some", free, len(list), err)
		}
		free -= len(list)
	}

	if len(s.busy) < 20 || s.busy[1] != logoutsAtOnce/logoutShare {
		t.Errorf("got requests in progress %v, by client, want an eighth to the first and some to 20", s.busy)
	}

	for range s.busy[1] {
		s.ended(1)
	}
	list, err := s.claim(t.Context(), time.Time{}, logoutsAtOnce/logoutShare)
	if len(list) != 1 || err != nil || list[0].ClientID != 1 {
		t.Errorf("when the first has answered: got %v, %v, want one more of it", list, err)
	}
}

// broken is a store that claims logouts of client 1 and does not commit that.
type broken struct{ endless }

var errNotCommitted = errors.New("not committed")

func (b broken) ClaimLogouts(
	ctx context.Context,
	now time.Time,
	limit int,
	skip []int64,
	again func(tries int) time.Duration,
) ([]Logout, error) {
	list, _ := b.endless.ClaimLogouts(ctx, now, limit, skip, again)
	return list, errNotCommitted
}

func TestAClaimThatFailsHoldsNoPlaceOfAClient(t *testing.T) {
	s := NewSender(SenderConfig{Store: broken{}})

	list, err := s.claim(t.Context(), time.Time{}, logoutsAtOnce)
	if len(list) != 0 || !errors.Is(err, errNotCommitted) {
		t.Errorf("got %d logouts, %v, want none and the error of the store", len(list), err)
	}
	if len(s.busy) != 0 {
		t.Errorf("got requests in progress %v, want none", s.busy)
	}
}
