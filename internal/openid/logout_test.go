package openid

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/jeton-auth/jeton/internal/store/change"
)

// endless is a store in which logouts of the clients 1 and 2 are always due, those of 1 first.
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
	if slices.Contains(skip, client) {
		client = 2
	}

	return slices.Repeat([]Logout{{ClientID: client}}, limit), nil
}

func (endless) DropLogout(context.Context, Logout) error { return nil }

// TestAClientThatDoesNotAnswerLeavesPlacesToOthers claims for clients of which the first does not answer.
func TestAClientThatDoesNotAnswerLeavesPlacesToOthers(t *testing.T) {
	s := NewSender(SenderConfig{Store: endless{}})

	for _, tc := range []struct {
		name   string
		ended  int64 // client whose request ends before; 0: none
		limit  int
		client int64
		want   int
	}{
		{"the first client gets some of the places", 0, logoutsAtOnce, 1, logoutsOfClient},
		{"the next places are for the second one", 0, logoutsAtOnce - logoutsOfClient, 2, logoutsOfClient},
		{"a request of the first one ends", 1, 3, 1, 3},
		{"it has too many again", 2, 3, 2, 3},
	} {
		if tc.ended != 0 {
			s.ended(tc.ended)
		}

		list, err := s.claim(t.Context(), time.Time{}, tc.limit)
		if len(list) != tc.want || err != nil || list[0].ClientID != tc.client {
			t.Errorf("%s: got %v, %v, want %d of client %d", tc.name, list, err, tc.want, tc.client)
		}
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
