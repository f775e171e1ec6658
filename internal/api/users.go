package api

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/account"
	"github.com/jeton-auth/jeton/internal/signin"
	"github.com/jeton-auth/jeton/internal/web"
)

const (
	maxPageSize = 1000 // users
	maxSearch   = 256  // bytes
)

// listUsers answers GET /users?limit=&cursor=&search=.
func (a *API) listUsers(w *web.Reply, r *http.Request, _ caller) error {
	page, err := a.readPage(r.URL.Query())
	if err != nil {
		return err
	}

	users, next, err := a.Accounts.Page(r.Context(), page)
	if err != nil {
		return err
	}

	// RFC 8288. The cursor is bound to the search, so both go into the link.
	if next != 0 {
		q := url.Values{"limit": {strconv.Itoa(page.Limit)}, "cursor": {a.cursor(next, page.Search)}}
		if page.Search != "" {
			q.Set("search", page.Search)
		}
		w.Header().Set("Link", "<"+a.Prefix+"/users?"+q.Encode()+`>; rel="next"`)
	}

	return web.JSON(w, http.StatusOK, users)
}

// readPage reads which page a query asks for.
func (a *API) readPage(q url.Values) (page account.Page, err error) {
	page.Limit = a.PageSize
	page.Search = q.Get("search")
	if len(page.Search) > maxSearch || !utf8.ValidString(page.Search) {
		return page, jeton.WithDetail(jeton.ErrInvalid, "invalid search: want at most 256 bytes of UTF-8")
	}

	limit, cursor := q.Get("limit"), q.Get("cursor")
	if limit != "" {
		page.Limit, err = strconv.Atoi(limit)
		if err != nil || page.Limit < 1 || page.Limit > maxPageSize {
			return page, jeton.WithDetail(jeton.ErrInvalid, "invalid limit: want a number from 1 to 1000")
		}
	}

	if cursor != "" {
		page.After, err = a.readCursor(cursor, page.Search)
	}

	return page, err
}

// NewUser describes the user to create.
type NewUser struct {
	Email    string   `json:"email,omitempty" jsonschema:"Email address"`
	Name     string   `json:"name,omitempty" jsonschema:"Name to log in with. Default: the email address"`
	Password string   `json:"password" jsonschema:"Password"`
	First    string   `json:"first_name,omitempty" jsonschema:"First name"`
	Last     string   `json:"last_name,omitempty" jsonschema:"Last name"`
	Groups   []string `json:"groups,omitempty" jsonschema:"Groups of the user"`
}

// createUser answers POST /users.
func (a *API) createUser(w *web.Reply, r *http.Request, c caller) error {
	in, err := web.Read[NewUser](r)
	if err != nil {
		return err
	}

	if in.Name == "" {
		in.Name = strings.TrimSpace(in.Email)
	}
	if err := require("email", in.Name); err != nil {
		return err
	}
	if err := require("password", in.Password); err != nil {
		return err
	}

	created, err := a.Accounts.Add(r.Context(), c.actor(), account.NewUser{
		Name:        in.Name,
		Password:    jeton.NewSecret(in.Password),
		Groups:      in.Groups,
		Email:       in.Email,
		First:       in.First,
		Last:        in.Last,
		AnyPassword: a.AnyPassword,
	})
	if err != nil {
		return err
	}

	w.Header().Set("Location", a.Prefix+"/users/"+created.ID)

	return web.JSON(w, http.StatusCreated, created)
}

func require(member, value string) error {
	if value == "" {
		return jeton.WithDetail(jeton.ErrInvalid, member+" missing")
	}
	return nil
}

// readSelf answers GET /users/me.
func (a *API) readSelf(w *web.Reply, r *http.Request, c caller) error {
	acct, err := a.account(r.Context(), c)
	if err != nil {
		return err
	}
	return writeUser(w, acct)
}

// readUser answers GET /users/{id}.
func (a *API) readUser(w *web.Reply, r *http.Request, c caller) error {
	acct, err := a.target(r, c)
	if err != nil {
		return err
	}
	return writeUser(w, acct)
}

func writeUser(w *web.Reply, acct account.Account) error {
	w.Header().Set("ETag", etag(acct))
	return web.JSON(w, http.StatusOK, acct.User())
}

// target returns the user in the path: by id, or for an operator by name. A caller that is no admin finds only itself.
func (a *API) target(r *http.Request, c caller) (account.Account, error) {
	id := r.PathValue("id")
	if c.operator {
		return a.Accounts.Find(r.Context(), id)
	}

	id = strings.ToLower(id)
	// By id only: names can be changed and used again.
	if c.admin {
		return a.Accounts.FindID(r.Context(), id)
	}

	acct, err := a.account(r.Context(), c)
	if err == nil && acct.UUID != id {
		err = jeton.ErrNotFound
	}

	return acct, err
}

// SelfChange is what users may change of themselves.
type SelfChange struct {
	First    *string `json:"first_name,omitempty" jsonschema:"First name"`
	Last     *string `json:"last_name,omitempty" jsonschema:"Last name"`
	Email    *string `json:"email,omitempty" jsonschema:"Email address"`
	Password *string `json:"password,omitempty" jsonschema:"New password"`
	Current  *string `json:"current_password,omitempty" jsonschema:"Required to change your own password"`
}

// UserChange is what admins may change of other users.
type UserChange struct {
	SelfChange
	Groups   *[]string `json:"groups,omitempty" jsonschema:"Groups of the user. You cannot set your own"`
	Disabled *bool     `json:"disabled,omitempty" jsonschema:"Disabling ends all sessions. You cannot set your own"`
}

// updateSelf answers PUT /users/me.
func (a *API) updateSelf(w *web.Reply, r *http.Request, c caller) error {
	acct, err := a.account(r.Context(), c)
	if err != nil {
		return err
	}

	in, err := web.Read[SelfChange](r)
	if err != nil {
		return err
	}

	return a.update(w, r, c, acct, UserChange{SelfChange: in})
}

// updateUser answers PUT /users/{id}.
func (a *API) updateUser(w *web.Reply, r *http.Request, c caller) error {
	acct, err := a.target(r, c)
	if err != nil {
		return err
	}

	in, err := web.Read[UserChange](r)
	if err != nil {
		return err
	}

	return a.update(w, r, c, acct, in)
}

// update changes a user and answers with the changed one.
func (a *API) update(w *web.Reply, r *http.Request, c caller, acct account.Account, in UserChange) error {
	if acct.Declared {
		return jeton.ErrDeclared
	}

	// Admins must not lock themselves out, nor may a user who is no admin become one.
	self, err := a.isSelf(r.Context(), c, acct)
	if err != nil {
		return err
	}
	if (self || !c.admin) && (in.Groups != nil || in.Disabled != nil) {
		return jeton.WithDetail(jeton.ErrForbidden, "you cannot set your own groups or disabled")
	}

	update := account.Update{
		Email:       in.Email,
		First:       in.First,
		Last:        in.Last,
		Groups:      in.Groups,
		Disabled:    in.Disabled,
		Check:       ifMatch(r),
		AnyPassword: a.AnyPassword,
	}
	if in.Password != nil {
		// An admin who sets another user's password does not know the current one.
		if self {
			if err := a.checkPassword(w, r, acct, in.Current); err != nil {
				return err
			}
		}

		password := jeton.NewSecret(*in.Password)
		update.Password = &password
	}

	changed, err := a.Accounts.Update(r.Context(), c.actor(), acct, update)
	if err != nil {
		return err
	}

	return writeUser(w, changed)
}

// isSelf reports whether the caller is the user.
func (a *API) isSelf(ctx context.Context, c caller, acct account.Account) (bool, error) {
	self, err := a.account(ctx, c)
	// The caller is an operator or a client.
	if jeton.Outcome(err) == jeton.ErrNotFound {
		return false, nil
	}
	return self.ID == acct.ID, err
}

// checkPassword checks the current password of a user who sets a new one: a stolen session must not be enough to take
// the account over. Guesses are throttled as logins are.
func (a *API) checkPassword(w *web.Reply, r *http.Request, acct account.Account, current *string) error {
	if current == nil {
		return jeton.WithDetail(jeton.ErrInvalid, "current_password missing")
	}

	_, err := a.Logins.Basic(r.Context(), signin.PasswordRequest{
		Name:     acct.Name,
		Password: jeton.NewSecret(*current),
		Service:  a.Service.Name,
		Source:   w.Source,
		Request:  w.ID,
	})

	outcome := jeton.Outcome(err)
	// Not a 401: the session is valid, and a client would log the user out.
	if outcome == jeton.ErrBadCredential || outcome == jeton.ErrNoCredential {
		return jeton.WithDetail(jeton.ErrForbidden, "current_password is wrong")
	}

	return err
}

// removeUser answers DELETE /users/{id}.
func (a *API) removeUser(w *web.Reply, r *http.Request, c caller) error {
	acct, err := a.target(r, c)
	if err != nil {
		return err
	}

	unchanged := ifMatch(r)
	if unchanged != nil {
		if err := unchanged(acct); err != nil {
			return err
		}
	}

	if err := a.Accounts.Remove(r.Context(), c.actor(), acct.Name); err != nil {
		return err
	}

	return web.NoContent(w)
}
