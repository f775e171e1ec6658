package oauth

import (
	"net/http"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/token"
	"github.com/jeton-auth/jeton/internal/web"
)

// revoke answers POST /oauth2/revoke (RFC 7009). An unknown token, or one of another client,
// is not revoked and gets the same response.
func (s *Server) revoke(w *web.Reply, r *http.Request) error {
	c, form, err := caller(w)
	if err != nil {
		return err
	}

	readableBy(w, r, c.client)

	text := form.Get("token")
	if text == "" {
		return jeton.WithDetail(jeton.ErrInvalid, "token is missing")
	}

	ev := s.event(w, audit.TokenRevoke, c, nil)
	// Answered only when no node accepts the token any more; see docs/architecture.md, flow 5.
	if err := s.tokens.Revoke(r.Context(), text, token.ClientOwner(c.client), ev); err != nil {
		return err
	}

	// RFC 7009, section 2.2: 200 and no body, whether or not there was such a token.
	w.Header()["Cache-Control"] = noStore
	w.WriteHeader(http.StatusOK)

	return nil
}
