package factor

import (
	"context"
	"fmt"
	"time"

	"github.com/jeton-auth/jeton"
)

const (
	// maxFailures is how many consecutive attempts may fail. NIST SP 800-63B-4 permits 100 (section 3.2.2).
	maxFailures = 100

	fastFailures = 5  // without a pause
	slowFailures = 20 // with slowPause; then longPause
	slowPause    = time.Minute
	longPause    = time.Hour
)

// Attempts is the wrong codes of a user in a row, over all factors, paths and nodes. Only a caller who has shown
// something else of the user gets as far, so that strangers cannot use them up.
type Attempts struct {
	Failed int
	Ready  time.Time // when the next attempt is allowed
}

// Take counts an attempt as failed, before it is judged: of concurrent ones none is free. It returns jeton.ErrTooMany,
// with the time to wait, if none is allowed now.
func (a Attempts) Take(now time.Time) (Attempts, error) {
	if a.Failed >= maxFailures {
		return a, jeton.WithDetail(
			jeton.ErrTooMany, "too many wrong codes; an administrator can reset the second factors of the user",
		)
	}

	// A longer pause than there can be: the clock was set back.
	wait := a.Ready.Sub(now)
	if wait > 0 && wait <= pause(a.Failed) {
		return a, jeton.WithRetryAfter(jeton.ErrTooMany, wait)
	}

	failed := a.Failed + 1

	return Attempts{Failed: failed, Ready: now.Add(pause(failed))}, nil
}

// pause returns the time between attempts after a number of failures.
func pause(failed int) time.Duration {
	switch {
	case failed < fastFailures:
		return 0
	case failed < slowFailures:
		return slowPause
	}

	return longPause
}

// attempt takes one attempt of a user with a code. A use of a factor gives all back. It returns jeton.ErrTooMany.
func (f *Factors) attempt(ctx context.Context, user int64) error {
	now := f.now()
	err := f.store.TakeAttempt(ctx, user, func(a Attempts) (Attempts, error) { return a.Take(now) })
	if err != nil {
		return fmt.Errorf("attempt with a factor: %w", err)
	}

	return nil
}

// wrong counts a wrong code against the budget of the account, which passwords have, too. It returns
// jeton.ErrBadCredential.
func (f *Factors) wrong(ctx context.Context, o Owner, what string) error {
	if err := f.failed(ctx, o.Name); err != nil {
		return err
	}

	return fmt.Errorf("%s: %w", what, jeton.ErrBadCredential)
}
