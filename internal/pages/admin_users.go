package pages

import (
	"crypto/rand"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/web"
)

// adminUserRoutes returns the routes of the pages of users.
func (p *Pages) adminUserRoutes() []web.Route {
	return []web.Route{
		{Pattern: "GET /admin/users", Handle: p.adminUsers},
		{Pattern: "GET /admin/users/new", Handle: p.newUserPage},
		{Pattern: "POST /admin/users/new", Handle: p.newUser},
		{Pattern: "GET /admin/users/{id}", Handle: p.adminUser},
		{Pattern: "POST /admin/users/{id}", Handle: p.changeUser},
		{Pattern: "GET /admin/users/{id}/disable", Handle: p.disableUserPage},
		{Pattern: "POST /admin/users/{id}/disable", Handle: p.disableUser},
		{Pattern: "GET /admin/users/{id}/end-tokens", Handle: p.endTokensPage},
		{Pattern: "POST /admin/users/{id}/end-tokens", Handle: p.endTokens},
		{Pattern: "GET /admin/users/{id}/reset-factors", Handle: p.resetFactorsPage},
		{Pattern: "POST /admin/users/{id}/reset-factors", Handle: p.resetFactors},
		{Pattern: "GET /admin/users/{id}/delete", Handle: p.deleteUserPage},
		{Pattern: "POST /admin/users/{id}/delete", Handle: p.deleteUser},
	}
}

// usersView is the view of admin/users.
type usersView struct {
	Search   Field
	Filtered bool
	Users    []userRow
	Pager    Pager
	Empty    Empty
}

// userRow is a user in a list.
type userRow struct {
	Name    string
	URL     string
	About   string // full name and address
	Tags    []Tag
	Groups  []string
	Created time.Time
}

// adminUsers answers GET /admin/users?search=&in=&cursor=.
func (p *Pages) adminUsers(w *web.Reply, r *http.Request) error {
	query := r.URL.Query()
	kept := filters(query, "search", "in")

	var users []jeton.User
	next, err := p.list(w, r, "/users", usersQuery(kept), query.Get("cursor"), &users)
	if err != nil {
		return err
	}

	return p.show(w, r, http.StatusOK, "admin/users", usersPage(kept, query.Get("cursor"), next, users))
}

// searchParts is the value of the parameter in for a search for a part of a name.
const searchParts = "parts"

// usersQuery returns the query of the API for the filters of the page. Of a million users, those whose name or address
// begins with a text are found at once; a search for a part of it reads all of them, and is what the page offers then.
func usersQuery(kept url.Values) url.Values {
	search := kept.Get("search")
	switch {
	case search == "":
		return url.Values{}
	case kept.Get("in") == searchParts:
		return url.Values{"search": {search}}
	}

	return url.Values{"prefix": {search}}
}

// usersPage returns a page of the list of users.
func usersPage(kept url.Values, shown, next string, users []jeton.User) usersView {
	v := usersView{
		Search: Field{
			Name:         "search",
			Label:        text("admin.users.search"),
			Value:        kept.Get("search"),
			Type:         "search",
			Autocomplete: "off",
			NoCapitals:   true,
			MaxLength:    256,
		},
		Filtered: kept.Has("search"),
		Pager:    pagerOf("/admin/users", kept, shown, next, "cursor"),
	}

	for _, u := range users {
		v.Users = append(v.Users, newUserRow(u))
	}

	v.Empty = Empty{
		Text:   text("admin.users.empty"),
		Action: &Link{Text: text("admin.users.new"), URL: "/admin/users/new"},
	}
	switch {
	case !v.Filtered:
	case kept.Get("in") == searchParts:
		v.Empty = Empty{Text: text("admin.users.no-part", Strong(kept.Get("search")))}
	default:
		v.Empty = Empty{Text: text("admin.users.none", Strong(kept.Get("search"))), Action: &Link{
			Text: text("admin.users.parts"),
			URL:  pathWith("/admin/users", with(kept, "in", searchParts)),
		}}
	}

	return v
}

// newUserRow returns a user in a list.
func newUserRow(u jeton.User) userRow {
	about := slices.DeleteFunc([]string{fullName(u), u.Email}, func(s string) bool { return s == "" || s == u.Name })

	return userRow{
		Name:    u.Name,
		URL:     userPath(u.ID),
		About:   strings.Join(about, " · "),
		Tags:    userTags(u),
		Groups:  slices.DeleteFunc(slices.Clone(u.Groups), func(g string) bool { return g == AdminGroup }),
		Created: u.Created,
	}
}

// fullName returns the first and the last name of a user.
func fullName(u jeton.User) string { return strings.TrimSpace(u.First + " " + u.Last) }

// userPath returns the page of a user.
func userPath(id string) string { return "/admin/users/" + url.PathEscape(id) }

// userTags returns what stands out about a user.
func userTags(u jeton.User) []Tag {
	var tags []Tag
	if slices.Contains(u.Groups, AdminGroup) {
		tags = append(tags, Tag{Text: text("admin.tag.admin")})
	}
	if u.Disabled {
		tags = append(tags, Tag{Kind: Bad, Text: text("admin.tag.disabled")})
	}
	if u.Declared {
		tags = append(tags, Tag{Kind: "plain", Text: text("admin.tag.declared")})
	}

	return tags
}

// newUserView is the view of admin/user-new.
type newUserView struct {
	Note     *Note
	Name     Field
	Email    Field
	First    Field
	Last     Field
	Groups   Field
	Password Field
}

// newUserPage answers GET /admin/users/new. The password is asked for before the form is filled, not after.
func (p *Pages) newUserPage(w *web.Reply, r *http.Request) error {
	if err := p.provedLately(w, r); err != nil {
		return err
	}

	return p.show(w, r, http.StatusOK, "admin/user-new", p.newUserForm(url.Values{}))
}

// newUserForm returns the form with what was typed. Browsers must not fill in the credentials of the administrator.
func (p *Pages) newUserForm(typed url.Values) newUserView {
	field := func(name string, label Text) Field {
		return Field{
			Name:         name,
			Label:        label,
			Value:        typed.Get(name),
			Autocomplete: "off",
		}
	}

	v := newUserView{
		Name:   field("name", text("admin.user.name")),
		Email:  field("email", text("admin.user.email")),
		First:  field("first", text("admin.user.first")),
		Last:   field("last", text("admin.user.last")),
		Groups: field("groups", text("admin.user.groups")),
		Password: Field{
			Name:         "password",
			Label:        text("admin.user.password"),
			Hint:         text("admin.user.password.hint"),
			Type:         "password",
			Autocomplete: "new-password",
		},
	}

	v.Name.Required = true
	v.Name.Focus = true
	v.Name.NoCapitals = true
	v.Name.Hint = text("admin.user.name.hint")
	v.Email.Type = "email"
	v.Email.NoCapitals = true
	v.Groups.Hint = text("admin.user.groups.hint", Code(AdminGroup))
	v.Groups.NoCapitals = true

	return v
}

// newUser answers POST /admin/users/new.
func (p *Pages) newUser(w *web.Reply, r *http.Request) error {
	form, err := adminForm(w, r)
	if err != nil {
		return err
	}

	// Without a password, one that is not known is set: the user comes in by a link.
	password := form.Get("password")
	if password == "" {
		password = rand.Text()
	}

	in := map[string]any{
		"name":       strings.TrimSpace(form.Get("name")),
		"email":      strings.TrimSpace(form.Get("email")),
		"first_name": strings.TrimSpace(form.Get("first")),
		"last_name":  strings.TrimSpace(form.Get("last")),
		"groups":     words(form.Get("groups")),
		"password":   password,
	}

	var added jeton.User
	err = p.call(w, r, http.MethodPost, "/users", nil, in, &added)
	if keepsForm(err) {
		v := p.newUserForm(form)
		v.Note = p.noteOf(w, err)

		return p.again(w, r, "admin/user-new", v, err)
	}
	if err != nil {
		return err
	}

	return see(w, donePath(userPath(added.ID), "user-added"))
}

// keepsForm reports whether an error is about what was typed, so that the form is shown again.
func keepsForm(err error) bool {
	switch jeton.Outcome(err) {
	case jeton.ErrInvalid, jeton.ErrConflict, jeton.ErrForbidden, jeton.ErrChanged, jeton.ErrTooLarge, jeton.ErrBusy:
		return true
	}

	return false
}
