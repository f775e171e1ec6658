package token

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/jose"
	"github.com/jeton-auth/jeton/internal/keys"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/secret"
)

// verified holds the claims of a token whose signature was verified.
type verified struct {
	record     Record
	generation string
	key        string // kid
}

// findSigned checks a signed token: key, signature, claims, and revocation. Verified
// signatures are cached by the hash of the text; the rest is checked each time.
func (t *Tokens) findSigned(ctx context.Context, text string) (*Live, error) {
	// Before it is hashed or parsed: its length is up to the caller.
	if len(text) > jose.MaxToken {
		return nil, refused("%d bytes are more than a token has", len(text))
	}

	// A node that may have missed the revocation of a key or a token must not answer from its
	// caches.
	if err := t.ring.Fresh(ctx); err != nil {
		return nil, err
	}

	sum := secret.HashOf(text)
	p := t.checked.Get(sum)
	if p == nil {
		before := t.checked.Generation(sum) // the issuer may change meanwhile
		var err error
		if p, err = t.verify(ctx, text); err != nil {
			return nil, err
		}

		t.checked.Add(sum, p, before)
	} else if _, ok := t.ring.Verifier(keys.Access, p.key); !ok {
		// It was revoked since it verified the signature.
		return nil, refused("key %s no longer verifies tokens", p.key)
	}

	if !t.now().Before(p.record.Window.Closes) {
		t.checked.Drop(sum) // it has expired
	}

	h := p.record.Hash
	l := t.live.Get(h)
	if l != nil {
		return l, nil
	}

	before := t.live.Generation(h)
	l, err := t.checkRevoked(ctx, p)
	if err != nil {
		return nil, err
	}

	return t.live.Add(h, l, before), nil
}

// verify checks the signature and the claims of a signed token.
func (t *Tokens) verify(ctx context.Context, text string) (*verified, error) {
	signed, err := jose.Parse(text)
	if err != nil {
		return nil, refused("%v", err)
	}

	// RFC 9068, section 4: another JWT signed with the same key is no access token.
	if !signed.Header.Typ("at+jwt") {
		return nil, refused("its type is %q, want at+jwt", signed.Header.Type)
	}

	key, err := t.verifier(ctx, signed.Header.KeyID)
	if err != nil {
		return nil, err
	}
	if err := signed.Verify(key); err != nil {
		return nil, refused("%v (key %s)", err, key.ID)
	}

	// No claim is read before the signature was verified.
	c, err := jose.ParseClaims(signed.Payload)
	if err != nil {
		return nil, refused("%v", err)
	}
	if err := t.checkClaims(c); err != nil {
		return nil, err
	}

	return &verified{record: recordOf(c), generation: c.Generation, key: key.ID}, nil
}

// verifier returns the signing key that a token names.
func (t *Tokens) verifier(ctx context.Context, kid string) (jose.Key, error) {
	// Every token of this server names its key. Trying all keys would multiply the cost of a
	// bad token.
	if kid == "" {
		return jose.Key{}, refused("it names no key")
	}

	key, ok := t.ring.Verifier(keys.Access, kid)
	if ok {
		return key, nil
	}

	// Another node may have made the key a moment ago.
	if err := t.ring.Reload(ctx); err != nil {
		return jose.Key{}, fmt.Errorf("look for key: %w", err)
	}

	key, ok = t.ring.Verifier(keys.Access, kid)
	if !ok {
		return jose.Key{}, refused("key %.60q is not a token key of this server", kid)
	}

	return key, nil
}

// checkClaims accepts only claims that this server writes (RFC 9068, section 2.2).
func (t *Tokens) checkClaims(c jose.Claims) error {
	switch {
	case c.Issuer == "" || c.Issuer != t.iss():
		return refused("its issuer is %.60q", c.Issuer)
	case c.ID == "" || c.Subject == "" || c.Generation == "" || len(c.Audience) == 0:
		return refused("it lacks jti, sub, gen or aud")
	// A client that has no user behind it is its own subject (RFC 9068, section 2.2).
	case kindOf(c.Generation) == jeton.KindClient && c.ClientID != c.Subject:
		return refused("its client_id is %.60q", c.ClientID)
	case c.Expires.IsZero() || c.NotBefore.IsZero() || c.IssuedAt.IsZero():
		return refused("it lacks exp, nbf or iat")
	}

	return nil
}

// recordOf returns a signed token as a Record.
func recordOf(c jose.Claims) Record {
	uses := c.MaxUses
	if uses == 0 {
		uses = policy.Unlimited
	}

	return Record{
		Accessor: c.ID,
		Hash:     signedHash(c.ID),
		Format:   policy.JWT,
		Kind:     Access,
		Name:     c.Rule,
		Owner:    Owner{Kind: kindOf(c.Generation), Name: c.Subject, Generation: c.Generation},
		Audience: c.Audience,
		Scopes:   strings.Fields(c.Scope),
		MaxUses:  uses,
		Window:   policy.Window{Opens: c.NotBefore, Closes: c.Expires},
		Created:  c.IssuedAt,
	}
}

// kindOf returns the kind of owner of a generation.
func kindOf(generation string) jeton.Kind {
	if strings.HasPrefix(generation, "u") {
		return jeton.KindUser
	}
	return jeton.KindClient
}

// signedHash is the hash by which a signed token is stored. No secret begins with "jti:".
func signedHash(jti string) secret.Hash { return secret.HashOf("jti:" + jti) }

// checkRevoked asks the store whether a verified token is still valid: neither it nor its
// owner's generation is revoked, and a counted one has its count.
func (t *Tokens) checkRevoked(ctx context.Context, p *verified) (*Live, error) {
	number, void, err := t.store.FindSigned(ctx, p.record.Hash, secret.HashOf(p.generation))
	switch {
	case err != nil:
		return nil, fmt.Errorf("look up token: %w", err)
	case void:
		return nil, t.refuseVoid(ctx, p)
	// Without its row there is no count, and the token would be accepted without limit.
	case number == 0 && p.record.MaxUses != policy.Unlimited:
		return nil, refused("token %s was revoked or has expired", p.record.Accessor)
	}

	owner, err := t.owner(ctx, p.record.Owner)
	// The zero Owner of a deleted user has no generation, and checkClaims requires one.
	switch {
	case err != nil:
		return nil, fmt.Errorf("find owner of token: %w", err)
	case owner.Generation != p.generation:
		return nil, refused("the owner of token %s is deleted, disabled, or has revoked its tokens", p.record.Accessor)
	}

	r := p.record
	r.Number = number
	r.Owner = owner

	if err := t.standing(ctx, r); err != nil {
		return nil, err
	}

	l := t.newLive(r)
	l.signedBy = p.key

	return l, nil
}

// refuseVoid returns why a token is refused that is revoked: itself, or with all tokens of its owner.
func (t *Tokens) refuseVoid(ctx context.Context, p *verified) error {
	r := p.record
	for _, h := range []secret.Hash{r.Hash, secret.HashOf(p.generation)} {
		e, err := t.store.FindEnded(ctx, h)
		switch {
		case err == nil:
			return refused("token %s of %s:%s ended %s", r.Accessor, r.Owner.Kind, r.Owner.Name, e.how())
		case !errors.Is(err, jeton.ErrNotFound):
			return fmt.Errorf("find token: %w", err)
		}
	}

	return refused("token %s has been revoked", r.Accessor)
}

// owner returns the current owner of a signed token, or the zero Owner if it is deleted or
// disabled.
func (t *Tokens) owner(ctx context.Context, named Owner) (Owner, error) {
	if named.Kind == jeton.KindUser {
		a, err := t.users.Find(ctx, named.Name)
		if errors.Is(err, jeton.ErrNotFound) || a.Disabled {
			return Owner{}, nil
		}
		if err != nil {
			return Owner{}, err
		}

		return UserOwner(a), nil
	}

	c, err := t.clients.Find(ctx, named.Name)
	if errors.Is(err, jeton.ErrNotFound) || c.Disabled {
		return Owner{}, nil
	}
	if err != nil {
		return Owner{}, err
	}

	return ClientOwner(c), nil
}
