package pages

import (
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/gate"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/web"
)

// factorRoutes returns the routes for the second factors of an account. Each needs a session.
func (p *Pages) factorRoutes() []web.Route {
	return []web.Route{
		{Pattern: "POST " + securityPath + "/app", Access: policy.Session, Handle: p.addApp},
		{Pattern: "POST " + securityPath + "/app/{factor}", Access: policy.Session, Handle: p.confirmApp},
		{Pattern: "POST " + securityPath + "/factors/{factor}/remove", Access: policy.Session, Handle: p.removeFactor},
		{Pattern: "POST " + securityPath + "/codes", Access: policy.Session, Handle: p.newCodes},
	}
}

// ownFactors is the second factors of the user, as the API shows them.
type ownFactors struct {
	Factors   []ownFactor `json:"factors"`
	CodesLeft int         `json:"recovery_codes_left"`
}

// ownFactor is one of them.
type ownFactor struct {
	ID      string    `json:"id"`
	Kind    string    `json:"kind"`
	Name    string    `json:"name"`
	Created time.Time `json:"created_at"`
	Used    time.Time `json:"last_used_at"`
}

// Few reports whether the user should make new recovery codes.
func (f ownFactors) Few() bool { return f.CodesLeft < 4 }

// appView is the view of account/app-new.
type appView struct {
	Action string
	Note   *Note
	QR     template.HTML // "": the app has the secret already
	Secret string        // in groups
	Code   Field
}

// codesView is the view of account/recovery-codes. This response is the only one that has the codes.
type codesView struct {
	Codes []string
}

// factors returns the authenticator apps of the user.
func (p *Pages) factors(w *web.Reply, r *http.Request) (f ownFactors, err error) {
	err = p.API.Call(w, r, http.MethodGet, ownAPI+"/factors", nil, &f)
	// Passkeys have a page of their own.
	f.Factors = slices.DeleteFunc(f.Factors, func(one ownFactor) bool { return one.Kind != "totp" })

	return f, err
}

// factorDue returns the note for a user who manages others and has no second factor: from when on one is required. It
// returns nil for any other user.
func (p *Pages) factorDue(w *web.Reply, r *http.Request) (*Note, error) {
	who := gate.From(w).Principal()
	rule, from, err := p.Managers.Require(r.Context(), who, policy.Require{}, w.Start)
	if err != nil || from.IsZero() {
		return nil, err
	}

	var own ownFactors
	err = p.API.Call(w, r, http.MethodGet, ownAPI+"/factors", nil, &own)
	if err != nil || len(own.Factors) > 0 {
		return nil, err
	}

	note := &Note{
		Kind: Warn,
		Text: text("factors.due", from),
		More: text("factors.due.do"),
		Link: &Link{Text: text("notice.factor.add"), URL: securityPath},
	}
	if rule.Factors > 1 {
		note.Text = text("factors.required")
	}

	return note, nil
}

// addApp answers POST /account/security/app with the QR code of a new authenticator app.
func (p *Pages) addApp(w *web.Reply, r *http.Request) error {
	if _, err := accountForm(w, r); err != nil {
		return err
	}

	var made struct {
		ID     string `json:"id"`
		Secret string `json:"secret"`
		URI    string `json:"uri"`
	}
	wanted := map[string]string{"kind": "totp"}
	err := p.API.Call(w, r, http.MethodPost, ownAPI+"/factors", wanted, &made)
	if jeton.Outcome(err) == jeton.ErrProof {
		return p.proveFirst(w, r, securityPath, url.Values{}, err)
	}
	if err != nil {
		return err
	}

	v := newApp(made.ID)
	v.Secret = inGroups(made.Secret)
	v.QR, err = qrCode(made.URI)
	if err != nil {
		return err
	}

	return p.show(w, r, http.StatusOK, "account/app-new", v)
}

// newApp returns the form that confirms an authenticator app.
func newApp(id string) appView {
	return appView{Action: securityPath + "/app/" + url.PathEscape(id), Code: codeField()}
}

// confirmApp answers POST /account/security/app/{factor}.
func (p *Pages) confirmApp(w *web.Reply, r *http.Request) error {
	form, err := accountForm(w, r)
	if err != nil {
		return err
	}

	id := r.PathValue("factor")
	sent := map[string]string{"code": form.Get("code")}
	var made struct {
		Codes []string `json:"recovery_codes"`
	}
	err = p.API.Call(w, r, http.MethodPost, ownAPI+"/factors/"+url.PathEscape(id)+"/confirm", sent, &made)

	switch jeton.Outcome(err) {
	case jeton.ErrForbidden, jeton.ErrTooMany:
		v := newApp(id)
		v.Note = p.noteOf(w, err)
		v.Note.Focus = false
		v.Code.NoteBelongs, v.Code.Invalid = true, true
		if jeton.Outcome(err) == jeton.ErrForbidden {
			v.Note.Text, v.Note.More = text("factor.wrong"), text("factor.wrong.do")
			v.Note.Detail = ""
		}

		return p.again(w, r, "account/app-new", v, err)
	case jeton.ErrProof:
		return p.proveFirst(w, r, securityPath, url.Values{}, err)
	}
	if err != nil {
		return err
	}
	if len(made.Codes) == 0 {
		return see(w, donePath(securityPath, "factor-added"))
	}

	return p.show(w, r, http.StatusOK, "account/recovery-codes", codesView{made.Codes})
}

// newCodes answers POST /account/security/codes with new recovery codes.
func (p *Pages) newCodes(w *web.Reply, r *http.Request) error {
	if _, err := accountForm(w, r); err != nil {
		return err
	}

	var made struct {
		Codes []string `json:"recovery_codes"`
	}
	err := p.API.Call(w, r, http.MethodPost, ownAPI+"/recovery-codes", nil, &made)
	if jeton.Outcome(err) == jeton.ErrProof {
		return p.proveFirst(w, r, securityPath, url.Values{}, err)
	}
	if err != nil {
		return err
	}

	return p.show(w, r, http.StatusOK, "account/recovery-codes", codesView{made.Codes})
}

// removeFactor answers POST /account/security/factors/{factor}/remove.
func (p *Pages) removeFactor(w *web.Reply, r *http.Request) error {
	if _, err := accountForm(w, r); err != nil {
		return err
	}

	target := ownAPI + "/factors/" + url.PathEscape(r.PathValue("factor"))
	err := p.API.Call(w, r, http.MethodDelete, target, nil, nil)
	if jeton.Outcome(err) == jeton.ErrProof {
		return p.proveFirst(w, r, securityPath, url.Values{}, err)
	}
	if err != nil {
		return err
	}

	return see(w, donePath(securityPath, "factor-removed"))
}
