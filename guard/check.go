package guard

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/jose"
	"github.com/jeton-auth/jeton/internal/secret"
)

// Token is an accepted token and its subject. Callers must not change its slices.
type Token struct {
	Principal jeton.Principal // the subject; Token and Scopes are those below
	Client    string          // the client_id that the token was issued to
	ID        string          // jti; of an opaque token its accessor
	Expires   time.Time
	Scopes    []string // sorted
	// UsesRemaining is the number of uses left after this one, or nil if uses are not counted.
	UsesRemaining *int64
}

// errNoIntrospection is returned for a token that only the issuer can check, without
// credentials for introspection.
var errNoIntrospection = errors.New(
	"the issuer must check counted and opaque tokens: set Config.Introspect to the credentials of a client")

// refused returns jeton.ErrBadCredential with a reason for the operator. The client is not
// sent the reason.
func refused(format string, args ...any) error {
	return fmt.Errorf("%w: %s", jeton.ErrBadCredential, fmt.Sprintf(format, args...))
}

// Check verifies a token and returns it, and takes one use if its uses are counted.
//
// It returns jeton.ErrBadCredential for an invalid, revoked or spent token, or one for another
// service; jeton.ErrTooEarly or jeton.ErrExpired outside its lifetime; and jeton.ErrUnavailable
// or jeton.ErrBusy if the guard cannot decide.
//
// The text of an error is for the operator. It contains neither the token nor a secret.
func (g *Guard) Check(ctx context.Context, text string) (Token, error) {
	return g.check(ctx, text, nil)
}

// check is Check for a token that must have scopes. It returns jeton.ErrScope if one is
// missing, and then takes no use.
func (g *Guard) check(ctx context.Context, text string, scopes []string) (Token, error) {
	if len(text) > jose.MaxToken {
		return Token{}, refused("%d bytes are more than a token can have", len(text))
	}

	// Before anything is read of the token: with a list of revocations that is too old, a revoked
	// token would pass.
	if err := g.Ready(); err != nil {
		return Token{}, err
	}
	if strings.HasPrefix(text, secret.Prefix) {
		return g.checkOpaque(ctx, text, scopes)
	}

	// Unavailable and not refused: the issuer may be about to publish its first key.
	if len(g.keys.current.Load().keys) == 0 {
		return Token{}, g.unavailable(errNoKeys)
	}

	v, err := g.verify(ctx, text)
	if err != nil {
		return Token{}, err
	}
	if err := g.checkState(v); err != nil {
		return Token{}, err
	}
	if err := checkScopes(v.token.Scopes, scopes); err != nil {
		return Token{}, err
	}

	// Last of all, so that a refused request takes no use.
	if v.counted {
		return g.spend(ctx, text, v.token)
	}

	return v.token, nil
}

// checkScopes returns jeton.ErrScope, naming the first scope that is missing.
func checkScopes(have, need []string) error {
	for _, s := range need {
		if !slices.Contains(have, s) {
			return fmt.Errorf("%w: scope %s is missing", jeton.ErrScope, s)
		}
	}

	return nil
}

// verifiedToken is a token with a valid signature and valid claims. It is never changed.
type verifiedToken struct {
	sum             hash // SHA-256 of the text
	token           Token
	notBefore       time.Time
	counted         bool
	key             *issuerKey
	jti, generation hash // as in the list of revocations
}

// verify checks the signature and the claims of a token, except for what changes with time.
func (g *Guard) verify(ctx context.Context, text string) (*verifiedToken, error) {
	// By hash, so that the cache holds no usable token.
	sum := sha256.Sum256([]byte(text))
	v := g.verified.get(sum)
	// A token stays in the cache only while its key is published; a withdrawn key ends it at once.
	if v != nil && g.keys.current.Load().keys[v.key.ID] == v.key {
		return v, nil
	}

	signed, err := jose.Parse(text)
	if err != nil {
		return nil, refused("%v", err)
	}

	h := signed.Header
	switch {
	case !h.Typ("at+jwt"): // RFC 9068, section 4: the issuer signs other types of token, too
		return nil, refused("type %.40q, want at+jwt", h.Type)
	case h.KeyID == "":
		return nil, refused("kid is missing")
	case len(h.Foreign) > 0:
		return nil, refused("the header contains a key (%s)", strings.Join(h.Foreign, ", "))
	}

	// The claims come before the key: a token of another issuer must not make the guard fetch keys.
	c, err := jose.ParseClaims(signed.Payload)
	if err != nil {
		return nil, refused("%v", err)
	}
	if err := g.checkClaims(c); err != nil {
		return nil, err
	}

	key, err := g.key(ctx, signed.Header.KeyID, c.IssuedAt)
	if err != nil {
		return nil, err
	}

	// By the algorithm of the key, whatever the header says (RFC 8725, section 3.1).
	if err := signed.Verify(key.Key); err != nil {
		return nil, refused("%v (key %s)", err, key.ID)
	}

	v = &verifiedToken{
		sum:        sum,
		token:      newToken(c),
		notBefore:  c.NotBefore,
		counted:    c.MaxUses > 0,
		key:        key,
		jti:        sha256.Sum256([]byte("jti:" + c.ID)),
		generation: sha256.Sum256([]byte(c.Generation)),
	}

	g.verified.add(v)

	return v, nil
}

// checkClaims returns nil for claims of the issuer for this service.
func (g *Guard) checkClaims(c jose.Claims) error {
	switch {
	case c.Issuer != g.conf.Issuer:
		return refused("issuer is %.100q, want %q", c.Issuer, g.conf.Issuer)
	case !slices.Contains(c.Audience, g.conf.Audience):
		return refused("audience is %.200q, want %q", c.Audience, g.conf.Audience)
	case c.ID == "" || c.Subject == "" || c.Generation == "" || c.ClientID == "" && !ofUser(c.Generation):
		return refused("jti, sub, client_id or gen is missing")
	case c.Expires.IsZero() || c.NotBefore.IsZero() || c.IssuedAt.IsZero():
		return refused("exp, nbf or iat is missing")
	case c.Expires.Sub(c.IssuedAt) > maxLifetime:
		// The guard drops revocations after keepRevoked: such a token could outlive its own.
		return refused("lifetime is longer than %v", maxLifetime)
	}

	return nil
}

// ofUser reports whether a generation is that of a user. A token that a user got for a
// password has no client_id.
func ofUser(generation string) bool { return strings.HasPrefix(generation, "u") }

// newToken returns the Token of claims.
func newToken(c jose.Claims) Token {
	scopes := strings.Fields(c.Scope)
	slices.Sort(scopes)

	kind := jeton.KindUser
	if c.ClientID != "" && c.Subject == c.ClientID { // RFC 9068, section 2.2: no user is involved
		kind = jeton.KindClient
	}

	return Token{
		Principal: jeton.Principal{
			Kind:   kind,
			Name:   c.Subject,
			Token:  c.ID,
			Scopes: scopes,
			Since:  c.IssuedAt,
		},
		Client:  c.ClientID,
		ID:      c.ID,
		Expires: c.Expires,
		Scopes:  scopes,
	}
}

// checkState checks the lifetime of a token and whether it was revoked. It reads the clock
// itself: fetching a key may have taken a while since the request came.
func (g *Guard) checkState(v *verifiedToken) error {
	now := g.conf.Now()
	revoked, err := g.revoked.contains(now, g.conf.Bound, v.jti, v.generation)
	switch {
	case err != nil:
		return g.unavailable(err)
	case revoked:
		g.verified.drop(v.sum)
		return refused("token %s, or all tokens of its owner, were revoked", v.token.ID)
	case now.Add(g.conf.Leeway).Before(v.notBefore):
		return fmt.Errorf("%w: token %s is valid from %s",
			jeton.ErrTooEarly, v.token.ID, v.notBefore.Format(time.RFC3339))
	case !now.Add(-g.conf.Leeway).Before(v.token.Expires):
		g.verified.drop(v.sum)
		return fmt.Errorf("%w: token %s was valid until %s",
			jeton.ErrExpired, v.token.ID, v.token.Expires.Format(time.RFC3339))
	}

	return nil
}

// maxVerified is how many verified tokens are cached at most.
const maxVerified = 10_000

// verifiedCache holds verified tokens. Only the issuer can fill it: it signed each of them.
type verifiedCache struct {
	mu   sync.RWMutex
	list map[hash]*verifiedToken // by sum
}

// get returns a verified token, or nil. Whether it is valid now is for checkState.
func (c *verifiedCache) get(sum hash) *verifiedToken {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.list[sum]
}

// add caches a token. If the cache is full, it replaces an arbitrary one.
func (c *verifiedCache) add(v *verifiedToken) {
	c.mu.Lock()
	defer c.mu.Unlock()

	if c.list == nil {
		c.list = map[hash]*verifiedToken{}
	}

	// Random replacement needs no order, and a token that is dropped costs one signature check.
	if len(c.list) >= maxVerified {
		for k := range c.list {
			delete(c.list, k)
			break
		}
	}

	c.list[v.sum] = v
}

// drop removes a token that is no longer valid.
func (c *verifiedCache) drop(sum hash) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.list, sum)
}

// dropIf removes the tokens that are obsolete, such as those of a key that was withdrawn.
func (c *verifiedCache) dropIf(obsolete func(*verifiedToken) bool) {
	c.mu.Lock()
	defer c.mu.Unlock()

	for sum, v := range c.list {
		if obsolete(v) {
			delete(c.list, sum)
		}
	}
}
