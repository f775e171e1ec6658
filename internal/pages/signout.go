package pages

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/config"
	"github.com/jeton-auth/jeton/internal/gate"
	"github.com/jeton-auth/jeton/internal/session"
	"github.com/jeton-auth/jeton/internal/web"
)

// signOutView is the view of sign-in/sign-out.
type signOutView struct {
	Name     string
	Services []string // where the user is signed in by this session
}

// signedOutView is the view of sign-in/signed-out.
type signedOutView struct {
	Services []Service // whose sessions have ended
}

// signOutPage answers GET /sign-out. It changes nothing: a link or an image must not sign a user out.
func (p *Pages) signOutPage(w *web.Reply, r *http.Request) error {
	live, err := p.live(w, r)
	if err != nil {
		return err
	}
	if live == nil {
		return see(w, "/signed-out")
	}

	services, err := p.signedInAt(r, live)
	if err != nil {
		return err
	}

	view := signOutView{Name: live.Principal().Name, Services: services}

	return p.show(w, r, http.StatusOK, "sign-in/sign-out", view)
}

// signOut answers POST /sign-out: it ends the sign-in session and the sessions at services that follow from it.
func (p *Pages) signOut(w *web.Reply, r *http.Request) error {
	if err := web.SameOrigin(w, r); err != nil {
		return err
	}

	live, err := gate.ShownSession(w, r, p.issuer)
	ended := url.Values{}

	switch {
	case live != nil:
		services, err := p.signedInAt(r, live)
		if err == nil {
			err = p.end(w, r, live.Principal())
		}
		if err != nil {
			return err
		}
		if len(services) > 0 {
			ended["ended"] = services
		}
	case undecided(err), errors.Is(err, jeton.ErrAmbiguous):
		return err
	case errors.Is(err, jeton.ErrBadCredential):
		// It may have been ended a moment ago: answer only once all nodes refuse it.
		if err := p.Sessions.Ended(r.Context()); err != nil {
			return err
		}
	}

	// Only now: if ending failed, the browser keeps the cookie and can try again.
	p.cookie.End(w)

	return see(w, pathWith("/signed-out", ended))
}

// end ends a sign-in session and those that follow from it.
func (p *Pages) end(w *web.Reply, r *http.Request, who jeton.Principal) error {
	_, err := p.Sessions.End(r.Context(), session.Which{ID: who.Session, Family: true}, jeton.Event{
		Time:    w.Start,
		Request: w.ID,
		Actor:   gate.Actor(who),
		Action:  audit.Logout,
		Target:  "session:" + who.Session,
		Service: config.IssuerName,
		Outcome: audit.OK,
		Source:  web.AddressText(w.Source),
	})
	if err != nil {
		return fmt.Errorf("sign out: %w", err)
	}

	return nil
}

// signedInAt returns the services at which a sign-in session has sessions that follow from it.
func (p *Pages) signedInAt(r *http.Request, live *session.Live) ([]string, error) {
	list, _, err := p.Sessions.List(r.Context(), session.Which{Parent: live.Login}, maxEnded)
	if err != nil {
		return nil, fmt.Errorf("find sessions at services: %w", err)
	}

	var names []string
	for _, s := range list {
		if !slices.Contains(names, s.Service) {
			names = append(names, s.Service)
		}
	}
	slices.Sort(names)

	return names, nil
}

// maxEnded bounds the services that the pages of a sign-out name.
const maxEnded = 50

// signedOut answers GET /signed-out. The names in its address are shown only if they are those of services.
func (p *Pages) signedOut(w *web.Reply, r *http.Request) error {
	var view signedOutView
	for _, name := range r.URL.Query()["ended"] {
		s, ok := p.service(name)
		if ok && len(view.Services) < maxEnded {
			view.Services = append(view.Services, s)
		}
	}

	return p.show(w, r, http.StatusOK, "sign-in/signed-out", view)
}
