package gateway

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/gate"
	"github.com/jeton-auth/jeton/internal/naming"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/session"
	"github.com/jeton-auth/jeton/internal/signin"
	"github.com/jeton-auth/jeton/internal/web"
)

// describe answers GET /.well-known/jeton: what a wallet needs to know to log in.
func (g *Gateway) describe(w *web.Reply, _ *http.Request) error {
	d := map[string]string{
		"service":        g.conf.Name,
		"logout":         g.conf.Logout,
		"username_field": g.conf.Login.UsernameField,
		"password_field": g.conf.Login.PasswordField,
	}
	if len(g.conf.Login.Paths) > 0 {
		d["login"] = g.conf.Login.Paths[0]
	}
	if g.conf.Tokens != nil {
		d["issuer"], d["audience"] = g.issuer, g.conf.Tokens.Audience
	}

	return web.JSON(w, http.StatusOK, d)
}

// login answers POST on a login path: a name and a password become a session.
func (g *Gateway) login(w *web.Reply, r *http.Request) error {
	if err := web.SameOrigin(r); err != nil {
		return err
	}

	name, pw, err := g.credentials(w, r)
	if err != nil {
		return err
	}

	old, err := g.previous(w, r)
	if err != nil {
		return err
	}

	started, who, err := g.logins.Password(r.Context(), signin.PasswordRequest{
		Name:     name,
		Password: pw,
		Service:  g.conf.Name,
		Terms:    g.terms,
		Allow:    g.allow,
		Source:   w.Source,
		Request:  w.ID,
		Replaces: old,
	})
	if err != nil {
		return err
	}

	g.setCookies(w, started, who)
	w.Header().Set("Cache-Control", "no-store")

	if prefersJSON(r) {
		return web.JSON(w, http.StatusOK, jeton.Session{
			ID:       started.ID,
			User:     who.Name,
			Service:  g.conf.Name,
			Created:  started.At,
			LastUsed: started.At,
			Expires:  started.Ends,
			Source:   web.AddressText(w.Source),
		})
	}

	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = io.WriteString(w, g.conf.Login.Success)

	return nil
}

// previous returns the number of the login that the request still shows, or 0: a login
// always makes a new session, and this one's cookie is about to be overwritten.
func (g *Gateway) previous(w *web.Reply, r *http.Request) (int64, error) {
	req := gate.NewRequest(w, r, g.service, policy.Session)
	shown, err := gate.Identify(r.Context(), &req)
	live := gate.SessionOf(shown)
	if live != nil {
		return live.Login, nil
	}

	if err != nil && cannotTell(err) {
		return 0, err
	}

	return 0, nil
}

// cannotTell reports whether an error says nothing about the credential.
func cannotTell(err error) bool {
	return errors.Is(err, jeton.ErrUnavailable) || jeton.Outcome(err) == nil
}

// credentials reads a name and a password from a form or a JSON object.
func (g *Gateway) credentials(w *web.Reply, r *http.Request) (name string, pw jeton.Secret, err error) {
	nameField, pwField := g.conf.Login.UsernameField, g.conf.Login.PasswordField
	fields, err := web.LoginFields(w, r, "a login", nameField, pwField)
	return fields[nameField], jeton.NewSecret(fields[pwField]), err
}

// prefersJSON reports whether the client asks for JSON and nothing else.
func prefersJSON(r *http.Request) bool {
	accept, _, _ := strings.Cut(r.Header.Get("Accept"), ";")
	return strings.TrimSpace(accept) == "application/json"
}

func (g *Gateway) setCookies(w *web.Reply, s session.Started, who jeton.Principal) {
	lifetime := s.Ends.Sub(s.At)
	t := g.conf.Teaching
	if t != nil && t.Cookies != nil {
		g.cookie(t.Cookies.Name).Set(w, url.PathEscape(who.Name), lifetime)
		g.cookie(t.Cookies.Token).Set(w, s.Secret.Reveal(), lifetime)
		g.cookie(t.Cookies.LoginTime).Set(w, s.At.UTC().Format(time.RFC3339), lifetime)
		return
	}

	g.cookie(g.conf.Session.Cookie).Set(w, s.Secret.Reveal(), lifetime)
}

func (g *Gateway) cookie(name string) web.Cookie {
	return web.Cookie{Name: name, PlainHTTP: g.conf.PlainHTTP}
}

// cookieNames are the names that are ours in this service.
func (g *Gateway) cookieNames() []string {
	t := g.conf.Teaching
	if t != nil && t.Cookies != nil {
		return []string{t.Cookies.Name, t.Cookies.Token, t.Cookies.LoginTime}
	}
	return []string{g.conf.Session.Cookie}
}

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

// refuseLogin phrases a failed login.
func (g *Gateway) refuseLogin(w *web.Reply, r *http.Request, err error) {
	status := web.Problem(err).Status
	t := g.conf.Teaching
	if status != http.StatusUnauthorized || t == nil || !t.RevealLoginFailure {
		// Not the challenge of Basic, for which a browser opens a dialog of its own.
		g.challenge(policy.BySession).Set(w, r, err)
		web.Fail(w, r, err)
		return
	}

	realm := "Login required"

	switch signin.ReasonOf(err) {
	case signin.UnknownUser:
		realm = "No such user"
	case signin.WrongPassword, signin.Disabled:
		realm, status = "Password incorrect", http.StatusForbidden
	}

	web.Mark(w, err)
	w.Header().Set("WWW-Authenticate", `Basic realm="`+realm+`"`)
	plain(w, status, "Verification failed")
}

// challenge is what a refused caller may prove itself with.
func (g *Gateway) challenge(schemes policy.Kinds) web.Challenge {
	c := web.Challenge{Realm: g.conf.Name, Schemes: schemes}
	if len(g.conf.Login.Paths) > 0 {
		c.Login = g.conf.Login.Paths[0]
	}
	return c
}

// schemes are those that some route of the service accepts, and that a client can act on.
func (g *Gateway) schemes() policy.Kinds {
	var schemes policy.Kinds
	if g.takesBasic {
		schemes |= policy.ByPassword
	}
	if g.conf.Tokens != nil {
		schemes |= policy.ByToken
	}
	if len(g.conf.Login.Paths) > 0 {
		schemes |= policy.BySession
	}
	return schemes
}

func plain(w *web.Reply, status int, text string) {
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text)
}

// refuse phrases the refusal of a route.
func (g *Gateway) refuse(w *web.Reply, r *http.Request, err error) {
	status := web.Problem(err).Status
	denial := status == http.StatusUnauthorized || status == http.StatusForbidden || errors.Is(err, jeton.ErrAmbiguous)
	if denial && teaching(g.conf).TokenInBody {
		refuseBody(w, r, err)
		return
	}

	if g.denied == nil || !denial {
		g.challenge(g.schemes()).Set(w, r, err)
		web.Fail(w, r, err)
		return
	}

	web.Mark(w, err)
	var text strings.Builder
	if terr := g.denied.Execute(&text, map[string]string{"Name": g.claimed(r)}); terr != nil {
		web.Fail(w, r, terr)
		return
	}

	plain(w, http.StatusForbidden, text.String())
}

// claimed returns the name that a request says it is of, believed or not, if it can be
// a name at all.
func (g *Gateway) claimed(r *http.Request) string {
	t := g.conf.Teaching
	if t != nil && t.Cookies != nil {
		value, count := web.FindCookie(r.Header, t.Cookies.Name)
		claimed, err := url.PathUnescape(value)
		if err == nil && count == 1 {
			name, _, err := naming.User(claimed)
			if err == nil {
				return name
			}
		}
	}

	return "None"
}
