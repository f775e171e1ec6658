package openid

import (
	"context"
	"time"

	"github.com/jeton-auth/jeton/internal/jose"
	"github.com/jeton-auth/jeton/internal/keys"
)

// logoutLifetime is how long a logout token is valid (OpenID Connect Back-Channel Logout 1.0, section 2.4).
const logoutLifetime = 2 * time.Minute

// logoutEvent is the one event of a logout token.
const logoutEvent = "http://schemas.openid.net/event/backchannel-logout"

// logoutToken is the claims of a logout token (OpenID Connect Back-Channel Logout 1.0, section 2.4). It has no nonce,
// so that it never passes as an ID token.
type logoutToken struct {
	Issuer   string              `json:"iss"`
	Subject  string              `json:"sub"`
	Audience string              `json:"aud"`
	Issued   int64               `json:"iat"`
	Expires  int64               `json:"exp"`
	ID       string              `json:"jti"`
	Events   map[string]struct{} `json:"events"`
	Session  string              `json:"sid"`
}

// sign signs a logout token.
func (t logoutToken) sign(ctx context.Context, ring *keys.Ring, alg jose.Alg) (string, error) {
	return signed(ctx, ring, keys.Pair{Kind: keys.Logout, Alg: alg}, t)
}
