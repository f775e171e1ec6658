package pages

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/gate"
	"github.com/jeton-auth/jeton/internal/web"
)

// userView is the view of admin/user.
type userView struct {
	Note     *Note
	User     jeton.User
	Pending  string // address of the user that counts once its link was used, or ""
	FullName string
	Tags     []Tag
	Self     bool // the page is about the user who looks at it
	Impact   impact
	Groups   Field
	Allow    *Select // services at which logins can be forgotten; nil: there are none
	Path     string
	Sessions string // URL of the lists of what the user has
	Tokens   string
	Events   string
}

// impact is what ends when a user is disabled or deleted, as the API counts it.
type impact struct {
	Sessions int64 `json:"sessions"`
	Tokens   int64 `json:"tokens"`
}

// adminUser answers GET /admin/users/{id}.
func (p *Pages) adminUser(w *web.Reply, r *http.Request) error {
	v, err := p.readUser(w, r)
	if err != nil {
		return err
	}

	return p.show(w, r, http.StatusOK, "admin/user", v)
}

// readUser returns the view of the user in the path.
func (p *Pages) readUser(w *web.Reply, r *http.Request) (userView, error) {
	var u ownUser
	var ends impact

	path := "/users/" + url.PathEscape(r.PathValue("id"))
	err := p.call(w, r, http.MethodGet, path, nil, nil, &u)
	if err == nil {
		err = p.call(w, r, http.MethodGet, path+"/impact", nil, nil, &ends)
	}
	if err != nil {
		return userView{}, err
	}

	v := p.userPage(u.User, ends, gate.From(w).Principal())
	v.Pending = u.Pending

	return v, nil
}

// userPage returns the page of a user for an administrator.
func (p *Pages) userPage(u jeton.User, ends impact, who jeton.Principal) userView {
	ofUser := url.Values{"user": {u.Name}}
	v := userView{
		User:     u,
		FullName: fullName(u),
		Tags:     userTags(u),
		Self:     who.Name == u.Name,
		Impact:   ends,
		Groups: Field{
			Name:         "groups",
			Label:        text("admin.user.member"),
			Hint:         text("admin.user.groups.hint", Code(AdminGroup)),
			Value:        strings.Join(u.Groups, ", "),
			Autocomplete: "off",
			NoCapitals:   true,
		},
		Path:     userPath(u.ID),
		Sessions: pathWith("/admin/sessions", ofUser),
		Tokens:   pathWith("/admin/tokens", ofUser),
		Events:   pathWith("/admin/audit", ofUser),
	}

	var services []Choice
	for _, s := range p.Services {
		if u.Service == "" || u.Service == s.Name {
			services = append(services, Choice{Value: s.Name, Label: s.Name})
		}
	}
	if len(services) > 0 {
		v.Allow = &Select{Name: "service", Label: text("admin.user.allow.service"), Choices: services}
	}

	return v
}

// changeUser answers POST /admin/users/{id}: what the buttons of the page do.
func (p *Pages) changeUser(w *web.Reply, r *http.Request) error {
	form, err := adminForm(w, r)
	if err != nil {
		return err
	}

	path := "/users/" + url.PathEscape(r.PathValue("id"))
	done := ""

	switch form.Get("do") {
	case "groups":
		done = "user-saved"
		err = p.call(w, r, http.MethodPut, path, nil, map[string]any{"groups": words(form.Get("groups"))}, nil)
	case "enable":
		done = "user-enabled"
		err = p.call(w, r, http.MethodPut, path, nil, map[string]any{"disabled": false}, nil)
	case "allow-login":
		done = "login-allowed"
		in := map[string]any{"service": form.Get("service")}
		err = p.call(w, r, http.MethodPost, path+"/allow-login", nil, in, nil)
	case "end-sessions":
		done = "sessions-ended"
		err = p.endSessionsOf(w, r)
	case "link":
		return p.signInLink(w, r)
	case "recover":
		return p.recoveryLink(w, r)
	default:
		return errDo
	}

	if keepsForm(err) {
		return p.userAgain(w, r, form, err)
	}
	if err != nil {
		return err
	}

	return see(w, donePath(r.URL.Path, done))
}

// userAgain shows the page of a user again with why a change was refused.
func (p *Pages) userAgain(w *web.Reply, r *http.Request, form url.Values, refused error) error {
	v, err := p.readUser(w, r)
	if err != nil {
		return err
	}

	v.Note = p.userNote(w, v, refused)
	if form.Has("groups") {
		v.Groups.Value = form.Get("groups")
	}

	return p.again(w, r, "admin/user", v, refused)
}

// userNote returns the note about a change of a user that was refused. Only that a user is the last administrator
// conflicts with a change of these pages.
func (p *Pages) userNote(w *web.Reply, v userView, refused error) *Note {
	n := p.noteOf(w, refused)
	if jeton.Outcome(refused) == jeton.ErrConflict && slices.Contains(v.User.Groups, AdminGroup) {
		n.Text, n.More = text("admin.user.last"), text("admin.user.last.do")
	}

	return n
}

// endSessionsOf ends the sessions of the user in the path.
func (p *Pages) endSessionsOf(w *web.Reply, r *http.Request) error {
	v, err := p.readUser(w, r)
	if err != nil {
		return err
	}

	return p.call(w, r, http.MethodDelete, "/sessions", url.Values{"user": {v.User.Name}}, nil, nil)
}

// signInLink shows a link that signs the user in once. No other response has it.
func (p *Pages) signInLink(w *web.Reply, r *http.Request) error {
	v, err := p.readUser(w, r)
	if err != nil {
		return err
	}

	var made madeLink
	path := "/users/" + url.PathEscape(v.User.ID) + "/sign-in-link"
	err = p.call(w, r, http.MethodPost, path, nil, nil, &made)
	if keepsForm(err) {
		return p.userAgain(w, r, nil, err)
	}
	if err != nil {
		return err
	}

	return p.show(w, r, http.StatusOK, "admin/secret", madeLinkPage(v, made))
}

// disableUserPage answers GET /admin/users/{id}/disable.
func (p *Pages) disableUserPage(w *web.Reply, r *http.Request) error {
	return p.confirmUser(w, r, disableUserView)
}

// deleteUserPage answers GET /admin/users/{id}/delete.
func (p *Pages) deleteUserPage(w *web.Reply, r *http.Request) error {
	return p.confirmUser(w, r, deleteUserView)
}

// confirmUser shows what is about to happen to a user. The password is asked for before, not after.
func (p *Pages) confirmUser(w *web.Reply, r *http.Request, view func(userView) confirmView) error {
	if err := p.provedLately(w, r); err != nil {
		return err
	}

	v, err := p.readUser(w, r)
	if err != nil {
		return err
	}

	return p.show(w, r, http.StatusOK, "admin/confirm", view(v))
}

// disableUserView returns what disabling a user does.
func disableUserView(v userView) confirmView {
	return confirmView{
		Title:  text("admin.disable.title", v.User.Name),
		Text:   text("admin.disable.text", Strong(v.User.Name)),
		Ends:   v.Impact.ends(),
		Action: v.Path + "/disable",
		Button: text("admin.disable.button"),
		Cancel: v.Path,
	}
}

// deleteUserView returns what deleting a user does.
func deleteUserView(v userView) confirmView {
	return confirmView{
		Title:  text("admin.delete.title", v.User.Name),
		Text:   text("admin.delete.text", Strong(v.User.Name)),
		Ends:   v.Impact.ends(),
		Action: v.Path + "/delete",
		Name:   nameField(v.User.Name),
		Button: text("admin.delete.button"),
		Cancel: v.Path,
	}
}

// ends returns what ends, in words.
func (i impact) ends() []Text {
	return []Text{text("admin.ends.sessions", i.Sessions), text("admin.ends.tokens", i.Tokens)}
}

// endTokensView returns what revoking all tokens of a user does.
func endTokensView(v userView) confirmView {
	return confirmView{
		Title:  text("admin.end-tokens.title", v.User.Name),
		Text:   text("admin.end-tokens.text", Strong(v.User.Name)),
		Ends:   v.Impact.ends()[1:],
		Action: v.Path + "/end-tokens",
		Button: text("admin.user.end-tokens"),
		Cancel: v.Path,
	}
}

// endTokensPage answers GET /admin/users/{id}/end-tokens.
func (p *Pages) endTokensPage(w *web.Reply, r *http.Request) error {
	return p.confirmUser(w, r, endTokensView)
}

// endTokens answers POST /admin/users/{id}/end-tokens.
func (p *Pages) endTokens(w *web.Reply, r *http.Request) error {
	if _, err := adminForm(w, r); err != nil {
		return err
	}

	path := "/users/" + url.PathEscape(r.PathValue("id")) + "/end-tokens"
	if err := p.call(w, r, http.MethodPost, path, nil, nil, nil); err != nil {
		return err
	}

	return see(w, donePath(userPath(r.PathValue("id")), "tokens-revoked"))
}

// confirmUserAgain shows a confirmation about a user again with why it was refused.
func (p *Pages) confirmUserAgain(w *web.Reply, r *http.Request, v userView, view confirmView, refused error) error {
	view.Note = p.userNote(w, v, refused)
	return p.again(w, r, "admin/confirm", view, refused)
}

// disableUser answers POST /admin/users/{id}/disable.
func (p *Pages) disableUser(w *web.Reply, r *http.Request) error {
	if _, err := adminForm(w, r); err != nil {
		return err
	}

	v, err := p.readUser(w, r)
	if err != nil {
		return err
	}

	path := "/users/" + url.PathEscape(v.User.ID)
	err = p.call(w, r, http.MethodPut, path, nil, map[string]any{"disabled": true}, nil)
	if keepsForm(err) {
		return p.confirmUserAgain(w, r, v, disableUserView(v), err)
	}
	if err != nil {
		return err
	}

	return see(w, donePath(v.Path, "user-disabled"))
}

// deleteUser answers POST /admin/users/{id}/delete.
func (p *Pages) deleteUser(w *web.Reply, r *http.Request) error {
	form, err := adminForm(w, r)
	if err != nil {
		return err
	}

	v, err := p.readUser(w, r)
	if err != nil {
		return err
	}

	typed := strings.TrimSpace(form.Get("confirm"))
	if typed != v.User.Name {
		return p.mistyped(w, r, deleteUserView(v), typed, v.User.Name)
	}

	err = p.call(w, r, http.MethodDelete, "/users/"+url.PathEscape(v.User.ID), nil, nil, nil)
	if keepsForm(err) {
		return p.confirmUserAgain(w, r, v, deleteUserView(v), err)
	}
	if err != nil {
		return err
	}

	return see(w, donePath("/admin/users", "user-deleted"))
}

// madeLink is a link that signs a user in once, as the API returns it.
type madeLink struct {
	URL     string    `json:"url"`
	Expires time.Time `json:"expires_at"`
}

// madeLinkPage returns the page that shows a link.
func madeLinkPage(v userView, made madeLink) adminSecretView {
	return adminSecretView{
		Title:  text("admin.user-link.title", v.User.Name),
		Text:   text("admin.user-link.text", Strong(v.User.Name)),
		Label:  text("admin.user-link.label"),
		Secret: made.URL,
		After:  text("admin.user-link.ends", made.Expires),
		Back:   Link{Text: text("admin.user-link.back"), URL: v.Path},
	}
}
