package gateway

import (
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/gate"
	"github.com/jeton-auth/jeton/internal/session"
	"github.com/jeton-auth/jeton/internal/signin"
	"github.com/jeton-auth/jeton/internal/web"
)

// login answers POST on a login path: a name and a password become a session.
func (g *Gateway) login(w *web.Reply, r *http.Request) error {
	// Another site could log the browser in as the attacker, to see what the user then enters.
	if err := web.SameOrigin(w, r); err != nil {
		return err
	}

	nameField, passwordField := g.conf.Login.UsernameField, g.conf.Login.PasswordField
	fields, err := web.LoginFields(w, r, "a login", nameField, passwordField)
	if err != nil {
		return err
	}

	// Read before the login, and ended by it in one transaction: a failed login ends nothing.
	previous, err := g.previous(w, r)
	if err != nil {
		return err
	}

	started, user, err := g.logins.Password(r.Context(), signin.PasswordRequest{
		Name:     fields[nameField],
		Password: jeton.NewSecret(fields[passwordField]),
		Service:  g.conf.Name,
		Terms:    g.terms,
		Allow:    g.allow,
		Require:  g.require,
		Source:   w.Source,
		Request:  w.ID,
		Device:   session.Device{Agent: r.UserAgent()},
		Replaces: previous,
	})
	if err != nil {
		return err
	}

	// Only after the commit. If the client has gone, a session exists that nothing can use.
	g.cookies.Set(w, started, user.Name)

	if prefersJSON(r) {
		return web.JSON(w, http.StatusOK, jeton.Session{
			ID:       started.ID,
			User:     user.Name,
			Service:  g.conf.Name,
			Created:  started.At,
			LastUsed: started.At,
			Expires:  started.Ends,
			Source:   web.AddressText(w.Source),
		})
	}

	succeed(w, g.conf.Login.Success)

	return nil
}

// previous returns the number of the login that the request shows, or 0. A login always starts
// a new session and overwrites the cookie of the previous one, so that one ends.
func (g *Gateway) previous(w *web.Reply, r *http.Request) (int64, error) {
	// The previous session is never continued, so that none that an attacker has planted is promoted.
	live, err := gate.ShownSession(w, r, g.service)
	if live != nil {
		return live.Login, nil
	}

	if undecided(err) {
		return 0, err
	}

	return 0, nil
}

// undecided reports whether an error says nothing about the credential: the store is down.
func undecided(err error) bool {
	return err != nil && (errors.Is(err, jeton.ErrUnavailable) || jeton.Outcome(err) == nil)
}

// prefersJSON reports whether the client accepts JSON and nothing else.
func prefersJSON(r *http.Request) bool {
	accept, _, _ := strings.Cut(r.Header.Get("Accept"), ";")
	return strings.TrimSpace(accept) == "application/json"
}

// succeed writes the text of a successful login or logout.
func succeed(w *web.Reply, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = io.WriteString(w, text)
}
