package gate

import (
	"context"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/session"
	"github.com/jeton-auth/jeton/internal/web"
)

// Cookie reads a session from one cookie.
type Cookie struct {
	Cookie   web.Cookie
	Sessions *session.Sessions
}

// Kinds implements Reader.
func (c Cookie) Kinds() policy.Kinds { return policy.BySession }

// Read implements Reader. Two cookies of the name are refused: a neighbouring host may have
// planted one of them.
func (c Cookie) Read(ctx context.Context, req *Request) (Credential, error) {
	value, n := c.Cookie.Find(req.Header)
	switch {
	case n == 0 || n == 1 && value == "":
		return nil, ErrNotMine
	case n > 1:
		return nil, jeton.WithDetail(jeton.ErrAmbiguous, "more than one cookie "+c.Cookie.Name)
	}

	// A session is valid at one service only, whatever cookie it comes in.
	live, err := c.Sessions.Find(ctx, value, req.Service.Name, req.Now)
	if err != nil {
		return nil, err
	}

	return sessionCredential{live}, nil
}

// sessionCredential is a session that a request shows.
type sessionCredential struct{ *session.Live }

// Permits implements Credential: a session permits what its user may do.
func (sessionCredential) Permits(policy.Request) error { return nil }

// Origin implements Credential.
func (c sessionCredential) Origin() (Origin, error) { return Origin{Login: c.Login}, nil }
