package pages

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/gate"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/web"
)

// adminPageSize is how many entries a page of a list has.
const adminPageSize = 50

// forAdmins is the access of the pages of administrators.
func forAdmins() policy.Access {
	a := policy.Session
	a.Allow = &policy.Allow{Groups: []string{AdminGroup}}
	a.Managers = true

	return a
}

// adminRoutes returns the routes of the pages of administrators. A page that changes something has its form and what
// it does at the same path, so that a user who has to enter the password first comes back to the form.
func (p *Pages) adminRoutes() []web.Route {
	routes := slices.Concat(
		p.adminUserRoutes(),
		p.adminInvitationRoutes(),
		p.adminSessionRoutes(),
		p.adminTokenRoutes(),
		p.adminClientRoutes(),
		p.adminServiceRoutes(),
		p.adminKeyRoutes(),
		p.adminAuditRoutes(),
	)
	routes = append(routes, web.Route{Pattern: "GET /admin", Handle: p.overview})

	for i := range routes {
		routes[i].Access = forAdmins()
		routes[i].Refuse = p.failAdmin
	}

	return routes
}

// failAdmin answers an error on a page of administrators. For any other user there is no such page. The gate has
// recorded the refusal.
func (p *Pages) failAdmin(w *web.Reply, r *http.Request, err error) {
	who := gate.From(w).Principal()
	if errors.Is(err, jeton.ErrForbidden) && !isAdmin(who) {
		err = jeton.ErrNotFound
	}

	// The password alone is not enough for an administrator of whom two factors are required.
	if errors.Is(err, jeton.ErrProof) {
		rule, _, findErr := p.Managers.Require(r.Context(), who, policy.Require{}, w.Start)
		if findErr == nil {
			err = &policy.Unmet{Require: rule, Text: jeton.Detail(err), InSession: true}
		}
	}
	if errors.Is(err, jeton.ErrFactor) && web.Navigation(r) != web.Program {
		p.askProof(w, r, err)
		return
	}

	p.Fail(w, r, err)
}

// maxAdminForm bounds a form of these pages, in bytes: a public key of a client is the longest field.
const maxAdminForm = 32 << 10

// adminForm reads a form that one of our pages has sent.
func adminForm(w *web.Reply, r *http.Request) (url.Values, error) {
	if err := web.SameOrigin(w, r); err != nil {
		return nil, err
	}
	if !web.IsForm(r.Header) {
		return nil, jeton.ErrMediaType
	}

	body, err := web.Body(w, r, "a form", maxAdminForm)
	if err != nil {
		return nil, err
	}

	return web.ParseForm(body)
}

// errDo means that a form asks for something that the page does not do.
var errDo = jeton.WithDetail(jeton.ErrInvalid, "the form has no button of this page")

// words returns the words of a field with a list: names with commas, spaces or line ends between them.
func words(field string) []string {
	list := strings.FieldsFunc(field, func(r rune) bool { return r == ',' || unicode.IsSpace(r) })
	slices.Sort(list)

	return append([]string{}, slices.Compact(list)...)
}

// filters returns the parameters of a query that a list knows, without empty ones.
func filters(query url.Values, names ...string) url.Values {
	kept := url.Values{}
	for _, name := range names {
		value := strings.TrimSpace(query.Get(name))
		if value != "" {
			kept.Set(name, value)
		}
	}

	return kept
}

// pagerOf returns the links to the other pages of a list. The cursor of the next page is "" on the last one.
func pagerOf(path string, kept url.Values, shown, next, param string) Pager {
	var pager Pager
	if shown != "" {
		pager.First = pathWith(path, kept)
	}
	if next != "" {
		pager.Next = pathWith(path, with(kept, param, next))
	}

	return pager
}

// confirmView is the view of admin/confirm: what an administrator is about to do, and what ends with it.
type confirmView struct {
	Title  Text
	Text   Text
	Ends   []Text // counted, one a line
	Note   *Note
	Action string // path that the form goes to
	Hidden []hidden
	Name   *Field // to be typed; nil: a button is enough
	Reason *Field
	Button Text
	Cancel string
}

// hidden is a field of a form that is not shown.
type hidden struct{ Name, Value string }

// nameField returns the field in which the name of what is deleted has to be typed.
func nameField(name string) *Field {
	return &Field{
		Name:         "confirm",
		Label:        text("admin.confirm.name", Strong(name)),
		Autocomplete: "off",
		NoCapitals:   true,
		Required:     true,
		Focus:        true,
	}
}

// mistyped shows a confirmation again because the name is not the right one.
func (p *Pages) mistyped(w *web.Reply, r *http.Request, view confirmView, typed, name string) error {
	view.Name.Value = typed
	view.Name.Invalid = true
	view.Name.Error = text("admin.confirm.mistyped", Strong(name))

	err := jeton.WithDetail(jeton.ErrInvalid, fmt.Sprintf("the name that was typed is not %q", name))

	return p.again(w, r, "admin/confirm", view, err)
}

// adminSecretView is the view of admin/secret: a secret in the only response that has it.
type adminSecretView struct {
	Title  Text
	Text   Text
	Label  Text
	Secret string
	After  Text
	Back   Link
}

// adminDone are what these pages say after a change. See doneNotes.
var adminDone = map[string]Text{
	"user-added":       text("admin.done.user-added"),
	"user-saved":       text("admin.done.user-saved"),
	"user-disabled":    text("admin.done.user-disabled"),
	"user-enabled":     text("admin.done.user-enabled"),
	"user-deleted":     text("admin.done.user-deleted"),
	"invitation-sent":  text("admin.done.invitation-sent"),
	"invitation-ended": text("admin.done.invitation-ended"),
	"factors-reset":    text("admin.done.factors-reset"),
	"login-allowed":    text("admin.done.login-allowed"),
	"sessions-ended":   text("admin.done.sessions-ended"),
	"tokens-revoked":   text("admin.done.tokens-revoked"),

	"session-ended":   text("admin.done.session-ended"),
	"token-revoked":   text("admin.done.token-revoked"),
	"client-added":    text("admin.done.client-added"),
	"addresses-saved": text("admin.done.addresses-saved"),
	"client-saved":    text("admin.done.client-saved"),
	"client-disabled": text("admin.done.client-disabled"),
	"client-enabled":  text("admin.done.client-enabled"),
	"client-deleted":  text("admin.done.client-deleted"),
	"secret-removed":  text("admin.done.secret-removed"),
	"key-added":       text("admin.done.key-added"),
	"key-retired":     text("admin.done.key-retired"),
	"keys-rotated":    text("admin.done.keys-rotated"),
	"key-revoked":     text("admin.done.key-revoked"),
}

// donePath returns a path of a page that says what was done.
func donePath(path, key string) string { return pathWith(path, url.Values{"done": {key}}) }

// confirmAgain shows a confirmation again with why it was refused.
func (p *Pages) confirmAgain(w *web.Reply, r *http.Request, view confirmView, err error) error {
	view.Note = p.noteOf(w, err)
	return p.again(w, r, "admin/confirm", view, err)
}

// proofLeft is how long the proof of a user has to last for what a form asks for: long enough to fill it in.
const proofLeft = 5 * time.Minute

// provedLately returns jeton.ErrProof if the user will have to enter the password for what a form does, so that this
// happens before it is filled in. What the form does is for package api to permit.
func (p *Pages) provedLately(w *web.Reply, r *http.Request) error {
	proved, err := p.Sessions.Proved(r.Context(), gate.From(w).Principal().Session)
	if err != nil {
		return err
	}

	if w.Start.Sub(proved) > proofAge-proofLeft {
		return jeton.ErrProof
	}

	return nil
}
