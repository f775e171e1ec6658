package openid

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/jose"
	"github.com/jeton-auth/jeton/internal/keys"
)

// Lifetime is how long an ID token is valid: relying parties read it at once.
const Lifetime = 10 * time.Minute

// IDToken is the claims of an ID token (OpenID Connect Core 1.0, section 2).
type IDToken struct {
	Issuer     string   `json:"iss"`
	Audience   string   `json:"aud"`
	Expires    int64    `json:"exp"`
	Issued     int64    `json:"iat"`
	SignedIn   int64    `json:"auth_time"`
	Nonce      string   `json:"nonce,omitempty"`
	AccessHash string   `json:"at_hash"`
	Session    string   `json:"sid"`
	Methods    []string `json:"amr,omitempty"`
	Level      string   `json:"acr,omitempty"`
	Claims
}

// AccessHash returns the claim at_hash of an access token (OpenID Connect Core 1.0, section 3.1.3.6). Each of our
// algorithms hashes with SHA-256, EdDSA by convention.
func AccessHash(token jeton.Secret) string {
	sum := sha256.Sum256([]byte(token.Reveal()))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

// Sign signs an ID token. A key that is missing is made: it takes a second for RSA.
func (t IDToken) Sign(ctx context.Context, ring *keys.Ring, alg jose.Alg) (string, error) {
	return signed(ctx, ring, keys.Pair{Kind: keys.ID, Alg: alg}, t)
}

// signed signs claims as a token of a kind.
func signed(ctx context.Context, ring *keys.Ring, pair keys.Pair, claims any) (string, error) {
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("claims of %s token: %w", pair.Kind, err)
	}

	// Keys that were revoked on another node must not sign any more.
	if err := ring.Fresh(ctx); err != nil {
		return "", fmt.Errorf("sign %s token: %w", pair.Kind, err)
	}
	if err := ring.Ensure(ctx, pair); err != nil {
		return "", fmt.Errorf("sign %s token: %w", pair.Kind, err)
	}

	key, err := ring.Signer(pair.Kind, pair.Alg)
	if err != nil {
		return "", fmt.Errorf("sign %s token: %w", pair.Kind, err)
	}

	text, err := key.Sign(payload)
	if err != nil {
		return "", fmt.Errorf("sign %s token: %w", pair.Kind, err)
	}

	return text, nil
}

// maxHint bounds an id_token_hint, in bytes.
const maxHint = 4 << 10

// ReadHint returns the claims of an ID token that this issuer has signed, also of one that has expired (OpenID Connect
// RP-Initiated Logout 1.0, section 4), or jeton.ErrInvalid.
func ReadHint(ctx context.Context, ring *keys.Ring, issuer, text string) (IDToken, error) {
	invalid := jeton.WithDetail(jeton.ErrInvalid, "id_token_hint is not an ID token of this server")
	if len(text) > maxHint {
		return IDToken{}, invalid
	}

	signed, err := jose.Parse(text)
	if err != nil {
		return IDToken{}, invalid
	}
	if err := ring.Fresh(ctx); err != nil {
		return IDToken{}, err
	}

	key, ok := ring.Verifier(keys.ID, signed.Header.KeyID)
	if !ok || signed.Verify(key) != nil {
		return IDToken{}, invalid
	}

	var t IDToken
	if json.Unmarshal(signed.Payload, &t) != nil || t.Issuer != issuer {
		return IDToken{}, invalid
	}

	return t, nil
}
