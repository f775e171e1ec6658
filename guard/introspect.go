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
	// maxAsking bounds the introspections under way. Whoever comes when there are so many
	// waits, as long as the issuer may take for one.
	maxAsking = 64
	// maxOpaque is longer than any opaque token of ours, in bytes.
	maxOpaque = 128
)

// checkOpaque judges a token that only the issuer can read. Where scopes are needed it looks
// before it takes a use, so that a refusal costs none.
func (g *Guard) checkOpaque(ctx context.Context, text string, scopes []string) (Token, error) {
	if len(text) > maxOpaque || strings.ContainsFunc(text, func(r rune) bool {
		return r != '_' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	}) {
		return Token{}, refused("not the form of an opaque token")
	}

	tok, err := g.introspect(ctx, text, len(scopes) == 0)
	if err != nil || len(scopes) == 0 {
		return tok, err
	}
	if err := scoped(tok.Scopes, scopes); err != nil {
		return Token{}, err
	}

	if tok.UsesRemaining == nil {
		return tok, nil
	}

	return g.introspect(ctx, text, true)
}

// spend takes one use of a signed token that is right in all else.
func (g *Guard) spend(ctx context.Context, text string, tok Token) (Token, error) {
	seen, err := g.introspect(ctx, text, true)
	switch {
	case err != nil:
		return Token{}, err
	case seen.ID != tok.ID || seen.UsesRemaining == nil:
		return Token{}, g.unavailable(fmt.Errorf(
			"the issuer was asked to take a use of token %s and says nothing of it",
			tok.ID,
		))
	}

	tok.UsesRemaining = seen.UsesRemaining

	return tok, nil
}

// inspected is what the issuer says of a token (RFC 7662, section 2.2).
type inspected struct {
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
}

// introspect asks the issuer for a token, and takes a use if consume is set and the token
// is counted. It is asked once: an answer that does not come may have taken a use.
func (g *Guard) introspect(ctx context.Context, text string, consume bool) (Token, error) {
	if g.conf.Introspect == nil {
		return Token{}, fmt.Errorf("%w: %w", jeton.ErrBadCredential, errBlind)
	}
	if err := g.turn(ctx); err != nil {
		return Token{}, err
	}
	defer func() { <-g.asking }()

	// The issuer hears what it has to be for before it takes a use.
	form := url.Values{"token": {text}, "token_type_hint": {"access_token"}, "audience": {g.conf.Audience}}
	if consume {
		form.Set("consume", "true")
	}

	body, err := g.post(ctx, g.keys.known.Load().at.Introspection, form)
	if err != nil {
		return Token{}, g.unavailable(fmt.Errorf("introspect token: %w", err))
	}

	var in inspected
	if err := decode(body, &in); err != nil {
		return Token{}, g.unavailable(fmt.Errorf("introspect token: %w", err))
	}

	switch {
	case in.Active == nil:
		return Token{}, g.unavailable(errors.New("introspect token: the answer does not say whether it is active"))
	case !*in.Active:
		return Token{}, refused(
			"the issuer says that it is not good: unknown, over, spent, for another service, or for one that client %s may not look up",
			g.conf.Introspect.ClientID,
		)
	case in.Issuer != g.conf.Issuer || !slices.Contains(in.Audience, g.conf.Audience):
		return Token{}, refused("it is of %.100q, for %.200q", in.Issuer, in.Audience)
	case in.Subject == "" || in.ID == "" || in.Expires <= 0 || in.Left != nil && *in.Left < 0:
		return Token{}, g.unavailable(errors.New("introspect token: the answer lacks sub, jti or exp"))
	}

	tok := token(jose.Claims{
		Subject:  in.Subject,
		ClientID: in.ClientID,
		Scope:    in.Scope,
		ID:       in.ID,
		IssuedAt: time.Unix(in.Issued, 0).UTC(),
		Expires:  time.Unix(in.Expires, 0).UTC(),
	})

	tok.UsesRemaining = in.Left

	return tok, nil
}

// turn waits until the issuer may be asked.
func (g *Guard) turn(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()

	select {
	case g.asking <- struct{}{}:
		return nil
	case <-ctx.Done():
		return jeton.WithRetryAfter(fmt.Errorf("%w: %d tokens are being looked up", jeton.ErrBusy, maxAsking), g.pace)
	}
}
