package session

import (
	"context"
	"fmt"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/policy"
)

// ends returns when a session of an owner expires that starts now: with its parent at the latest.
func (s *Sessions) ends(ctx context.Context, o Owner, now time.Time, lifetime time.Duration) (time.Time, error) {
	own := now.Add(lifetime)
	if o.Parent == 0 {
		return own, nil
	}

	list, err := s.store.ListSessions(ctx, Which{Login: o.Parent}, 1)
	if err != nil {
		return own, fmt.Errorf("find sign-in session: %w", err)
	}
	if len(list) == 0 {
		return own, fmt.Errorf("find sign-in session: %w", jeton.ErrBadCredential)
	}

	// As in judge: the stored last use is up to flushEvery old.
	parent := list[0]
	idle := policy.Idle(parent.LastUsed.Add(flushEvery), parent.Idle, now)
	if idle != nil || !now.Before(parent.Expires) {
		return own, fmt.Errorf("sign-in session has expired: %w", jeton.ErrBadCredential)
	}

	// The store checks it again inside the transaction. When a session expires never changes.
	if parent.Expires.Before(own) {
		return parent.Expires, nil
	}

	return own, nil
}
