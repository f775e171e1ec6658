package signin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/account"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/factor"
	"github.com/jeton-auth/jeton/internal/limit"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/secret"
	"github.com/jeton-auth/jeton/internal/session"
	"github.com/jeton-auth/jeton/internal/ticket"
)

// The methods of second factors (RFC 8176, section 2).
const (
	byCode     = "otp"
	ByMultiple = "mfa" // more than one factor
)

// factorWait is how long a sign-in waits for its second factor.
const factorWait = 10 * time.Minute

// AwaitsFactor is a sign-in whose user has to show a second factor. It has no session: its ticket opens nothing but
// Factor and Recover.
type AwaitsFactor struct {
	Ticket jeton.Secret
	Wait   time.Duration
}

// Error returns the text of jeton.ErrFactor.
func (a *AwaitsFactor) Error() string { return jeton.ErrFactor.Error() }

// Unwrap returns jeton.ErrFactor.
func (a *AwaitsFactor) Unwrap() error { return jeton.ErrFactor }

// awaiting is what the ticket of such a sign-in holds.
type awaiting struct {
	UUID     string `json:"user"`
	Version  int64  `json:"version"` // of the credential that was proved
	Methods  string `json:"methods"`
	Issuer   string `json:"issuer,omitempty"` // of the identity that proved the user
	Replaces int64  `json:"replaces,omitempty"`
	Proves   int64  `json:"proves,omitempty"` // the login that it proves again; 0: it starts one
	Fresh    bool   `json:"fresh,omitempty"`  // the first step was a proof: no link, no older sign-in at a provider
	// App is the authenticator app that replaces lost factors, after a recovery code was used.
	App string `json:"app,omitempty"`
}

// errNoPassword refuses a password alone.
var errNoPassword = jeton.WithDetail(
	jeton.ErrFactor,
	"this user has a second factor, so a password alone is not accepted: sign in with a browser, or use a token",
)

// errTwoFactors refuses a password alone at a service that requires two factors.
var errTwoFactors = jeton.WithDetail(
	jeton.ErrFactor,
	"this service requires two factors, so a password alone is not accepted: sign in with a browser, or use a token",
)

// awaitFactor returns nil if a user who was proved may have a session at a service. Of a user with a second factor who
// has not shown it, a sign-in at the issuer awaits it; any other path is refused.
func (l *Logins) awaitFactor(ctx context.Context, owner session.Owner, service string, trail *auditTrail) error {
	methods := strings.Fields(owner.Methods)
	if owner.Parent != 0 || slices.Contains(methods, ByMultiple) {
		return nil
	}

	list, err := l.factors.List(ctx, owner.ID)
	if err != nil {
		return trail.check("store", "", err)
	}
	if !factor.Second(list) {
		return nil
	}
	if service != "issuer" {
		return trail.check("second factor", "", errNoPassword)
	}

	acct, err := l.accounts.Find(ctx, owner.Name)
	if err != nil {
		return trail.check("store", "", err)
	}

	return l.awaits(ctx, owner.ID, awaiting{
		UUID:     acct.UUID,
		Version:  owner.Version,
		Methods:  owner.Methods,
		Issuer:   owner.Issuer,
		Replaces: owner.Replaces,
		Fresh:    !owner.Proved.IsZero(),
	}, trail)
}

// awaits returns *AwaitsFactor with a new ticket.
func (l *Logins) awaits(ctx context.Context, user int64, a awaiting, trail *auditTrail) error {
	text, err := l.issueAwaiting(ctx, user, a)
	if err != nil {
		return trail.check("store", "", err)
	}

	return trail.check("second factor", "", &AwaitsFactor{text, factorWait})
}

// issueAwaiting issues the ticket of a sign-in that awaits a factor.
func (l *Logins) issueAwaiting(ctx context.Context, user int64, a awaiting) (jeton.Secret, error) {
	data, err := json.Marshal(a)
	if err != nil {
		return jeton.Secret{}, err
	}

	return l.tickets.Issue(ctx, ticket.Ticket{
		Purpose: ticket.Factor,
		Subject: user,
		Service: "issuer",
		Data:    data,
		Expires: l.now().Add(factorWait),
	})
}

// FactorRequest is the attempt of a user whose sign-in awaits a second factor.
type FactorRequest struct {
	Ticket  string
	Code    string        // of an authenticator app, or a recovery code
	Live    *session.Live // that the browser shows; nil: none
	Terms   policy.Terms
	Source  netip.Addr
	Request string // ID of the request
	Device  session.Device
}

func (r FactorRequest) trail() auditTrail {
	return auditTrail{
		action:  audit.Login,
		service: "issuer",
		source:  r.Source,
		request: r.Request,
	}
}

// Awaiting is a sign-in that awaits a factor, for its page.
type Awaiting struct {
	User  factor.Owner
	Kinds []factor.Kind // that the user can show
	// App is the authenticator app to confirm, after a recovery code was used; nil before.
	App *factor.Enrolment
}

// AwaitedFactor returns the sign-in of a ticket, or jeton.ErrBadCredential if it has ended. It uses nothing up.
func (l *Logins) AwaitedFactor(ctx context.Context, text string) (Awaiting, error) {
	acct, data, err := l.awaitingUser(ctx, text)
	if err != nil {
		return Awaiting{}, err
	}

	list, err := l.factors.List(ctx, acct.ID)
	if err != nil {
		return Awaiting{}, err
	}

	out := Awaiting{User: ownerOfFactors(acct)}
	for _, one := range list {
		usable := one.Kind != factor.Recovery || one.Used.IsZero()
		if usable && !slices.Contains(out.Kinds, one.Kind) {
			out.Kinds = append(out.Kinds, one.Kind)
		}
	}
	if data.App == "" {
		return out, nil
	}

	app, err := l.factors.Waiting(ctx, out.User, data.App)
	if errors.Is(err, jeton.ErrNotFound) {
		return out, jeton.ErrBadCredential
	}
	out.App = &app

	return out, err
}

// ownerOfFactors returns the owner of the factors of an account, for a request without a session.
func ownerOfFactors(acct account.Account) factor.Owner {
	return factor.Owner{ID: acct.ID, Name: acct.Name}
}

// awaitingUser returns the user of a ticket, if the credential that was proved is still the current one.
func (l *Logins) awaitingUser(ctx context.Context, text string) (account.Account, awaiting, error) {
	t, err := l.tickets.Look(ctx, ticket.Factor, text)
	if errors.Is(err, jeton.ErrSpent) {
		err = jeton.ErrBadCredential
	}
	if err != nil {
		return account.Account{}, awaiting{}, err
	}

	var data awaiting
	if err := json.Unmarshal(t.Data, &data); err != nil {
		return account.Account{}, data, fmt.Errorf("data of a sign-in: %w", err)
	}

	acct, err := l.accounts.FindID(ctx, data.UUID)
	switch {
	case errors.Is(err, jeton.ErrNotFound):
		return acct, data, &refused{UnknownUser}
	case err != nil:
		return acct, data, err
	case acct.ID != t.Subject || acct.Version != data.Version:
		return acct, data, &refused{SignInEnded}
	case acct.Disabled:
		return acct, data, &refused{Disabled}
	}

	return acct, data, nil
}

// Factor accepts the code of an authenticator app for a sign-in that awaits it, and starts its session. It returns
// jeton.ErrBadCredential for a wrong code and for a sign-in that has ended, jeton.ErrTooMany or jeton.ErrSessionsFull.
func (l *Logins) Factor(ctx context.Context, req FactorRequest) (session.Started, jeton.Principal, error) {
	trail := req.trail()

	return l.logIn(&trail, "second factor", func() (session.Started, account.Account, error) {
		return l.finish(ctx, req, &trail, func(acct account.Account, data awaiting) (string, error) {
			if data.App != "" {
				ev := trail.event(l.now(), nil)
				ev.Action, ev.Target = audit.FactorAdd, "user:"+acct.Name
				owner := ownerOfFactors(acct)
				owner.Ticket = secret.HashOf(req.Ticket)
				if data.Proves != 0 {
					owner.Session = req.Live.ID
				}

				err := l.factors.ReplaceBy(ctx, owner, data.App, req.Code, ev)
				if errors.Is(err, jeton.ErrExpired) {
					err = &refused{SignInEnded}
				}

				return byCode, err
			}

			_, err := l.factors.Prove(ctx, ownerOfFactors(acct), req.Code)

			return byCode, err
		})
	})
}

// finish checks a sign-in that awaits a factor, proves the factor, and starts the session in the step that takes the
// ticket. prove returns the method.
func (l *Logins) finish(
	ctx context.Context,
	req FactorRequest,
	trail *auditTrail,
	prove func(account.Account, awaiting) (string, error),
) (session.Started, account.Account, error) {
	acct, data, err := l.awaitingUser(ctx, req.Ticket)
	if acct.Name != "" {
		trail.actor = "user:" + acct.Name
	}
	if err == nil && data.Proves != 0 {
		trail.action = audit.SessionProve
		if req.Live == nil || req.Live.Login != data.Proves {
			err = &refused{SignInEnded}
		}
	}
	if trail.check("sign-in", data.Methods, err) != nil {
		return session.Started{}, account.Account{}, err
	}

	method, err := prove(acct, data)
	if trail.check("second factor", method, err) != nil {
		return session.Started{}, account.Account{}, err
	}

	if data.Proves != 0 {
		renewed, err := l.finishProof(ctx, req, withMethods(data.Methods, method), trail)
		return renewed, acct, err
	}

	owner := session.Owner{
		ID:       acct.ID,
		Name:     acct.Name,
		Groups:   acct.Groups,
		Version:  data.Version,
		Network:  limit.Network(req.Source),
		Replaces: data.Replaces,
		Ticket:   secret.HashOf(req.Ticket),
		Issuer:   data.Issuer,
		Methods:  withMethods(data.Methods, method),
		Device:   req.Device,
	}
	if data.Fresh {
		owner.Proved = l.now()
	}

	started, err := l.open(ctx, owner, "issuer", req.Terms, nil, trail)

	return started, acct, err
}

// finishProof renews the session that a provider and the factor have proved.
func (l *Logins) finishProof(
	ctx context.Context,
	req FactorRequest,
	methods string,
	trail *auditTrail,
) (session.Started, error) {
	err := l.tickets.Revoke(ctx, ticket.Factor, req.Ticket)
	if trail.check("store", "", err) != nil {
		return session.Started{}, err
	}

	return l.renew(ctx, req.Live, methods, trail)
}

// withMethods adds a method of a second factor to those that were shown before.
func withMethods(before, method string) string {
	list := strings.Fields(before)
	for _, m := range []string{method, ByMultiple} {
		if !slices.Contains(list, m) {
			list = append(list, m)
		}
	}

	return strings.Join(list, " ")
}

// Recover uses a recovery code up for a sign-in that awaits its factor. The user has to confirm a new authenticator
// app, which replaces the lost factors: the ticket that it returns is for that alone, and the earlier one ends.
func (l *Logins) Recover(ctx context.Context, req FactorRequest) (jeton.Secret, error) {
	trail := req.trail()
	trail.action = audit.FactorUse

	next, err := l.recover(ctx, req, &trail)
	if err != nil {
		l.audit.Record(trail.event(l.now(), err))
		return jeton.Secret{}, fmt.Errorf("recovery code: %w", err)
	}

	return next, nil
}

func (l *Logins) recover(ctx context.Context, req FactorRequest, trail *auditTrail) (jeton.Secret, error) {
	acct, data, err := l.awaitingUser(ctx, req.Ticket)
	if acct.Name != "" {
		trail.actor = "user:" + acct.Name
	}
	if trail.check("sign-in", data.Methods, err) != nil {
		return jeton.Secret{}, err
	}

	ev := trail.event(l.now(), nil)
	ev.Target, ev.Reason = "user:"+acct.Name, "recovery code"
	app, err := l.factors.Recover(ctx, ownerOfFactors(acct), req.Code, func(ctx context.Context) error {
		// Of two codes at once for one sign-in, the second is not used, and replaces no app of the first.
		_, err := l.tickets.Take(ctx, ticket.Factor, req.Ticket)
		if errors.Is(err, jeton.ErrSpent) || errors.Is(err, jeton.ErrBadCredential) {
			err = &refused{SignInEnded}
		}

		return err
	}, ev)
	if trail.check("recovery code", "", err) != nil {
		return jeton.Secret{}, err
	}

	data.App = app.ID

	return l.issueAwaiting(ctx, acct.ID, data)
}
