package gate

import (
	"context"
	"fmt"
	"net/http"
	"slices"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/session"
	"github.com/jeton-auth/jeton/internal/token"
)

// Trial is what a request with a credential would get.
type Trial struct {
	Checks  []jeton.Check // for the operator, as in an audit event
	Refused error         // nil: it would be admitted
	Left    int64         // uses before it; only if Counted
	Counted bool
}

// Try judges a request that was not sent, as if it showed a token. It spends no use and records nothing. The error is
// jeton.ErrUnavailable if the store could not be asked.
func (g *Gate) Try(ctx context.Context, req *Request, live *token.Live) (Trial, error) {
	h := http.Header{"Authorization": {"Bearer"}} // what the refusal says that the request shows
	return g.try(ctx, req, h, func(r Reader) Reader {
		b, ok := r.(Bearer)
		if !ok {
			return nil
		}
		return shown{policy.ByToken, func(req *Request) (Credential, error) { return tokenAt(req, b.Audience, live) }}
	})
}

// tokenAt returns the credential that a token is at a service, by the audience of that.
func tokenAt(req *Request, audience string, live *token.Live) (Credential, error) {
	if !slices.Contains(live.Audience, audience) {
		return nil, fmt.Errorf("%w: the token is for %v, not for this service", jeton.ErrBadCredential, live.Audience)
	}
	return atService(req, live)
}

// Visitor is a user whose session a request would show.
type Visitor struct {
	jeton.Principal
	Session *session.Live // nil: one that starts with the request
	Refused error         // why the user cannot log in, or nil
}

// TryUser is Try for a session of a user.
func (g *Gate) TryUser(ctx context.Context, req *Request, v Visitor) (Trial, error) {
	h := http.Header{}
	for _, r := range req.Service.Readers {
		c, ok := r.(Cookie)
		if ok {
			h.Add("Cookie", c.Cookie.Name+"=shown")
		}
	}

	return g.try(ctx, req, h, func(r Reader) Reader {
		c, ok := r.(Cookie)
		switch {
		case !ok:
			return nil
		case req.Access.Accept&policy.BySession == 0:
			return c // is not read, and names the cookie in the refusal
		}

		return shown{policy.BySession, func(*Request) (Credential, error) {
			switch {
			case v.Refused != nil:
				return nil, v.Refused
			case v.Session != nil:
				return sessionCredential{v.Session}, nil
			}
			return newSession{principal: v.Principal}, nil
		}}
	})
}

// TryOpen is Try without a credential.
func (g *Gate) TryOpen(ctx context.Context, req *Request) (Trial, error) {
	return g.try(ctx, req, http.Header{}, func(Reader) Reader { return nil })
}

// try judges a request that was not sent. For each reader of the service it asks another one, or none.
func (g *Gate) try(ctx context.Context, req *Request, h http.Header, instead func(Reader) Reader) (Trial, error) {
	if req.Access.IsOpen() {
		return Trial{Checks: checks(req, &Decision{}, steps, nil)[:1]}, nil
	}

	service := *req.Service
	service.Readers = nil
	for _, r := range req.Service.Readers {
		other := instead(r)
		if other != nil {
			service.Readers = append(service.Readers, other)
		}
	}

	req.Service = &service
	req.Header = h
	req.looking = true

	var d Decision
	failed, err := g.judge(ctx, req, &d)
	if err != nil && jeton.Outcome(err) == nil || jeton.Outcome(err) == jeton.ErrUnavailable {
		return Trial{}, fmt.Errorf("try a request: %w", err)
	}

	return Trial{
		Checks:  checks(req, &d, failed, err),
		Refused: err,
		Left:    d.left,
		Counted: d.counted,
	}, nil
}

// shown reads a credential that is known without its secret.
type shown struct {
	kinds policy.Kinds
	read  func(req *Request) (Credential, error)
}

// Kinds implements Reader.
func (s shown) Kinds() policy.Kinds { return s.kinds }

// Read implements Reader.
func (s shown) Read(_ context.Context, req *Request) (Credential, error) { return s.read(req) }

// newSession is a session that a user would have after a login.
type newSession struct {
	PerRequest
	principal jeton.Principal
}

// Principal implements Credential.
func (s newSession) Principal() jeton.Principal { return s.principal }

// Permits implements Credential: a session permits what its user may do.
func (newSession) Permits(policy.Request) error { return nil }

// Describe implements Credential.
func (s newSession) Describe() (which, window string) {
	return "a new session of user " + s.principal.Name + ", who has none here", "valid from a login on"
}

// left returns how many uses a login begins with.
func (newSession) left(budgets []policy.Budget) int64 {
	n := budgets[0].Max
	for _, b := range budgets[1:] {
		n = min(n, b.Max)
	}
	return n
}
