package gate

import (
	"context"
	"fmt"
	"net/http"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/token"
	"github.com/jeton-auth/jeton/internal/web"
)

// Bearer reads an access token from the header Authorization (RFC 6750, section 2.1). It
// does not read the query, which ends up in logs.
type Bearer struct {
	Tokens   *token.Tokens
	Audience string // of the service
}

// Kinds implements Reader.
func (b Bearer) Kinds() policy.Kinds { return policy.ByToken }

// Read implements Reader.
func (b Bearer) Read(ctx context.Context, req *Request) (Credential, error) {
	value, err := authorization(req.Header, "Bearer")
	if err != nil {
		return nil, err
	}
	return findToken(ctx, req, b.Tokens, b.Audience, value)
}

// authorization returns the credentials for a scheme, or ErrNotMine.
func authorization(h http.Header, scheme string) (string, error) {
	value, found, err := web.Authorization(h, scheme)
	if err == nil && !found {
		err = ErrNotMine
	}
	return value, err
}

// tokenCredential is a token that a request shows.
type tokenCredential struct{ *token.Live }

// Origin implements Credential.
func (c tokenCredential) Origin() (Origin, error) { return Origin{Token: c.Live}, nil }

// findToken finds a token for the service of an audience.
func findToken(
	ctx context.Context,
	req *Request,
	tokens *token.Tokens,
	audience string,
	text string,
) (Credential, error) {
	live, err := tokens.Find(ctx, text, audience)
	if err != nil {
		return nil, err
	}
	return atService(req, live)
}

// atService returns a token as its service accepts it.
func atService(req *Request, live *token.Live) (Credential, error) {
	if !live.Owner.ValidAt(req.Service.Name) {
		return nil, fmt.Errorf("%w: user %s is valid at service %s only",
			jeton.ErrBadCredential, live.Owner.Name, live.Owner.Service)
	}

	// At each request: a scope that is withdrawn from the user is withdrawn from the tokens.
	scopes := req.Service.Grants.Limit(live.Principal(), live.Scopes)
	if len(scopes) < len(live.Scopes) {
		return narrowedToken{tokenCredential{live}, scopes}, nil
	}

	return tokenCredential{live}, nil
}

// narrowedToken is a token whose owner no longer has all of its scopes, or never had.
type narrowedToken struct {
	tokenCredential
	scopes []string
}

// Principal returns the owner with the scopes that are left.
func (c narrowedToken) Principal() jeton.Principal {
	p := c.tokenCredential.Principal()
	p.Scopes = c.scopes
	return p
}

// Permits implements Credential.
func (c narrowedToken) Permits(r policy.Request) error {
	if err := policy.CheckScopes(c.scopes, r.Scopes); err != nil {
		return err
	}
	return c.tokenCredential.Permits(r)
}
