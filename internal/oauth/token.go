package oauth

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/signin"
	"github.com/jeton-auth/jeton/internal/token"
	"github.com/jeton-auth/jeton/internal/web"
)

// The grants that there are.
const (
	grantClient    = "client_credentials"
	grantAssertion = "urn:ietf:params:oauth:grant-type:jwt-bearer"
)

// errGrant means that a request asks for a grant that there is not.
var errGrant = jeton.WithDetail(jeton.ErrInvalid, "grant_type is "+grantClient+" or "+grantAssertion)

// token answers POST /oauth2/token: a client proves itself and gets a token.
func (d *Door) token(w *web.Reply, r *http.Request) error {
	b, err := web.Body(w, r, "the request", maxForm)
	if err != nil {
		return err
	}

	form, err := parse(r.Header, b)
	if err != nil {
		return err
	}

	p, err := d.proof(r.Header, form)
	if errors.Is(err, jeton.ErrBadCredential) { // of what cannot be read, the caller is told more
		d.audit.Record(jeton.Event{
			Time:    w.Start,
			Request: w.ID,
			Actor:   "client:?",
			Action:  audit.TokenIssue,
			Service: Name,
			Outcome: jeton.Code(err),
			Reason:  err.Error(),
			Source:  web.AddressText(w.Source),
			Checks:  []jeton.Check{{Name: "given", Value: err.Error(), Result: "fail"}},
		})
	}

	if err != nil {
		return err
	}

	grant := form.Get("grant_type")
	switch {
	case grant == "":
		return jeton.WithDetail(jeton.ErrInvalid, "grant_type is missing")
	case grant == grantAssertion && (p.Assertion != "" || !p.Secret.IsZero()):
		return jeton.WithDetail(jeton.ErrInvalid, "the assertion is the proof; no other is needed next to it")
	case grant == grantAssertion && !form.Has("assertion"):
		return jeton.WithDetail(jeton.ErrInvalid, "assertion is missing")
	case grant == grantAssertion:
		p.Assertion, p.Purpose = form.Get("assertion"), signin.Grant
	case grant != grantClient:
		return errGrant
	}

	m, err := d.logins.Token(r.Context(), signin.TokenRequest{
		Credential: p,
		Audience:   asked(form),
		Scopes:     scopes(form),
		Targets:    d.targets,
		Source:     w.Source,
		Request:    w.ID,
	})
	if err != nil {
		if grant == grantAssertion {
			return &grantRefused{err}
		}
		return err
	}

	answer(w, m, w.Start)

	return nil
}

// asked returns what a token is asked for: audience and resource name services.
func asked(form url.Values) []string {
	list := slices.Concat(form["audience"], form["resource"])
	slices.Sort(list)
	return slices.Compact(list)
}

func scopes(form url.Values) []string {
	list := strings.Fields(form.Get("scope"))
	slices.Sort(list)
	return slices.Compact(list)
}

// answer writes a token (RFC 6749, section 5.1), and when it is good where it is not yet.
func answer(w *web.Reply, m token.Minted, now time.Time) {
	b := make([]byte, 0, 1024)
	b = append(append(b, `{"access_token":"`...), m.Text.Reveal()...) // base64url and dots: nothing to escape
	b = append(b, `","token_type":"Bearer","expires_in":`...)
	b = strconv.AppendInt(b, int64(max(m.Window.Closes.Sub(now), 0).Seconds()), 10)
	if len(m.Scopes) > 0 {
		b = append(append(append(b, `,"scope":"`...), strings.Join(m.Scopes, " ")...), '"')
	}

	if m.Window.Opens.After(now) {
		b = strconv.AppendInt(append(b, `,"nbf":`...), m.Window.Opens.Unix(), 10)
	}
	if m.MaxUses != policy.Unlimited {
		b = strconv.AppendInt(append(b, `,"max_uses":`...), m.MaxUses, 10)
	}

	b = append(b, "}\n"...)
	h := w.Header()
	h["Content-Type"], h["Cache-Control"] = typeJSON, noStore
	h["Content-Length"] = []string{strconv.Itoa(len(b))}
	_, _ = w.Write(b)
}
