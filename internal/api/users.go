package api

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/account"
	"github.com/jeton-auth/jeton/internal/signin"
	"github.com/jeton-auth/jeton/internal/web"
)

const (
	pageDefault = 100  // users on a page
	pageMost    = 1000 // users on a page that asks for more
	searchMost  = 256  // bytes
)

// listUsers answers GET /users?limit=&cursor=&search=.
func (a *Users) listUsers(w *web.Reply, r *http.Request) error {
	p, err := a.wanted(r.URL.Query())
	if err != nil {
		return err
	}

	users, next, err := a.accounts.Page(r.Context(), p)
	if err != nil {
		return err
	}

	if next != 0 {
		q := url.Values{"limit": {strconv.Itoa(p.Limit)}, "cursor": {a.cursors.make(next, p.Search)}}
		if p.Search != "" {
			q.Set("search", p.Search)
		}
		w.Header().Set("Link", "<"+a.conf.UsersAPI.Prefix+"/users?"+q.Encode()+`>; rel="next"`)
	}

	return web.JSON(w, http.StatusOK, a.shape.users(users))
}

// wanted reads which page is asked for.
func (a *Users) wanted(q url.Values) (p account.Page, err error) {
	p.Limit, p.Search = a.shape.pageDefault(), q.Get("search")
	if len(p.Search) > searchMost || !utf8.ValidString(p.Search) {
		return p, jeton.WithDetail(jeton.ErrInvalid, "search has at most 256 bytes of UTF-8")
	}

	if text := q.Get("limit"); text != "" {
		p.Limit, err = strconv.Atoi(text)
		if err != nil || p.Limit < 1 || p.Limit > pageMost {
			return p, jeton.WithDetail(jeton.ErrInvalid, "limit is a number from 1 to 1000")
		}
	}

	if text := q.Get("cursor"); text != "" {
		p.After, err = a.cursors.read(text, p.Search)
	}

	return p, err
}

// newUser asks for a user. The password is in the clear on its way in, and only there.
type newUser struct {
	Email    string   `json:"email,omitempty" jsonschema:"E-mail address"`
	Name     string   `json:"name,omitempty" jsonschema:"Name to log in with; the address where it is left out"`
	Password string   `json:"password" jsonschema:"Password"`
	First    string   `json:"first_name,omitempty" jsonschema:"First name"`
	Last     string   `json:"last_name,omitempty" jsonschema:"Last name"`
	Groups   []string `json:"groups,omitempty" jsonschema:"Groups that the person is in"`
}

// createUser answers POST /users.
func (a *Users) createUser(w *web.Reply, r *http.Request) error {
	in, err := a.shape.readNew(w, r)
	if err != nil {
		return err
	}

	wish := account.NewUser{
		Name:        in.Name,
		Password:    jeton.NewSecret(in.Password),
		Groups:      in.Groups,
		Email:       in.Email,
		First:       in.First,
		Last:        in.Last,
		AnyPassword: a.shape.classic != nil,
	}
	if wish.Name == "" {
		wish.Name = strings.TrimSpace(in.Email)
	}
	if err := missing("email", wish.Name); err != nil {
		return err
	}

	if err := missing("password", in.Password); err != nil {
		return err
	}

	u, err := a.accounts.Add(r.Context(), actor(w), wish)
	if err != nil {
		return &notMade{err}
	}

	w.Header().Set("Location", a.conf.UsersAPI.Prefix+"/users/"+u.ID)

	return web.JSON(w, http.StatusCreated, a.shape.user(u))
}

func missing(field, value string) error {
	if value == "" {
		return jeton.WithDetail(jeton.ErrInvalid, field+" missing")
	}
	return nil
}

func (a *Users) readMe(w *web.Reply, r *http.Request) error {
	acct, err := a.me(w, r)
	if err != nil {
		return err
	}
	return a.show(w, acct)
}

func (a *Users) readUser(w *web.Reply, r *http.Request) error {
	acct, err := a.target(w, r)
	if err != nil {
		return err
	}
	return a.show(w, acct)
}

// show answers with a user.
func (a *Users) show(w *web.Reply, acct account.Account) error {
	w.Header().Set("ETag", etag(acct))
	return web.JSON(w, http.StatusOK, a.shape.user(acct.User()))
}

// target returns the user whom the path names. For who does not manage there is nobody but
// themselves.
func (a *Users) target(w *web.Reply, r *http.Request) (account.Account, error) {
	id := strings.ToLower(r.PathValue("id"))
	if !a.manages(w) {
		acct, err := a.me(w, r)
		if err == nil && acct.UUID != id {
			err = jeton.ErrNotFound
		}
		return acct, err
	}

	return a.accounts.FindID(r.Context(), id)
}

// change is what people change of themselves.
type change struct {
	First    *string `json:"first_name,omitempty" jsonschema:"First name"`
	Last     *string `json:"last_name,omitempty" jsonschema:"Last name"`
	Email    *string `json:"email,omitempty" jsonschema:"E-mail address"`
	Password *string `json:"password,omitempty" jsonschema:"A new password"`
	Current  *string `json:"current_password,omitempty" jsonschema:"The password of now, which a new one of one's own needs"`
}

// managed is what those who manage change of others.
type managed struct {
	change
	Groups   *[]string `json:"groups,omitempty" jsonschema:"Groups that the person is in. Nobody sets their own"`
	Disabled *bool     `json:"disabled,omitempty" jsonschema:"The person can do nothing, and all sessions end. Nobody sets their own"`
}

func (a *Users) updateMe(w *web.Reply, r *http.Request) error {
	acct, err := a.me(w, r)
	if err != nil {
		return err
	}

	in, err := a.shape.readChange(w, r)
	if err != nil {
		return err
	}

	return a.update(w, r, acct, managed{change: in})
}

func (a *Users) updateUser(w *web.Reply, r *http.Request) error {
	acct, err := a.target(w, r)
	if err != nil {
		return err
	}

	in, err := a.shape.readManaged(w, r)
	if err != nil {
		return err
	}

	return a.update(w, r, acct, in)
}

// update changes a user and answers with what they are afterwards.
func (a *Users) update(w *web.Reply, r *http.Request, acct account.Account, in managed) error {
	if acct.Declared {
		return jeton.ErrDeclared
	}

	own, err := a.isMe(w, r, acct)
	if err != nil {
		return err
	}
	if (own || !a.manages(w)) && (in.Groups != nil || in.Disabled != nil) {
		return jeton.WithDetail(jeton.ErrForbidden, "nobody sets their own groups, or whether they are disabled")
	}

	e := account.Update{
		Email:    in.Email,
		First:    in.First,
		Last:     in.Last,
		Groups:   in.Groups,
		Disabled: in.Disabled,
		Check:    unchanged(r),
	}
	if in.Password != nil {
		if own {
			if err := a.prove(w, r, acct, in.Current); err != nil {
				return err
			}
		}

		pw := jeton.NewSecret(*in.Password)
		e.Password = &pw
	}

	after, err := a.accounts.Update(r.Context(), actor(w), acct, e)
	if err != nil {
		return err
	}

	return a.show(w, after)
}

// isMe reports whether who asks is that user.
func (a *Users) isMe(w *web.Reply, r *http.Request, acct account.Account) (bool, error) {
	me, err := a.me(w, r)
	if jeton.Outcome(err) == jeton.ErrNotFound {
		return false, nil
	}
	return me.ID == acct.ID, err
}

// prove asks for the password of now: a session that somebody else has got hold of must not
// become the account. It is throttled as a login is.
func (a *Users) prove(w *web.Reply, r *http.Request, acct account.Account, current *string) error {
	if current == nil {
		return jeton.WithDetail(jeton.ErrInvalid, "current_password missing")
	}

	_, err := a.logins.Basic(r.Context(), signin.PasswordRequest{
		Name:     acct.Name,
		Password: jeton.NewSecret(*current),
		Service:  a.conf.Name,
		Source:   w.Source,
		Request:  w.ID,
	})
	out := jeton.Outcome(err)
	if out == jeton.ErrBadCredential || out == jeton.ErrNoCredential {
		return jeton.WithDetail(jeton.ErrForbidden, "current_password is wrong")
	}

	return err
}

// removeUser answers DELETE /users/{id}.
func (a *Users) removeUser(w *web.Reply, r *http.Request) error {
	acct, err := a.target(w, r)
	if err != nil {
		return err
	}

	check := unchanged(r)
	if check != nil {
		if err := check(acct); err != nil {
			return err
		}
	}

	if err := a.accounts.Remove(r.Context(), actor(w), acct.Name); err != nil {
		return err
	}

	return a.shape.done(w)
}

// etag names a state of an account (RFC 9110, section 8.8.3). It tells nothing of it.
func etag(a account.Account) string {
	b, err := json.Marshal([]any{a.UUID, a.Version, a.Updated.UnixMilli(), a.User()})
	if err != nil {
		return `""` // what is told of an account always encodes
	}

	sum := sha256.Sum256(b)
	return `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`
}

// unchanged returns what If-Match asks for (RFC 9110, section 13.1.1), or nil.
func unchanged(r *http.Request) func(account.Account) error {
	lines := r.Header["If-Match"]
	if len(lines) == 0 {
		return nil
	}

	return func(now account.Account) error {
		for tag := range strings.SplitSeq(strings.Join(lines, ","), ",") {
			tag = strings.TrimSpace(tag)
			if tag == "*" || tag == etag(now) {
				return nil
			}
		}

		return jeton.ErrChanged
	}
}

// stamp is how the classic shape writes a time: in UTC.
func stamp(t time.Time) string { return t.UTC().Format(time.DateTime) }
