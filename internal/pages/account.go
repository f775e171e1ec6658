package pages

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/jeton-auth/jeton"
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
			{Pattern: "GET /account/security", Handle: p.security},
			{Pattern: "POST /account/security", Handle: p.setPassword},
			{Pattern: "GET /account/activity", Handle: p.activity},
			{Pattern: "GET /account/applications", Handle: p.applications},
			{Pattern: "POST /account/applications/{client}", Handle: p.endApplication},
		},
		p.sessionRoutes(),
		p.tokenRoutes(),
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
	FullName string
	Fields   []Field // nothing can be changed if it is empty
}

// profile answers GET /account. A form that waited for a proof comes back with what was typed.
func (p *Pages) profile(w *web.Reply, r *http.Request) error {
	var user jeton.User
	if err := p.API.Call(w, r, http.MethodGet, ownAPI, nil, &user); err != nil {
		return err
	}

	typed, err := p.typed(w, r)
	if err != nil {
		return err
	}

	return p.show(w, r, http.StatusOK, "account/profile", newProfile(user, typed))
}

// profileFields are the fields of the form, as the API names them.
var profileFields = []string{"first_name", "last_name", "email"}

// newProfile returns the profile of a user. Typed values have precedence over the current ones.
func newProfile(user jeton.User, typed url.Values) profileView {
	v := profileView{
		Name:     user.Name,
		Groups:   user.Groups,
		Service:  user.Service,
		Created:  user.Created,
		Declared: user.Declared,
		Email:    user.Email,
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

	err = p.API.Call(w, r, http.MethodPut, ownAPI, change, nil)
	switch jeton.Outcome(err) {
	case nil:
		if err != nil {
			return err
		}
		return see(w, "/account?done=profile-changed")
	case jeton.ErrProof:
		return p.proveFirst(w, r, "/account", typed, err)
	case jeton.ErrInvalid, jeton.ErrConflict, jeton.ErrTooMany:
	default:
		return err
	}

	var user jeton.User
	if err := p.API.Call(w, r, http.MethodGet, ownAPI, nil, &user); err != nil {
		return err
	}

	v := newProfile(user, typed)
	v.Note = p.noteOf(w, err)

	return p.again(w, r, "account/profile", v, err)
}
