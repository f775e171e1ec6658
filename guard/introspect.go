package guard

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/jose"
)

const (
	// maxLookups limits concurrent introspections. Further callers wait, at most requestTimeout.
	maxLookups = 64
	// maxOpaque is the maximum length of an opaque token, in bytes.
	maxOpaque = 128
)

// checkOpaque checks a token that only the issuer can read. If scopes are required, it looks the
// token up before it takes a use, so that a refusal costs none.
func (g *Guard) checkOpaque(ctx context.Context, text string, scopes []string) (Token, error) {
	// The issuer would refuse it, too; this costs it no request.
	if len(text) > maxOpaque || strings.ContainsFunc(text, notInToken) {
		return Token{}, refused("not an opaque token")
	}

	// Without required scopes, one request looks up and spends.
	tok, err := g.introspect(ctx, text, len(scopes) == 0)
	if err != nil || len(scopes) == 0 {
		return tok, err
	}
	if err := checkScopes(tok.Scopes, scopes); err != nil {
		return Token{}, err
	}

	if tok.UsesRemaining == nil {
		return tok, nil
	}

	return g.introspect(ctx, text, true)
}

// notInToken reports whether a character cannot be in an opaque token.
func notInToken(r rune) bool {
	return r != '_' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
}

// spend takes one use of a signed token that has passed all other checks.
func (g *Guard) spend(ctx context.Context, text string, tok Token) (Token, error) {
	result, err := g.introspect(ctx, text, true)
	if err != nil {
		return Token{}, err
	}

	// The use may be taken, but nothing shows that it was of this token. At most N still holds.
	if result.ID != tok.ID || result.UsesRemaining == nil {
		return Token{}, g.unavailable(fmt.Errorf("take a use of token %s: "+
			"the response is for another token or has no uses_remaining", tok.ID))
	}

	tok.UsesRemaining = result.UsesRemaining

	return tok, nil
}

// introspection is the issuer's response (RFC 7662, section 2.2).
type introspection struct {
	Active   *bool    `json:"active"`
	Issuer   string   `json:"iss"`
	Subject  string   `json:"sub"`
	ClientID string   `json:"client_id"`
	Audience []string `json:"aud"`
	Scope    string   `json:"scope"`
	Issued   int64    `json:"iat"`
	Expires  int64    `json:"exp"`
	ID       string   `json:"jti"`
	Left     *int64   `json:"uses_remaining"`

	Act *jeton.Actor `json:"act"`
}

// introspect looks a token up at the issuer, and takes a use if consume is set and uses are
// counted. It sends one request and never retries: a lost response may have taken a use.
func (g *Guard) introspect(ctx context.Context, text string, consume bool) (Token, error) {
	if g.conf.Introspect == nil {
		return Token{}, fmt.Errorf("%w: %w", jeton.ErrBadCredential, errNoIntrospection)
	}
	if err := g.acquireLookup(ctx); err != nil {
		return Token{}, err
	}
	defer func() { <-g.lookups }()

	// With the audience, the issuer takes no use of a token for another service.
	form := url.Values{"token": {text}, "token_type_hint": {"access_token"}, "audience": {g.conf.Audience}}
	if consume {
		form.Set("consume", "true")
	}

	resp, err := g.post(ctx, g.keys.current.Load().metadata.Introspection, form)
	if err != nil {
		return Token{}, g.unavailable(fmt.Errorf("introspect token: %w", err))
	}

	var in introspection
	if err := decode(resp.body, &in); err != nil {
		return Token{}, g.unavailable(fmt.Errorf("introspect token: %w", err))
	}

	switch {
	// RFC 7662, section 2.2: active is required. Without it this is some other document.
	case in.Active == nil:
		return Token{}, g.unavailable(errors.New("introspect token: active is missing in the response"))
	case !*in.Active:
		return Token{}, refused(
			"not active at the issuer: unknown, expired, revoked, spent, for another service, "+
				"or for one that client %s may not introspect",
			g.conf.Introspect.ClientID,
		)
	case in.Issuer != g.conf.Issuer || !slices.Contains(in.Audience, g.conf.Audience):
		return Token{}, refused("issuer is %.100q, audience is %.200q", in.Issuer, in.Audience)
	case in.Subject == "" || in.ID == "" || in.Expires <= 0 || in.Left != nil && *in.Left < 0:
		return Token{}, g.unavailable(errors.New("introspect token: sub, jti or exp is missing or invalid"))
	}

	tok := newToken(jose.Claims{
		Subject:  in.Subject,
		ClientID: in.ClientID,
		Scope:    in.Scope,
		ID:       in.ID,
		IssuedAt: time.Unix(in.Issued, 0).UTC(),
		Expires:  time.Unix(in.Expires, 0).UTC(),
	})

	tok.UsesRemaining = in.Left
	tok.Principal.Actors = in.Act.Names()

	return tok, nil
}

// acquireLookup waits for one of maxLookups introspections. The caller receives from lookups to
// release it.
func (g *Guard) acquireLookup(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()

	// A slow issuer must not collect a goroutine for every request of the service.
	select {
	case g.lookups <- struct{}{}:
		return nil
	case <-ctx.Done():
		return jeton.WithRetryAfter(fmt.Errorf("%w: %d tokens are being looked up", jeton.ErrBusy, maxLookups), g.pace)
	}
}
