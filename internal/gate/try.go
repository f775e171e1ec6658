package gate

import (
	"context"
	"fmt"
	"net/http"
	"slices"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/token"
)

// Trial is what a request with a token would get.
type Trial struct {
	Checks  []jeton.Check // for the operator, as in an audit event
	Refused error         // nil: it would be admitted
	Left    int64         // uses before it; only if Counted
	Counted bool
}

// Try judges a request that was not sent, as if it showed a token. It spends no use and records nothing. The error is
// jeton.ErrUnavailable if the store could not be asked.
func (g *Gate) Try(ctx context.Context, req *Request, live *token.Live) (Trial, error) {
	if req.Access.IsOpen() {
		return Trial{Checks: checks(req, &Decision{}, steps, nil)[:1]}, nil
	}

	service := *req.Service
	service.Readers = nil
	for _, r := range req.Service.Readers {
		b, ok := r.(Bearer)
		if ok {
			service.Readers = append(service.Readers, shown{b.Audience, live})
		}
	}

	req.Service = &service
	req.Header = http.Header{"Authorization": {"Bearer"}} // what the refusal says that the request shows
	req.looking = true

	var d Decision
	failed, err := g.judge(ctx, req, &d)
	if err != nil && jeton.Outcome(err) == nil || jeton.Outcome(err) == jeton.ErrUnavailable {
		return Trial{}, fmt.Errorf("try a token: %w", err)
	}

	return Trial{
		Checks:  checks(req, &d, failed, err),
		Refused: err,
		Left:    d.left,
		Counted: d.counted,
	}, nil
}

// shown reads a token that is known without its secret.
type shown struct {
	audience string // of the service
	live     *token.Live
}

// Kinds implements Reader.
func (shown) Kinds() policy.Kinds { return policy.ByToken }

// Read implements Reader.
func (s shown) Read(_ context.Context, req *Request) (Credential, error) {
	if !slices.Contains(s.live.Audience, s.audience) {
		return nil, fmt.Errorf("%w: the token is for %v, not for this service", jeton.ErrBadCredential, s.live.Audience)
	}
	return atService(req, s.live)
}
