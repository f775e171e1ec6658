// Package token mints, finds and revokes tokens.
//
// Opaque or signed, a token keeps its terms: not before, not after, its services and
// scopes, number of uses included. Once a revocation or the disabling of its owner has been
// answered, the token is refused everywhere. A signed token is accepted only with a key of
// this server that was made for tokens, whatever its header says. If the store does not
// answer, the result is jeton.ErrUnavailable. Of an opaque token only the SHA-256 is stored;
// a signed token that is not counted is not stored at all until it is revoked.
//
// Package signin proves the owner, and package count spends uses. The package never sees an
// HTTP request.
package token

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/account"
	"github.com/jeton-auth/jeton/internal/cache"
	"github.com/jeton-auth/jeton/internal/client"
	"github.com/jeton-auth/jeton/internal/count"
	"github.com/jeton-auth/jeton/internal/keys"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/secret"
	"github.com/jeton-auth/jeton/internal/store/change"
	"github.com/jeton-auth/jeton/internal/sweep"
)

// Tokens mints, finds and revokes the tokens of a server.
type Tokens struct {
	issuer  atomic.Pointer[string]          // iss of this server's tokens; "" without an issuer
	rules   atomic.Pointer[map[string]bool] // see SetRules
	most    atomic.Int64                    // live personal tokens of one user; 0: no limit
	store   Store
	ring    *keys.Ring
	users   *account.Accounts
	clients *client.Clients
	counts  *count.Counts
	now     func() time.Time
	rand    io.Reader
	log     *slog.Logger
	budget  int64                  // number of the budget of a token's own uses
	live    *cache.Cache[Live]     // by Record.Hash
	checked *cache.Cache[verified] // verified signatures, by the SHA-256 of the text
	clock   *sweep.Clock
	uses    lastUses
	turns   turns // of owners whose tokens are counted

	refreshKey []byte
}

// Config is what New needs.
type Config struct {
	Store   Store
	Ring    *keys.Ring
	Users   *account.Accounts
	Clients *client.Clients
	Counts  *count.Counts
	Now     func() time.Time
	Rand    io.Reader // nil: crypto/rand
	Log     *slog.Logger
	Cache   int // tokens to cache

	Clock *sweep.Clock // that expired tokens are deleted by; nil: Now

	RefreshKey []byte // that refresh tokens are computed with; the same on all nodes
}

// New returns the tokens of a server. Run writes last uses and deletes expired tokens.
func New(ctx context.Context, c Config) (*Tokens, error) {
	if c.Rand == nil {
		c.Rand = rand.Reader
	}

	t := &Tokens{
		store:   c.Store,
		ring:    c.Ring,
		users:   c.Users,
		clients: c.Clients,
		counts:  c.Counts,
		now:     c.Now,
		rand:    c.Rand,
		log:     c.Log,
		live:    cache.New[Live](c.Cache, nil),
		checked: cache.New[verified](c.Cache, nil),
		clock:   c.Clock,
		uses:    lastUses{pending: map[int64]int64{}},

		refreshKey: c.RefreshKey,
	}

	t.issuer.Store(new(string))
	t.rules.Store(&map[string]bool{})
	// Before anything is cached, so that no change is missed.
	c.Store.Subscribe(t.invalidate)

	var err error
	t.budget, err = c.Counts.BudgetID(ctx, "", "token")

	return t, err
}

// SetIssuer sets the issuer (iss) of tokens. Tokens of another issuer are refused from then
// on.
func (t *Tokens) SetIssuer(url string) {
	// The claims of cached tokens were checked against the previous issuer.
	if *t.issuer.Swap(&url) != url {
		t.checked.DropIf(func(*verified) bool { return true })
	}
}

// SetMaxPerUser sets how many live personal tokens one user may have; 0 is no limit.
func (t *Tokens) SetMaxPerUser(n int) { t.most.Store(int64(n)) }

func (t *Tokens) iss() string { return *t.issuer.Load() }

// invalidate drops the tokens that a change concerns, so that the next look at one of them
// asks the store.
func (t *Tokens) invalidate(c change.Change) {
	switch c.Kind {
	case change.Tokens:
		t.live.Drop(c.Hashes...)
	case change.Users:
		t.dropOwners(jeton.KindUser, c.IDs)
	case change.Clients:
		t.dropOwners(jeton.KindClient, c.IDs)
	case change.All:
		t.live.DropIf(func(*Live) bool { return true })
	}
}

// dropOwners drops the cached tokens of owners that have changed, and those with which a client acts that has.
func (t *Tokens) dropOwners(kind jeton.Kind, ids []int64) {
	changed := func(a Actor) bool { return kind == jeton.KindClient && slices.Contains(ids, a.ID) }
	t.live.DropIf(func(l *Live) bool {
		return l.Owner.Kind == kind && slices.Contains(ids, l.Owner.ID) || slices.ContainsFunc(l.Actors, changed)
	})
}

// refused is the error for a text that is not a valid token. Its text, the reason, is for the
// operator; the caller learns only jeton.ErrBadCredential.
func refused(format string, args ...any) error {
	return fmt.Errorf("%w: %s", jeton.ErrBadCredential, fmt.Sprintf(format, args...))
}

// Find returns the token of a text, for the service of an audience. It returns
// jeton.ErrBadCredential for a text that is not, or no longer, a token for the service. It
// does not check the time: see Check.
func (t *Tokens) Find(ctx context.Context, text, audience string) (*Live, error) {
	l, err := t.Lookup(ctx, text)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(l.Audience, audience) {
		return nil, refused("token %s is for %v, not for this service", l.Accessor, l.Audience)
	}

	return l, nil
}

// Lookup is Find for any audience.
func (t *Tokens) Lookup(ctx context.Context, text string) (*Live, error) {
	if strings.HasPrefix(text, secret.Prefix) {
		return t.findOpaque(ctx, text)
	}
	return t.findSigned(ctx, text)
}

// findOpaque returns an opaque token, or jeton.ErrBadCredential with a reason for the
// operator.
func (t *Tokens) findOpaque(ctx context.Context, text string) (*Live, error) {
	// A node that may have missed a revocation must not answer from its cache.
	if err := t.store.Fresh(ctx); err != nil {
		return nil, err
	}

	h := secret.HashOf(text)
	l := t.live.Get(h)
	if l != nil {
		return l, t.signatures(ctx, l)
	}

	// The checksum refuses a mistyped or invented secret without a query.
	if !secret.Is(secret.Access, text) && !secret.Is(secret.Personal, text) {
		return nil, refused("not the form of a Jeton token")
	}

	// Before the read: what is dropped between the two is not cached.
	before := t.live.Generation(h)
	r, err := t.store.FindToken(ctx, h)
	if errors.Is(err, jeton.ErrNotFound) {
		return nil, t.refuseEnded(ctx, h)
	}

	if err != nil {
		return nil, fmt.Errorf("find token: %w", err)
	}
	if err := t.standing(ctx, r); err != nil {
		return nil, err
	}

	l = t.live.Add(h, t.newLive(r), before)

	return l, t.signatures(ctx, l)
}

// refuseEnded returns why an opaque token is refused that is not stored: which token it was, if it
// was revoked. The caller knows its secret, so the reason may name it.
func (t *Tokens) refuseEnded(ctx context.Context, h secret.Hash) error {
	e, err := t.store.FindEnded(ctx, h)
	if errors.Is(err, jeton.ErrNotFound) {
		return refused("no such token, or it has expired, or its owner is disabled")
	}
	if err != nil {
		return fmt.Errorf("find token: %w", err)
	}

	return refused("token %s %q of %s ended %s", e.Accessor, e.Name, e.Owner, e.how())
}

// how returns when a token ended, what ended it and by whom.
func (e Ended) how() string {
	by := e.Actor
	if by == "" {
		by = "the server"
	}

	return fmt.Sprintf("at %s: %s by %s", e.At.Format(policy.TimeFormat), e.Action, by)
}
