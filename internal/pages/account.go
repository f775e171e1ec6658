package pages

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/mail"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/web"
)

// ownAPI is the part of the API that is about the user of the session.
const ownAPI = "/api/v1/users/me"

// accountRoutes returns the routes of the pages of an account. Each needs a session.
func (p *Pages) accountRoutes() []web.Route {
	routes := slices.Concat(
		[]web.Route{
			{Pattern: "GET /account", Handle: p.profile},
			{Pattern: "POST /account", Handle: p.changeProfile},
			{Pattern: "POST /account/cancel-address", Handle: p.cancelAddress},
			{Pattern: "GET /account/security", Handle: p.security},
			{Pattern: "POST /account/security", Handle: p.setPassword},
			{Pattern: "GET /account/activity", Handle: p.activity},
			{Pattern: "GET /account/applications", Handle: p.applications},
			{Pattern: "POST /account/applications/{client}", Handle: p.endApplication},
		},
		p.sessionRoutes(),
		p.tokenRoutes(),
		p.jobRoutes(),
		p.requestRoutes(),
	)
	for i := range routes {
		routes[i].Access = policy.Session
	}

	return routes
}

// maxAccountForm bounds the body of a form of these pages, in bytes.
const maxAccountForm = 64 << 10

// accountForm reads a form that this browser was shown. It returns jeton.ErrForbidden for one that another site sent.
func accountForm(w *web.Reply, r *http.Request) (url.Values, error) {
	if err := web.SameOrigin(w, r); err != nil {
		return nil, err
	}

	body, err := web.Body(w, r, "a form", maxAccountForm)
	if err != nil || len(body) == 0 {
		return url.Values{}, err
	}
	if !web.IsForm(r.Header) {
		return nil, jeton.WithDetail(jeton.ErrMediaType, "send application/x-www-form-urlencoded")
	}

	return web.ParseForm(body)
}

// profileView is the view of account/profile.
type profileView struct {
	Note     *Note
	Name     string
	Groups   []string
	Service  string // the only one that the account is for, or ""
	Created  time.Time
	Declared bool
	Email    string
	Pending  string // address that counts once its link was used, or ""
	FullName string
	Fields   []Field // nothing can be changed if it is empty
}

// ownUser is the user of the session, as the API shows it.
type ownUser struct {
	jeton.User
	Pending string `json:"pending_email"`
}

// profile answers GET /account. A form that waited for a proof comes back with what was typed.
func (p *Pages) profile(w *web.Reply, r *http.Request) error {
	var user ownUser
	if err := p.API.Call(w, r, http.MethodGet, ownAPI, nil, &user); err != nil {
		return err
	}

	typed, err := p.typed(w, r)
	if err != nil {
		return err
	}

	v, err := p.profileForm(w, r, user, typed)
	if err != nil {
		return err
	}

	return p.show(w, r, http.StatusOK, "account/profile", v)
}

// profileForm returns the profile of a user with its form, which asks a user who has a password for it.
func (p *Pages) profileForm(w *web.Reply, r *http.Request, user ownUser, typed url.Values) (profileView, error) {
	v := newProfile(user, typed)

	var err error
	v.Note, err = p.factorDue(w, r)
	if err != nil || user.Declared {
		return v, err
	}

	acct, err := p.Accounts.FindID(r.Context(), user.ID)
	if err == nil && acct.Password != "" {
		v.Fields = append(v.Fields, Field{
			Name:         "current",
			Label:        text("security.current"),
			Hint:         text("profile.current.hint"),
			Type:         "password",
			Autocomplete: "current-password",
		})
	}

	return v, err
}

// current returns the field of the current password, or nil if the user has none.
func (v *profileView) current() *Field {
	i := slices.IndexFunc(v.Fields, func(f Field) bool { return f.Name == "current" })
	if i < 0 {
		return nil
	}

	return &v.Fields[i]
}

// profileFields are the fields of the form, as the API names them.
var profileFields = []string{"first_name", "last_name", "email"}

// newProfile returns the profile of a user. Typed values have precedence over the current ones.
func newProfile(user ownUser, typed url.Values) profileView {
	v := profileView{
		Name:     user.Name,
		Groups:   user.Groups,
		Service:  user.Service,
		Created:  user.Created,
		Declared: user.Declared,
		Email:    user.Email,
		Pending:  user.Pending,
		FullName: strings.TrimSpace(user.First + " " + user.Last),
	}
	if user.Declared {
		return v
	}

	v.Fields = []Field{
		{
			Name:         "first_name",
			Label:        text("profile.first"),
			Value:        user.First,
			Autocomplete: "given-name",
		},
		{
			Name:         "last_name",
			Label:        text("profile.last"),
			Value:        user.Last,
			Autocomplete: "family-name",
		},
		{
			Name:         "email",
			Label:        text("profile.email"),
			Hint:         text("profile.email.hint"),
			Value:        user.Email,
			Type:         "email",
			Autocomplete: "email",
			NoCapitals:   true,
		},
	}
	for i := range v.Fields {
		if typed.Has(v.Fields[i].Name) {
			v.Fields[i].Value = typed.Get(v.Fields[i].Name)
		}
	}

	return v
}

// changeProfile answers POST /account.
func (p *Pages) changeProfile(w *web.Reply, r *http.Request) error {
	form, err := accountForm(w, r)
	if err != nil {
		return err
	}

	change := map[string]string{}
	typed := url.Values{}
	for _, name := range profileFields {
		if form.Has(name) {
			change[name] = strings.TrimSpace(form.Get(name))
			typed.Set(name, change[name])
		}
	}

	if form.Get("current") != "" {
		change["current_password"] = form.Get("current")
	}

	// A new address gets a mail with a link.
	r = r.WithContext(mail.WithLanguage(r.Context(), p.language(r).code))

	var changed struct {
		Pending string `json:"pending_email"`
	}
	err = p.API.Call(w, r, http.MethodPut, ownAPI, change, &changed)
	switch jeton.Outcome(err) {
	case nil:
		if err != nil {
			return err
		}
		// One that waits from before stays, and no mail was sent to it now.
		if changed.Pending != "" && changed.Pending == change["email"] {
			return see(w, "/account?done=address-sent")
		}
		return see(w, "/account?done=profile-changed")
	case jeton.ErrProof, jeton.ErrForbidden, jeton.ErrInvalid, jeton.ErrConflict, jeton.ErrTooMany:
		return p.profileRefused(w, r, typed, change["current_password"], err)
	default:
		return err
	}
}

// cancelAddress answers POST /account/cancel-address: the user keeps the address, which ends the link to a new one.
func (p *Pages) cancelAddress(w *web.Reply, r *http.Request) error {
	if _, err := accountForm(w, r); err != nil {
		return err
	}

	err := p.API.Call(w, r, http.MethodPut, ownAPI, map[string]string{"pending_email": ""}, nil)
	if err != nil {
		return err
	}

	return see(w, "/account?done=address-cancelled")
}

// profileRefused shows the form again. It first asks for a proof if the user has no password, or if the one that was
// given is not enough, as there is a second factor.
func (p *Pages) profileRefused(
	w *web.Reply,
	r *http.Request,
	typed url.Values,
	given string, // current password
	cause error,
) error {
	var user ownUser
	if err := p.API.Call(w, r, http.MethodGet, ownAPI, nil, &user); err != nil {
		return err
	}

	v, err := p.profileForm(w, r, user, typed)
	if err != nil {
		return err
	}

	var f formReader
	current, outcome := v.current(), jeton.Outcome(cause)
	switch {
	case outcome == jeton.ErrProof && (current == nil || given != ""):
		return p.proveFirst(w, r, "/account", typed, cause)
	case outcome == jeton.ErrProof:
		f.refuse(current, text("security.current.missing"))
	case outcome == jeton.ErrForbidden && current != nil:
		f.refuse(current, text("security.current.wrong"))
	case outcome == jeton.ErrForbidden:
		return cause
	default:
		v.Note = p.noteOf(w, cause)
	}

	return p.again(w, r, "account/profile", v, cause)
}
