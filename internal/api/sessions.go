package api

import (
	"net/http"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/session"
	"github.com/jeton-auth/jeton/internal/web"
)

// maxList bounds lists that have no pages.
const maxList = 1000

// listSessions answers GET /sessions?id=&user=&service=&limit=.
func (a *API) listSessions(w *web.Reply, r *http.Request, _ caller) error {
	limit, err := queryNumber(r, "limit", maxList)
	if err != nil {
		return err
	}

	list, err := a.Sessions.List(r.Context(), readChoice(r), limit)
	if err != nil {
		return err
	}

	return web.JSON(w, http.StatusOK, list)
}

// Ended is how many sessions a request ended.
type Ended struct {
	Ended int `json:"ended"`
}

// endSessions answers DELETE /sessions?id=&user=&service=. At least one parameter is required.
func (a *API) endSessions(w *web.Reply, r *http.Request, c caller) error {
	choice := readChoice(r)
	target := "session:" + choice.ID
	if choice.ID == "" {
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

// listOwnSessions answers GET /users/me/sessions.
func (a *API) listOwnSessions(w *web.Reply, r *http.Request, c caller) error {
	sessions, err := a.Sessions.List(r.Context(), session.Which{User: c.Name}, maxList)
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

// endOtherSessions answers DELETE /users/me/sessions: all but the one that the request was sent with.
func (a *API) endOtherSessions(w *web.Reply, r *http.Request, c caller) error {
	ev := a.event(w, c, audit.LogoutAll, "user:"+c.Name)

	// With a token, Not is empty and all sessions end.
	_, err := a.Sessions.End(r.Context(), session.Which{User: c.Name, Not: c.Session}, ev)
	if err != nil {
		return err
	}

	return web.NoContent(w)
}
