package signin

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/account"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/limit"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/session"
)

// PasswordRequest is a user's attempt to sign in at a service.
type PasswordRequest struct {
	Name     string // as it was typed
	ByEmail  bool   // Name is an e-mail address
	Password jeton.Secret
	Service  string // whose session starts, for the audit log
	Terms    policy.Terms
	Allow    *policy.Allow // nil: every user
	Require  policy.Require
	Source   netip.Addr
	Request  string // ID of the request
	Device   session.Device
	Replaces int64 // login that ends as this one begins, or 0
	NoPage   bool  // nothing can ask the caller for a second factor

	// Confirms means that a session of the user sends the password, which showed a short time ago what the user has to
	// show.
	Confirms bool
	Code     string // of an authenticator app, for Prove and Basic
	// Proved means that the caller has shown another credential of the user, so that Basic is no login of its own.
	Proved bool

	remember bool // a password that was right a short time ago, at the same network, is not hashed again
}

// byPassword is the method of a password (RFC 8176, section 2).
const byPassword = "pwd"

// auditTrail returns a trail without an actor: the name is not known to exist yet.
func (r PasswordRequest) auditTrail() auditTrail {
	return auditTrail{
		action:  audit.Login,
		service: r.Service,
		source:  r.Source,
		request: r.Request,
	}
}

// Password starts a session for a name and a password. It returns jeton.ErrNoCredential
// when either is missing, jeton.ErrBadCredential, jeton.ErrTooMany, jeton.ErrBusy,
// jeton.ErrForbidden, jeton.ErrRelogin or jeton.ErrSessionsFull. Of a user with a second factor it returns
// *AwaitsFactor at the pages of the issuer, and jeton.ErrFactor elsewhere.
func (l *Logins) Password(
	ctx context.Context,
	req PasswordRequest,
) (started session.Started, user jeton.Principal, err error) {
	trail := req.auditTrail()
	v, err := l.verify(ctx, req, &trail)
	if err == nil && v.Second && req.NoPage {
		err = trail.check("second factor", "", errNoPassword)
	}
	if err == nil && req.Require.Factors > 1 {
		err = trail.check("second factor", "", errTwoFactors)
	}
	if err == nil {
		started, err = l.start(ctx, req, v.Account, &trail)
	}

	if err != nil {
		l.audit.Record(trail.event(l.now(), err))
		return session.Started{}, jeton.Principal{}, fmt.Errorf("log in: %w", err)
	}

	user = principal(v.Account, started.At)
	user.Session = started.ID

	return started, user, nil
}

// principal returns a user as a principal, proved at a time.
func principal(acct account.Account, since time.Time) jeton.Principal {
	return jeton.Principal{
		Kind:   jeton.KindUser,
		Name:   acct.Name,
		Groups: acct.Groups,
		Since:  since,
	}
}

// start starts the session of a user whose password was right.
func (l *Logins) start(
	ctx context.Context,
	req PasswordRequest,
	acct account.Account,
	trail *auditTrail,
) (session.Started, error) {
	owner := session.Owner{
		ID:       acct.ID,
		Name:     acct.Name,
		Groups:   acct.Groups,
		Version:  acct.Version,
		Network:  limit.Network(req.Source),
		Replaces: req.Replaces,
		Methods:  byPassword,
		Proved:   l.now(),
		Device:   req.Device,
	}

	// After the password, so that a stranger does not learn who may log in here.
	return l.open(ctx, owner, req.Service, req.Terms, req.Allow, trail)
}

// describeTerms describes the terms of a login in the audit log.
func describeTerms(t policy.Terms) string {
	s := fmt.Sprintf("lifetime %v, idle %v", t.Lifetime, t.Idle)
	if t.MaxSessions != policy.Unlimited {
		s += fmt.Sprintf(", at most %d sessions (%s)", t.MaxSessions, t.WhenFull)
	}

	if t.Relogin.Max != policy.Unlimited {
		window := "until an operator allows more"
		if t.Relogin.Window > 0 {
			window = "in " + t.Relogin.Window.String()
		}
		s += fmt.Sprintf(", %d logins %s", t.Relogin.Max, window)
	}

	if t.Relogin.Cooldown > 0 {
		s += fmt.Sprintf(", %v between logins", t.Relogin.Cooldown)
	}

	return s
}
