package pages

import (
	"errors"
	"html/template"
	"net/http"
	"net/url"
	"slices"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/factor"
	"github.com/jeton-auth/jeton/internal/signin"
	"github.com/jeton-auth/jeton/internal/web"
)

// The pages of a sign-in that awaits its second factor.
const (
	factorPath  = "/sign-in/factor"
	recoverPath = "/sign-in/recovery"
)

// factorView is the view of sign-in/factor and sign-in/recovery.
type factorView struct {
	Action string
	Note   *Note
	Name   string // of the user
	Code   Field
	Other  string // the other of the two pages, or ""

	Passkey passkeyForm
	Again   string // the sign-in page
}

// replaceView is the view of sign-in/replace.
type replaceView struct {
	factorView
	QR     template.HTML
	Secret string // in groups
}

// awaitFactor sends a browser whose sign-in awaits a factor to its page, and reports whether it has. The browser keeps
// the ticket of the sign-in in a cookie: without that, it has to begin again.
func (p *Pages) awaitFactor(w *web.Reply, query url.Values, err error) bool {
	var waits *signin.AwaitsFactor
	if !errors.As(err, &waits) {
		return false
	}

	p.factorCookie.Set(w, waits.Ticket.Reveal(), waits.Wait)
	_ = see(w, pathWith(factorPath, carried(query)))

	return true
}

// awaited returns the sign-in that awaits a factor in this browser, with its ticket, or jeton.ErrBadCredential.
func (p *Pages) awaited(r *http.Request) (string, signin.Awaiting, error) {
	text, n := p.factorCookie.Find(r.Header)
	if n != 1 {
		return "", signin.Awaiting{}, jeton.ErrBadCredential
	}

	a, err := p.Logins.AwaitedFactor(r.Context(), text)

	return text, a, err
}

// beginAgain sends a browser to the sign-in page, if the sign-in that awaited a factor has ended.
func (p *Pages) beginAgain(w *web.Reply, r *http.Request, err error) error {
	if jeton.Outcome(err) != jeton.ErrBadCredential {
		return err
	}

	p.factorCookie.Clear(w)

	return see(w, pathWith("/sign-in", carried(r.URL.Query())))
}

// factorPage answers GET /sign-in/factor.
func (p *Pages) factorPage(w *web.Reply, r *http.Request) error {
	_, a, err := p.awaited(r)
	if err != nil {
		return p.beginAgain(w, r, err)
	}

	return p.showFactor(w, r, a, nil)
}

// showFactor shows the form for a code, with why the last one was refused.
func (p *Pages) showFactor(w *web.Reply, r *http.Request, a signin.Awaiting, refusal error) error {
	v := p.factorForm(r, a)
	if refusal != nil {
		p.refusedCode(w, &v, refusal)
	}

	name, view := "sign-in/factor", any(v)
	if a.App != nil {
		code, err := qrCode(a.App.URI.Reveal())
		if err != nil {
			return err
		}
		name, view = "sign-in/replace", replaceView{v, code, inGroups(a.App.Secret.Reveal())}
	}
	if refusal != nil {
		return p.again(w, r, name, view, refusal)
	}

	return p.show(w, r, http.StatusOK, name, view)
}

// factorForm returns the empty form for a code of an authenticator app.
func (p *Pages) factorForm(r *http.Request, a signin.Awaiting) factorView {
	query := carried(r.URL.Query())

	v := factorView{
		Action: pathWith(factorPath, query),
		Name:   a.User.Name,
		Code:   codeField(),
		Again:  pathWith("/sign-in", query),
	}
	v.Passkey = p.passkeyFactorForm(query, a)
	if slices.Contains(a.Kinds, factor.Recovery) {
		v.Other = pathWith(recoverPath, query)
	}

	return v
}

// codeField returns the field for a code of an authenticator app. It is of type text: a number loses leading zeros.
func codeField() Field {
	return Field{
		Name:         "code",
		Label:        text("factor.code"),
		Hint:         text("factor.code.hint"),
		Autocomplete: "one-time-code",
		InputMode:    "numeric",
		Required:     true,
		Focus:        true,
	}
}

// refusedCode adds why a code was refused.
func (p *Pages) refusedCode(w *web.Reply, v *factorView, err error) {
	v.Note = p.noteOf(w, err)
	v.Note.Focus = false
	v.Code.NoteBelongs, v.Code.Invalid = true, true

	if jeton.Outcome(err) == jeton.ErrBadCredential {
		v.Note.Text, v.Note.More = text("factor.wrong"), text("factor.wrong.do")
	}
}

// factor answers POST /sign-in/factor.
func (p *Pages) factor(w *web.Reply, r *http.Request) error {
	ticket, a, code, err := p.sentCode(w, r)
	if err != nil {
		return p.beginAgain(w, r, err)
	}

	req, err := p.factorRequest(w, r, ticket, code)
	if err != nil {
		return err
	}

	started, _, err := p.Logins.Factor(r.Context(), req)
	if err != nil {
		return p.showFactor(w, r, a, err)
	}

	p.factorCookie.Clear(w)
	p.keep(w, started)

	return see(w, goOnPath(r.URL.Query()))
}

// sentCode returns the sign-in and the code that a form was sent with.
func (p *Pages) sentCode(w *web.Reply, r *http.Request) (ticket string, a signin.Awaiting, code string, err error) {
	if err := web.SameOrigin(w, r); err != nil {
		return "", a, "", err
	}

	fields, err := web.LoginFields(w, r, "a second factor", "code")
	if err != nil {
		return "", a, "", err
	}

	ticket, a, err = p.awaited(r)

	return ticket, a, fields["code"], err
}

func (p *Pages) factorRequest(w *web.Reply, r *http.Request, ticket, code string) (signin.FactorRequest, error) {
	live, err := p.live(w, r)

	return signin.FactorRequest{
		Ticket:  ticket,
		Code:    code,
		Live:    live,
		Terms:   p.Terms(),
		Source:  w.Source,
		Request: w.ID,
		Device:  p.thisDevice(r),
	}, err
}

// recoveryPage answers GET /sign-in/recovery.
func (p *Pages) recoveryPage(w *web.Reply, r *http.Request) error {
	_, a, err := p.awaited(r)
	if err != nil {
		return p.beginAgain(w, r, err)
	}

	return p.show(w, r, http.StatusOK, "sign-in/recovery", p.recoveryForm(r, a))
}

// recoveryForm returns the empty form for a recovery code.
func (p *Pages) recoveryForm(r *http.Request, a signin.Awaiting) factorView {
	query := carried(r.URL.Query())

	return factorView{
		Action: pathWith(recoverPath, query),
		Name:   a.User.Name,
		Code: Field{
			Name:         "code",
			Label:        text("recovery.code"),
			Hint:         text("recovery.code.hint"),
			Autocomplete: "off",
			NoCapitals:   true,
			Required:     true,
			Focus:        true,
		},
		Other: pathWith(factorPath, query),
		Again: pathWith("/sign-in", query),
	}
}

// recovery answers POST /sign-in/recovery. What follows is the page on which the user replaces the lost factor.
func (p *Pages) recovery(w *web.Reply, r *http.Request) error {
	ticket, a, code, err := p.sentCode(w, r)
	if err != nil {
		return p.beginAgain(w, r, err)
	}

	req, err := p.factorRequest(w, r, ticket, code)
	if err != nil {
		return err
	}

	next, err := p.Logins.Recover(r.Context(), req)
	if err != nil {
		v := p.recoveryForm(r, a)
		p.refusedCode(w, &v, err)
		if jeton.Outcome(err) == jeton.ErrBadCredential {
			v.Note.More = text("recovery.wrong.do")
		}

		return p.again(w, r, "sign-in/recovery", v, err)
	}

	p.factorCookie.Set(w, next.Reveal(), factor.EnrolFor)

	return see(w, pathWith(factorPath, carried(r.URL.Query())))
}
