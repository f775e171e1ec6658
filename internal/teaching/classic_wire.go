package teaching

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/api"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/web"
)

// classicUser is a user as the classic API writes it.
type classicUser struct {
	ID      string  `json:"id"`
	Email   string  `json:"email"`
	First   *string `json:"first_name"`
	Last    *string `json:"last_name"`
	Created string  `json:"created_at" jsonschema:"As in 2017-09-25 01:55:17, UTC"`
	Updated string  `json:"updated_at" jsonschema:"As in 2017-09-25 01:55:17, UTC"`
}

// toClassicUser converts a user. Names that are not set are null, as the classic server has
// them.
func toClassicUser(u jeton.User) any {
	c := classicUser{
		ID:      u.ID,
		Email:   u.Email,
		First:   orNull(u.First),
		Last:    orNull(u.Last),
		Created: u.Created.UTC().Format(time.DateTime),
		Updated: u.Updated.UTC().Format(time.DateTime),
	}
	if c.Email == "" {
		c.Email = u.Name // the classic API has no users without an address
	}

	return c
}

// toClassicUsers converts a list; no users are [], never null.
func toClassicUsers(users []jeton.User) any {
	list := []any{}
	for _, u := range users {
		list = append(list, toClassicUser(u))
	}
	return list
}

// orNull returns nil for an empty text, which is null in JSON.
func orNull(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

// classicNew describes the user to create.
type classicNew struct {
	Email    string `json:"email"`
	Password string `json:"password"`
	First    string `json:"first_name,omitempty"`
	Last     string `json:"last_name,omitempty"`
}

// toNewUser checks a new user with the texts of the classic server, which its clients
// compare.
func toNewUser(in classicNew) (any, error) {
	switch {
	case strings.TrimSpace(in.Email) == "":
		return nil, badRequest("email missing")
	case in.Password == "":
		return nil, badRequest("password missing")
	}

	return api.NewUser{
		Email:    in.Email,
		Password: in.Password,
		First:    in.First,
		Last:     in.Last,
	}, nil
}

// classicChange is what can be changed of a user.
type classicChange struct {
	First *string `json:"first_name,omitempty"`
	Last  *string `json:"last_name,omitempty"`
}

// toChange drops all members but the names: the classic API changes nothing else.
func toChange(in classicChange) (any, error) { return in, nil }

// classicError is the body of a refusal.
type classicError struct {
	Error string `json:"error"`
}

// refusal is an error that the classic API answers with a status and a text of its own.
type refusal struct {
	err    error
	status int
	text   string
}

func (r *refusal) Error() string { return r.text + ": " + r.err.Error() }
func (r *refusal) Unwrap() error { return r.err }

// badRequest returns a refusal with 400 and the text.
func badRequest(text string) error { return &refusal{jeton.ErrInvalid, http.StatusBadRequest, text} }

// isRefusal reports whether an error brings its own status and text.
func isRefusal(err error) bool {
	var r *refusal
	return errors.As(err, &r)
}

// refuse answers an error: 401 to a caller that shows no credential, and 403 to one whose credential is not accepted.
func (k *classic) refuse(w *web.Reply, r *http.Request, err error) {
	status, text := k.statusOf(r, err, web.Mark(w, err))
	if status == http.StatusUnauthorized && k.accepts&policy.ByPassword != 0 {
		w.Header().Set("WWW-Authenticate", web.BasicChallenge(k.service))
	}

	w.Header().Set("Access-Control-Allow-Origin", "*")
	_ = web.JSON(w, status, classicError{text})
}

// statusOf returns the status and the text that the classic server has for an error.
func (k *classic) statusOf(r *http.Request, err error, p jeton.Problem) (status int, text string) {
	var own *refusal

	kind := jeton.Outcome(err)

	switch {
	case errors.As(err, &own):
		return own.status, own.text
	// A credential of a kind that is not accepted is one all the same: 403, as the classic server does.
	case kind == jeton.ErrNoCredential && !k.shows(r):
		return http.StatusUnauthorized, "Unauthorized"
	case p.Status == http.StatusUnauthorized, p.Status == http.StatusForbidden, kind == jeton.ErrAmbiguous:
		return http.StatusForbidden, "Forbidden"
	case kind == jeton.ErrNotFound:
		return http.StatusNotFound, "Not found"
	case kind == jeton.ErrInvalid && p.Detail != "":
		return p.Status, p.Detail
	}

	return p.Status, p.Title
}

// shows reports whether a request shows something that could be a credential.
func (k *classic) shows(r *http.Request) bool {
	value, _ := k.cookie.Find(r.Header)
	return value != "" || r.Header.Get("Authorization") != ""
}

// rewrite calls next with a strict JSON body made of a classic one. That may have any media type and unknown members.
func rewrite[In any](next web.Handler, to func(In) (any, error)) web.Handler {
	return func(w *web.Reply, r *http.Request) error {
		body, err := io.ReadAll(r.Body) // the route buffers it
		if err != nil {
			return err
		}

		var in *In
		// A malformed body goes on as an empty one: the real endpoint decides first whether the caller may
		// make the request, or whether the user exists.
		malformed := web.CheckJSONText(body) != nil || json.Unmarshal(body, &in) != nil || in == nil ||
			web.CheckMembers(body) != nil
		body = nil
		if !malformed {
			out, err := to(*in)
			if err != nil {
				return err
			}
			if body, err = json.Marshal(out); err != nil {
				return err
			}
		}

		r.Body = io.NopCloser(bytes.NewReader(body))
		r.Header.Set("Content-Type", "application/json")

		err = next(w, r)
		if malformed && jeton.Outcome(err) == jeton.ErrInvalid {
			return badRequest("Wrong format")
		}

		return err
	}
}

// convert answers with what to makes of the answer of next.
func convert[Out any](next web.Handler, status int, to func(Out) any) web.Handler {
	return func(w *web.Reply, r *http.Request) error {
		body, err := capture(next, w, r)
		if err != nil {
			return err
		}

		var out Out
		if err := json.Unmarshal(body, &out); err != nil {
			return err
		}

		return web.JSON(w, status, to(out))
	}
}

// empty answers {} where next answers without a body.
func empty(next web.Handler) web.Handler {
	return func(w *web.Reply, r *http.Request) error {
		if _, err := capture(next, w, r); err != nil {
			return err
		}
		return web.JSON(w, http.StatusOK, struct{}{})
	}
}

// anyOrigin lets pages of every origin read the answer, without the credentials of the browser: there is no
// Access-Control-Allow-Credentials.
func anyOrigin(next web.Handler) web.Handler {
	return func(w *web.Reply, r *http.Request) error {
		// Before the handler, which sends the headers.
		w.Header().Set("Access-Control-Allow-Origin", "*")
		return next(w, r)
	}
}

// preflight answers what a browser asks before a page sends a request to another origin.
func preflight(next web.Handler) web.Handler {
	return func(w *web.Reply, r *http.Request) error {
		if _, err := capture(next, w, r); err != nil {
			return err
		}

		w.Header().Set("Access-Control-Allow-Methods", w.Header().Get("Allow"))
		w.Header().Set("Access-Control-Allow-Headers", "Authorization, Content-Type")

		return web.NoContent(w)
	}
}

// trimSlash calls next with the path that has no slash at its end.
func trimSlash(next web.Handler) web.Handler {
	return func(w *web.Reply, r *http.Request) error {
		u := *r.URL
		u.Path = strings.TrimSuffix(u.Path, "/")
		r.URL = &u
		return next(w, r)
	}
}

// capture calls a handler and returns the body of its answer. The headers of the answer are set on w.
func capture(next web.Handler, w *web.Reply, r *http.Request) ([]byte, error) {
	body := &recorder{header: w.Header()}
	// A copy, so that the status and the bytes of the inner answer are not counted as those of w.
	inner := *w
	inner.ResponseWriter = body

	err := next(&inner, r)

	return body.Bytes(), err
}

// recorder is an answer whose body is kept and whose status is dropped.
type recorder struct {
	bytes.Buffer
	header http.Header
}

// Header implements http.ResponseWriter, as WriteHeader does, which drops the status.
func (r *recorder) Header() http.Header { return r.header }
func (r *recorder) WriteHeader(int)     {}
