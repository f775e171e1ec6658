package gateway

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/gate"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/session"
	"github.com/jeton-auth/jeton/internal/web"
)

// logout answers POST on the logout path. It ends the session, with the sign-in session that it comes
// from and those of all services that come from that; or with everywhere=true all of the user's
// sessions at every service. Without a session there is nothing to end, which is not
// an error. When the store is down it is: the session may still be valid.
func (g *Gateway) logout(w *web.Reply, r *http.Request) error {
	// Another site must not log the user out.
	if err := web.SameOrigin(w, r); err != nil {
		return err
	}

	if err := g.endShown(w, r); err != nil {
		return err
	}

	// Only now: if ending failed, the client keeps the cookie and can try again.
	g.cookies.Clear(w)
	if g.signIn != nil {
		g.signIn.rounds.Clear(w) // the next sign-in is not a loop
	}
	g.loggedOut(w, r)

	return nil
}

// loggedOut answers a logout that succeeded, or that had nothing to end. A browser that sent a form shows the answer to
// its user.
func (g *Gateway) loggedOut(w *web.Reply, r *http.Request) {
	if web.Navigation(r) != web.Form {
		succeed(w, "Logged out")
		return
	}

	n := web.Notice{Kind: web.NoticeSignedOut, Service: g.conf.Name}
	if g.signIn == nil {
		web.PlainNotice(w, r, http.StatusOK, n)
		return
	}

	n.Link = startAt(w, "/", policy.Require{})
	g.signIn.Page(w, r, http.StatusOK, n)
}

// endShown ends the session that a request shows.
func (g *Gateway) endShown(w *web.Reply, r *http.Request) error {
	live, err := gate.ShownSession(w, r, g.logoutFrom)

	switch {
	case live != nil:
		return g.end(w, r, live.Principal())
	case undecided(err), errors.Is(err, jeton.ErrAmbiguous):
		return err
	case errors.Is(err, jeton.ErrBadCredential):
		// It may have been ended a moment ago: answer only once all nodes refuse it.
		return g.sessions.Ended(r.Context())
	}

	return nil
}

// end ends the session of a logout, or all sessions of the user if the request asks for
// that.
func (g *Gateway) end(w *web.Reply, r *http.Request, who jeton.Principal) error {
	all, err := everywhere(w, r)
	if err != nil {
		return err
	}

	which, action := session.Which{ID: who.Session, Family: true}, audit.Logout
	if all {
		which, action = session.Which{User: who.Name}, audit.LogoutAll
	}

	_, err = g.sessions.End(r.Context(), which, jeton.Event{
		Time:    w.Start,
		Request: w.ID,
		Actor:   gate.Actor(who),
		Action:  action,
		Target:  "session:" + who.Session,
		Service: g.conf.Name,
		Outcome: audit.OK,
		Source:  web.AddressText(w.Source),
	})
	if err != nil {
		return fmt.Errorf("log out: %w", err)
	}

	return nil
}

// everywhere reports whether a logout is to end all sessions of the user.
func everywhere(w *web.Reply, r *http.Request) (bool, error) {
	if r.URL.Query().Get("everywhere") == "true" {
		return true, nil
	}
	if !web.IsForm(r.Header) {
		return false, nil
	}

	fields, err := web.LoginFields(w, r, "a logout", "everywhere")
	return fields["everywhere"] == "true", err
}
