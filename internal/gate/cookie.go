package gate

import (
	"cmp"
	"context"
	"net/http"
	"net/url"
	"strings"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/session"
)

// Cookie reads a session from the one cookie of that name.
type Cookie struct {
	Name     string
	Sessions *session.Sessions
	Service  string // whose sessions they are, where that is not the service that is asked
}

// Kinds implements Reader.
func (c Cookie) Kinds() policy.Kinds { return policy.BySession }

// Read implements Reader. Two cookies of the name are refused and not picked from: one
// of them may have been planted by a neighbouring host.
func (c Cookie) Read(ctx context.Context, q *Request) (Credential, error) {
	value, n := cookie(q.Header, c.Name)
	switch {
	case n == 0 || n == 1 && value == "":
		return nil, ErrNotMine
	case n > 1:
		return nil, jeton.WithDetail(jeton.ErrAmbiguous, "more than one cookie "+c.Name)
	}

	live, err := c.Sessions.Find(ctx, value, cmp.Or(c.Service, q.Service.Name), q.Now)
	if err != nil {
		return nil, err // a nil session in a Proof would not be nil
	}

	return live, nil
}

// NamedCookies reads a session from the separate cookies of a teaching client: one with
// the user's name, one with the secret. The secret alone decides who it is; a name
// that does not fit it, or none, is refused.
type NamedCookies struct {
	User     string
	Token    string
	Sessions *session.Sessions
}

// Kinds implements Reader.
func (c NamedCookies) Kinds() policy.Kinds { return policy.BySession }

// Read implements Reader.
func (c NamedCookies) Read(ctx context.Context, q *Request) (Credential, error) {
	token, tokens := cookie(q.Header, c.Token)
	name, users := cookie(q.Header, c.User)
	switch {
	case tokens > 1 || users > 1:
		return nil, jeton.WithDetail(jeton.ErrAmbiguous, "more than one cookie of a name")
	case token == "" && name == "":
		return nil, ErrNotMine
	case token == "" || name == "":
		return nil, jeton.ErrBadCredential
	}

	live, err := c.Sessions.Find(ctx, token, q.Service.Name, q.Now)
	if err != nil {
		return nil, err
	}
	// A cookie carries ASCII alone, so the name is percent-encoded where it has more.
	if claimed, err := url.PathUnescape(name); err != nil || live.Name != claimed {
		return nil, jeton.ErrBadCredential
	}

	return live, nil
}

// cookie returns the value of the cookie of that name and how many there are of it
// (RFC 6265, section 5.4: pairs separated by semicolons). It takes no memory.
func cookie(h http.Header, name string) (value string, n int) {
	for _, line := range h["Cookie"] {
		for line != "" {
			var pair string
			pair, line, _ = strings.Cut(line, ";")
			key, v, ok := strings.Cut(strings.Trim(pair, " \t"), "=")
			if !ok || key != name {
				continue
			}

			if n++; n == 1 {
				value = unquote(v)
			}
		}
	}

	return value, n
}

func unquote(v string) string {
	if len(v) >= 2 && v[0] == '"' && v[len(v)-1] == '"' {
		return v[1 : len(v)-1]
	}
	return v
}

// CookieValue returns the value of the only cookie of that name, or "".
func CookieValue(h http.Header, name string) string {
	value, n := cookie(h, name)
	if n != 1 {
		return ""
	}
	return value
}
