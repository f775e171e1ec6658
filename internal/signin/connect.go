package signin

import (
	"context"
	"errors"
	"fmt"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/account"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/factor"
	"github.com/jeton-auth/jeton/internal/session"
)

// Connect connects the account that a user has at another provider to the user of a session, who proved to be there
// when the sign-in began. It has the errors of Upstream, and returns jeton.ErrForbidden if one of the two is connected
// already.
func (l *Logins) Connect(ctx context.Context, live *session.Live, req UpstreamRequest) error {
	trail := req.trail(audit.IdentityAdd)
	trail.actor = "user:" + live.Name

	err := l.connect(ctx, live, req, &trail)
	if err != nil {
		l.audit.Record(trail.event(l.now(), err))
		return fmt.Errorf("connect: %w", err)
	}

	return nil
}

// connect does what Connect says. The store records the success.
func (l *Logins) connect(ctx context.Context, live *session.Live, req UpstreamRequest, trail *auditTrail) error {
	i, err := l.asserted(ctx, req, trail)
	if err != nil {
		return err
	}

	acct, err := l.accounts.Find(ctx, live.Name)
	if err := trail.check("user", "", err); err != nil {
		return err
	}

	// The user may have been disabled, or replaced by another of the name, while the provider asked.
	same := func(a account.Account, _ int) error {
		if a.Disabled || a.ID != live.User {
			return &denied{OtherUser}
		}
		return nil
	}

	err = l.accounts.Connect(ctx, trail.actor, acct, live.Login, l.identity(i), same)
	switch {
	case errors.Is(err, jeton.ErrConflict):
		return trail.deny("connected", "", AlreadyHasOne)
	case errors.Is(err, jeton.ErrBadCredential):
		// The user may have ended it, or changed the password, because an attacker has it.
		err = jeton.WithDetail(jeton.ErrExpired, "the session that asked for it has ended")
	}

	l.WakeMails()

	return trail.check("connected", "", err)
}

// ProveUpstream proves the user of a session again, by a fresh proof at another provider, and returns the session with
// its new secret. It has the errors of Upstream, and returns jeton.ErrForbidden if the identity is not one of the user.
// Of a user with a second factor it returns *AwaitsFactor: Factor then proves the session.
func (l *Logins) ProveUpstream(
	ctx context.Context,
	live *session.Live,
	req UpstreamRequest,
) (session.Started, error) {
	trail := req.trail(audit.SessionProve)
	trail.actor = "user:" + live.Name

	renewed, err := l.proveUpstream(ctx, live, req, &trail)
	if err != nil {
		l.audit.Record(trail.event(l.now(), err))
		return session.Started{}, fmt.Errorf("prove: %w", err)
	}

	return renewed, nil
}

// proveUpstream does what ProveUpstream says. The store records the success.
func (l *Logins) proveUpstream(
	ctx context.Context,
	live *session.Live,
	req UpstreamRequest,
	trail *auditTrail,
) (session.Started, error) {
	i, err := l.asserted(ctx, req, trail)
	if err != nil {
		return session.Started{}, err
	}

	acct, err := l.accounts.FindIdentity(ctx, i.Issuer, i.Subject)
	switch {
	case errors.Is(err, jeton.ErrNotFound), err == nil && (acct.ID != live.User || acct.Disabled):
		return session.Started{}, trail.deny("user", "", OtherUser)
	case err != nil:
		return session.Started{}, trail.check("store", "", err)
	}
	trail.pass("user", "")

	list, err := l.factors.List(ctx, acct.ID)
	if err != nil {
		return session.Started{}, trail.check("store", "", err)
	}
	if factor.Second(list) {
		return session.Started{}, l.awaits(ctx, acct.ID, awaiting{
			UUID:    acct.UUID,
			Version: acct.Version,
			Methods: UpstreamMethod(req.Rules.Name),
			Proves:  live.Login,
		}, trail)
	}

	return l.renew(ctx, live, UpstreamMethod(req.Rules.Name), trail)
}
