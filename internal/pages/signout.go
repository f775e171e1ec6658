package pages

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/config"
	"github.com/jeton-auth/jeton/internal/gate"
	"github.com/jeton-auth/jeton/internal/session"
	"github.com/jeton-auth/jeton/internal/web"
)

// signOutView is the view of sign-in/sign-out.
type signOutView struct {
	Action   string // where the form goes
	Name     string
	Services []string // where the user is signed in by this session
}

// signedOutView is the view of sign-in/signed-out.
type signedOutView struct {
	Services []Service // whose sessions have ended
	Forget   []string  // images that make browsers forget what they keep of the services
	Next     string    // where the sign-out leads on to, or ""
}

// logoutPath is where a sign-out began that a relying party has asked for, and where it goes on.
const logoutPath = "/oauth2/logout"

// logoutParams are the parameters of such a request (OpenID Connect RP-Initiated Logout 1.0, section 2).
var logoutParams = []string{"id_token_hint", "client_id", "post_logout_redirect_uri", "state", "ui_locales"}

// carriedLogout returns the parameters with which a sign-out goes on, none if it leads to no other page.
func carriedLogout(query url.Values) url.Values {
	out := url.Values{}
	if query.Has("post_logout_redirect_uri") {
		for _, name := range logoutParams {
			if query.Has(name) {
				out.Set(name, query.Get(name))
			}
		}
	}

	return out
}

// signOutPage answers GET /sign-out. It changes nothing: a link or an image must not sign a user out.
func (p *Pages) signOutPage(w *web.Reply, r *http.Request) error {
	live, err := p.live(w, r)
	if err != nil {
		return err
	}
	if live == nil {
		return see(w, pathWith("/signed-out", carriedLogout(r.URL.Query())))
	}

	services, err := p.Sessions.Services(r.Context(), live.Login)
	if err != nil {
		return err
	}

	view := signOutView{
		Action:   pathWith("/sign-out", carriedLogout(r.URL.Query())),
		Name:     live.Principal().Name,
		Services: services,
	}

	return p.show(w, r, http.StatusOK, "sign-in/sign-out", view)
}

// signOut answers POST /sign-out: it ends the sign-in session and the sessions at services that follow from it.
func (p *Pages) signOut(w *web.Reply, r *http.Request) error {
	if err := web.SameOrigin(w, r); err != nil {
		return err
	}

	live, err := gate.ShownSession(w, r, p.issuer)
	ended := carriedLogout(r.URL.Query())

	switch {
	case live != nil:
		services, err := p.Sessions.Services(r.Context(), live.Login)
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

// maxEnded bounds the services that the pages of a sign-out name.
const maxEnded = 50

// forget returns what browsers load to forget the pages that they keep of a service.
func (s Service) forget() []string {
	if s.Origins == nil {
		return nil
	}

	var list []string
	for _, origin := range s.Origins() {
		// A Content-Security-Policy cannot name an address of IPv6.
		if !strings.Contains(origin, "[") {
			list = append(list, origin+config.SignedOutPath)
		}
	}

	return list
}

// signedOut answers GET /signed-out. The names in its address are shown only if they are those of services. It is also
// the page between the form and another origin, to which Chromium would not let the form redirect (continue.go).
func (p *Pages) signedOut(w *web.Reply, r *http.Request) error {
	var view signedOutView
	next := carriedLogout(r.URL.Query())
	if len(next) > 0 {
		view.Next = pathWith(logoutPath, next)
		w.Header().Set("Refresh", "0;url="+view.Next)
		w.Header().Set("Referrer-Policy", "no-referrer")
	}

	for _, name := range r.URL.Query()["ended"] {
		s, ok := p.service(name)
		if !ok || len(view.Services) == maxEnded {
			continue
		}

		view.Services = append(view.Services, s)
		view.Forget = append(view.Forget, s.forget()...)
	}
	view.Forget = view.Forget[:min(len(view.Forget), maxEnded)]
	if len(view.Forget) > 0 {
		allowImages(w, view.Forget)
	}

	return p.show(w, r, http.StatusOK, "sign-in/signed-out", view)
}
