package gate

import (
	"context"
	"strings"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/token"
)

// Bearer reads an access token from the header Authorization (RFC 6750, section 2.1), and
// from nowhere else: not from the query, which ends up in logs.
type Bearer struct {
	Tokens   *token.Tokens
	Audience string        // of tokens that are for this service
	Allow    *policy.Allow // which people may log in at the service; nil: all
}

// Kinds implements Reader.
func (b Bearer) Kinds() policy.Kinds { return policy.ByToken }

// Read implements Reader. The name of the scheme has no case (RFC 9110, section 11.1).
func (b Bearer) Read(ctx context.Context, q *Request) (Credential, error) {
	lines := q.Header["Authorization"]
	if len(lines) == 0 {
		return nil, ErrNotMine
	}
	if len(lines) > 1 {
		return nil, jeton.WithDetail(jeton.ErrAmbiguous, "more than one header Authorization")
	}

	const scheme = "bearer "

	line := lines[0]
	if len(line) < len(scheme) || !strings.EqualFold(line[:len(scheme)], scheme) {
		return nil, ErrNotMine
	}

	return admitted(b.Allow)(b.Tokens.Find(ctx, strings.Trim(line[len(scheme):], " "), b.Audience, q.Now))
}

// admitted makes a Proof of what Find returned. A person's token is good where the person
// may log in; which services a client may have tokens for is said of the client.
func admitted(allow *policy.Allow) func(*token.Live, error) (Credential, error) {
	return func(l *token.Live, err error) (Credential, error) {
		if err == nil && allow != nil && l.Owner.Kind == jeton.KindUser {
			err = allow.Check(l.Principal())
		}
		if err != nil {
			return nil, err // a nil token in a Proof would not be nil
		}

		return l, nil
	}
}

// Body reads an access token that is the whole body of a request, as a teaching client of
// old sends it.
type Body struct {
	Tokens   *token.Tokens
	Audience string
	Allow    *policy.Allow
}

// Kinds implements Reader.
func (b Body) Kinds() policy.Kinds { return policy.ByToken }

// Read implements Reader.
func (b Body) Read(ctx context.Context, q *Request) (Credential, error) {
	if q.Body == nil {
		return nil, ErrNotMine
	}

	text, err := q.Body()
	if err != nil {
		return nil, err
	}
	if len(text) == 0 {
		return nil, ErrNotMine
	}

	return admitted(b.Allow)(b.Tokens.Find(ctx, strings.TrimSpace(string(text)), b.Audience, q.Now))
}
