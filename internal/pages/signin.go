package pages

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/config"
	"github.com/jeton-auth/jeton/internal/gate"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/secret"
	"github.com/jeton-auth/jeton/internal/session"
	"github.com/jeton-auth/jeton/internal/signin"
	"github.com/jeton-auth/jeton/internal/web"
)

// signInRoutes returns the routes of the pages before an account. They are open: users come here without a session.
func (p *Pages) signInRoutes() []web.Route {
	return []web.Route{
		{Pattern: "GET /sign-in", Access: policy.Open, Handle: p.signInPage},
		{Pattern: "POST /sign-in", Access: policy.Open, Handle: p.signIn},
		{Pattern: "GET /sign-in/continue", Access: policy.Open, Handle: p.goOn},
		{Pattern: "GET " + factorPath, Access: policy.Open, Handle: p.factorPage},
		{Pattern: "POST " + factorPath, Access: policy.Open, Handle: p.factor},
		{Pattern: "GET " + recoverPath, Access: policy.Open, Handle: p.recoveryPage},
		{Pattern: "POST " + recoverPath, Access: policy.Open, Handle: p.recovery},
		{Pattern: "GET /consent", Access: policy.Open, Handle: p.consentPage},
		{Pattern: "POST /consent", Access: policy.Open, Handle: p.consent},
		{Pattern: "GET /sign-out", Access: policy.Open, Handle: p.signOutPage},
		{Pattern: "POST /sign-out", Access: policy.Open, Handle: p.signOut},
		{Pattern: "GET /signed-out", Access: policy.Open, Handle: p.signedOut},
		{Pattern: "GET /setup/{ticket}", Access: policy.Open, Handle: p.setupPage},
		{Pattern: "POST /setup/{ticket}", Access: policy.Open, Handle: p.setup},
		{Pattern: "GET /link/{ticket}", Access: policy.Open, Handle: p.linkPage},
		{Pattern: "POST /link/{ticket}", Access: policy.Open, Handle: p.link},
		{Pattern: "GET /recover", Access: policy.Open, Handle: p.askRecoveryPage},
		{Pattern: "POST /recover", Access: policy.Open, Handle: p.askRecovery},
		{Pattern: "GET /recover/{ticket}", Access: policy.Open, Handle: p.recoverPage},
		{Pattern: "POST /recover/{ticket}", Access: policy.Open, Handle: p.recover},
		{Pattern: "GET /not-me", Access: policy.Open, Handle: p.notMeDone},
		{Pattern: "GET /not-me/{ticket}", Access: policy.Open, Handle: p.notMePage},
		{Pattern: "POST /not-me/{ticket}", Access: policy.Open, Handle: p.notMe},
		{Pattern: "GET /verify", Access: policy.Session, Handle: p.verifyDone},
		{Pattern: "GET /verify/{ticket}", Access: policy.Session, Handle: p.verifyPage},
		{Pattern: "POST /verify/{ticket}", Access: policy.Session, Handle: p.verify},
		{Pattern: "GET /invite/{ticket}", Access: policy.Open, Handle: p.invitePage},
		{Pattern: "POST /invite/{ticket}", Access: policy.Open, Handle: p.invite},
		{Pattern: "GET /device", Access: policy.Session, Handle: p.devicePage},
		{Pattern: "POST /device", Access: policy.Session, Handle: p.device},
		{Pattern: "GET /prove", Access: policy.Session, Handle: p.provePage},
		{Pattern: "POST /prove", Access: policy.Session, Handle: p.prove},
	}
}

// signInView is the view of sign-in/sign-in.
type signInView struct {
	Action   string // where the form goes
	Service  Strong // that the user comes from, or ""
	Note     *Note
	Name     Field
	Password Field
	With     []Link // other providers
	Passkey  passkeyForm
	Recovery bool // users can have a link sent that sets a password
	Lifetime time.Duration
	Idle     time.Duration
}

// chooseView is the view of sign-in/choose.
type chooseView struct {
	Service  Strong // that the user comes from, or ""
	Name     string // who is signed in
	Initial  string
	Continue string // with this account
	Other    string // with another account
}

// signInPage answers GET /sign-in. With a session, the user chooses whether to go on with it.
func (p *Pages) signInPage(w *web.Reply, r *http.Request) error {
	live, err := p.live(w, r)
	if err != nil {
		return err
	}

	if live == nil && r.URL.RawQuery == "" {
		return p.showPlainSignIn(w, r)
	}

	query := r.URL.Query()
	name := query.Get("login_hint")
	prompts := strings.Fields(query.Get("prompt"))

	switch {
	case live == nil:
	case slices.Contains(prompts, "login"):
		// A fresh proof is wanted; of the same user, unless the request names another one.
		if name == "" {
			name = live.Principal().Name
		}
	case !query.Has(otherParam) && (name == "" || name == live.Principal().Name):
		return p.show(w, r, http.StatusOK, "sign-in/choose", p.choose(r.Context(), query, live.Principal()))
	}

	v := p.signInForm(r.Context(), query, name)
	switch query.Get("done") {
	case "recovered":
		v.Note = &Note{Kind: Good, Text: text("recover.done")}
	case "invited":
		v.Note = &Note{Kind: Good, Text: text("invite.done")}
	case "other":
		v.Note = &Note{Text: text("verify.other")}
	}
	if v.Name.Value == "" && !query.Has("done") && p.isPrerendered(v) {
		return p.showEmptySignIn(w, r, v)
	}

	return p.show(w, r, http.StatusOK, "sign-in/sign-in", v)
}

// maxHint bounds a user name that an address asks the form to have, in bytes.
const maxHint = 256

// signInForm returns the empty form.
func (p *Pages) signInForm(ctx context.Context, query url.Values, name string) signInView {
	if len(name) > maxHint {
		name = ""
	}

	v := signInView{
		Action:  pathWith("/sign-in", carried(query)),
		Service: p.from(ctx, query),
		Name: Field{
			Name:         "username",
			Label:        text("sign-in.name"),
			Value:        name,
			Autocomplete: "username webauthn",
			NoCapitals:   true,
			Required:     true,
			Focus:        name == "",
		},
		Password: Field{
			Name:         "password",
			Label:        text("sign-in.password"),
			Type:         "password",
			Autocomplete: "current-password webauthn",
			Required:     true,
			Focus:        name != "",
		},
		With:     p.upstreamLinks(query),
		Passkey:  p.passkeySignInForm(query),
		Recovery: p.Mail,
		Lifetime: p.Issuer.Session.Lifetime.Std(),
		Idle:     p.Issuer.Session.IdleTimeout.Std(),
	}

	return v
}

// choose returns the choice between the account of a session and another one.
func (p *Pages) choose(ctx context.Context, query url.Values, who jeton.Principal) chooseView {
	other := carried(query)
	other.Set(otherParam, "1")

	initial := ""
	for _, r := range who.Name {
		initial = string(r)
		break
	}

	return chooseView{
		Service:  p.from(ctx, query),
		Name:     who.Name,
		Initial:  initial,
		Continue: goOnPath(query),
		Other:    pathWith("/sign-in", other),
	}
}

// from returns the service or the relying party that a request came from, or "". Only a name that an operator chose is
// shown, or an address at a host that an operator chose.
func (p *Pages) from(ctx context.Context, query url.Values) Strong {
	name := query.Get("client_id")
	if name == "" {
		return ""
	}
	if s, ok := p.service(name); ok {
		return Strong(s.Name)
	}
	if p.Clients == nil {
		return ""
	}

	c, err := p.Clients.FindForLogin(ctx, name)
	if err != nil || c.OpenID == nil || c.Disabled {
		return "" // the page works without the name, also while the database is away
	}

	return Strong(c.Name)
}

// signIn answers POST /sign-in. A wrong name and a wrong password are answered with the same bytes.
func (p *Pages) signIn(w *web.Reply, r *http.Request) error {
	// Another site could sign the browser in as the attacker, to see what the user then enters.
	if err := web.SameOrigin(w, r); err != nil {
		return err
	}

	fields, err := web.LoginFields(w, r, "a sign-in", "username", "password")
	if err != nil {
		return err
	}

	previous, err := p.previous(w, r)
	if err != nil {
		return err
	}

	started, _, err := p.Logins.Password(r.Context(), signin.PasswordRequest{
		Name:     fields["username"],
		Password: jeton.NewSecret(fields["password"]),
		Service:  config.IssuerName,
		Terms:    p.Terms(),
		Source:   w.Source,
		Request:  w.ID,
		Device:   p.thisDevice(r),
		Replaces: previous,
	})
	if p.awaitFactor(w, r.URL.Query(), err) {
		return nil
	}
	if err != nil {
		return p.again(w, r, "sign-in/sign-in", p.refused(w, r, fields["username"], err), err)
	}

	p.keep(w, started)

	return see(w, goOnPath(r.URL.Query()))
}

// refused returns the form with why the sign-in was refused. The name is kept, the password is not.
func (p *Pages) refused(w *web.Reply, r *http.Request, name string, err error) signInView {
	v := p.signInForm(r.Context(), r.URL.Query(), name)
	v.Note = p.noteOf(w, err)
	v.Note.Focus = false // the field in which the user goes on is described by it
	v.Password.NoteBelongs = true
	v.Name.Invalid = true
	v.Password.Invalid = true

	switch jeton.Outcome(err) {
	case jeton.ErrBadCredential:
		v.Note.Text, v.Note.More = text("sign-in.wrong"), text("sign-in.wrong.do")
	case jeton.ErrNoCredential:
		v.Note.Text, v.Note.More = text("sign-in.incomplete"), Text{}
	default:
		v.Name.Invalid, v.Password.Invalid = false, false
	}

	return v
}

// Terms returns the terms of a sign-in session.
func (p *Pages) Terms() policy.Terms {
	s := p.Issuer.Session
	t := policy.Terms{
		Idle:        s.IdleTimeout.Std(),
		Lifetime:    s.Lifetime.Std(),
		MaxSessions: policy.Unlimited,
		WhenFull:    policy.WhenFull(s.WhenFull),
		Relogin:     policy.Relogin{Max: policy.Unlimited},
	}
	if s.MaxSessions > 0 {
		t.MaxSessions = s.MaxSessions
	}

	return t
}

// keep gives the browser the session that has started, and what it is recognised by at the next sign-in.
func (p *Pages) keep(w *web.Reply, started session.Started) {
	p.cookie.Set(w, started.Secret.Reveal(), started.Ends.Sub(started.At))
	if !started.Device.IsZero() {
		p.deviceCookie.Set(w, started.Device.Reveal(), session.DeviceLifetime)
	}
}

// thisDevice returns what the user of a request signs in with. A browser that keeps no secret yet gets one from keep.
// Users who share a browser share its secret: each of them is known there only after a sign-in.
func (p *Pages) thisDevice(r *http.Request) session.Device {
	value, n := p.deviceCookie.Find(r.Header)
	if n != 1 || len(value) != secret.RandomLen {
		value = secret.Random()
	}

	return session.Device{Agent: r.UserAgent(), Secret: jeton.NewSecret(value)}
}

// previous returns the number of the login that a request shows, or 0. A sign-in starts a new session, overwrites the
// cookie of the previous one and ends it: no session that an attacker has planted becomes one of the user.
func (p *Pages) previous(w *web.Reply, r *http.Request) (int64, error) {
	live, err := gate.ShownSession(w, r, p.issuer)
	if live != nil {
		return live.Login, nil
	}
	if undecided(err) {
		return 0, err
	}

	return 0, nil
}

// undecided reports whether an error says nothing about the credential: the store is down.
func undecided(err error) bool {
	outcome := jeton.Outcome(err)
	return err != nil && (outcome == nil || outcome == jeton.ErrUnavailable)
}
