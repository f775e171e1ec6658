package signin

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/client"
	"github.com/jeton-auth/jeton/internal/ticket"
	"github.com/jeton-auth/jeton/internal/token"
)

// PushLifetime is how long a pushed authorization request waits for its browser.
const PushLifetime = time.Minute

// PushRequest is an authorization request that a client sends itself (RFC 9126).
type PushRequest struct {
	Credential ClientCredential
	// Read returns what is kept of the request, for a client that has proved itself, or why it is invalid.
	Read    func(context.Context, client.Client) ([]byte, error)
	Source  netip.Addr
	Request string // ID of the request
}

// Push proves a client and keeps its authorization request for PushLifetime. It returns the reference, the errors of
// Client and of Read, jeton.ErrTooLarge, and jeton.ErrTooMany for a public client. Refusals are audit events; the
// sign-in that follows is one anyway.
func (l *Logins) Push(ctx context.Context, req PushRequest) (jeton.Secret, error) {
	trail := auditTrail{
		action:  audit.RequestPush,
		actor:   "client:?",
		service: "issuer",
		source:  req.Source,
		request: req.Request,
	}

	reference, err := l.push(ctx, req, &trail)
	if err != nil {
		l.audit.Record(trail.event(l.now(), err))
		return jeton.Secret{}, fmt.Errorf("push authorization request: %w", err)
	}

	return reference, nil
}

// push does what Push says.
func (l *Logins) push(ctx context.Context, req PushRequest, trail *auditTrail) (jeton.Secret, error) {
	req.Credential.Public = true

	c, err := l.relyingClient(ctx, req.Credential, trail)
	if err != nil {
		return jeton.Secret{}, err
	}
	if c.OpenID == nil {
		return jeton.Secret{}, trail.check("redirect_uris", "", errNoRelying)
	}

	data, err := req.Read(ctx, c)
	if trail.check("request", "", err) != nil {
		return jeton.Secret{}, err
	}

	// Any caller can send a request of a public client. It is not given back: each request costs a row.
	if c.OpenID.Public {
		_, err = l.requests.push.Begin(l.now(), c.Name, req.Source, false)
		if trail.check("throttle", "", err) != nil {
			return jeton.Secret{}, err
		}
	}

	return l.tickets.Issue(ctx, ticket.Ticket{
		Purpose: ticket.Push,
		Service: token.ServiceOfClient(c.Name),
		Data:    data,
		Expires: l.now().Add(PushLifetime),
	})
}

// Pushed returns what is kept of an authorization request of a client, and uses its reference up. It returns
// jeton.ErrInvalid for one that is unknown, expired, used, or of another client.
func (l *Logins) Pushed(ctx context.Context, clientID, reference string) ([]byte, error) {
	unknown := jeton.WithDetail(
		jeton.ErrInvalid,
		"request_uri has expired, was used, or is of another client; begin the sign-in again at the application",
	)
	refused := func(err error) error {
		if errors.Is(err, jeton.ErrBadCredential) || errors.Is(err, jeton.ErrSpent) {
			return unknown
		}
		return err
	}

	// Before it is taken: another client must not use it up.
	waiting, err := l.tickets.Look(ctx, ticket.Push, reference)
	switch {
	case err != nil:
		return nil, refused(err)
	case waiting.Service != token.ServiceOfClient(clientID):
		return nil, unknown
	}

	taken, err := l.tickets.Take(ctx, ticket.Push, reference)

	return taken.Data, refused(err)
}
