package gateway

import (
	"context"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/account"
	"github.com/jeton-auth/jeton/internal/token"
)

// assert returns the assertion for a request that was admitted, or "" for a service that gets none. path is the one
// that the service gets, encoded, without the query.
func (g *Gateway) assert(
	ctx context.Context,
	who jeton.Principal,
	contact account.Contact,
	method, path string,
) (string, error) {
	if g.assertions == nil {
		return "", nil
	}

	return g.assertions.Sign(ctx, token.Asserted{
		Audience: g.audience(),
		Method:   method,
		Path:     path,
		Caller:   who,
		Name:     contact.Name,
		Email:    contact.Email,
	})
}

// audience returns the audience of what is signed for the service: that of its tokens, so that the service checks one.
func (g *Gateway) audience() string {
	if g.tokenTerms.Audience != "" {
		return g.tokenTerms.Audience
	}
	return g.conf.Name
}
