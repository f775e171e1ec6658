package pages

import (
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/config"
	"github.com/jeton-auth/jeton/internal/gate"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/signin"
	"github.com/jeton-auth/jeton/internal/web"
)

// proofAge is how long the proof of a user is enough for what needs a recent one, as package api decides.
const proofAge = 10 * time.Minute

// proveView is the view of sign-in/prove.
type proveView struct {
	Action   string
	Cancel   string
	Note     *Note
	Name     Field
	Password Field
	Code     *Field // of an authenticator app; nil: the user has none
	With     []Link // forms that lead to other providers
	Passkey  passkeyForm
	Lasts    time.Duration

	Service Strong // whose page needs the proof, or "": one of ours
	Factor  bool   // it needs two factors
	Other   string // where another user signs in for it, or ""
}

// Missing reports whether the user has no second factor to show.
func (v proveView) Missing() bool { return v.Factor && v.Code == nil && v.Passkey.Kind == "" }

// ByPassword reports whether the password helps, with a code where one is needed.
func (v proveView) ByPassword() bool { return !v.Factor || v.Code != nil }

// Lead returns what the page asks for, and why.
func (v proveView) Lead() Text {
	switch {
	case v.Missing() && v.Service == "":
		return text("prove.missing.here")
	case v.Missing():
		return text("prove.missing", v.Service)
	case v.Factor && v.Service == "":
		return text("prove.factor.here")
	case v.Factor:
		return text("prove.factor", v.Service)
	case v.Service != "":
		return text("prove.service", v.Service)
	}

	return text("prove.lead", v.Lasts)
}

// forService adds the service whose page needs the proof to a form.
func (p *Pages) forService(r *http.Request, v *proveView, to string) {
	rest, ok := strings.CutPrefix(to, continuePath+"?")
	if !ok {
		return
	}
	query, err := url.ParseQuery(rest)
	if err != nil {
		return
	}

	v.Service = p.from(r.Context(), query)
	v.Factor = v.Factor || query.Get("acr_values") != ""

	other := carried(query)
	other.Set(otherParam, "1")
	v.Other = pathWith("/sign-in", other)
}

// factorsParam says that the page that needs the proof needs two factors.
const factorsParam = "factors"

// proofQuery returns the parameters of a proof by a number of factors, which leads back to a page of ours.
func proofQuery(to string, factors int) string {
	query := url.Values{toParam: {localPage(to)}}
	if factors > 1 {
		query.Set(factorsParam, "2")
	}

	return query.Encode()
}

// provePath returns the page that proves the user again, and leads back to a page of ours.
func provePath(to string) string { return provePathBy(to, policy.Require{}) }

// provePathBy is provePath for a page that requires more than a recent proof.
func provePathBy(to string, rule policy.Require) string {
	return "/prove?" + proofQuery(to, rule.Factors)
}

// provesFactors returns how many factors the page needs that led to a request for a proof.
func provesFactors(query url.Values) int {
	if query.Get(factorsParam) == "2" {
		return 2
	}

	return 1
}

// provePage answers GET /prove.
func (p *Pages) provePage(w *web.Reply, r *http.Request) error {
	v, err := p.proveView(w, r, localPage(r.URL.Query().Get(toParam)))
	if err != nil {
		return err
	}

	return p.show(w, r, http.StatusOK, "sign-in/prove", v)
}

// proveView returns the empty form, with the other ways to prove the user.
func (p *Pages) proveView(w *web.Reply, r *http.Request, to string) (proveView, error) {
	v := proveForm(r.URL.Query(), gate.From(w).Principal())

	var err error
	v.With, err = p.proveLinks(w, r, to)
	if err == nil {
		v.Passkey, err = p.passkeyProofForm(r, w, to)
	}
	if err == nil {
		err = p.askCode(w, r, &v)
	}
	p.forService(r, &v, to)
	if v.Factor && v.Code == nil {
		v.With = nil // another provider is one factor
	}

	return v, err
}

// proveForm returns the empty form.
func proveForm(query url.Values, who jeton.Principal) proveView {
	to, factors := query.Get(toParam), provesFactors(query)

	return proveView{
		Action: "/prove?" + proofQuery(to, factors),
		Factor: factors > 1,
		Cancel: defaultPage,
		Lasts:  proofAge,
		// A password manager needs the name to find the password.
		Name: Field{
			Name:         "username",
			Label:        text("prove.name"),
			Value:        who.Name,
			Autocomplete: "username",
			ReadOnly:     true,
		},
		Password: Field{
			Name:         "password",
			Label:        text("sign-in.password"),
			Type:         "password",
			Autocomplete: "current-password",
			Required:     true,
			Focus:        true,
		},
	}
}

// askCode adds the field for a code, if the user has an authenticator app.
func (p *Pages) askCode(w *web.Reply, r *http.Request, v *proveView) error {
	list, err := p.factors(w, r)
	if err != nil || len(list.Factors) == 0 {
		return err
	}

	code := codeField()
	code.Focus = false
	v.Code = &code

	return nil
}

// prove answers POST /prove: the password of the user of the session, and a code, if the user has an authenticator app.
func (p *Pages) prove(w *web.Reply, r *http.Request) error {
	if err := web.SameOrigin(w, r); err != nil {
		return err
	}

	fields, err := web.LoginFields(w, r, "a proof", "password", "code")
	if err != nil {
		return err
	}

	who := gate.From(w).Principal()
	renewed, err := p.Logins.Prove(r.Context(), gate.From(w).Session(), signin.PasswordRequest{
		Name:     who.Name,
		Password: jeton.NewSecret(fields["password"]),
		Code:     fields["code"],
		Service:  config.IssuerName,
		Source:   w.Source,
		Request:  w.ID,
		Device:   p.thisDevice(r),
	})
	if err != nil {
		v, _ := p.proveView(w, r, localPage(r.URL.Query().Get(toParam))) // the form works without other ways
		v.Note = p.noteOf(w, err)
		v.Note.Focus = false
		v.Password.NoteBelongs = true

		if jeton.Outcome(err) == jeton.ErrBadCredential || jeton.Outcome(err) == jeton.ErrNoCredential {
			v.Note.Text, v.Note.More = text("prove.wrong"), text("sign-in.wrong.do")
			v.Password.Invalid = true
		}

		return p.again(w, r, "sign-in/prove", v, err)
	}

	p.keep(w, renewed)

	return see(w, localPage(r.URL.Query().Get(toParam)))
}
