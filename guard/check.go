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

// Token is a token that has been accepted, and whose it is. Nobody may change its lists.
type Token struct {
	Principal jeton.Principal // the subject; Token and Scopes are those below
	Client    string          // that the token was issued to (client_id)
	ID        string          // jti; of an opaque token its accessor
	Expires   time.Time
	Scopes    []string // sorted
	// UsesRemaining is what is left after this use. Nil: not counted.
	UsesRemaining *int64
}

// errBlind means that a token can only be judged by the issuer, which is not asked.
var errBlind = errors.New("counted and opaque tokens are judged by the issuer: give the guard a client in Config.Introspect")

// refused says to the operator why a text is not a token that is good here. The caller
// hears that it is not.
func refused(format string, args ...any) error {
	return fmt.Errorf("%w: %s", jeton.ErrBadCredential, fmt.Sprintf(format, args...))
}

// Check returns whose token a text is, if it is good here and now, and takes one use if it
// is counted. It returns jeton.ErrBadCredential for what is not, or no longer, a token for this
// service; jeton.ErrTooEarly and jeton.ErrExpired for a right one at the wrong time; and
// jeton.ErrUnavailable or jeton.ErrBusy when that cannot be said. The issuer tells one that is
// spent no more than that it is not good: jeton.ErrBadCredential.
//
// The text of an error is for the operator. It shows neither the token nor a secret.
func (g *Guard) Check(ctx context.Context, text string) (Token, error) {
	return g.check(ctx, text, nil)
}

// check is Check for a token that needs scopes: jeton.ErrScope if it lacks one, and then no
// use is taken.
func (g *Guard) check(ctx context.Context, text string, scopes []string) (Token, error) {
	if len(text) > jose.MaxToken {
		return Token{}, refused("%d bytes are no token", len(text))
	}
	if err := g.Ready(); err != nil {
		return Token{}, err
	}
	if strings.HasPrefix(text, secret.Prefix) {
		return g.checkOpaque(ctx, text, scopes)
	}

	if len(g.keys.known.Load().keys) == 0 {
		return Token{}, g.unavailable(errNoKeys)
	}

	p, err := g.prove(ctx, text)
	if err != nil {
		return Token{}, err
	}
	if err := g.stands(p); err != nil {
		return Token{}, err
	}

	if err := scoped(p.token.Scopes, scopes); err != nil {
		return Token{}, err
	}
	if p.counted {
		return g.spend(ctx, text, p.token)
	}

	return p.token, nil
}

func scoped(have, need []string) error {
	for _, s := range need {
		if !slices.Contains(have, s) {
			return fmt.Errorf("%w: it lacks %s", jeton.ErrScope, s)
		}
	}

	return nil
}

// proof is what a right signature proves. It is never changed.
type proof struct {
	sum             hash // SHA-256 of the text
	token           Token
	opens           time.Time
	counted         bool
	key             *trusted
	jti, generation hash // as the list of what is void has them
}

// prove checks the signature of a token and its claims, except for what changes with time.
func (g *Guard) prove(ctx context.Context, text string) (*proof, error) {
	sum := sha256.Sum256([]byte(text))
	if p := g.proofs.get(sum); p != nil && g.keys.known.Load().keys[p.key.ID] == p.key {
		return p, nil
	}

	signed, err := jose.Parse(text)
	if err != nil {
		return nil, refused("%v", err)
	}

	h := signed.Header
	switch {
	case !h.Typ("at+jwt"): // RFC 9068, section 4: whatever else we sign is no access token
		return nil, refused("its type is %.40q, not at+jwt", h.Type)
	case h.KeyID == "":
		return nil, refused("it names no key")
	case len(h.Foreign) > 0:
		return nil, refused("it brings its own key (%s)", strings.Join(h.Foreign, ", "))
	}

	c, err := jose.ParseClaims(signed.Payload)
	if err != nil {
		return nil, refused("%v", err)
	}
	if err := g.ours(c); err != nil {
		return nil, err
	}

	key, err := g.key(ctx, signed.Header.KeyID, c.IssuedAt)
	if err != nil {
		return nil, err
	}
	if err := signed.Verify(key.Key); err != nil {
		return nil, refused("%v (key %s)", err, key.ID)
	}

	p := &proof{
		sum:        sum,
		token:      token(c),
		opens:      c.NotBefore,
		counted:    c.MaxUses > 0,
		key:        key,
		jti:        sha256.Sum256([]byte("jti:" + c.ID)),
		generation: sha256.Sum256([]byte(c.Generation)),
	}

	g.proofs.add(p)

	return p, nil
}

// ours returns nil for claims as the issuer makes them, for this service.
func (g *Guard) ours(c jose.Claims) error {
	switch {
	case c.Issuer != g.conf.Issuer:
		return refused("its issuer is %.100q", c.Issuer)
	case !slices.Contains(c.Audience, g.conf.Audience):
		return refused("it is for %.200q", c.Audience)
	case c.ID == "" || c.Subject == "" || c.Generation == "" || c.ClientID == "" && !ofPerson(c.Generation):
		return refused("it lacks jti, sub, client_id or gen")
	case c.Expires.IsZero() || c.NotBefore.IsZero() || c.IssuedAt.IsZero():
		return refused("it lacks exp, nbf or iat")
	case c.Expires.Sub(c.IssuedAt) > maxLife:
		// What is void is forgotten after a while; such a token could outlive that.
		return refused("it is good for more than %v", maxLife)
	}

	return nil
}

// ofPerson reports whether it is a person's generation that a token names. A token that a
// person got for a password names no client: there was none.
func ofPerson(generation string) bool { return strings.HasPrefix(generation, "u") }

// token makes a Token of claims.
func token(c jose.Claims) Token {
	scopes := strings.Fields(c.Scope)
	slices.Sort(scopes)
	kind := jeton.KindUser
	if c.ClientID != "" && c.Subject == c.ClientID { // RFC 9068, section 2.2: nobody but the client itself is involved
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

// stands judges a proof by the time and by what is void, as of now and not of when the
// question came: the issuer may have been asked for a key in between.
func (g *Guard) stands(p *proof) error {
	now := g.conf.Now()
	void, err := g.feed.void(now, g.conf.Bound, p.jti, p.generation)
	switch {
	case err != nil:
		return g.unavailable(err)
	case void:
		g.proofs.drop(p.sum)
		return refused("token %s has been revoked, or its owner has voided it", p.token.ID)
	case now.Add(g.conf.Leeway).Before(p.opens):
		return fmt.Errorf(
			"%w: token %s is good from %s on",
			jeton.ErrTooEarly,
			p.token.ID,
			p.opens.Format(time.RFC3339),
		)
	case !now.Add(-g.conf.Leeway).Before(p.token.Expires):
		g.proofs.drop(p.sum)
		return fmt.Errorf(
			"%w: token %s was good until %s",
			jeton.ErrExpired,
			p.token.ID,
			p.token.Expires.Format(time.RFC3339),
		)
	}

	return nil
}

// maxProofs bounds how many signatures are remembered.
const maxProofs = 10_000

// proofs are the signatures that were right. A stranger cannot fill it: what is in it was
// signed by the issuer.
type proofs struct {
	mu   sync.RWMutex
	list map[hash]*proof // by sum
}

func (c *proofs) get(sum hash) *proof {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.list[sum]
}

// add keeps a proof, in the place of an arbitrary one where there are too many.
func (c *proofs) add(p *proof) {
	c.mu.Lock()
	defer c.mu.Unlock()

	if c.list == nil {
		c.list = map[hash]*proof{}
	}

	if len(c.list) >= maxProofs {
		for k := range c.list {
			delete(c.list, k)
			break
		}
	}

	c.list[p.sum] = p
}

func (c *proofs) drop(sum hash) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.list, sum)
}

func (c *proofs) dropIf(gone func(*proof) bool) {
	c.mu.Lock()
	defer c.mu.Unlock()

	for k, p := range c.list {
		if gone(p) {
			delete(c.list, k)
		}
	}
}
