package pages

import (
	"net/http"
	"net/url"
	"slices"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/factor"
	"github.com/jeton-auth/jeton/internal/signin"
	"github.com/jeton-auth/jeton/internal/web"
)

// passkeyFactorPath is where a passkey is sent that is the second factor of a sign-in.
const passkeyFactorPath = factorPath + "/passkey"

// passkeyFactorForm returns the form for a passkey as the second factor, if the user has one.
func (p *Pages) passkeyFactorForm(query url.Values, a signin.Awaiting) passkeyForm {
	if p.Party == nil || a.App != nil || !slices.Contains(a.Kinds, factor.Passkey) {
		return passkeyForm{}
	}

	return passkeyForm{
		Kind:    "get",
		Action:  pathWith(passkeyFactorPath, query),
		Options: passkeyFactorPath + optionsSuffix,
		Button:  text("passkey.prove"),
		Failed:  text("passkey.factor-cancelled"),
		Plain:   true,
	}
}

// passkeyFactorOptions answers POST /sign-in/factor/passkey/options.
func (p *Pages) passkeyFactorOptions(w *web.Reply, r *http.Request) error {
	if err := web.SameOrigin(w, r); err != nil {
		return err
	}

	ticket, _, err := p.awaited(r)
	if err != nil {
		return err
	}

	options, err := p.Logins.BeginPasskeyFactor(r.Context(), *p.Party, ticket)
	if err != nil {
		return err
	}

	return writeOptions(w, options)
}

// passkeyFactor answers POST /sign-in/factor/passkey.
func (p *Pages) passkeyFactor(w *web.Reply, r *http.Request) error {
	response, _, err := p.passkeyRequest(w, r)
	if err != nil {
		return err
	}

	ticket, a, err := p.awaited(r)
	if err != nil {
		return p.beginAgain(w, r, err)
	}

	req, err := p.factorRequest(w, r, ticket, "")
	if err != nil {
		return err
	}

	started, _, err := p.Logins.PasskeyFactor(r.Context(), req, response)
	if err != nil {
		v := p.factorForm(r, a)
		v.Note = p.noteOf(w, err)
		if jeton.Outcome(err) == jeton.ErrBadCredential {
			v.Note.Text, v.Note.More = text("passkey.wrong"), text("passkey.factor-wrong.do")
		}

		return p.again(w, r, "sign-in/factor", v, err)
	}

	p.factorCookie.Clear(w)
	p.keep(w, started)

	return see(w, goOnPath(r.URL.Query()))
}
