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
	"github.com/jeton-auth/jeton/internal/web"
)

const (
	maxPageSize = 1000 // of every list that has pages
	maxSearch   = 256  // bytes
)

// listUsers answers GET /users?limit=&cursor=&search=, and GET /users?limit=&cursor=&prefix=.
func (a *API) listUsers(w *web.Reply, r *http.Request, _ caller) error {
	if a.ownService() == "" && r.URL.Query().Get("prefix") != "" {
		return a.listPrefix(w, r)
	}

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

// listPrefix answers GET /users?prefix=.
func (a *API) listPrefix(w *web.Reply, r *http.Request) error {
	q := r.URL.Query()
	prefix := q.Get("prefix")
	if len(prefix) > maxSearch || !utf8.ValidString(prefix) || q.Get("search") != "" {
		return jeton.WithDetail(jeton.ErrInvalid, "invalid prefix: want at most 256 bytes of UTF-8, and no search")
	}

	limit, err := pageLimit(q.Get("limit"), min(a.PageSize, maxPageSize))
	if err != nil {
		return err
	}

	from, err := a.readPlace(q.Get("cursor"), prefix)
	if err != nil {
		return err
	}

	users, next, err := a.Accounts.Prefix(r.Context(), prefix, from, limit)
	if err != nil {
		return err
	}

	if next != nil {
		q.Set("cursor", a.placeCursor(*next, prefix))
		w.Header().Set("Link", "<"+a.Prefix+"/users?"+q.Encode()+`>; rel="next"`)
	}

	return web.JSON(w, http.StatusOK, users)
}

// readPage reads which page a query asks for.
func (a *API) readPage(q url.Values) (page account.Page, err error) {
	page.Service = a.ownService()
	page.Search = q.Get("search")
	if len(page.Search) > maxSearch || !utf8.ValidString(page.Search) {
		return page, jeton.WithDetail(jeton.ErrInvalid, "invalid search: want at most 256 bytes of UTF-8")
	}

	page.Limit, err = pageLimit(q.Get("limit"), a.PageSize)
	if err != nil {
		return page, err
	}

	cursor := q.Get("cursor")
	if cursor != "" {
		page.After, err = a.readCursor(cursor, page.Search)
	}

	return page, err
}

// ownService returns the service whose users alone are managed here, or "" for all users.
func (a *API) ownService() string {
	if a.OwnUsers {
		return a.Service.Name
	}
	return ""
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
		// The email address is the name of a user who gives no other.
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
		Service:     a.ownService(),
		AnyPassword: a.AnyPassword,
	})
	if err != nil {
		return err
	}

	w.Header().Set("Location", w.Origin.Prefix+a.Prefix+"/users/"+created.ID)

	return web.JSON(w, http.StatusCreated, created)
}

// require returns jeton.ErrInvalid for a member that is missing or empty.
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

	return a.writeDetails(w, r, http.StatusOK, acct)
}

// readUser answers GET /users/{id}.
func (a *API) readUser(w *web.Reply, r *http.Request, c caller) error {
	acct, err := a.target(r, c)
	if err != nil {
		return err
	}

	return a.writeDetails(w, r, http.StatusOK, acct)
}

// UserDetails is a user with what no list shows.
type UserDetails struct {
	jeton.User
	// Pending is the address that counts once the user has used the link of a mail to it.
	Pending string `json:"pending_email,omitempty" jsonschema:"Counts once the link of a mail to it was used"`
}

// writeDetails answers with what is known of a user.
func (a *API) writeDetails(w *web.Reply, r *http.Request, status int, acct account.Account) error {
	pending, err := a.Logins.PendingAddress(r.Context(), acct)
	if err != nil {
		return err
	}

	w.Header().Set("ETag", etag(acct))

	return web.JSON(w, status, UserDetails{acct.User(), pending})
}

// writeUser answers with a user, and with the ETag by which a client can make its change
// conditional.
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
		acct, err := a.Accounts.FindID(r.Context(), id)
		if err == nil && a.OwnUsers && acct.Service != a.Service.Name {
			err = jeton.ErrNotFound
		}

		return acct, err
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
	Email    *string `json:"email,omitempty" jsonschema:"Email address; another one cancels pending_email"`
	Pending  *string `json:"pending_email,omitempty" jsonschema:"Empty to cancel the address that waits for its link"`
	Password *string `json:"password,omitempty" jsonschema:"New password"`
	Current  *string `json:"current_password,omitempty" jsonschema:"For a new password or email; see the summary"`
	Code     string  `json:"code,omitempty" jsonschema:"Of the authenticator app, if the user has one"`
	// KeepTokens needs a new password of the caller's own.
	KeepTokens bool `json:"keep_tokens,omitempty" jsonschema:"Keep personal tokens; else a new password ends them"`
}

// UserChange is what admins may change of other users.
type UserChange struct {
	SelfChange
	Groups   *[]string `json:"groups,omitempty" jsonschema:"Groups of the user. You cannot set your own"`
	Disabled *bool     `json:"disabled,omitempty" jsonschema:"Disabling ends all sessions and tokens. Never your own"`
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
	if err := in.check(self, c.admin); err != nil {
		return err
	}

	update := account.Update{
		Email:       in.Email,
		First:       in.First,
		Last:        in.Last,
		Groups:      in.Groups,
		Disabled:    in.Disabled,
		EndPending:  in.Pending != nil,
		Check:       ifMatch(r),
		AnyPassword: a.AnyPassword,
		KeepTokens:  in.KeepTokens,
		// Operators can add an admin at any time.
		KeepAdmin: !c.operator,
	}

	// An admin who sets another user's password does not know the current one.
	if self {
		err = a.mayUpdateSelf(w, r, c, acct, in.SelfChange)
	} else if a.Issuer {
		err = a.requireRecent(w, r, c) // as in bind, for the rows of admins
	}
	if err != nil {
		return err
	}

	if in.Password != nil {
		password := jeton.NewSecret(*in.Password)
		update.Password = &password
	}
	status := http.StatusOK
	if self && a.toVerify(acct, in.SelfChange) {
		status = http.StatusAccepted
		if err := a.verifyFirst(r.Context(), &update); err != nil {
			return err
		}
	}

	changed, err := a.Accounts.Update(r.Context(), c.actor(), acct, update)
	if err != nil {
		return err
	}
	if update.Pending != nil {
		a.Logins.WakeMails()
	}

	return a.writeDetails(w, r, status, changed)
}

// check returns jeton.ErrForbidden or jeton.ErrInvalid for a change that the caller can never make.
func (in UserChange) check(self, admin bool) error {
	switch {
	case (self || !admin) && (in.Groups != nil || in.Disabled != nil):
		return jeton.WithDetail(jeton.ErrForbidden, "you cannot set your own groups or disabled")
	case in.KeepTokens && (!self || in.Password == nil):
		return jeton.WithDetail(jeton.ErrInvalid, "keep_tokens is only for a new password of your own")
	case in.Pending != nil && *in.Pending != "":
		return jeton.WithDetail(
			jeton.ErrInvalid,
			`pending_email must be "", which cancels it; set email for a new address`,
		)
	}

	return nil
}

// toVerify reports whether the address of a change counts only after the link of a mail to it was used: a user could
// else have links to set a password, and notices, sent to a stranger, or misspell it and get none.
func (a *API) toVerify(acct account.Account, in SelfChange) bool {
	// A user of one service has no account at the issuer, where such links are opened.
	if acct.Service != "" || in.Email == nil {
		return false
	}
	to := strings.TrimSpace(*in.Email)

	return to != "" && to != acct.Email && a.Logins.VerifiesAddresses()
}

// verifyFirst makes the new address of a change one that counts once its link was used.
func (a *API) verifyFirst(ctx context.Context, update *account.Update) error {
	wanted, err := account.NewProfile(*update.Email, "", "")
	if err != nil {
		return err
	}

	update.Email = nil
	update.Pending, err = a.Logins.NewAddress(ctx, wanted.Email)

	return err
}

// mayUpdateSelf checks that a user who sets a new password or changes the e-mail address knows the current password. A
// link to set a password goes to that address: a stolen session, however new it is, must not become the account.
func (a *API) mayUpdateSelf(w *web.Reply, r *http.Request, c caller, acct account.Account, in SelfChange) error {
	// Where every caller manages every user, another account could change it anyway.
	address := in.Email != nil && *in.Email != acct.Email && !a.AllAdmins

	switch {
	case in.Password != nil && in.Current == nil:
		return jeton.WithDetail(jeton.ErrInvalid, "current_password missing")
	case in.Password != nil:
		_, err := a.checkPassword(w, r, c, acct, Proof{in.Current, in.Code})
		if err != nil {
			return err
		}
	case address:
		// Who has no password, or sends it with each request, has the login itself as the proof.
		if c.Session != "" && acct.Password != "" && in.Current == nil {
			return jeton.WithDetail(jeton.ErrProof, "a new e-mail address needs current_password")
		}

		_, err := a.requireProof(w, r, c, acct, Proof{in.Current, in.Code})
		if err != nil {
			return err
		}
	}

	// Each new address may be that of a stranger, who gets a mail, whatever else changes with it.
	if address {
		return a.Logins.LimitAddress(acct, w.Source)
	}

	return nil
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

	if err := a.Accounts.Remove(r.Context(), c.actor(), acct.Name, !c.operator); err != nil {
		return err
	}

	return web.NoContent(w)
}
