package teaching

import (
	"context"
	"net/http"
	"strings"

	"github.com/jeton-auth/jeton/internal/gate"
	"github.com/jeton-auth/jeton/internal/policy"
)

// bodyReader reads an access token that is the body of a request, as if it stood in the header
// Authorization.
type bodyReader struct{ bearer gate.Bearer }

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

	return b.bearer.Read(ctx, &inHeader)
}
