package signin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/session"
)

// open starts the session of a user who was proved: it judges who may log in, whether a second factor
// is missing, and then the terms.
func (l *Logins) open(
	ctx context.Context,
	owner session.Owner,
	service string,
	t policy.Terms,
	allow *policy.Allow,
	trail *auditTrail,
) (session.Started, error) {
	if allow != nil {
		user := jeton.Principal{Kind: jeton.KindUser, Name: owner.Name, Groups: owner.Groups}
		if err := trail.check("allowed users", allow.String(), allow.CheckLogin(user)); err != nil {
			return session.Started{}, err
		}
	}

	if err := l.awaitFactor(ctx, owner, service, trail); err != nil {
		return session.Started{}, err
	}

	terms := describeTerms(t)
	lastStep := []jeton.Check{passed("terms", terms)}
	if owner.Replaces != 0 {
		replaces := fmt.Sprintf("login %d, whose session the request showed, ends", owner.Replaces)
		lastStep = append(lastStep, passed("replaces", replaces))
	}

	// One transaction judges the terms, ends the replaced session and writes the audit event: two
	// concurrent logins cannot both take the last permitted one.
	owner.Second = slices.Contains(strings.Fields(owner.Methods), ByMultiple)
	started, err := l.sessions.Start(ctx, owner, service, t, trail.event(l.now(), nil, lastStep...))
	if errors.Is(err, jeton.ErrFactor) {
		// Added since awaitFactor looked for one.
		waits := l.awaitFactor(ctx, owner, service, trail)
		return session.Started{}, cmp.Or(waits, trail.check("second factor", "", err))
	}
	if err != nil {
		return session.Started{}, trail.check("terms", terms, err)
	}
	l.WakeMails()

	return started, nil
}
