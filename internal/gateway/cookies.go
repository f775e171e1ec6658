package gateway

import (
	"net/http"

	"github.com/jeton-auth/jeton/internal/gate"
	"github.com/jeton-auth/jeton/internal/session"
	"github.com/jeton-auth/jeton/internal/web"
)

// Cookies keeps a session at a client. Its methods are safe for concurrent use.
type Cookies interface {
	// Reader reads the session that a request shows.
	Reader() gate.Reader
	// LogoutReader reads the session that a logout ends: its secret alone is enough.
	LogoutReader() gate.Reader
	// Set sets the cookies for a session that has started.
	Set(w http.ResponseWriter, s session.Started, user string)
	// Clear makes the client delete the cookies.
	Clear(w http.ResponseWriter)
}

// sessionCookie is one cookie with the secret of a session.
type sessionCookie struct {
	cookie web.Cookie
	reader gate.Cookie
}

// newSessionCookie returns the one session cookie of a service, for writing and for
// reading.
func newSessionCookie(c Config) sessionCookie {
	cookie := c.Service.SessionCookie()
	return sessionCookie{cookie: cookie, reader: gate.Cookie{Cookie: cookie, Sessions: c.Sessions}}
}

// Reader implements Cookies.
func (c sessionCookie) Reader() gate.Reader { return c.reader }

// LogoutReader implements Cookies.
func (c sessionCookie) LogoutReader() gate.Reader { return c.reader }

// Set implements Cookies.
func (c sessionCookie) Set(w http.ResponseWriter, s session.Started, _ string) {
	c.cookie.Set(w, s.Secret.Reveal(), s.Ends.Sub(s.At))
}

// Clear implements Cookies.
func (c sessionCookie) Clear(w http.ResponseWriter) { c.cookie.End(w) }
