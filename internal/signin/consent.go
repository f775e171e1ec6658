package signin

import (
	"context"
	"net/netip"
	"strings"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/client"
	"github.com/jeton-auth/jeton/internal/session"
	"github.com/jeton-auth/jeton/internal/token"
	"github.com/jeton-auth/jeton/internal/web"
)

// ConsentRequest is what a user agrees to, on a page that named it.
type ConsentRequest struct {
	Live    *session.Live // sign-in session of the user
	Client  client.Client
	Scopes  []string // see ConsentScopes
	Source  netip.Addr
	Request string // ID of the request
}

// ConsentScopes returns what a user agrees to: scopes, at a service unless it is "".
func ConsentScopes(scopes []string, service string) []string {
	if service == "" {
		return scopes
	}

	// No scope has a colon and a space.
	return append([]string{consentService + service}, scopes...)
}

// consentService is what the name of a service begins with among the scopes of a consent.
const consentService = "service: "

// ConsentService returns the service that a scope of a consent names, or "".
func ConsentService(scope string) string {
	name, ok := strings.CutPrefix(scope, consentService)
	if !ok {
		return ""
	}
	return name
}

// Consent stores what a user agrees to.
func (l *Logins) Consent(ctx context.Context, req ConsentRequest) error {
	return l.tokens.Agree(ctx, token.Connection{
		User:     req.Live.User,
		ClientID: req.Client.ID,
		Scopes:   req.Scopes,
	}, jeton.Event{
		Time:    l.now(),
		Request: req.Request,
		Actor:   "user:" + req.Live.Name,
		Action:  audit.ConsentGive,
		Target:  "client:" + req.Client.Name,
		Service: "issuer",
		Outcome: audit.OK,
		Source:  web.AddressText(req.Source),
		Checks:  []jeton.Check{{Name: "scopes", Value: strings.Join(req.Scopes, " "), Result: "pass"}},
	})
}
