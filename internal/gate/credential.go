package gate

import (
	"context"
	"errors"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/count"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/session"
	"github.com/jeton-auth/jeton/internal/token"
)

// Reader finds one kind of credential in a request.
type Reader interface {
	// Read returns the credential. ErrNotMine means that the request shows none of this
	// kind, and the next reader is asked. Any other error ends the search.
	Read(ctx context.Context, req *Request) (Credential, error)
	// Kinds returns the kinds that it reads. A route chooses which it accepts.
	Kinds() policy.Kinds
}

// ErrNotMine means that a request shows no credential of the reader's kind.
var ErrNotMine = errors.New("no credential of this kind")

// Credential is what a request shows to prove its subject. Embed PerRequest in one that
// comes with each request and has no limits of its own.
type Credential interface {
	// Principal returns the subject that it proves.
	Principal() jeton.Principal
	// Check returns jeton.ErrTooEarly or jeton.ErrExpired outside of its window.
	Check(now time.Time) error
	// Permits returns jeton.ErrScope or jeton.ErrForbidden for a request beyond its limits.
	Permits(r policy.Request) error
	// Budgets returns the key under which its uses are counted, and budgets of its own.
	Budgets() (*count.Key, []policy.Budget)
	// LastUsed returns when it last admitted a request, or the zero time if unknown.
	LastUsed() time.Time
	// Origin returns what a token derives from that is created with it, or
	// jeton.ErrForbidden if it creates none.
	Origin() (Origin, error)
	// Describe returns which credential it is and when it is valid, for the operator. It
	// contains no secret.
	Describe() (which, window string)
}

// Origin is what a new token derives from. One field is set.
type Origin struct {
	Token *token.Live  // the new token has no more rights, and is revoked with it
	Login int64        // of a session: no token is created once it has ended
	Owner *token.Owner // of a password: the user as it was when the password was checked
}

// PerRequest is embedded in credentials that are sent with each request: they are valid now,
// without limits, not counted, and create no tokens.
type PerRequest struct{}

// Check implements Credential.
func (PerRequest) Check(time.Time) error { return nil }

// Permits implements Credential.
func (PerRequest) Permits(policy.Request) error { return nil }

// Budgets implements Credential.
func (PerRequest) Budgets() (*count.Key, []policy.Budget) { return nil, nil }

// LastUsed implements Credential.
func (PerRequest) LastUsed() time.Time { return time.Time{} }

// Origin implements Credential.
func (PerRequest) Origin() (Origin, error) { return Origin{}, jeton.ErrForbidden }

// sessionOf returns the session that a credential is, or nil.
func sessionOf(c Credential) *session.Live {
	s, _ := c.(sessionCredential)
	return s.Live
}
