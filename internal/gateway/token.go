package gateway

import (
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/account"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/config"
	"github.com/jeton-auth/jeton/internal/gate"
	"github.com/jeton-auth/jeton/internal/jose"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/signin"
	"github.com/jeton-auth/jeton/internal/token"
	"github.com/jeton-auth/jeton/internal/web"
)

// Terms returns the terms of access tokens for a service, and false when it takes none.
func Terms(s config.Service) (policy.TokenTerms, bool) {
	c := s.Tokens
	if c == nil {
		return policy.TokenTerms{}, false
	}

	t := policy.TokenTerms{
		Format:   policy.Format(c.Format),
		Audience: c.Audience,
		Alg:      c.Algorithm,
		Delay:    c.ActivationDelay.Std(),
		Lifetime: c.Lifetime.Std(),
		MaxUses:  policy.Unlimited,
	}
	if c.MaxUses != nil {
		t.MaxUses = *c.MaxUses
	}

	for _, r := range s.Routes {
		t.Counted = t.Counted || r.MaxUses != nil
	}

	return t, true
}

// LoginAllow says which people may log in at a service; nil: all.
func LoginAllow(s config.Service) *policy.Allow { return allow(s.Login.Allow) }

// accepts returns what the callers of a route may prove themselves with.
func accepts(s config.Service, r config.Route) policy.Kinds {
	names := r.Accept
	if len(names) == 0 {
		names = s.Accepts()
	}

	var k policy.Kinds
	for _, name := range names {
		switch name {
		case "session":
			k |= policy.BySession
		case "token":
			k |= policy.ByToken
		case "basic":
			k |= policy.ByPassword
		}
	}

	return k
}

// assertionLogin answers POST on the path of a teaching client of old: the whole body is a
// JWT that a client has signed, and the whole answer is a token.
func (g *Gateway) assertionLogin(w *web.Reply, r *http.Request) error {
	body, err := web.Body(w, r, "the login", jose.MaxToken+2)
	if err != nil {
		return err
	}

	text := strings.TrimSpace(string(body))
	if text == "" {
		return jeton.ErrNoCredential
	}

	m, err := g.logins.Token(r.Context(), signin.TokenRequest{
		Credential: signin.ClientCredential{
			Assertion:  text,
			Purpose:    signin.Authentication,
			IssuerOnly: g.conf.Teaching.IssOnly,
			Issuer:     g.issuer,
		},
		Targets: []signin.Target{{Service: g.conf.Name, Terms: g.tokenTerms}},
		Source:  w.Source,
		Request: w.ID,
	})
	if err != nil {
		return err
	}

	out := m.Text.Reveal()
	h := w.Header()
	h.Set("Content-Type", "application/jwt")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Length", strconv.Itoa(len(out)))

	_, _ = io.WriteString(w, out)

	return nil
}

// refuseAssertion phrases a failed login by assertion as the teaching server of old did: 401
// for an issuer that nobody knows, 403 for whatever else is wrong. The texts say no more
// than the status.
func (g *Gateway) refuseAssertion(w *web.Reply, r *http.Request, err error) {
	if web.Problem(err).Status >= http.StatusInternalServerError {
		web.Fail(w, r, err)
		return
	}

	web.Mark(w, err)
	if signin.ReasonOf(err) == signin.UnknownClient {
		plain(w, http.StatusUnauthorized, "Unknown issuer")
		return
	}

	plain(w, http.StatusForbidden, "The assertion was refused")
}

// The texts of refused tokens that a teaching client of old expects.
const (
	textTooEarly = "The token is not yet valid (nbf)"
	textExpired  = "Signature has expired"
	textNoToken  = "A valid token is required"
	textSpent    = "No uses are left"
)

// refuseBody phrases the refusal of a token that came as the body.
func refuseBody(w *web.Reply, r *http.Request, err error) {
	if web.Problem(err).Status >= http.StatusInternalServerError {
		web.Fail(w, r, err)
		return
	}

	web.Mark(w, err)
	text := textNoToken
	switch {
	case errors.Is(err, jeton.ErrTooEarly):
		text = textTooEarly
	case errors.Is(err, jeton.ErrExpired):
		text = textExpired
	case errors.Is(err, jeton.ErrSpent):
		text = textSpent
	}

	plain(w, http.StatusForbidden, text)
}

// shortToken answers GET on the path of login.token: somebody who has just shown a name and
// a password gets a signed token for them.
func (g *Gateway) shortToken(w *web.Reply, r *http.Request) error {
	origin, err := gate.From(w).Origin()
	if err != nil {
		return err
	}
	if origin.Owner == nil {
		return jeton.ErrNoCredential // not a password
	}

	ev := jeton.Event{
		Time:    w.Start,
		Request: w.ID,
		Actor:   "user:" + origin.Owner.Name,
		Action:  audit.TokenIssue,
		Service: g.conf.Name,
		Outcome: audit.OK,
		Source:  web.AddressText(w.Source),
	}
	m, err := g.tokens.Mint(r.Context(), token.Request{
		Owner:  *origin.Owner,
		Terms:  g.tokenTerms,
		Source: web.AddressText(w.Source),
	}, &ev)
	if err != nil {
		return err
	}

	if !m.Recorded {
		g.gate.Record(ev)
	}

	return web.JSON(w, http.StatusOK, map[string]string{"token": m.Text.Reveal()})
}

// refuseBasic phrases the refusal of a row that takes a password alone.
func (g *Gateway) refuseBasic(w *web.Reply, r *http.Request, err error) {
	if web.Problem(err).Status == http.StatusUnauthorized {
		w.Header()["Www-Authenticate"] = []string{web.BasicChallenge(g.conf.Name)}
	}
	web.Fail(w, r, err)
}

// newcomer is what a teaching client registers with.
type newcomer struct {
	Name     string `json:"username"`
	Password string `json:"password"`
}

// register answers POST on the path of teaching.register: anybody becomes a user.
func (g *Gateway) register(w *web.Reply, r *http.Request) error {
	if err := web.SameOrigin(r); err != nil {
		return err
	}

	in, err := web.Read[newcomer](r)
	if err != nil {
		return err
	}
	if in.Name == "" || in.Password == "" {
		return jeton.WithDetail(jeton.ErrInvalid, "username and password are needed")
	}

	u, err := g.accounts.Add(r.Context(), "nobody", account.NewUser{
		Name:        in.Name,
		Password:    jeton.NewSecret(in.Password),
		AnyPassword: true,
	})
	if err != nil {
		return err
	}

	return web.JSON(w, http.StatusCreated, map[string]string{"username": u.Name})
}
