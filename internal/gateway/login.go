package gateway

import (
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/gate"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/signin"
	"github.com/jeton-auth/jeton/internal/web"
)

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
