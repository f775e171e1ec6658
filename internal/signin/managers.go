package signin

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/account"
	"github.com/jeton-auth/jeton/internal/policy"
)

// ManagerStore keeps when a server with the rule for managers first started: no grace period begins earlier.
type ManagerStore interface {
	// ManagersSince returns the stored time, and stores now if there is none. Of callers at once, on any node, all get
	// the same time.
	ManagersSince(ctx context.Context, now time.Time) (time.Time, error)
}

// Managers are the users who manage others at a service, or at the issuer. Two factors are required of each of them
// after a grace period, in which they add the second one. It is safe for concurrent use.
type Managers struct {
	Groups   []string      // whose members they are
	Grace    time.Duration // after Since, and after the user was added
	Since    time.Time     // see ManagerStore
	Accounts *account.Accounts
}

// Has reports whether a user manages others. A nil m has no managers.
func (m *Managers) Has(p jeton.Principal) bool {
	if m == nil || p.Kind != jeton.KindUser {
		return false
	}

	who := policy.Allow{Groups: m.Groups}

	return who.Check(p) == nil
}

// Require adds to a rule what is required of a user now who manages others. It returns the time from which that is two
// factors, or zero for a user who manages no one. A user added before Since who becomes a manager later has no grace
// period; the account pages remain open.
func (m *Managers) Require(
	ctx context.Context,
	p jeton.Principal,
	rule policy.Require,
	now time.Time,
) (required policy.Require, from time.Time, err error) {
	if !m.Has(p) {
		return rule, time.Time{}, nil
	}

	acct, err := m.Accounts.Find(ctx, p.Name)
	if errors.Is(err, jeton.ErrNotFound) {
		err = jeton.ErrBadCredential // deleted a moment ago
	}
	if err != nil {
		return rule, time.Time{}, fmt.Errorf("find a manager: %w", err)
	}

	from = m.Since
	if acct.Created.After(from) {
		from = acct.Created
	}
	from = from.Add(m.Grace)

	if !now.Before(from) {
		rule.Factors = max(rule.Factors, 2)
	}

	return rule, from, nil
}
