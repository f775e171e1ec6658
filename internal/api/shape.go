package api

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/config"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/signin"
	"github.com/jeton-auth/jeton/internal/web"
)

// shape phrases what comes in and goes out: as this API does, or as the users API of old
// did. The handlers are the same.
type shape struct{ classic *config.Classic }

// classicUser is a user as the users API of old wrote one.
type classicUser struct {
	ID      string  `json:"id"`
	Email   string  `json:"email"`
	First   *string `json:"first_name"`
	Last    *string `json:"last_name"`
	Created string  `json:"created_at" jsonschema:"As in 2017-09-25 01:55:17, UTC"`
	Updated string  `json:"updated_at" jsonschema:"As in 2017-09-25 01:55:17, UTC"`
}

func (s shape) user(u jeton.User) any {
	if s.classic == nil {
		return u
	}

	email := u.Email
	if email == "" {
		email = u.Name // somebody whom the users API of old did not know
	}

	return classicUser{u.ID, email, given(u.First), given(u.Last), stamp(u.Created), stamp(u.Updated)}
}

// given writes a text that is not there as null.
func given(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

func (s shape) users(users []jeton.User) any {
	if s.classic == nil {
		return append([]jeton.User{}, users...)
	}

	list := []classicUser{}
	for _, u := range users {
		list = append(list, s.user(u).(classicUser))
	}

	return list
}

// pageDefault is how many users a list has that does not say. The old clients know no pages.
func (s shape) pageDefault() int {
	if s.classic != nil {
		return 10 * pageMost
	}
	return pageDefault
}

// classicNew asks for a user in the classic shape.
type classicNew struct {
	Email    string `json:"email"`
	Password string `json:"password"`
	First    string `json:"first_name,omitempty"`
	Last     string `json:"last_name,omitempty"`
}

func (s shape) newUser() any {
	if s.classic != nil {
		return classicNew{}
	}
	return newUser{}
}

func (s shape) readNew(w *web.Reply, r *http.Request) (newUser, error) {
	if s.classic == nil {
		return web.Read[newUser](r)
	}
	in, err := lenient[classicNew](w, r)
	return newUser{
		Email:    in.Email,
		Password: in.Password,
		First:    in.First,
		Last:     in.Last,
	}, err
}

// classicChange is what can be changed in the classic shape.
type classicChange struct {
	First *string `json:"first_name,omitempty"`
	Last  *string `json:"last_name,omitempty"`
}

func (s shape) change() any {
	if s.classic != nil {
		return classicChange{}
	}
	return change{}
}

func (s shape) managed() any {
	if s.classic != nil {
		return classicChange{}
	}
	return managed{}
}

func (s shape) readChange(w *web.Reply, r *http.Request) (change, error) {
	if s.classic == nil {
		return web.Read[change](r)
	}
	in, err := lenient[classicChange](w, r)
	return change{First: in.First, Last: in.Last}, err
}

func (s shape) readManaged(w *web.Reply, r *http.Request) (managed, error) {
	if s.classic == nil {
		return web.Read[managed](r)
	}
	in, err := s.readChange(w, r)
	return managed{change: in}, err
}

// lenient reads a JSON object as the users API of old did: of whatever type the body is
// said to be, and members that it does not know are left alone.
func lenient[T any](w *web.Reply, r *http.Request) (T, error) {
	var in *T

	body, err := web.Body(w, r, "the request", maxBody)
	if err != nil {
		return *new(T), err
	}
	if json.Unmarshal(body, &in) != nil || in == nil || web.CheckMembers(body) != nil {
		return *new(T), jeton.WithDetail(jeton.ErrInvalid, "Wrong format")
	}

	return *in, nil
}

// nothing is the body of an answer that has nothing to say.
func (s shape) nothing() any {
	if s.classic != nil {
		return struct{}{}
	}
	return nil
}

func (s shape) done(w *web.Reply) error {
	if s.classic != nil {
		return web.JSON(w, http.StatusOK, struct{}{})
	}
	return web.NoContent(w)
}

// open lets every page in a browser read the answers of the classic shape, without what
// the browser knows of its user: there is no Access-Control-Allow-Credentials.
func (s shape) open(w *web.Reply) {
	if s.classic != nil {
		w.Header().Set("Access-Control-Allow-Origin", "*")
	}
}

func (s shape) loginFails() []int {
	if s.classic != nil {
		return []int{401, 404}
	}
	return []int{401, 403, 415}
}

// otherMethod answers for a path that has not the method of the request.
func (a *Users) otherMethod(w *web.Reply, r *http.Request, allowed []string) error {
	list := strings.Join(append(allowed, http.MethodOptions), ", ")
	w.Header().Set("Allow", list)

	if r.Method != http.MethodOptions {
		return jeton.ErrMethod
	}

	if a.shape.classic != nil {
		w.Header().Set("Access-Control-Allow-Methods", list)
		w.Header().Set("Access-Control-Allow-Headers", "Authorization, Content-Type")
	}

	return web.NoContent(w)
}

// notMade says that a user could not be made.
type notMade struct{ err error }

func (n *notMade) Error() string { return "create user: " + n.err.Error() }
func (n *notMade) Unwrap() error { return n.err }

// plain is an outcome with a text of its own in the classic shape.
type plain struct {
	err    error
	status int
	text   string
}

func (p *plain) Error() string { return p.err.Error() }
func (p *plain) Unwrap() error { return p.err }

// problem is the body of a refusal: problem details (RFC 9457), and the member that
// clients of the users API look for.
type problem struct {
	jeton.Problem
	Error string `json:"error"`
}

// classicError is the body of a refusal in the classic shape.
type classicError struct {
	Error string `json:"error"`
}

func (s shape) refusal() any {
	if s.classic != nil {
		return classicError{}
	}
	return problem{}
}

// refuse phrases a refusal.
func (a *Users) refuse(w *web.Reply, r *http.Request, op operation, err error) {
	p := web.Mark(w, err)
	if a.shape.classic != nil {
		status, text := a.classicRefusal(r, op, err, p)
		a.answer(w, status, "application/json", classicError{text})
		return
	}

	a.challenge().Set(w, r, err)
	a.answer(w, p.Status, "application/problem+json", problem{p, p.Title})
}

func (a *Users) answer(w *web.Reply, status int, kind string, body any) {
	b, err := json.Marshal(body)
	if err != nil {
		b = []byte("{}") // texts always encode
	}
	if status == http.StatusUnauthorized && a.shape.classic != nil && a.accepts&policy.ByPassword != 0 {
		w.Header().Set("WWW-Authenticate", web.BasicChallenge(a.conf.Name))
	}

	w.Header().Set("Content-Type", kind)
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(append(b, '\n'))
}

// classicRefusal is what the users API of old said: 401 to who shows nothing, 403 to who
// shows what is not good, and short texts.
func (a *Users) classicRefusal(r *http.Request, op operation, err error, p jeton.Problem) (int, string) {
	var own *plain
	var not *notMade

	kind := jeton.Outcome(err)
	switch {
	case errors.As(err, &own):
		return own.status, own.text
	case errors.As(err, &not) && (kind == jeton.ErrConflict || kind == jeton.ErrInvalid):
		return http.StatusBadRequest, "Can't create User: " + jeton.Detail(err)
	case op.login && signin.ReasonOf(err) == signin.UnknownUser:
		return http.StatusNotFound, "no user found for this email"
	case op.login && kind == jeton.ErrBadCredential:
		return http.StatusUnauthorized, "wrong password"
	case kind == jeton.ErrNoCredential && !shows(r, a.conf.Session.Cookie):
		return http.StatusUnauthorized, "Unauthorized"
	case p.Status == http.StatusUnauthorized, p.Status == http.StatusForbidden, kind == jeton.ErrAmbiguous:
		return http.StatusForbidden, "Forbidden"
	case kind == jeton.ErrNotFound:
		return http.StatusNotFound, "Not found"
	case kind == jeton.ErrInvalid && jeton.Detail(err) != "":
		return p.Status, jeton.Detail(err)
	}

	return p.Status, p.Title
}

// shows reports whether a request shows something that could be a credential.
func shows(r *http.Request, cookie string) bool {
	if r.Header.Get("Authorization") != "" {
		return true
	}
	c, err := r.Cookie(cookie)
	return err == nil && c.Value != ""
}

// challenge is what a refused caller may prove itself with.
func (a *Users) challenge() web.Challenge {
	return web.Challenge{
		Realm:   a.conf.Name,
		Schemes: a.accepts,
		Login:   a.conf.UsersAPI.Prefix + "/auth_session/login",
	}
}
