package api

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/gate"
	"github.com/jeton-auth/jeton/internal/session"
	"github.com/jeton-auth/jeton/internal/signin"
	"github.com/jeton-auth/jeton/internal/web"
)

// Credentials are what a login takes: a password, and an email address or a name.
type Credentials struct {
	Email    string `json:"email,omitempty" jsonschema:"Email address"`
	Name     string `json:"name,omitempty" jsonschema:"Name, in place of the email address"`
	Password string `json:"password"`
}

// readCredentials reads a login, as a form or JSON. It returns jeton.ErrInvalid if a member
// is missing. Spaces around an e-mail address are removed; a name and a password are taken
// as they are.
func readCredentials(w *web.Reply, r *http.Request) (Credentials, error) {
	fields, err := web.LoginFields(w, r, "a login", "email", "name", "password")
	if err != nil {
		return Credentials{}, err
	}

	in := Credentials{
		Email:    strings.TrimSpace(fields["email"]),
		Name:     fields["name"],
		Password: fields["password"],
	}

	// A name is enough. The text asks for the e-mail address, which older clients send.
	if err := require("email", in.Email+in.Name); err != nil {
		return in, err
	}

	return in, require("password", in.Password)
}

// login answers POST /auth_session/login with the user, and sets the session cookie.
func (a *API) login(w *web.Reply, r *http.Request, _ caller) error {
	in, err := readCredentials(w, r)
	if err != nil {
		return err
	}

	// Before the password: when the store is down, no attempt is used up. Two cookies of one name are
	// no reason to refuse: the new one is what ends that.
	previous, err := a.ShownSession(w, r)
	if err != nil && !errors.Is(err, jeton.ErrAmbiguous) {
		return err
	}

	attempt := signin.PasswordRequest{
		Name:     in.Name,
		Password: jeton.NewSecret(in.Password),
		Service:  a.Service.Name,
		Terms:    a.Terms,
		Allow:    a.LoginAllow,
		Source:   w.Source,
		Request:  w.ID,
		Device:   session.Device{Agent: r.UserAgent()},
		NoPage:   true,
	}
	if in.Email != "" {
		attempt.Name, attempt.ByEmail = in.Email, true
	}
	if previous != nil {
		attempt.Replaces = previous.Login
	}

	started, principal, err := a.Logins.Password(r.Context(), attempt)
	if err != nil {
		return err
	}

	// After the session was stored. If this fails, the session exists and nothing can use it.
	acct, err := a.Accounts.Find(r.Context(), principal.Name)
	if err != nil {
		return err
	}

	a.Service.SessionCookie().Set(w, started.Secret.Reveal(), started.Ends.Sub(started.At))

	return writeUser(w, acct)
}

// EndSessionsOf ends all sessions at the service of the user whose address and password the request has, as a form or
// JSON. It returns the errors of a login.
func (a *API) EndSessionsOf(w *web.Reply, r *http.Request) error {
	in, err := readCredentials(w, r)
	if err != nil {
		return err
	}

	attempt := signin.PasswordRequest{
		Name:     in.Name,
		Password: jeton.NewSecret(in.Password),
		Service:  a.Service.Name,
		Source:   w.Source,
		Request:  w.ID,
	}
	if in.Email != "" {
		attempt.Name, attempt.ByEmail = in.Email, true
	}

	user, err := a.Logins.Basic(r.Context(), attempt)
	if err != nil {
		return err
	}

	ev := a.event(w, a.caller(w), audit.SessionEnd, "user:"+user.Account.Name)
	ev.Actor = gate.Actor(user.Principal())

	which := session.Which{User: user.Account.Name, Service: a.Service.Name}
	if _, err := a.Sessions.End(r.Context(), which, ev); err != nil {
		return fmt.Errorf("end sessions: %w", err)
	}

	a.Service.SessionCookie().End(w)

	return web.NoContent(w)
}

// ShownSession returns the session that a request shows, also an expired one, or nil. With an error, the request may
// still have a session.
func (a *API) ShownSession(w *web.Reply, r *http.Request) (*session.Live, error) {
	live, err := gate.ShownSession(w, r, a.Readers)
	storeFailed := err != nil && jeton.Outcome(err) == nil || errors.Is(err, jeton.ErrUnavailable)
	if storeFailed || errors.Is(err, jeton.ErrAmbiguous) {
		return nil, err
	}

	return live, nil
}

// logout answers DELETE /auth_session/logout. Without a session there is nothing to end, which is not an error.
func (a *API) logout(w *web.Reply, r *http.Request, c caller) error {
	live, err := a.ShownSession(w, r)
	if err != nil {
		return err
	}

	value, _ := a.Service.SessionCookie().Find(r.Header)

	switch {
	case live != nil:
		ev := a.event(w, c, audit.Logout, "session:"+live.ID)
		ev.Actor = gate.Actor(live.Principal())
		_, err = a.Sessions.End(r.Context(), session.Which{ID: live.ID}, ev)
	case value != "":
		// It may have been ended a moment ago: answer once all nodes refuse it.
		err = a.Sessions.Ended(r.Context())
	}

	if err != nil {
		return fmt.Errorf("log out: %w", err)
	}

	// Only now: if ending failed, the client keeps the cookie and can try again.
	a.Service.SessionCookie().End(w)

	return web.NoContent(w)
}
