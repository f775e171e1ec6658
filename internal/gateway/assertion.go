package gateway

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"github.com/jeton-auth/jeton/internal/account"
	"github.com/jeton-auth/jeton/internal/config"
	"github.com/jeton-auth/jeton/internal/factor"
	"github.com/jeton-auth/jeton/internal/gate"
	"github.com/jeton-auth/jeton/internal/token"
	"github.com/jeton-auth/jeton/internal/web"
)

// assert returns the assertion for a request that was admitted, or "" for a service that gets none. path is the one
// that the service gets, encoded, without the query.
func (g *Gateway) assert(
	ctx context.Context,
	d gate.Decision,
	contact account.Contact,
	method, path string,
) (string, error) {
	if g.assertions == nil {
		return "", nil
	}

	a := token.Asserted{
		Audience: g.audience(),
		Method:   method,
		Path:     path,
		Caller:   d.Principal(),
		Name:     contact.Name,
		Email:    contact.Email,
	}

	live := d.Session()
	if live != nil {
		proof, err := g.sessions.Proof(ctx, live)
		if err != nil {
			return "", err
		}
		a.AMR = proof.Methods
		a.ACR = factor.Level(proof.Methods, nil)
		a.AuthTime = proof.At
	}

	return g.assertions.Sign(ctx, a)
}

// assertFor returns what signs the assertion for a request that an upstream gets, "" without the option. The path of
// address is the one that all servers of the upstream have before that of the request.
func (g *Gateway) assertFor(c config.Upstream, address *url.URL) asserting {
	if !c.Assertion {
		return func(*web.Reply, *http.Request, string, account.Contact) (string, error) { return "", nil }
	}

	base := strings.TrimSuffix(web.RawPath(address), "/")
	return func(w *web.Reply, r *http.Request, path string, contact account.Contact) (string, error) {
		return g.assert(r.Context(), gate.From(w), contact, r.Method, base+path)
	}
}

// asserting returns the assertion for a request with a path for the upstream.
type asserting func(w *web.Reply, r *http.Request, path string, contact account.Contact) (string, error)

// audience returns the audience of what is signed for the service: that of its tokens, so that the service checks one.
func (g *Gateway) audience() string {
	if g.tokenTerms.Audience != "" {
		return g.tokenTerms.Audience
	}
	return g.conf.Name
}
