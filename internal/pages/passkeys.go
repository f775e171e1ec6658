package pages

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/config"
	"github.com/jeton-auth/jeton/internal/factor/passkey"
	"github.com/jeton-auth/jeton/internal/gate"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/secret"
	"github.com/jeton-auth/jeton/internal/signin"
	"github.com/jeton-auth/jeton/internal/web"
)

// The pages of passkeys, and where their scripts get the options of a ceremony.
const (
	passkeysPath      = "/account/security/passkeys"
	passkeySignInPath = "/sign-in/passkey"
	passkeyProofPath  = "/prove/passkey"
	optionsSuffix     = "/options"
)

// passkeyRoutes returns the routes of passkeys: none where browsers allow none.
func (p *Pages) passkeyRoutes() []web.Route {
	if p.Party == nil {
		return nil
	}

	return []web.Route{
		{Pattern: "POST " + passkeySignInPath, Access: policy.Open, Handle: p.passkeySignIn},
		{Pattern: "POST " + passkeySignInPath + optionsSuffix, Access: policy.Open, Handle: p.passkeySignInOptions},
		{Pattern: "POST " + passkeyFactorPath, Access: policy.Open, Handle: p.passkeyFactor},
		{Pattern: "POST " + passkeyFactorPath + optionsSuffix, Access: policy.Open, Handle: p.passkeyFactorOptions},
		{Pattern: "POST " + passkeyProofPath, Access: policy.Session, Handle: p.passkeyProof},
		{Pattern: "POST " + passkeyProofPath + optionsSuffix, Access: policy.Session, Handle: p.passkeyProofOptions},
		{Pattern: "GET " + passkeysPath, Access: policy.Session, Handle: p.passkeys},
		{Pattern: "POST " + passkeysPath, Access: policy.Session, Handle: p.addPasskey},
		{Pattern: "POST " + passkeysPath + optionsSuffix, Access: policy.Session, Handle: p.addPasskeyOptions},
		{Pattern: "POST " + passkeysPath + "/rename", Access: policy.Session, Handle: p.renamePasskey},
		{Pattern: "POST " + passkeysPath + "/remove", Access: policy.Session, Handle: p.removePasskey},
	}
}

// passkeyForm is a form that the script sends with what an authenticator answers: {{template "passkey" .Passkey}}. Its
// zero value is none.
type passkeyForm struct {
	Kind    string // "autofill": a sign-in that also waits in the name field; "get", "create"
	Action  string
	Options string // address that begins the ceremony
	Button  Text
	Failed  Text // what the page says if the authenticator gives nothing
	Known   Text // what it says if the authenticator has a passkey of the user already
	Name    *Field
	Plain   bool // the button is not the first of the page
}

// passkeySignInForm returns the form of the sign-in page.
func (p *Pages) passkeySignInForm(query url.Values) passkeyForm {
	if p.Party == nil {
		return passkeyForm{}
	}

	return passkeyForm{
		Kind:    "autofill",
		Action:  pathWith(passkeySignInPath, carried(query)),
		Options: passkeySignInPath + optionsSuffix,
		Button:  text("passkey.sign-in"),
		Failed:  text("passkey.cancelled"),
		Plain:   true,
	}
}

// beginPasskey answers a script with the options of a ceremony, which is bound to the browser by a cookie.
func (p *Pages) beginPasskey(
	w *web.Reply,
	r *http.Request,
	begin func(browser string) ([]byte, error),
) error {
	if err := web.SameOrigin(w, r); err != nil {
		return err
	}

	browser := p.browserOf(r.Header)
	if browser == "" {
		browser = secret.Random()
	}

	options, err := begin(browser)
	if err != nil {
		return err
	}

	p.browserCookie.Set(w, browser, browserLifetime)

	return writeOptions(w, options)
}

// writeOptions answers a script with the options of a ceremony.
func writeOptions(w *web.Reply, options []byte) error {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write(options)

	return nil
}

// passkeyRequest reads what a browser sends back of a ceremony, with the other fields of the form.
func (p *Pages) passkeyRequest(w *web.Reply, r *http.Request) (signin.PasskeyRequest, url.Values, error) {
	form, err := accountForm(w, r)

	return signin.PasskeyRequest{
		Party:    *p.Party,
		Response: form.Get("response"),
		Browser:  p.browserOf(r.Header),
		Service:  config.IssuerName,
		Terms:    p.Terms(),
		Source:   w.Source,
		Request:  w.ID,
		Device:   p.thisDevice(r),
	}, form, err
}

// passkeySignInOptions answers POST /sign-in/passkey/options.
func (p *Pages) passkeySignInOptions(w *web.Reply, r *http.Request) error {
	return p.beginPasskey(w, r, func(browser string) ([]byte, error) {
		return p.Logins.BeginPasskey(r.Context(), *p.Party, browser, w.Source)
	})
}

// passkeySignIn answers POST /sign-in/passkey. Every response that is not right is answered with the same bytes.
func (p *Pages) passkeySignIn(w *web.Reply, r *http.Request) error {
	req, _, err := p.passkeyRequest(w, r)
	if err != nil {
		return err
	}

	req.Replaces, err = p.previous(w, r)
	if err != nil {
		return err
	}

	started, _, err := p.Logins.Passkey(r.Context(), req)
	if err != nil {
		v := p.signInForm(r.Context(), r.URL.Query(), "")
		v.Note = p.noteOf(w, err)
		if jeton.Outcome(err) == jeton.ErrBadCredential {
			v.Note.Text, v.Note.More = text("passkey.wrong"), text("passkey.wrong.do")
		}

		return p.again(w, r, "sign-in/sign-in", v, err)
	}

	p.keep(w, started)

	return see(w, goOnPath(r.URL.Query()))
}

// passkeyProofForm returns the form that proves a user again, if the user has a passkey.
func (p *Pages) passkeyProofForm(r *http.Request, w *web.Reply, to string) (passkeyForm, error) {
	if p.Party == nil {
		return passkeyForm{}, nil
	}

	list, err := p.Logins.Passkeys(r.Context(), gate.From(w).Session())
	if err != nil || len(list) == 0 {
		return passkeyForm{}, err
	}

	return passkeyForm{
		Kind:    "get",
		Action:  passkeyProofPath + "?" + proofQuery(to, provesFactors(r.URL.Query())),
		Options: passkeyProofPath + optionsSuffix,
		Button:  text("passkey.prove"),
		Failed:  text("passkey.cancelled"),
		Plain:   true,
	}, nil
}

// passkeyProofOptions answers POST /prove/passkey/options.
func (p *Pages) passkeyProofOptions(w *web.Reply, r *http.Request) error {
	return p.beginPasskey(w, r, func(browser string) ([]byte, error) {
		return p.Logins.BeginProvePasskey(r.Context(), *p.Party, browser, gate.From(w).Session())
	})
}

// passkeyProof answers POST /prove/passkey: a passkey of the user of the session.
func (p *Pages) passkeyProof(w *web.Reply, r *http.Request) error {
	req, _, err := p.passkeyRequest(w, r)
	if err != nil {
		return err
	}

	to := localPage(r.URL.Query().Get(toParam))
	renewed, err := p.Logins.ProvePasskey(r.Context(), gate.From(w).Session(), req)
	if err != nil {
		v, formErr := p.proveView(w, r, to)
		if formErr != nil {
			return formErr
		}
		v.Note = p.noteOf(w, err)
		if jeton.Outcome(err) == jeton.ErrBadCredential {
			v.Note.Text, v.Note.More = text("passkey.wrong"), text("passkey.wrong.do")
		}

		return p.again(w, r, "sign-in/prove", v, err)
	}

	p.keep(w, renewed)

	return see(w, to)
}

// passkeysView is the view of account/passkeys.
type passkeysView struct {
	Note   *Note
	Keys   []passkeyView
	Add    passkeyForm
	Prove  string // the page that proves the user first, or ""
	Signal string // for the script, as JSON
}

// passkeyView is one passkey of a user.
type passkeyView struct {
	ID      string
	Name    Field // to rename it
	Added   time.Time
	Used    time.Time
	Synced  bool
	Current string // its name
}

// signals is what authenticators get to know by the script: the arguments of the calls, by their names.
type signals struct {
	Accepted []acceptedKeys `json:"signalAllAcceptedCredentials"`
	Details  []userDetails  `json:"signalCurrentUserDetails"`
	Unknown  []unknownKey   `json:"signalUnknownCredential"`
}

type acceptedKeys struct {
	Party string   `json:"rpId"`
	User  string   `json:"userId"`
	Keys  []string `json:"allAcceptedCredentialIds"`
}

type userDetails struct {
	Party string `json:"rpId"`
	User  string `json:"userId"`
	Name  string `json:"name"`
	Label string `json:"displayName"`
}

type unknownKey struct {
	Party string `json:"rpId"`
	Key   string `json:"credentialId"`
}

// removedParam has the credential ID of a passkey that the user has just removed.
const removedParam = "removed"

// passkeys answers GET /account/security/passkeys.
func (p *Pages) passkeys(w *web.Reply, r *http.Request) error {
	v, err := p.passkeysView(w, r)
	if err != nil {
		return err
	}

	return p.show(w, r, http.StatusOK, "account/passkeys", v)
}

// passkeysView returns the passkeys of the user, with a form to add one if the user was proved a short time ago.
func (p *Pages) passkeysView(w *web.Reply, r *http.Request) (passkeysView, error) {
	list, err := p.Logins.Passkeys(r.Context(), gate.From(w).Session())
	if err != nil {
		return passkeysView{}, err
	}

	var user jeton.User
	if err := p.API.Call(w, r, http.MethodGet, ownAPI, nil, &user); err != nil {
		return passkeysView{}, err
	}

	v := newPasskeys(list)
	all := p.signals(list, user)
	gone := removedKey(r, list)
	if gone != "" {
		all.Unknown = []unknownKey{{p.Party.ID, gone}}
	}
	signal, err := json.Marshal(all)
	if err != nil {
		return passkeysView{}, err
	}
	v.Signal = string(signal)

	err = p.provedNow(w, r)
	if jeton.Outcome(err) == jeton.ErrProof {
		v.Prove = provePath(passkeysPath)
		err = nil
	} else {
		v.Add = addPasskeyForm()
	}

	return v, err
}

// newPasskeys returns the view of passkeys, the oldest first.
func newPasskeys(list []signin.Passkey) passkeysView {
	var v passkeysView
	for _, one := range list {
		v.Keys = append(v.Keys, passkeyView{
			ID:      one.ID,
			Current: one.Name,
			Name: Field{
				Name:      "name-" + one.ID,
				Label:     text("passkeys.name"),
				Value:     one.Name,
				Required:  true,
				MaxLength: maxPasskeyName,
			},
			Added:  one.Created,
			Used:   one.Used,
			Synced: one.Key.Eligible,
		})
	}

	return v
}

// maxPasskeyName limits the name of a passkey, in characters of the field. Package factor has the limit in bytes.
const maxPasskeyName = 50

// addPasskeyForm returns the form for a new passkey.
func addPasskeyForm() passkeyForm {
	return passkeyForm{
		Kind:    "create",
		Action:  passkeysPath,
		Options: passkeysPath + optionsSuffix,
		Button:  text("passkeys.add"),
		Failed:  text("passkeys.cancelled"),
		Known:   text("passkeys.known"),
		Name: &Field{
			Name:         "name",
			Label:        text("passkeys.name"),
			Hint:         text("passkeys.name.hint"),
			Required:     true,
			Autocomplete: "off",
			MaxLength:    maxPasskeyName,
		},
	}
}

// signals returns what authenticators should know: which passkeys are left, and what the user is called.
func (p *Pages) signals(list []signin.Passkey, user jeton.User) signals {
	label := user.First + " " + user.Last
	if label == " " {
		label = user.Name
	}

	var all signals
	for _, one := range list {
		handle := passkey.Text(one.Key.Handle)
		at := slices.IndexFunc(all.Accepted, func(a acceptedKeys) bool { return a.User == handle })
		if at < 0 {
			at = len(all.Accepted)
			all.Accepted = append(all.Accepted, acceptedKeys{Party: p.Party.ID, User: handle})
			all.Details = append(all.Details, userDetails{p.Party.ID, handle, user.Name, label})
		}

		all.Accepted[at].Keys = append(all.Accepted[at].Keys, passkey.Text(one.Key.ID))
	}

	return all
}

// removedKey returns the credential ID that the page has just removed, or "". No other site may name one.
func removedKey(r *http.Request, list []signin.Passkey) string {
	id := r.URL.Query().Get(removedParam)
	if id == "" || r.Header.Get("Sec-Fetch-Site") != "same-origin" {
		return ""
	}
	if slices.ContainsFunc(list, func(one signin.Passkey) bool { return passkey.Text(one.Key.ID) == id }) {
		return ""
	}

	return id
}

// addPasskeyOptions answers POST /account/security/passkeys/options.
func (p *Pages) addPasskeyOptions(w *web.Reply, r *http.Request) error {
	if err := p.provedNow(w, r); err != nil {
		return err
	}

	return p.beginPasskey(w, r, func(browser string) ([]byte, error) {
		return p.Logins.BeginAddPasskey(r.Context(), *p.Party, browser, gate.From(w).Session())
	})
}

// addPasskey answers POST /account/security/passkeys.
func (p *Pages) addPasskey(w *web.Reply, r *http.Request) error {
	req, form, err := p.passkeyRequest(w, r)
	if err != nil {
		return err
	}
	// The challenge of a ceremony is issued after a proof, and is valid for a few minutes.
	if req.Response == "" {
		return p.proveFirst(w, r, passkeysPath, url.Values{}, jeton.ErrProof)
	}

	err = p.Logins.AddPasskey(r.Context(), gate.From(w).Session(), form.Get("name"), req)
	if err != nil {
		return p.passkeyRefused(w, r, err)
	}

	return see(w, donePath(passkeysPath, "passkey-added"))
}

// passkeyRefused shows the passkeys again, with why a change was refused.
func (p *Pages) passkeyRefused(w *web.Reply, r *http.Request, err error) error {
	switch jeton.Outcome(err) {
	case jeton.ErrProof:
		return p.proveFirst(w, r, passkeysPath, url.Values{}, err)
	case jeton.ErrBadCredential, jeton.ErrConflict, jeton.ErrInvalid:
	default:
		return err
	}

	v, viewErr := p.passkeysView(w, r)
	if viewErr != nil {
		return viewErr
	}
	v.Note = p.noteOf(w, err)
	if jeton.Outcome(err) == jeton.ErrBadCredential {
		v.Note.Text, v.Note.More = text("passkeys.refused"), text("passkeys.refused.do")
	}

	return p.again(w, r, "account/passkeys", v, err)
}

// renamePasskey answers POST /account/security/passkeys/rename.
func (p *Pages) renamePasskey(w *web.Reply, r *http.Request) error {
	req, form, err := p.passkeyRequest(w, r)
	if err != nil {
		return err
	}

	id := form.Get("id")
	err = p.Logins.RenamePasskey(r.Context(), gate.From(w).Session(), id, form.Get("name-"+id), req)
	if err != nil {
		return p.passkeyRefused(w, r, err)
	}

	return see(w, donePath(passkeysPath, "passkey-renamed"))
}

// removePasskey answers POST /account/security/passkeys/remove.
func (p *Pages) removePasskey(w *web.Reply, r *http.Request) error {
	req, form, err := p.passkeyRequest(w, r)
	if err != nil {
		return err
	}
	if err := p.provedNow(w, r); err != nil {
		return p.passkeyRefused(w, r, err)
	}

	id := form.Get("id")
	list, err := p.Logins.Passkeys(r.Context(), gate.From(w).Session())
	if err != nil {
		return err
	}

	err = p.Logins.RemovePasskey(r.Context(), gate.From(w).Session(), id, req)
	if err != nil {
		return p.passkeyRefused(w, r, err)
	}

	query := url.Values{"done": {"passkey-removed"}}
	at := slices.IndexFunc(list, func(one signin.Passkey) bool { return one.ID == id })
	if at >= 0 {
		query.Set(removedParam, passkey.Text(list[at].Key.ID))
	}

	return see(w, pathWith(passkeysPath, query))
}
