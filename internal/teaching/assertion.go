package teaching

import (
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/gateway"
	"github.com/jeton-auth/jeton/internal/jose"
	"github.com/jeton-auth/jeton/internal/signin"
	"github.com/jeton-auth/jeton/internal/web"
)

// assertionLogin issues a token for an assertion that is the body of a request.
type assertionLogin struct {
	logins  *signin.Logins
	target  signin.Target
	issuer  string
	issOnly bool
}

// newAssertionLogin returns the login of a service. The tokens have the terms of the
// service, as those of /oauth2/token do.
func newAssertionLogin(c Config) assertionLogin {
	terms, _ := gateway.TokenTerms(c.Service)
	terms.WholeSeconds = c.Service.Teaching.WholeSeconds

	return assertionLogin{
		logins:  c.Logins,
		target:  signin.Target{Service: c.Service.Name, Terms: terms},
		issuer:  c.Issuer,
		issOnly: c.Service.Teaching.IssOnly,
	}
}

// login answers POST on the path of teaching.assertion_login: the body is a JWT that a client
// has signed, and the response is a token.
func (l assertionLogin) login(w *web.Reply, r *http.Request) error {
	const lineBreak = 2 // behind the assertion

	body, err := web.Body(w, r, "the login", jose.MaxToken+lineBreak)
	if err != nil {
		return err
	}

	assertion := strings.TrimSpace(string(body))
	if assertion == "" {
		return jeton.ErrNoCredential
	}

	minted, err := l.logins.Token(r.Context(), signin.TokenRequest{
		Credential: signin.ClientCredential{
			Assertion:  assertion,
			Purpose:    signin.Authentication,
			IssuerOnly: l.issOnly,
			Issuer:     l.issuer,
		},
		Targets: []signin.Target{l.target},
		Source:  w.Source,
		Request: w.ID,
	})
	if err != nil {
		return err
	}

	text := minted.Text.Reveal()
	h := w.Header()
	h.Set("Content-Type", "application/jwt")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Length", strconv.Itoa(len(text)))

	_, _ = io.WriteString(w, text)

	return nil
}

// refuse answers 401 for an unknown issuer and 403 for anything else that is wrong.
func (l assertionLogin) refuse(w *web.Reply, r *http.Request, err error) {
	if web.Problem(err).Status >= http.StatusInternalServerError {
		web.Fail(w, r, err)
		return
	}

	web.Mark(w, err)
	// Clients distinguish the two by the status; it reveals which clients exist (Weaknesses).
	if signin.ReasonOf(err) == signin.UnknownClient {
		writeText(w, http.StatusUnauthorized, "Unknown issuer")
		return
	}

	writeText(w, http.StatusForbidden, "The assertion was refused")
}
