package gateway

import (
	"errors"
	"net/http"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/config"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/web"
)

// refuse answers a refusal of a configured route.
func (g *Gateway) refuse(w *web.Reply, r *http.Request, err error) {
	c := g.challenge(g.schemes)
	c.Metadata = g.metadataOf(w, r)
	c.Set(w, r, err)
	web.Fail(w, r, err)
}

// refuseLogin answers a failed login. Its challenge is not Basic, for which a browser opens a
// dialog of its own.
func (g *Gateway) refuseLogin(w *web.Reply, r *http.Request, err error) {
	g.challenge(policy.BySession).Set(w, r, err)
	web.Fail(w, r, err)
}

// refuseBasic answers a refusal of a route that only a password opens.
func (g *Gateway) refuseBasic(w *web.Reply, r *http.Request, err error) {
	switch {
	case errors.Is(err, jeton.ErrFactor):
		// The right password would be refused again.
		g.challenge(policy.ByPassword).Set(w, r, err)
	case web.Problem(err).Status == http.StatusUnauthorized:
		// A challenge for anything else would send the client to a login that this route does not take.
		w.Header().Set("WWW-Authenticate", web.BasicChallenge(g.conf.Name))
	}
	web.Fail(w, r, err)
}

// challenge returns which credentials a refused caller may send, and where it can log in.
func (g *Gateway) challenge(schemes policy.Kinds) web.Challenge {
	c := web.Challenge{Realm: g.conf.Name, Schemes: schemes}
	switch {
	// A program can use it.
	case len(g.conf.Login.Paths) > 0:
		c.Login = g.conf.Login.Paths[0]
	case g.signIn != nil:
		c.Login = config.StartPath
	}

	return c
}
