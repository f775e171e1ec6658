package gateway

import (
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/account"
	"github.com/jeton-auth/jeton/internal/jose"
	"github.com/jeton-auth/jeton/internal/signin"
	"github.com/jeton-auth/jeton/internal/web"
)

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
