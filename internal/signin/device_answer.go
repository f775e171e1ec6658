package signin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/client"
	"github.com/jeton-auth/jeton/internal/openid"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/session"
	"github.com/jeton-auth/jeton/internal/ticket"
)

// UserCodeRequest is what a user has typed in, and answers.
type UserCodeRequest struct {
	Live    *session.Live // sign-in session of the user
	Code    string
	Allow   bool
	Targets []Target // the services that tokens can be for
	Source  netip.Addr
	Request string // ID of the request
}

// Device is a device that waits for a user.
type Device struct {
	Client   client.Client
	UserCode string   // as it is shown
	Scopes   []string // see ConsentScopes
}

// FindDevice returns the device that shows a user code. It returns jeton.ErrNotFound for a code that no device waits
// with, and jeton.ErrTooMany after too many of them.
func (l *Logins) FindDevice(ctx context.Context, req UserCodeRequest) (Device, error) {
	found, _, err := l.findDevice(ctx, req)
	return found, err
}

// findDevice returns also the ticket of the user code.
func (l *Logins) findDevice(ctx context.Context, req UserCodeRequest) (Device, ticket.Ticket, error) {
	key := "user code by " + req.Live.Name // no name of a user has a space
	attempt, err := l.limiter.Begin(l.now(), key, req.Source, false)
	if err != nil {
		return Device{}, ticket.Ticket{}, err
	}

	unknown := jeton.WithDetail(jeton.ErrNotFound, "no device waits with this code")
	shown, ok := UserCode(req.Code)
	if !ok {
		return Device{}, ticket.Ticket{}, unknown
	}

	t, err := l.tickets.Look(ctx, ticket.User, ticket.Derive(userOf, shown))
	if errors.Is(err, jeton.ErrBadCredential) || errors.Is(err, jeton.ErrSpent) {
		return Device{}, t, unknown
	}
	// Not Succeeded, which would make every guess after a right code a new beginning.
	attempt.Cancel()

	var d device
	if err == nil {
		err = json.Unmarshal(t.Data, &d)
	}
	if err != nil {
		return Device{}, t, fmt.Errorf("user code: %w", err)
	}

	c, err := l.clients.FindForLogin(ctx, d.Client)
	switch {
	case err != nil:
		return Device{}, t, err
	case c.ID == 0 || c.Disabled || c.OpenID == nil || !c.OpenID.DeviceGrant:
		return Device{}, t, unknown
	}

	return Device{c, shown, ConsentScopes(d.Scopes, d.Resource)}, t, nil
}

// AnswerDevice allows or refuses the sign-in of a device. Of two answers one counts. It has the errors of FindDevice,
// and returns jeton.ErrForbidden for a user who may not sign in there, and jeton.ErrProof if the last proof of the user
// is older than the refresh tokens may be, or less than the service requires.
func (l *Logins) AnswerDevice(ctx context.Context, req UserCodeRequest) error {
	found, t, err := l.findDevice(ctx, req)
	if err != nil {
		return err
	}

	trail := auditTrail{
		action:  audit.DeviceDeny,
		actor:   "user:" + req.Live.Name,
		service: "issuer",
		source:  req.Source,
		request: req.Request,
	}
	if req.Allow {
		trail.action = audit.DeviceAllow
	}
	trail.pass("client", found.Client.Name)

	err = l.answerDevice(ctx, req, found, t, &trail)
	event := trail.event(l.now(), err)
	event.Target = "client:" + found.Client.Name
	l.audit.Record(event)

	return err
}

// answerDevice does what AnswerDevice says.
func (l *Logins) answerDevice(
	ctx context.Context,
	req UserCodeRequest,
	found Device,
	t ticket.Ticket,
	trail *auditTrail,
) error {
	var d device
	if err := json.Unmarshal(t.Data, &d); err != nil {
		return err
	}
	if req.Allow {
		if err := l.mayAllow(ctx, req, found.Client, d, trail); err != nil {
			return err
		}
	}

	// Before the answer, which gives the device its tokens.
	if req.Allow && found.Client.OpenID.AskConsent {
		err := l.Consent(ctx, ConsentRequest{
			Live:    req.Live,
			Client:  found.Client,
			Scopes:  found.Scopes,
			Source:  req.Source,
			Request: req.Request,
		})
		if err != nil {
			return err
		}
	}

	answer, err := l.answerOf(ctx, req, d, t)
	if err != nil {
		return err
	}

	err = l.tickets.Swap(ctx, ticket.User, ticket.Derive(userOf, found.UserCode), d.Answer, answer)
	if errors.Is(err, jeton.ErrBadCredential) || errors.Is(err, jeton.ErrSpent) {
		err = jeton.WithDetail(jeton.ErrNotFound, "no device waits with this code")
	}

	return trail.check("user code", "", err)
}

// answerOf returns the ticket that a device gets its tokens with, or the refusal.
func (l *Logins) answerOf(
	ctx context.Context,
	req UserCodeRequest,
	d device,
	t ticket.Ticket,
) (ticket.Ticket, error) {
	answer, data := ticket.Ticket{Purpose: ticket.Code, Service: t.Service, Expires: t.Expires}, codeData{Denied: true}
	if req.Allow {
		answer.Subject, answer.Login = req.Live.User, req.Live.Login
		data = codeData{Scopes: d.Scopes, Resource: d.Resource}
		if err := data.prove(ctx, l.sessions, req.Live); err != nil {
			return answer, err
		}
	}

	// The device asks again in a few seconds, perhaps after its own code has expired.
	soon := l.now().Add(codeLifetime)
	if answer.Expires.Before(soon) {
		answer.Expires = soon
	}

	var err error
	answer.Data, err = json.Marshal(data)

	return answer, err
}

// meets returns jeton.ErrProof unless the user of a session was proved as a service requires: the device would get no
// tokens otherwise.
func (l *Logins) meets(ctx context.Context, live *session.Live, r policy.Require, trail *auditTrail) error {
	if r.IsZero() {
		return nil
	}

	proof, err := l.sessions.Proof(ctx, live)
	if err != nil {
		return trail.check("store", "", err)
	}

	var unmet *policy.Unmet
	if errors.As(Meets(r, proof, l.now()), &unmet) {
		unmet.InSession = true
		err = unmet
	}

	return trail.check("proof of the user", MethodsOf(proof), err)
}

// mayAllow checks that a user may sign in at a client, and at the service that its tokens are for.
func (l *Logins) mayAllow(
	ctx context.Context,
	req UserCodeRequest,
	c client.Client,
	d device,
	trail *auditTrail,
) error {
	allowed := []*policy.Allow{client.Allowed(c.OpenID)}
	var required policy.Require
	if d.Resource != "" {
		target, ok := ForClient(req.Targets, c, d.Resource)
		if !ok {
			return trail.check("resource", d.Resource, jeton.ErrForbidden)
		}
		allowed = append(allowed, target.Allow)

		var err error
		required, err = target.RequireOf(ctx, req.Live.Principal(), l.now())
		if err != nil {
			return trail.check("store", "", err)
		}
	}
	for _, allow := range allowed {
		if allow == nil {
			continue
		}
		err := allow.CheckLogin(req.Live.Principal())
		if trail.check("allowed users", allow.String(), err) != nil {
			return err
		}
	}

	if err := l.meets(ctx, req.Live, required, trail); err != nil {
		return err
	}

	if !slices.Contains(d.Scopes, openid.ScopeOffline) {
		return nil
	}

	// Refresh tokens are valid from the last proof on: those of an older one would be expired at once.
	proved, err := l.sessions.Proved(ctx, req.Live.ID)
	if proved.Before(req.Live.Created) {
		proved = req.Live.Created
	}
	if err == nil && l.now().Sub(proved) > max(0, client.RefreshLifetime(c.OpenID)-codeLifetime) {
		err = jeton.ErrProof
	}

	return trail.check("proof of the user", "", err)
}
