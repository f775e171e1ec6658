package signin

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/account"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/limit"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/session"
	"github.com/jeton-auth/jeton/internal/ticket"
)

// byLink is the method of a session that a one-time link has started. RFC 8176 has no value for it, and permits others
// (section 2).
const byLink = "link"

// GrantLink issues the secret of a link that signs a user in once. Earlier links of the user end.
func (l *Logins) GrantLink(ctx context.Context, acct account.Account, expires time.Time) (jeton.Secret, error) {
	if err := l.tickets.End(ctx, ticket.SignIn, acct.ID); err != nil {
		return jeton.Secret{}, err
	}

	return l.tickets.Issue(ctx, ticket.Ticket{
		Purpose: ticket.SignIn,
		Subject: acct.ID,
		Data:    []byte(acct.UUID),
		Expires: expires,
	})
}

// LinkUser returns the name of the user that a link signs in. It does not use the link up. It returns
// jeton.ErrBadCredential or jeton.ErrSpent for a link that signs in no user any more.
func (l *Logins) LinkUser(ctx context.Context, secret string) (string, error) {
	t, err := l.tickets.Look(ctx, ticket.SignIn, secret)
	if err != nil {
		return "", err
	}

	acct, err := l.linked(ctx, t)

	return acct.Name, err
}

// linked returns the user of a link, or jeton.ErrBadCredential if the user is gone, disabled, or has no account here.
func (l *Logins) linked(ctx context.Context, t ticket.Ticket) (account.Account, error) {
	acct, err := l.accounts.FindID(ctx, string(t.Data))
	switch {
	case errors.Is(err, jeton.ErrNotFound):
		return account.Account{}, &refused{UnknownUser}
	case err != nil:
		return account.Account{}, err
	case acct.ID != t.Subject:
		return account.Account{}, &refused{UnknownUser}
	case acct.Disabled:
		return account.Account{}, &refused{Disabled}
	}

	return acct, nil
}

// LinkRequest is a user's attempt to sign in by a one-time link.
type LinkRequest struct {
	Secret   string
	Service  string // whose session starts
	Terms    policy.Terms
	Source   netip.Addr
	Request  string // ID of the request
	Device   session.Device
	Replaces int64 // login that ends as this one begins, or 0
}

// Link uses a link up and starts a session for its user, who is not proved by a password. It returns
// jeton.ErrBadCredential or jeton.ErrSpent for a link that signs in no user any more, or jeton.ErrSessionsFull.
func (l *Logins) Link(ctx context.Context, req LinkRequest) (session.Started, jeton.Principal, error) {
	trail := auditTrail{
		action:  audit.Login,
		service: req.Service,
		source:  req.Source,
		request: req.Request,
	}

	return l.logIn(&trail, "link", func() (session.Started, account.Account, error) {
		return l.followLink(ctx, req, &trail)
	})
}

// followLink uses the link up, and starts the session.
func (l *Logins) followLink(
	ctx context.Context,
	req LinkRequest,
	trail *auditTrail,
) (session.Started, account.Account, error) {
	t, err := l.tickets.Take(ctx, ticket.SignIn, req.Secret)
	if err := trail.check("link", "", err); err != nil {
		return session.Started{}, account.Account{}, err
	}

	acct, err := l.linked(ctx, t)
	if err == nil {
		trail.actor = "user:" + acct.Name
		if !acct.ValidAt(req.Service) {
			err = &refused{UnknownUser}
		}
	}
	if err := trail.check("user", "", err); err != nil {
		return session.Started{}, account.Account{}, err
	}

	owner := session.Owner{
		ID:       acct.ID,
		Name:     acct.Name,
		Groups:   acct.Groups,
		Version:  acct.Version,
		Network:  limit.Network(req.Source),
		Replaces: req.Replaces,
		Methods:  byLink,
		Device:   req.Device,
	}

	started, err := l.open(ctx, owner, req.Service, req.Terms, nil, trail)

	return started, acct, err
}
