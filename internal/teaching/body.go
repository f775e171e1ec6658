package teaching

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/gate"
	"github.com/jeton-auth/jeton/internal/policy"
)

// bodyReader reads an access token that is the body of a request, as if it stood in the header
// Authorization.
type bodyReader struct {
	bearer       gate.Bearer
	wholeSeconds bool
}

// Kinds implements gate.Reader.
func (b bodyReader) Kinds() policy.Kinds { return b.bearer.Kinds() }

// Read implements gate.Reader.
func (b bodyReader) Read(ctx context.Context, req *gate.Request) (gate.Credential, error) {
	if req.Body == nil {
		return nil, gate.ErrNotMine
	}

	body, err := req.Body()
	if err != nil {
		return nil, err
	}
	if len(body) == 0 {
		return nil, gate.ErrNotMine
	}

	// A copy: the request itself has no such header, and the readers after this one must not see it.
	inHeader := *req
	inHeader.Header = http.Header{"Authorization": {"Bearer " + strings.TrimSpace(string(body))}}

	c, err := b.bearer.Read(ctx, &inHeader)
	if err == nil && b.wholeSeconds {
		c = wholeSeconds{c}
	}

	return c, err
}

// wholeSeconds is a token whose times are compared in whole seconds, as PyJWT did before version 2: it is still valid
// in the second of its expiry.
type wholeSeconds struct{ gate.Credential }

// Check implements gate.Credential.
func (c wholeSeconds) Check(now time.Time) error {
	second := now.Truncate(time.Second)

	err := c.Credential.Check(second)
	if errors.Is(err, jeton.ErrExpired) {
		return c.Credential.Check(second.Add(-1)) // not expired if it ends with this second
	}

	return err
}
