// Package signin turns a proof of who somebody is into a session or a token.
//
// The walk of a person's login: throttle, verify (the same work for names that nobody
// has), the service's terms, and then one step that starts the session and records it. The
// walk of a client's: find it, check its secret or the assertion that it has signed, what it
// asks for against what it may have, and then one step that uses the assertion up and
// makes the token. Every failure is recorded with each check and its value; the caller is
// told only that it failed. The package never sees an HTTP request and never phrases an
// answer.
package signin

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/account"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/client"
	"github.com/jeton-auth/jeton/internal/limit"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/session"
	"github.com/jeton-auth/jeton/internal/store/change"
	"github.com/jeton-auth/jeton/internal/token"
)

// Limiter logs people in.
type Logins struct {
	accounts *account.Accounts
	sessions *session.Sessions
	clients  *client.Clients
	tokens   *token.Tokens
	limiter  *limit.Limiter
	verified *verified
	feed     change.Feed
	audit    *audit.Log
	now      func() time.Time
	restored time.Time
}

// Config is what New needs.
type Config struct {
	Accounts *account.Accounts
	Sessions *session.Sessions
	Clients  *client.Clients
	Tokens   *token.Tokens
	Limiter  *limit.Limiter
	Feed     change.Feed // of the store behind Accounts
	Audit    *audit.Log
	Now      func() time.Time
	// Restored is when the store was last brought back from the past, or zero: it does not
	// know of assertions that were used shortly before that.
	Restored time.Time
}

// New returns the logins of a server.
func New(c Config) *Logins {
	l := &Logins{
		accounts: c.Accounts,
		sessions: c.Sessions,
		clients:  c.Clients,
		tokens:   c.Tokens,
		limiter:  c.Limiter,
		verified: newVerified(),
		feed:     c.Feed,
		audit:    c.Audit,
		now:      c.Now,
		restored: c.Restored,
	}

	c.Feed.Subscribe(l.invalidate)

	return l
}

// knownFor is how long a network that somebody logged in from is known as theirs.
const knownFor = 90 * 24 * time.Hour

// PasswordRequest is somebody's try to log in at a service.
type PasswordRequest struct {
	Name     string
	ByEmail  bool // Name is an e-mail address
	Password jeton.Secret
	Service  string
	Terms    policy.Terms
	Allow    *policy.Allow // nil: every user
	Source   netip.Addr
	Request  string // id of the request
	Replaces int64  // login that ends as this one begins, or 0
}

// Reason tells the operator, and nobody else, why a credential was not good.
type Reason string

// The reasons.
const (
	UnknownUser   Reason = "unknown user"
	WrongPassword Reason = "wrong password"
	Disabled      Reason = "account is disabled"
)

// refused is jeton.ErrBadCredential with its reason.
type refused struct{ reason Reason }

func (r *refused) Error() string { return jeton.ErrBadCredential.Error() }
func (r *refused) Unwrap() error { return jeton.ErrBadCredential }

// ReasonOf returns the reason of a failed login, or "". Showing it to a caller tells a
// stranger which names exist; only a service of the teaching kind does.
func ReasonOf(err error) Reason {
	var r *refused
	if errors.As(err, &r) {
		return r.reason
	}
	return ""
}

// Password logs somebody in by name and password. It returns jeton.ErrNoCredential
// when either is missing, jeton.ErrBadCredential, jeton.ErrTooMany, jeton.ErrBusy, jeton.ErrForbidden,
// jeton.ErrRelogin or jeton.ErrSessionsFull, and the session otherwise.
func (l *Logins) Password(ctx context.Context, a PasswordRequest) (session.Started, jeton.Principal, error) {
	t := trail{
		action:  audit.Login,
		service: a.Service,
		source:  a.Source,
		request: a.Request,
	}

	started, who, err := l.password(ctx, a, &t)
	if err != nil {
		l.audit.Record(t.event(l.now(), err))
		return session.Started{}, jeton.Principal{}, fmt.Errorf("log in: %w", err)
	}

	return started, who, nil
}

func (l *Logins) password(ctx context.Context, a PasswordRequest, t *trail) (session.Started, jeton.Principal, error) {
	acct, err := l.prove(ctx, a, t)
	if err != nil {
		return session.Started{}, jeton.Principal{}, err
	}
	return l.start(ctx, a, acct, t)
}

func judge(acct account.Account, ok bool) error {
	switch {
	case acct.ID == 0:
		return &refused{UnknownUser}
	case !ok:
		return &refused{WrongPassword}
	case acct.Disabled:
		return &refused{Disabled}
	}

	return nil
}

// start makes the session of somebody who has proved themselves.
func (l *Logins) start(
	ctx context.Context,
	a PasswordRequest,
	acct account.Account,
	t *trail,
) (session.Started, jeton.Principal, error) {
	who := jeton.Principal{
		Kind:   jeton.KindUser,
		Name:   acct.Name,
		Groups: acct.Groups,
		Since:  l.now(),
	}

	if a.Allow != nil {
		if err := t.check("may log in here", a.Allow.String(), a.Allow.Check(who)); err != nil {
			return session.Started{}, jeton.Principal{}, err
		}
	}

	owner := session.Owner{
		ID:       acct.ID,
		Name:     acct.Name,
		Groups:   acct.Groups,
		Version:  acct.Version,
		Network:  limit.Network(a.Source),
		Replaces: a.Replaces,
	}

	judged := len(t.checks)
	t.checks = append(t.checks, jeton.Check{Name: "terms", Value: describe(a.Terms), Result: "pass"})
	if a.Replaces != 0 {
		t.checks = append(t.checks, jeton.Check{
			Name:   "replaces",
			Value:  fmt.Sprintf("login %d, which the request still showed, ends with this one", a.Replaces),
			Result: "pass",
		})
	}

	started, err := l.sessions.Start(ctx, owner, a.Service, a.Terms, t.event(l.now(), nil))
	if err != nil {
		t.checks = t.checks[:judged]
		return session.Started{}, jeton.Principal{}, t.check("terms", describe(a.Terms), err)
	}

	who.Session = started.ID

	return started, who, nil
}

// trail collects the checks of one attempt for the record.
type trail struct {
	action  string
	actor   string // the name is shown once it is found to be somebody's
	service string
	source  netip.Addr
	request string
	checks  []jeton.Check
}

// check notes the result of a check and returns err.
func (t *trail) check(name, value string, err error) error {
	c := jeton.Check{Name: name, Value: value, Result: "pass"}
	if err != nil {
		c.Result = "fail"
		why := ReasonOf(err)
		if why != "" {
			c.Value = string(why)
		} else if c.Value == "" {
			c.Value = err.Error()
		}
	}

	t.checks = append(t.checks, c)

	return err
}

// event makes the line of the record.
func (t *trail) event(now time.Time, err error) jeton.Event {
	e := jeton.Event{
		Time:    now,
		Request: t.request,
		Actor:   t.actor,
		Action:  t.action,
		Service: t.service,
		Outcome: audit.OK,
		Source:  sourceKey(t.source),
		Checks:  slices.Clone(t.checks),
	}
	if err != nil {
		e.Outcome, e.Reason = jeton.Code(err), string(ReasonOf(err))
		if e.Reason == "" {
			e.Reason = err.Error()
		}
	}

	return e
}

// sourceKey prints an address. A peer on a Unix socket has none.
func sourceKey(a netip.Addr) string {
	if !a.IsValid() {
		return "local"
	}
	return a.Unmap().String()
}

func describe(t policy.Terms) string {
	s := fmt.Sprintf("lifetime %v, idle %v", t.Lifetime, t.Idle)
	if t.MaxSessions != policy.Unlimited {
		s += fmt.Sprintf(", at most %d sessions (%s)", t.MaxSessions, t.WhenFull)
	}

	r := t.Relogin
	if r.Max != policy.Unlimited {
		window := "until an operator allows more"
		if r.Window > 0 {
			window = "in " + r.Window.String()
		}
		s += fmt.Sprintf(", %d logins %s", r.Max, window)
	}

	if t.Relogin.Cooldown > 0 {
		s += fmt.Sprintf(", %v between logins", t.Relogin.Cooldown)
	}

	return s
}
