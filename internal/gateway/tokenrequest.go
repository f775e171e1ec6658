package gateway

import (
	"errors"
	"net/http"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/approval"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/config"
	"github.com/jeton-auth/jeton/internal/gate"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/web"
)

// tokenRequestRoutes returns the routes by which a program asks a user for a token, or none for a service that accepts
// no tokens. A narrow credential asks for a wider one: its own methods and paths do not matter, and no use is taken.
func (g *Gateway) tokenRequestRoutes() []web.Route {
	if g.conf.Tokens == nil {
		return nil
	}

	access := policy.Authenticated(g.Accepts() & (policy.BySession | policy.ByToken))
	access.AboutItself = true

	return []web.Route{
		{
			Pattern: "POST " + config.TokenRequestPath,
			Access:  access,
			Handle:  g.requestToken,
			Refuse:  g.refuse,
		},
		{
			Pattern: "POST " + config.TokenPollPath,
			Access:  access,
			Handle:  g.pollToken,
			Refuse:  g.refuse,
		},
	}
}

// asker returns the program of a request.
func (g *Gateway) asker(w *web.Reply) (approval.Caller, error) {
	decision := gate.From(w)
	origin, err := decision.Origin()

	return approval.Caller{
		Principal: decision.Principal(),
		Service:   g.conf.Name,
		Audience:  g.conf.Tokens.Audience,
		Shown:     origin.Token,
	}, err
}

// requestToken answers POST /.jeton/token/requests.
func (g *Gateway) requestToken(w *web.Reply, r *http.Request) error {
	if err := web.SameOrigin(w, r); err != nil {
		return err
	}

	in, err := web.Read[jeton.TokenRequest](r)
	if err != nil {
		return err
	}

	by, err := g.asker(w)
	if err != nil {
		return err
	}

	asked, err := g.approved.Ask(r.Context(), by, in, g.tokenEvent(w, audit.TokenRequest))
	if err != nil {
		return err
	}

	return web.JSON(w, http.StatusCreated, asked)
}

// pollToken answers POST /.jeton/token/requests/poll.
func (g *Gateway) pollToken(w *web.Reply, r *http.Request) error {
	if err := web.SameOrigin(w, r); err != nil {
		return err
	}

	in, err := web.Read[jeton.TokenRequestPoll](r)
	if err != nil {
		return err
	}

	by, err := g.asker(w)
	if err != nil {
		return err
	}

	if in.Withdraw {
		if err := g.approved.Withdraw(r.Context(), by, in); err != nil {
			return err
		}
		return web.JSON(w, http.StatusOK, struct{}{})
	}

	made, secret, err := g.approved.Redeem(r.Context(), by, in, g.tokenEvent(w, audit.TokenCreate))
	switch {
	case errors.Is(err, approval.ErrWaiting):
		return web.JSON(w, http.StatusAccepted, struct{}{})
	case err != nil:
		return err
	}

	return web.JSON(w, http.StatusOK, jeton.TokenHandedOut{Token: made, Secret: secret.Reveal()})
}
