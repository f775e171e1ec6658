package pages

import (
	"net/http"
	"net/url"
	"slices"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/config"
	"github.com/jeton-auth/jeton/internal/gate"
	"github.com/jeton-auth/jeton/internal/signin"
	"github.com/jeton-auth/jeton/internal/web"
)

// securityView is the view of account/security.
type securityView struct {
	Note     *Note
	Declared bool // the password is in the configuration file
	Name     Field
	Current  Field
	New      Field
	Repeat   Field
	Keep     Checks
	Minimum  int
	With     []connection // other providers
	Passkeys string       // the page of passkeys, or "" where there are none
	Factors  ownFactors
}

// security answers GET /account/security.
func (p *Pages) security(w *web.Reply, r *http.Request) error {
	v, err := p.securityView(w, r)
	if err != nil {
		return err
	}

	return p.show(w, r, http.StatusOK, "account/security", v)
}

// securityView returns the page with an empty form.
func (p *Pages) securityView(w *web.Reply, r *http.Request) (securityView, error) {
	var user jeton.User
	if err := p.API.Call(w, r, http.MethodGet, ownAPI, nil, &user); err != nil {
		return securityView{}, err
	}

	v := newSecurity(user.Name, user.Declared, p.MinPassword)
	if p.Party != nil {
		v.Passkeys = passkeysPath
	}

	var err error
	v.With, err = p.connections(w, r)
	if err != nil {
		return v, err
	}
	v.Factors, err = p.factors(w, r)

	return v, err
}

// newSecurity returns the empty form.
func newSecurity(name string, declared bool, minimum int) securityView {
	v := securityView{
		Declared: declared,
		Minimum:  minimum,
		// Without it, a password manager does not know whose password it has to replace.
		Name: Field{
			Name:         "username",
			Label:        text("security.name"),
			Value:        name,
			Autocomplete: "username",
			ReadOnly:     true,
			NoCapitals:   true,
		},
		Current: Field{
			Name:         "current",
			Label:        text("security.current"),
			Type:         "password",
			Autocomplete: "current-password",
			Required:     true,
		},
		New: newPassword(text("security.new"), text("security.new.hint", minimum), minimum),
		Repeat: Field{
			Name:         "repeat",
			Label:        text("security.repeat"),
			Type:         "password",
			Autocomplete: "new-password",
			Required:     true,
		},
		Keep: Checks{
			Name:    "keep",
			Label:   text("security.ends"),
			Hint:    text("security.ends.hint"),
			Choices: []Choice{{Value: "tokens", Text: text("security.keep")}},
		},
	}
	v.New.Name = "new"
	v.New.Focus = false

	return v
}

// passwordChange is a new password, as the API reads it.
type passwordChange struct {
	Password   string `json:"password"`
	Current    string `json:"current_password"`
	KeepTokens bool   `json:"keep_tokens,omitempty"`
}

// setPassword answers POST /account/security. All sessions end, also this one: the browser gets a new one.
func (p *Pages) setPassword(w *web.Reply, r *http.Request) error {
	form, err := accountForm(w, r)
	if err != nil {
		return err
	}

	v, err := p.securityView(w, r)
	if err != nil {
		return err
	}

	who := gate.From(w).Principal()
	change := passwordChange{
		Password:   form.Get("new"),
		Current:    form.Get("current"),
		KeepTokens: slices.Contains(form["keep"], "tokens"),
	}

	v.Keep.Choices[0].Selected = change.KeepTokens
	if !v.filled(form) {
		return p.again(w, r, "account/security", v, jeton.ErrInvalid)
	}

	err = p.API.Call(w, r, http.MethodPut, ownAPI, change, nil)
	if jeton.Outcome(err) == jeton.ErrProof {
		return p.proveFirst(w, r, securityPath, url.Values{}, err) // the passwords are not kept meanwhile
	}
	if err != nil {
		return p.passwordRefused(w, r, v, err)
	}

	return p.signInAgain(w, r, who.Name, jeton.NewSecret(change.Password))
}

// filled reports whether the form can be sent on, and marks what is missing.
func (v *securityView) filled(form url.Values) bool {
	var f formReader
	if form.Get("current") == "" {
		f.refuse(&v.Current, text("security.current.missing"))
	}
	if form.Get("new") == "" {
		f.refuse(&v.New, text("security.new.missing"))
	}
	if form.Get("new") != form.Get("repeat") {
		f.refuse(&v.Repeat, text("security.repeat.other"))
	}

	return !f.failed
}

// passwordRefused shows the form again.
func (p *Pages) passwordRefused(w *web.Reply, r *http.Request, v securityView, err error) error {
	var f formReader
	switch jeton.Outcome(err) {
	case jeton.ErrForbidden:
		f.refuse(&v.Current, text("security.current.wrong"))
	case jeton.ErrInvalid:
		f.refuse(&v.New, text("security.new.refused"))
		v.Note = p.noteOf(w, err)
		v.Note.Text, v.Note.More = text("security.new.refused"), detailText(jeton.Detail(err))
		v.Note.Focus = false
	case jeton.ErrTooMany, jeton.ErrBusy, jeton.ErrDeclared:
		v.Note = p.noteOf(w, err)
	default:
		return err
	}

	return p.again(w, r, "account/security", v, err)
}

// signInAgain gives the browser a session in place of the one that ended with the previous password. If that fails, the
// user signs in with the new one.
func (p *Pages) signInAgain(w *web.Reply, r *http.Request, name string, pw jeton.Secret) error {
	started, _, err := p.Logins.Password(r.Context(), signin.PasswordRequest{
		Name:     name,
		Password: pw,
		Service:  config.IssuerName,
		Terms:    p.Terms(),
		Source:   w.Source,
		Request:  w.ID,
		Device:   p.thisDevice(r),
	})
	if p.awaitFactor(w, r.URL.Query(), err) {
		return nil
	}
	if err != nil {
		p.cookie.Clear(w)
		return see(w, "/sign-in")
	}

	p.keep(w, started)

	return see(w, "/account/security?done=password-changed")
}
