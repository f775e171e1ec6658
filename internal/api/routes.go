package api

import (
	"net/http"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/web"
)

// operation is a row of the API: who may, who answers, and what the document says of it.
type operation struct {
	method, path string // the path is under the prefix
	access       policy.Access
	handle       web.Handler
	login        bool // takes or sets the cookie, although it is open
	anyOrigin    bool // changes nothing that is anybody's

	summary string
	query   []param
	in, out any   // a value of the type of the body, or nil
	code    int   // of success; 0: there is none
	fails   []int // beside those that every row has
	text    string
}

// param is a parameter of the query.
type param struct{ Name, About string }

// operations is the table. The classic shape has those of its rows that there were of old.
func (a *Users) operations() []operation {
	open := policy.Open
	known := policy.Authenticated(a.accepts)
	people := policy.Authenticated(a.accepts)
	managers := policy.Authenticated(a.accepts)
	people.Allow = &policy.Allow{AnyUser: true}

	either := policy.Authenticated(a.accepts)
	either.Allow = &policy.Allow{AnyUser: true, Clients: a.managers.Clients}
	managers.Allow = a.managers
	done := http.StatusNoContent
	s := a.shape
	if s.classic != nil {
		// Whoever has proved who they are may use every row.
		people = known
		managers = known
		either = known
		if s.classic.Auth == "" {
			known = open
			people = open
			managers = open
			either = open
		}

		done = http.StatusOK
	}

	user, users := s.user(jeton.User{}), s.users(nil)
	rows := []operation{
		{
			method:  "GET",
			path:    "/status",
			access:  open,
			handle:  a.alive,
			summary: "Whether the API answers.",
			out:     status{},
			code:    200,
		},
		{
			method:  "GET",
			path:    "/stats",
			access:  known,
			handle:  a.count,
			summary: "How many users there are.",
			out:     stats{},
			code:    200,
		},
		{
			method:  "GET",
			path:    "/unauthorized",
			access:  open,
			handle:  a.unauthorized,
			summary: "A refusal for want of a credential, always.",
			fails:   []int{401},
		},
		{
			method:  "GET",
			path:    "/forbidden",
			access:  open,
			handle:  a.forbidden,
			summary: "A refusal of somebody who may not, always.",
			fails:   []int{403},
		},
		{
			method:  "POST",
			path:    "/auth_session/login",
			access:  open,
			handle:  a.login,
			login:   true,
			summary: "Log in: a form or JSON. The session is in a cookie.",
			in:      credentials{},
			out:     user,
			code:    200,
			fails:   s.loginFails(),
		},
		{
			method:  "DELETE",
			path:    "/auth_session/logout",
			access:  open,
			handle:  a.logout,
			login:   true,
			summary: "Log out: the session ends.",
			out:     s.nothing(),
			code:    done,
			fails:   []int{404},
		},
		{
			method:  "POST",
			path:    "/auth_session/logout",
			access:  open,
			handle:  a.logout,
			login:   true,
			summary: "Log out, for forms.",
			out:     s.nothing(),
			code:    done,
			fails:   []int{404},
		},
		{
			method:  "POST",
			path:    "/auth_session",
			access:  open,
			handle:  a.login,
			login:   true,
			summary: "Log in.",
			in:      credentials{},
			out:     user,
			code:    200,
			fails:   s.loginFails(),
		},
		{
			method:  "DELETE",
			path:    "/auth_session",
			access:  open,
			handle:  a.logout,
			login:   true,
			summary: "Log out.",
			out:     s.nothing(),
			code:    done,
			fails:   []int{404},
		},
		{
			method:  "GET",
			path:    "/users",
			access:  managers,
			handle:  a.listUsers,
			summary: "The users, in the order in which they were made. The header Link leads to the next page.",
			out:     users,
			code:    200,
			fails:   []int{400},
			query: []param{
				{
					"limit",
					"at most so many, 1 to 1000",
				}, {"cursor", "as Link gives it"}, {"search", "a part of a name or an address"},
			},
		},
		{
			method:  "POST",
			path:    "/users",
			access:  managers,
			handle:  a.createUser,
			summary: "Make a user.",
			in:      s.newUser(),
			out:     user,
			code:    201,
			fails:   []int{409},
		},
		{
			method:  "GET",
			path:    "/users/me",
			access:  people,
			handle:  a.readMe,
			summary: "Who asks.",
			out:     user,
			code:    200,
			fails:   []int{404},
		},
		{
			method:  "PUT",
			path:    "/users/me",
			access:  people,
			handle:  a.updateMe,
			summary: "Change who asks. Absent members stay as they are; a new password ends all sessions.",
			in:      s.change(),
			out:     user,
			code:    200,
			fails:   []int{404, 409, 412},
		},
		{
			method:  "GET",
			path:    "/users/{id}",
			access:  either,
			handle:  a.readUser,
			summary: "A user. There are no others for who does not manage.",
			out:     user,
			code:    200,
			fails:   []int{404},
		},
		{
			method:  "PUT",
			path:    "/users/{id}",
			access:  either,
			handle:  a.updateUser,
			summary: "Change a user. Absent members stay as they are; a new password ends all sessions.",
			in:      s.managed(),
			out:     user,
			code:    200,
			fails:   []int{404, 409, 412},
		},
		{
			method:  "DELETE",
			path:    "/users/{id}",
			access:  managers,
			handle:  a.removeUser,
			summary: "Remove a user, with all sessions and tokens.",
			out:     s.nothing(),
			code:    done,
			fails:   []int{404, 409, 412},
		},
	}
	if s.classic == nil {
		rows = append(rows, a.own(people)...)
	}

	return append(rows,
		operation{
			method:  "GET",
			path:    "/openapi.json",
			access:  open,
			handle:  a.describe,
			summary: "This document.",
			out:     map[string]any{},
			code:    200,
		},
		operation{
			method:  "GET",
			path:    "/docs",
			access:  open,
			handle:  a.read,
			summary: "This document, to be read by people.",
			code:    200,
			text:    "text/html",
		},
	)
}

// own are the rows about one's own sessions and tokens.
func (a *Users) own(people policy.Access) []operation {
	return []operation{
		{
			method:  "GET",
			path:    "/users/me/sessions",
			access:  people,
			handle:  a.listSessions,
			summary: "Where one is logged in, newest first.",
			out:     []ownSession{},
			code:    200,
		},
		{
			method:  "DELETE",
			path:    "/users/me/sessions",
			access:  people,
			handle:  a.endOtherSessions,
			summary: "End all sessions but the one that asks.",
			code:    204,
		},
		{
			method:  "DELETE",
			path:    "/users/me/sessions/{session}",
			access:  people,
			handle:  a.endSession,
			summary: "End a session.",
			code:    204,
			fails:   []int{404},
		},
		{
			method:  "GET",
			path:    "/users/me/tokens",
			access:  people,
			handle:  a.listTokens,
			summary: "One's tokens that are kept, newest first. Their secrets are not.",
			out:     []jeton.Token{},
			code:    200,
		},
		{
			method:  "POST",
			path:    "/users/me/tokens",
			access:  people,
			handle:  a.createToken,
			summary: "Make a personal token. Its secret is told this once. Who asks with a token makes a narrower one of it.",
			in:      newToken{},
			out:     madeToken{},
			code:    201,
		},
		{
			method:  "DELETE",
			path:    "/users/me/tokens/{accessor}",
			access:  people,
			handle:  a.revokeToken,
			summary: "End a token, and what was made of it.",
			code:    204,
			fails:   []int{404},
		},
		{
			method:  "POST",
			path:    "/users/me/tokens/{accessor}/rotate",
			access:  people,
			handle:  a.rotateToken,
			summary: "Give a personal token another secret, which is told this once. A token rotates itself alone.",
			out:     madeToken{},
			code:    200,
			fails:   []int{404},
		},
	}
}

// status is the answer of GET /status.
type status struct {
	Status string `json:"status"`
}

func (a *Users) alive(w *web.Reply, _ *http.Request) error {
	return web.JSON(w, http.StatusOK, status{"OK"})
}

// stats is the answer of GET /stats.
type stats struct {
	Users int64 `json:"users"`
}

func (a *Users) count(w *web.Reply, r *http.Request) error {
	n, err := a.accounts.Count(r.Context())
	if err != nil {
		return err
	}
	return web.JSON(w, http.StatusOK, stats{n})
}

func (a *Users) unauthorized(*web.Reply, *http.Request) error {
	return &plain{jeton.ErrNoCredential, http.StatusUnauthorized, "Unauthorized"}
}

func (a *Users) forbidden(*web.Reply, *http.Request) error { return jeton.ErrForbidden }
