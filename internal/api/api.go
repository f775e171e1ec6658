// Package api is the REST API: users, sessions, tokens, clients, signing keys and the audit log, as JSON.
//
// On the control socket every caller is an operator: the file permissions of the data folder decide who may connect.
// Over HTTPS internal/gate checks every request first. Users see and change only themselves; admins manage
// everybody; no answer holds a password or its hash. The OpenAPI document is generated from the routes.
// The package decides nothing itself: internal/account, internal/session, internal/token, internal/client and
// internal/keys do, and internal/server mounts the routes.
package api

import (
	"context"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/account"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/client"
	"github.com/jeton-auth/jeton/internal/gate"
	"github.com/jeton-auth/jeton/internal/keys"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/session"
	"github.com/jeton-auth/jeton/internal/token"
	"github.com/jeton-auth/jeton/internal/web"
)

// API answers operators.
type API struct {
	Accounts *account.Accounts
	Clients  *client.Clients
	Sessions *session.Sessions
	Tokens   *token.Tokens
	Keys     *keys.Ring
	Audit    *audit.Log
	Gate     *gate.Gate
	Status   func() Status
	// Audiences translates names of services into what tokens for them are for.
	Audiences func(names []string) ([]string, error)
	// Backup writes everything that the server keeps, as of one moment.
	Backup func(ctx context.Context, to io.Writer) error
	Now    func() time.Time
}

// Status is what a running server says of itself.
type Status struct {
	Version  string    `json:"version"`
	PID      int       `json:"pid"`
	Started  time.Time `json:"started_at"`
	Services []string  `json:"services"`
}

// Routes returns the rows of the door.
func (a *API) Routes() []web.Route {
	rows := []web.Route{
		{Pattern: "GET /api/v1/status", Access: policy.Operator, Handle: a.status},
		{Pattern: "GET /api/v1/users", Access: policy.Operator, Handle: a.listUsers},
		{Pattern: "POST /api/v1/users", Access: policy.Operator, Handle: a.addUser},
		{Pattern: "DELETE /api/v1/users/{name}", Access: policy.Operator, Handle: a.removeUser},
		{Pattern: "PUT /api/v1/users/{name}/password", Access: policy.Operator, Handle: a.setPassword},
		{Pattern: "PUT /api/v1/users/{name}/disabled", Access: policy.Operator, Handle: a.setDisabled},
		{Pattern: "PUT /api/v1/users/{name}/groups", Access: policy.Operator, Handle: a.setGroups},
		{Pattern: "POST /api/v1/users/{name}/allow-login", Access: policy.Operator, Handle: a.allowLogin},
		{Pattern: "GET /api/v1/sessions", Access: policy.Operator, Handle: a.listSessions},
		{Pattern: "DELETE /api/v1/sessions", Access: policy.Operator, Handle: a.endSessions},
		{Pattern: "GET /api/v1/audit", Access: policy.Operator, Handle: a.listEvents},
		{Pattern: "GET /api/v1/explain/{request}", Access: policy.Operator, Handle: a.explain},
	}

	rows = append(rows, a.importRoutes()...)
	rows = append(rows, a.clientRoutes()...)
	rows = append(rows, a.tokenRoutes()...)
	rows = append(rows, web.Route{Pattern: "GET /api/v1/backup", Access: policy.Operator, Handle: a.backup})

	return append(rows, a.keyRoutes()...)
}

// backup answers GET /api/v1/backup: everything that the server keeps, as 'jeton restore'
// reads it. Half an answer is cut off, so that it does not look like a whole one.
func (a *API) backup(w *web.Reply, r *http.Request) error {
	h := w.Header()
	h["Content-Type"], h["Cache-Control"] = []string{"application/octet-stream"}, []string{"no-store"}
	err := a.Backup(r.Context(), w)
	switch {
	case err == nil:
		a.Audit.Record(a.event(audit.Backup, "database"))
		return nil
	case w.Status() == 0:
		return err
	}

	panic(http.ErrAbortHandler)
}

// by names the caller in the record.
const by = "operator"

func (a *API) status(w *web.Reply, _ *http.Request) error {
	return web.JSON(w, http.StatusOK, a.Status())
}

func (a *API) listUsers(w *web.Reply, r *http.Request) error {
	users, err := a.Accounts.List(r.Context())
	if err != nil {
		return err
	}
	return web.JSON(w, http.StatusOK, users)
}

// NewUser asks for a user. The password is in the clear on its way in, and only there.
type NewUser struct {
	Name     string   `json:"name"`
	Password string   `json:"password"`
	Groups   []string `json:"groups,omitempty"`
	Email    string   `json:"email,omitempty"`
	First    string   `json:"first_name,omitempty"`
	Last     string   `json:"last_name,omitempty"`
}

// addUser answers POST /api/v1/users.
func (a *API) addUser(w *web.Reply, r *http.Request) error {
	in, err := web.Read[NewUser](r)
	if err != nil {
		return err
	}

	user, err := a.Accounts.Add(r.Context(), by, account.NewUser{
		Name:     in.Name,
		Password: jeton.NewSecret(in.Password),
		Groups:   in.Groups,
		Email:    in.Email,
		First:    in.First,
		Last:     in.Last,
	})
	if err != nil {
		return err
	}

	return web.JSON(w, http.StatusCreated, user)
}

func (a *API) removeUser(w *web.Reply, r *http.Request) error {
	if err := a.Accounts.Remove(r.Context(), by, r.PathValue("name")); err != nil {
		return err
	}
	return web.NoContent(w)
}

// NewPassword asks for a password to be set.
type NewPassword struct {
	Password string `json:"password"`
}

// setPassword answers PUT /api/v1/users/{name}/password. All sessions end.
func (a *API) setPassword(w *web.Reply, r *http.Request) error {
	in, err := web.Read[NewPassword](r)
	if err != nil {
		return err
	}
	if err := a.Accounts.SetPassword(r.Context(), by, r.PathValue("name"), jeton.NewSecret(in.Password)); err != nil {
		return err
	}

	return web.NoContent(w)
}

// Disabled asks for a user to be disabled or enabled.
type Disabled struct {
	Disabled bool `json:"disabled"`
}

// setDisabled answers PUT /api/v1/users/{name}/disabled. Disabling ends all sessions.
func (a *API) setDisabled(w *web.Reply, r *http.Request) error {
	in, err := web.Read[struct {
		Disabled *bool `json:"disabled"` // Disabled, where leaving it out enables nobody
	}](r)
	if err != nil {
		return err
	}
	if in.Disabled == nil {
		return jeton.WithDetail(jeton.ErrInvalid, "say whether the user is disabled: true or false")
	}

	if err := a.Accounts.Disable(r.Context(), by, r.PathValue("name"), *in.Disabled); err != nil {
		return err
	}

	return web.NoContent(w)
}

// Groups asks for a user to be in exactly these groups.
type Groups struct {
	Groups []string `json:"groups"`
}

func (a *API) setGroups(w *web.Reply, r *http.Request) error {
	in, err := web.Read[Groups](r)
	if err != nil {
		return err
	}
	if in.Groups == nil {
		return jeton.WithDetail(jeton.ErrInvalid, "name the groups; [] takes the user out of all")
	}

	if err := a.Accounts.SetGroups(r.Context(), by, r.PathValue("name"), in.Groups); err != nil {
		return err
	}

	return web.NoContent(w)
}

// AllowLogin asks for a user's logins at a service to be forgotten.
type AllowLogin struct {
	Service string `json:"service"`
}

// allowLogin answers POST /api/v1/users/{name}/allow-login: whatever the terms say of the
// past, the user may log in at the service again.
func (a *API) allowLogin(w *web.Reply, r *http.Request) error {
	in, err := web.Read[AllowLogin](r)
	if err != nil {
		return err
	}
	if in.Service == "" {
		return jeton.WithDetail(jeton.ErrInvalid, "name the service")
	}

	name := r.PathValue("name")
	ev := a.event(audit.LoginAllowed, "user:"+name)
	ev.Service = in.Service
	if err := a.Sessions.AllowLogin(r.Context(), name, in.Service, ev); err != nil {
		return err
	}

	return web.NoContent(w)
}

// listSessions answers GET /api/v1/sessions?user=&service=.
func (a *API) listSessions(w *web.Reply, r *http.Request) error {
	limit, err := number(r, "limit", 1000)
	if err != nil {
		return err
	}

	list, err := a.Sessions.List(r.Context(), which(r), limit)
	if err != nil {
		return err
	}

	return web.JSON(w, http.StatusOK, list)
}

// Ended says how many sessions a call ended.
type Ended struct {
	Ended int `json:"ended"`
}

// endSessions answers DELETE /api/v1/sessions?id=&user=&service=. At least one is named.
func (a *API) endSessions(w *web.Reply, r *http.Request) error {
	choice := which(r)
	target := "session:" + choice.ID
	if choice.ID == "" {
		target = "sessions of user:" + choice.User + " service:" + choice.Service
	}

	n, err := a.Sessions.End(r.Context(), choice, a.event(audit.SessionEnd, target))
	if err != nil {
		return err
	}

	return web.JSON(w, http.StatusOK, Ended{n})
}

func which(r *http.Request) session.Which {
	q := r.URL.Query()
	return session.Which{ID: q.Get("id"), User: q.Get("user"), Service: q.Get("service")}
}

// listEvents answers GET /api/v1/audit?after=&last=&limit=.
func (a *API) listEvents(w *web.Reply, r *http.Request) error {
	after, err := number(r, "after", 0)
	if err != nil {
		return err
	}

	last, err := number(r, "last", 0)
	if err != nil {
		return err
	}

	limit, err := number(r, "limit", 1000)
	if err != nil {
		return err
	}

	events, err := a.Audit.Events(r.Context(), audit.Filter{After: int64(after), Last: last, Limit: min(limit, 1000)})
	if err != nil {
		return err
	}

	return web.JSON(w, http.StatusOK, events)
}

// explain answers GET /api/v1/explain/{request}: the decisions on one request.
func (a *API) explain(w *web.Reply, r *http.Request) error {
	id := r.PathValue("request")
	events, err := a.Audit.Events(r.Context(), audit.Filter{Request: id})
	if err != nil {
		return err
	}

	if e, ok := a.Gate.Explain(id); ok {
		events = append(events, e)
	}
	if len(events) == 0 {
		return jeton.WithDetail(
			jeton.ErrNotFound,
			"no decision on request "+strconv.Quote(id)+
				" is recorded; what was let through is remembered for a short while only, unless its route says audit: true",
		)
	}

	return web.JSON(w, http.StatusOK, events)
}

func (a *API) event(action, target string) jeton.Event {
	return jeton.Event{
		Time:    a.Now(),
		Actor:   by,
		Action:  action,
		Target:  target,
		Outcome: audit.OK,
	}
}

func number(r *http.Request, name string, absent int) (int, error) {
	text := r.URL.Query().Get(name)
	if text == "" {
		return absent, nil
	}

	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		return 0, jeton.WithDetail(jeton.ErrInvalid, name+" must be a whole number, 0 or greater")
	}

	return n, nil
}
