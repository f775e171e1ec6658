package gateway

import (
	"net/http"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/gate"
	"github.com/jeton-auth/jeton/internal/token"
	"github.com/jeton-auth/jeton/internal/web"
)

// shortToken answers GET on the path of login.token: a user who shows a name and a password gets a
// token for them. This is a login: the terms of re-login apply, and the user's uses begin again.
func (g *Gateway) shortToken(w *web.Reply, r *http.Request) error {
	origin, err := gate.From(w).Origin()
	if err != nil {
		return err
	}
	if origin.Owner == nil {
		return jeton.ErrNoCredential // the credential is not a password
	}

	event := jeton.Event{
		Time:    w.Start,
		Request: w.ID,
		Actor:   "user:" + origin.Owner.Name,
		Action:  audit.TokenIssue,
		Service: g.conf.Name,
		Outcome: audit.OK,
		Source:  web.AddressText(w.Source),
	}

	minted, err := g.tokens.Mint(r.Context(), token.Request{
		Owner:  *origin.Owner,
		Terms:  g.tokenTerms,
		SignIn: g.tokenLogin(),
		Source: web.AddressText(w.Source),
	}, &event)
	if err != nil {
		event.Outcome, event.Reason = jeton.Code(err), err.Error()
		g.gate.Record(event)
		return err
	}

	// An opaque or counted token was stored with its event. For any other there was no transaction.
	if !minted.Recorded {
		g.gate.Record(event)
	}

	return web.JSON(w, http.StatusOK, map[string]string{"token": minted.Text.Reveal()})
}

// tokenLogin returns the terms of a login that ends in a token, or nil where nothing depends on
// logins, so that none is stored.
func (g *Gateway) tokenLogin() *token.Login {
	counts := g.conf.Session.MaxUses != nil
	for _, r := range g.conf.Routes {
		counts = counts || r.MaxUses != nil
	}

	if !g.terms.Relogin.NeedsHistory() && !(counts && g.countsPerUser()) {
		return nil
	}

	return &token.Login{Service: g.conf.Name, Relogin: g.terms.Relogin}
}
