package signin

import (
	"context"
	"net/netip"
	"slices"
	"strings"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/account"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/client"
	"github.com/jeton-auth/jeton/internal/openid"
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

// ConsentScopes returns what a user agrees to: scopes, at a service unless it is "". A scope of a service is agreed to
// for that service alone: at another one, the same name may permit much more.
func ConsentScopes(scopes []string, service string) []string {
	if service == "" {
		return scopes
	}

	list := []string{consentService + service}
	for _, scope := range scopes {
		if !slices.Contains(openid.Scopes(), scope) {
			scope = consentService + service + consentScope + scope
		}
		list = append(list, scope)
	}

	return list
}

// consentService is what the name of a service begins with among the scopes of a consent, and consentScope stands
// between that and a scope of it. No scope and no service has a space in its name.
const (
	consentService = "service: "
	consentScope   = ": "
)

// ConsentService returns the service that a scope of a consent is for, "" for none, and its scope there, "" for the use
// of the service.
func ConsentService(text string) (service, scope string) {
	rest, ok := strings.CutPrefix(text, consentService)
	if !ok {
		return "", text
	}
	service, scope, _ = strings.Cut(rest, consentScope)

	return service, scope
}

// errConsent is a grant from before the client had to ask, or of more than what the user has agreed to since.
var errConsent = jeton.WithDetail(jeton.ErrForbidden, "the user has not agreed to what the client has access to")

// consented checks that the user of a grant has agreed to scopes, if the client has to ask: that may have been
// configured after the grant was made.
func (l *Logins) consented(
	ctx context.Context,
	c client.Client,
	acct account.Account,
	scopes []string,
	trail *auditTrail,
) error {
	if !c.OpenID.AskConsent {
		return nil
	}

	agreed, err := l.tokens.Connection(ctx, acct.ID, c.ID)
	if err != nil {
		return trail.check("store", "", err)
	}
	if !agreed.Covers(scopes) {
		return trail.check("consent", "", errConsent)
	}
	trail.pass("consent", "")

	return nil
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
