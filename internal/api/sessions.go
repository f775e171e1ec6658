package api

import (
	"net/http"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/session"
	"github.com/jeton-auth/jeton/internal/web"
)

// maxList is how many entries a page of a list has, unless the request says otherwise.
const maxList = 1000

// listSessions answers GET /sessions?id=&user=&service=&limit=&cursor=.
func (a *API) listSessions(w *web.Reply, r *http.Request, _ caller) error {
	page, err := a.pageOfSessions(w, r, "/sessions", readChoice(r))
	if err != nil {
		return err
	}
	return web.JSON(w, http.StatusOK, page)
}

// pageOfSessions returns a page of sessions, and lets the header Link lead to the next.
func (a *API) pageOfSessions(
	w *web.Reply,
	r *http.Request,
	path string,
	which session.Which,
) (page []jeton.Session, err error) {
	list := "sessions\x00" + which.ID + "\x00" + which.User + "\x00" + which.Service
	limit, before, err := a.readPageOf(r, list)
	if err != nil {
		return nil, err
	}

	which.Before = before
	page, next, err := a.Sessions.List(r.Context(), which, limit)
	if err == nil {
		a.linkNext(w, r, path, next, list)
	}

	return page, err
}

// Ended is how many sessions a request ended.
type Ended struct {
	Ended int `json:"ended"`
}

// endSessions answers DELETE /sessions?id=&user=&service=&all=. At least one parameter is required.
func (a *API) endSessions(w *web.Reply, r *http.Request, c caller) error {
	all, err := queryFlag(r, "all")
	if err != nil {
		return err
	}

	choice := readChoice(r)
	choice.All = all

	target := "session:" + choice.ID
	switch {
	case all:
		target = "all sessions"
	case choice.ID == "":
		target = "sessions of user:" + choice.User + " service:" + choice.Service
	}

	n, err := a.Sessions.End(r.Context(), choice, a.event(w, c, audit.SessionEnd, target))
	if err != nil {
		return err
	}

	return web.JSON(w, http.StatusOK, Ended{n})
}

// readChoice reads which sessions a query names. Absent parameters choose all.
func readChoice(r *http.Request) session.Which {
	q := r.URL.Query()
	return session.Which{ID: q.Get("id"), User: q.Get("user"), Service: q.Get("service")}
}

// OwnSession is a session of the calling user.
type OwnSession struct {
	jeton.Session
	Current bool `json:"current" jsonschema:"Whether the request was sent with it"`
}

// listOwnSessions answers GET /users/me/sessions?limit=&cursor=.
func (a *API) listOwnSessions(w *web.Reply, r *http.Request, c caller) error {
	sessions, err := a.pageOfSessions(w, r, "/users/me/sessions", session.Which{User: c.Name})
	if err != nil {
		return err
	}

	list := []OwnSession{}
	for _, s := range sessions {
		list = append(list, OwnSession{s, s.ID == c.Session})
	}

	return web.JSON(w, http.StatusOK, list)
}

// endOwnSession answers DELETE /users/me/sessions/{session}.
func (a *API) endOwnSession(w *web.Reply, r *http.Request, c caller) error {
	id := r.PathValue("session")
	ev := a.event(w, c, audit.SessionEnd, "session:"+id)

	// The store compares the user as well: an id of another user ends nothing, and is not found.
	n, err := a.Sessions.End(r.Context(), session.Which{ID: id, User: c.Name}, ev)
	if err != nil {
		return err
	}
	if n == 0 {
		return jeton.ErrNotFound
	}

	return web.NoContent(w)
}

// endOtherSessions answers DELETE /users/me/sessions?current=: all but the one that the request was sent with, or all.
func (a *API) endOtherSessions(w *web.Reply, r *http.Request, c caller) error {
	all, err := queryFlag(r, "current")
	if err != nil {
		return err
	}

	// With a token, there is no current session and all end.
	which := session.Which{User: c.Name, Not: c.Session}
	if all {
		which.Not = ""
	}

	_, err = a.Sessions.End(r.Context(), which, a.event(w, c, audit.LogoutAll, "user:"+c.Name))
	if err != nil {
		return err
	}

	return web.NoContent(w)
}
