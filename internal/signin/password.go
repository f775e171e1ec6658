package signin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/account"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/limit"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/session"
	"github.com/jeton-auth/jeton/internal/web"
)

// knownFor is how long a network counts as known to a user after a login from it.
const knownFor = 90 * 24 * time.Hour

// PasswordRequest is a user's attempt to sign in at a service.
type PasswordRequest struct {
	Name     string // as it was typed
	ByEmail  bool   // Name is an e-mail address
	Password jeton.Secret
	Service  string // whose session starts, for the audit log
	Terms    policy.Terms
	Allow    *policy.Allow // nil: every user
	Source   netip.Addr
	Request  string // ID of the request
	Replaces int64  // login that ends as this one begins, or 0
}

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
// jeton.ErrForbidden, jeton.ErrRelogin or jeton.ErrSessionsFull.
func (l *Logins) Password(
	ctx context.Context,
	req PasswordRequest,
) (started session.Started, user jeton.Principal, err error) {
	trail := req.auditTrail()
	acct, err := l.checkPassword(ctx, req, &trail)
	if err == nil {
		started, err = l.start(ctx, req, acct, &trail)
	}

	if err != nil {
		l.audit.Record(trail.event(l.now(), err))
		return session.Started{}, jeton.Principal{}, fmt.Errorf("log in: %w", err)
	}

	user = principal(acct, started.At)
	user.Session = started.ID

	return started, user, nil
}

func principal(acct account.Account, since time.Time) jeton.Principal {
	return jeton.Principal{
		Kind:   jeton.KindUser,
		Name:   acct.Name,
		Groups: acct.Groups,
		Since:  since,
	}
}

// checkPassword checks a name and a password: first the throttle, then the same work
// whether the name is unknown, the password wrong or the account disabled.
func (l *Logins) checkPassword(ctx context.Context, req PasswordRequest, trail *auditTrail) (account.Account, error) {
	none := account.Account{}
	if req.Name != "" {
		trail.actor = "user:?" // not the name: users type passwords into the wrong field
	}
	if req.Name == "" || req.Password.IsZero() {
		return none, trail.check("given", "a name and a password", jeton.ErrNoCredential)
	}

	acct, err := l.accounts.FindForLogin(ctx, req.Name, req.ByEmail)
	if err != nil {
		return none, trail.check("store", "", err)
	}
	if acct.Name != "" {
		trail.actor = "user:" + acct.Name
	}

	// Also for an unknown name, so that both take the same queries.
	known, err := l.accounts.KnownSource(ctx, acct.ID, limit.Network(req.Source), l.now().Add(-knownFor))
	if err != nil {
		return none, trail.check("store", "", err)
	}

	// Before the hash, so that a refused attempt costs no work. The name that exists is used, so that
	// logins by name and by e-mail address share a budget.
	attempt, err := l.limiter.Begin(l.now(), cmp.Or(acct.Name, req.Name), req.Source, known)
	throttle := fmt.Sprintf("source %s, known to the account: %t", web.AddressText(req.Source), known)
	if trail.check("throttle", throttle, err) != nil {
		return none, err
	}

	ok, err := l.accounts.Verify(ctx, acct, req.Password)
	if err != nil {
		// A caller who went away after the hash was computed still used up the attempt.
		if errors.Is(err, jeton.ErrBusy) || errors.Is(err, jeton.ErrUnavailable) {
			attempt.Cancel()
		}
		return none, trail.check("password", "could not be checked", err)
	}

	if err := trail.check("password", "", judge(acct, ok)); err != nil {
		return none, err
	}

	attempt.Succeeded()

	return acct, nil
}

func judge(acct account.Account, passwordOK bool) error {
	// The order decides which reason the operator reads. Callers get one refusal for all, except at a
	// teaching service.
	switch {
	case acct.ID == 0:
		return &refused{UnknownUser}
	case !passwordOK:
		return &refused{WrongPassword}
	case acct.Disabled:
		return &refused{Disabled}
	}

	return nil
}

// start starts the session of a user whose password was right.
func (l *Logins) start(
	ctx context.Context,
	req PasswordRequest,
	acct account.Account,
	trail *auditTrail,
) (session.Started, error) {
	// After the password, so that a stranger does not learn who may log in here.
	if req.Allow != nil {
		user := principal(acct, l.now())
		if err := trail.check("allowed users", req.Allow.String(), req.Allow.CheckLogin(user)); err != nil {
			return session.Started{}, err
		}
	}

	owner := session.Owner{
		ID:       acct.ID,
		Name:     acct.Name,
		Groups:   acct.Groups,
		Version:  acct.Version,
		Network:  limit.Network(req.Source),
		Replaces: req.Replaces,
	}

	terms := describeTerms(req.Terms)
	lastStep := []jeton.Check{passed("terms", terms)}
	if req.Replaces != 0 {
		replaces := fmt.Sprintf("login %d, whose session the request showed, ends", req.Replaces)
		lastStep = append(lastStep, passed("replaces", replaces))
	}

	// One transaction judges the terms, ends the replaced session and writes the audit event: two
	// concurrent logins cannot both take the last permitted one.
	started, err := l.sessions.Start(ctx, owner, req.Service, req.Terms, trail.event(l.now(), nil, lastStep...))
	if err != nil {
		return session.Started{}, trail.check("terms", terms, err)
	}

	return started, nil
}

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
