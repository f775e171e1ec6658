package teaching

import (
	"context"
	"net/http"
	"net/url"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/gate"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/session"
	"github.com/jeton-auth/jeton/internal/web"
)

// namedCookies keeps a session in three cookies: the name of the user, the secret of the
// session, and the time of the login. The secret alone identifies the user. It implements
// gateway.Cookies.
type namedCookies struct {
	name      web.Cookie
	secret    web.Cookie
	loginTime web.Cookie
	session   gate.Cookie // reads the cookie with the secret
}

// newNamedCookies returns the cookies of teaching.cookies.
func newNamedCookies(c Config) namedCookies {
	names := c.Service.Teaching.Cookies
	cookie := func(name string) web.Cookie {
		return web.Cookie{Name: name, PlainHTTP: c.Service.PlainHTTP}
	}

	return namedCookies{
		name:      cookie(names.Name),
		secret:    cookie(names.Token),
		loginTime: cookie(names.LoginTime),
		session:   gate.Cookie{Cookie: cookie(names.Token), Sessions: c.Sessions},
	}
}

// Reader implements gateway.Cookies.
func (c namedCookies) Reader() gate.Reader { return namedReader{c} }

// LogoutReader implements gateway.Cookies.
func (c namedCookies) LogoutReader() gate.Reader { return c.session }

// Set implements gateway.Cookies.
func (c namedCookies) Set(w http.ResponseWriter, s session.Started, user string) {
	lifetime := s.Ends.Sub(s.At)

	c.name.Set(w, url.PathEscape(user), lifetime) // a cookie has only ASCII
	c.secret.Set(w, s.Secret.Reveal(), lifetime)
	c.loginTime.Set(w, s.At.UTC().Format(loginTimeFormat), lifetime)
}

// loginTimeFormat is what Python's datetime.isoformat writes: UTC, to the microsecond, without a zone.
const loginTimeFormat = "2006-01-02T15:04:05.000000"

// Clear implements gateway.Cookies.
func (c namedCookies) Clear(w http.ResponseWriter) {
	c.name.Clear(w)
	c.secret.Clear(w)
	c.loginTime.Clear(w)
}

// namedReader reads a session and refuses it without the cookie that has the user's name.
type namedReader struct{ cookies namedCookies }

// Kinds implements gate.Reader.
func (namedReader) Kinds() policy.Kinds { return policy.BySession }

// Read implements gate.Reader.
func (n namedReader) Read(ctx context.Context, req *gate.Request) (gate.Credential, error) {
	secret, secrets := web.FindCookie(req.Header, n.cookies.secret.Name)
	name, names := web.FindCookie(req.Header, n.cookies.name.Name)
	switch {
	case secrets > 1 || names > 1:
		return nil, jeton.WithDetail(jeton.ErrAmbiguous, "more than one cookie of a name")
	case secret == "" && name == "":
		return nil, gate.ErrNotMine
	case secret == "" || name == "":
		return nil, jeton.ErrBadCredential
	}

	// The secret is judged first: the name is in a cookie that the client can write.
	found, err := n.cookies.session.Read(ctx, req)
	if err != nil {
		return nil, err
	}

	// The classic clients expect a session with another user's name to be refused.
	claimed, err := url.PathUnescape(name)
	if err != nil || found.Principal().Name != claimed {
		return nil, jeton.ErrBadCredential
	}

	return found, nil
}
