package api

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/gate"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/session"
	"github.com/jeton-auth/jeton/internal/signin"
	"github.com/jeton-auth/jeton/internal/web"
)

// maxBody bounds the bodies that are read here, in bytes.
const maxBody = 64 << 10

// credentials is what a login takes: a password, and an address or a name.
type credentials struct {
	Email    string `json:"email,omitempty" jsonschema:"E-mail address"`
	Name     string `json:"name,omitempty" jsonschema:"Name, in place of the address"`
	Password string `json:"password"`
}

// login answers POST /auth_session/login: an address and a password become a session.
func (a *Users) login(w *web.Reply, r *http.Request) error {
	in, err := readCredentials(w, r)
	if err != nil {
		return err
	}
	if err := missing("email", in.Email+in.Name); err != nil {
		return err
	}

	if err := missing("password", in.Password); err != nil {
		return err
	}

	old, err := a.previous(w, r)
	if err != nil {
		return err
	}

	attempt := signin.PasswordRequest{
		Name:     in.Email,
		ByEmail:  true,
		Password: jeton.NewSecret(in.Password),
		Service:  a.conf.SessionsOf(),
		Terms:    a.terms,
		Source:   w.Source,
		Request:  w.ID,
		Replaces: old,
	}
	if in.Email == "" {
		attempt.Name, attempt.ByEmail = in.Name, false
	}

	l := a.conf.Login.Allow
	if l != nil {
		attempt.Allow = &policy.Allow{Users: l.Users, Groups: l.Groups, Clients: l.Clients}
	}

	started, who, err := a.logins.Password(r.Context(), attempt)
	if err != nil {
		return err
	}

	acct, err := a.accounts.Find(r.Context(), who.Name)
	if err != nil {
		return err
	}

	lifetime := started.Ends.Sub(started.At)
	if a.terms.Lifetime == forGood {
		lifetime = 0
	}

	a.cookie().Set(w, started.Secret.Reveal(), lifetime)

	return a.show(w, acct)
}

// readCredentials reads a form or a JSON object.
func readCredentials(w *web.Reply, r *http.Request) (credentials, error) {
	fields, err := web.LoginFields(w, r, "a login", "email", "name", "password")
	return credentials{
		Email:    strings.TrimSpace(fields["email"]),
		Name:     fields["name"],
		Password: fields["password"],
	}, err
}

// shown returns the session that the request shows, or nil.
func (a *Users) shown(w *web.Reply, r *http.Request) (*session.Live, error) {
	req := gate.NewRequest(w, r, a.door, policy.Session)
	shown, err := gate.Identify(r.Context(), &req)
	live := gate.SessionOf(shown)
	if err == nil || live != nil {
		return live, nil // also one whose time is over as far as this node knows
	}
	if errors.Is(err, jeton.ErrUnavailable) || errors.Is(err, jeton.ErrAmbiguous) || jeton.Outcome(err) == nil {
		return nil, err
	}

	return nil, nil
}

// previous returns the number of the login that the request still shows, or 0: its cookie
// is about to be overwritten.
func (a *Users) previous(w *web.Reply, r *http.Request) (int64, error) {
	live, err := a.shown(w, r)
	if live == nil || errors.Is(err, jeton.ErrAmbiguous) {
		if errors.Is(err, jeton.ErrAmbiguous) {
			err = nil
		}
		return 0, err
	}

	return live.Login, nil
}

// logout answers DELETE /auth_session/logout. Without a session there is nothing to end,
// which the classic shape says.
func (a *Users) logout(w *web.Reply, r *http.Request) error {
	live, err := a.shown(w, r)
	if err != nil {
		return err
	}

	value, _ := web.FindCookie(r.Header, a.conf.Session.Cookie)
	if live == nil && value != "" {
		if err := a.sessions.Ended(r.Context()); err != nil {
			return err
		}
	}

	if live == nil && a.shape.classic != nil {
		return jeton.ErrNotFound
	}

	if live != nil {
		ev := a.event(w, audit.Logout, "session:"+live.ID)
		ev.Actor = gate.Actor(live.Principal())
		if _, err := a.sessions.End(r.Context(), session.Which{ID: live.ID}, ev); err != nil {
			return fmt.Errorf("log out: %w", err)
		}
	}

	a.cookie().Clear(w)

	return a.shape.done(w)
}

// cookie is the cookie of the service's sessions.
func (a *Users) cookie() web.Cookie {
	return web.Cookie{Name: a.conf.Session.Cookie, PlainHTTP: a.conf.PlainHTTP}
}
