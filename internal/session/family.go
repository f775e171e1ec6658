package session

import (
	"context"
	"fmt"
	"math/bits"
	"time"

	"github.com/jeton-auth/jeton"
)

// lifetime returns how long a session of an owner lives that starts now: as long as its terms say, and
// no longer than its parent.
func (s *Sessions) lifetime(ctx context.Context, o Owner, now time.Time, terms time.Duration) (time.Duration, error) {
	if o.Parent == 0 {
		return terms, nil
	}

	list, err := s.store.ListSessions(ctx, Which{Login: o.Parent}, 1)
	if err != nil {
		return 0, fmt.Errorf("find sign-in session: %w", err)
	}
	if len(list) == 0 {
		return 0, fmt.Errorf("find sign-in session: %w", jeton.ErrBadCredential)
	}

	// As in judge: the stored last use is up to flushEvery old.
	parent := list[0]
	parent.LastUsed = parent.LastUsed.Add(flushEvery)
	if !s.open(&parent) {
		return 0, fmt.Errorf("sign-in session has expired: %w", jeton.ErrBadCredential)
	}

	// The store checks it again inside the transaction. When a session expires never changes.
	rest := parent.Expires.Sub(now)
	if rest < terms {
		return roundDown(rest), nil
	}

	return terms, nil
}

// roundDown shortens a lifetime by a 32nd at most. Without it, each child would have a lifetime of its
// own, and its terms a class of their own (see entry), of which the cache has 4096.
func roundDown(lifetime time.Duration) time.Duration {
	const precise = 6 // leading bits that stay

	ms := uint64(lifetime.Milliseconds())
	lost := max(bits.Len64(ms)-precise, 0)

	return time.Duration(ms>>lost<<lost) * time.Millisecond
}
