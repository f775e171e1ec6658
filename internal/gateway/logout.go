package gateway

import (
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/gate"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/session"
	"github.com/jeton-auth/jeton/internal/web"
)

// logout answers POST on the logout path. It ends the session, or with everywhere=true
// all the user's sessions at every service. Without a session there is nothing to end,
// which is not an error; when the store cannot tell, it is.
func (g *Gateway) logout(w *web.Reply, r *http.Request) error {
	if err := web.SameOrigin(r); err != nil {
		return err
	}

	// What ends a session is its secret, whatever else fits.
	req := gate.NewRequest(w, r, g.secrets, policy.Session)
	shown, err := gate.Identify(r.Context(), &req)
	switch {
	case gate.SessionOf(shown) != nil: // also one whose time is over as far as this node knows
		if err := g.end(w, r, shown.Principal()); err != nil {
			return err
		}
	case cannotTell(err) || errors.Is(err, jeton.ErrAmbiguous):
		return err // a session may be left that this would call ended
	case errors.Is(err, jeton.ErrBadCredential):
		if err := g.sessions.Ended(r.Context()); err != nil {
			return err
		}
	}

	for _, name := range g.cookieNames() {
		g.cookie(name).Clear(w)
	}

	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = io.WriteString(w, "Logged out")

	return nil
}

func (g *Gateway) end(w *web.Reply, r *http.Request, who jeton.Principal) error {
	which, action := session.Which{ID: who.Session}, audit.Logout
	everywhere, err := everywhere(w, r)
	if err != nil {
		return err
	}

	if everywhere {
		which, action = session.Which{User: who.Name}, audit.LogoutAll
	}

	ev := jeton.Event{
		Time:    w.Start,
		Request: w.ID,
		Actor:   "user:" + who.Name,
		Action:  action,
		Target:  "session:" + who.Session,
		Service: g.conf.Name,
		Outcome: audit.OK,
		Source:  web.AddressText(w.Source),
	}
	if _, err := g.sessions.End(r.Context(), which, ev); err != nil {
		return fmt.Errorf("log out: %w", err)
	}

	return nil
}

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
