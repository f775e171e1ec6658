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
	"github.com/jeton-auth/jeton/internal/jose"
	"github.com/jeton-auth/jeton/internal/keys"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/secret"
	"github.com/jeton-auth/jeton/internal/store/change"
)

// Owner is the user or client that owns a token, as of when it was read.
type Owner struct {
	Kind       jeton.Kind
	ID         int64
	Name       string
	Groups     []string
	Version    int64  // of the credential that was proved
	Generation string // names that version in a signed token (gen)
}

// Kind is how a token was made.
type Kind string

// The kinds of token.
const (
	Access   Kind = "access"   // issued to a proved owner (RFC 6749)
	Personal Kind = "personal" // created by its owner, to use in place of a password
)

// UserOwner returns a user as the owner of tokens.
func UserOwner(a account.Account) Owner {
	return Owner{
		Kind:       jeton.KindUser,
		ID:         a.ID,
		Name:       a.Name,
		Groups:     a.Groups,
		Version:    a.Version,
		Generation: a.Generation(),
	}
}

// ClientOwner returns a client as the owner of tokens.
func ClientOwner(c client.Client) Owner {
	return Owner{
		Kind:       jeton.KindClient,
		ID:         c.ID,
		Name:       c.Name,
		Version:    c.Version,
		Generation: c.Generation(),
	}
}

// Record is a token as stored.
type Record struct {
	Number   int64 // never reused; counts refer to it. 0: a signed token that is not stored
	Accessor string
	Hash     secret.Hash // of the secret, or of a signed token's jti
	Format   policy.Format
	Kind     Kind
	Name     string // of a personal token
	Parent   int64  // number of the token that it derives from and is revoked with, or 0
	Owner    Owner
	Audience []string // services that accept it, sorted
	Scopes   []string // sorted
	Limits   policy.Limits
	MaxUses  int64 // or policy.Unlimited
	Window   policy.Window
	Created  time.Time
	Source   string // address that requested it
}

// Once is a client assertion, which is accepted once. The zero value is none.
type Once struct {
	Issuer  string      // name of the client, so that deleting and adding it again frees nothing
	JTI     secret.Hash // of the assertion's jti
	Expires time.Time   // until then it must be remembered
}

// Mint is a token to store.
type Mint struct {
	Record      // without Number
	Keep   bool // store the token itself
	// Shown is the current hash of the parent, if there is one, and Login the session that
	// creates the token, if one does: neither may have ended meanwhile. A child gets the
	// current credential version of its parent's owner.
	Shown secret.Hash
	Login int64
	Once  Once        // used in the same transaction
	Event jeton.Event // added in the same transaction
}

// Rotation replaces the secret of a personal token.
type Rotation struct {
	Accessor string
	Owner    *Owner      // nil: any owner
	Shown    secret.Hash // current hash, if the token rotates itself; zero: any
	Fresh    secret.Hash
}

// Which selects tokens; all set fields must match. The zero value revokes none and lists all.
type Which struct {
	Hash     secret.Hash
	Accessor string
	Client   string
	User     string
}

// Void is a revocation of signed tokens: the hash of a jti or of a generation, until the
// tokens that contain it have expired.
type Void struct {
	Hash  secret.Hash
	Until time.Time
}

// Voided is an entry of the revocation list.
type Voided struct {
	Seq  int64
	Hash secret.Hash
}

// Store keeps tokens. Methods are safe for concurrent use, on many nodes.
type Store interface {
	change.Feed
	// MintToken is one atomic step. It returns jeton.ErrBadCredential unless the owner
	// exists, is enabled, its credential still has the version that was proved, and the named
	// parent and session exist; or ErrUsed when the assertion has been used before. Otherwise
	// it remembers the assertion, stores the token if Keep is set, and adds the event.
	MintToken(ctx context.Context, m Mint) error
	// UseOnce remembers an assertion, or returns ErrUsed if it was used before.
	UseOnce(ctx context.Context, o Once) error
	// FindToken returns the token of a hash. It returns jeton.ErrNotFound if there is none, or
	// if its owner is disabled or now has another version.
	FindToken(ctx context.Context, h secret.Hash) (Record, error)
	// FindSigned returns the number of a signed token, 0 if it is not stored, and whether its
	// jti or its generation is revoked.
	FindSigned(ctx context.Context, jti, generation secret.Hash) (number int64, void bool, err error)
	// EndTokens revokes the selected tokens, adds void to the revocation list, and adds the
	// event if it did either.
	EndTokens(ctx context.Context, w Which, void *Void, ev jeton.Event) error
	// RotateToken replaces the hash of a personal token, revokes the tokens that derive from
	// it, adds the event, and returns the token, or jeton.ErrNotFound if none matches.
	RotateToken(ctx context.Context, r Rotation, ev jeton.Event) (Record, error)
	// ListTokens returns at most limit of the selected tokens, newest first.
	ListTokens(ctx context.Context, w Which, limit int) ([]Record, error)
	// ListVoid returns at most limit entries of the revocation list after a sequence number,
	// in order.
	ListVoid(ctx context.Context, after int64, now time.Time, limit int) ([]Voided, error)
	// SweepTokens deletes at most limit tokens, assertions and revocations each that expired
	// before the given time, and returns the largest of the three numbers: less than limit
	// means that nothing is left to delete.
	SweepTokens(ctx context.Context, before time.Time, limit int) (int, error)
}

// ErrUsed means that an assertion was used before.
var ErrUsed = fmt.Errorf("%w: the assertion has been used before", jeton.ErrBadCredential)

// Tokens mints, finds and revokes the tokens of a server.
type Tokens struct {
	issuer  atomic.Pointer[string] // iss of this server's tokens
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
}

// New returns the tokens of a server. Run sweeps.
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
	}

	c.Store.Subscribe(t.invalidate)
	var err error
	t.budget, err = c.Counts.BudgetID(ctx, "", "token")

	return t, err
}

// SetIssuer sets the issuer (iss) of tokens. Tokens of another issuer are refused from then
// on.
func (t *Tokens) SetIssuer(url string) {
	old := t.issuer.Swap(&url)
	if old != nil && *old != url {
		t.checked.DropIf(func(*verified) bool { return true })
	}
}

func (t *Tokens) iss() string {
	p := t.issuer.Load()
	if p != nil {
		return *p
	}
	return ""
}

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

func (t *Tokens) dropOwners(kind jeton.Kind, ids []int64) {
	t.live.DropIf(func(l *Live) bool { return l.Owner.Kind == kind && slices.Contains(ids, l.Owner.ID) })
}

// Live is a cached token. It never changes; a changed token is a new Live.
type Live struct {
	Record
	count.Key
	own []policy.Budget
}

func (t *Tokens) newLive(r Record) *Live {
	l := &Live{Record: r}
	l.Key.Token = r.Number

	if r.MaxUses != policy.Unlimited {
		l.own = []policy.Budget{{ID: t.budget, Name: "token", Max: r.MaxUses}}
	}

	return l
}

// Principal returns the owner.
func (l *Live) Principal() jeton.Principal {
	return jeton.Principal{
		Kind:   l.Owner.Kind,
		Name:   l.Owner.Name,
		Groups: l.Owner.Groups,
		Token:  l.Accessor,
		Scopes: l.Scopes,
		Since:  l.Created,
	}
}

// Check judges a token by time: jeton.ErrTooEarly before it opens, jeton.ErrExpired once it
// closes. There is no leeway.
func (l *Live) Check(now time.Time) error { return l.Window.Check(now) }

// Permits returns jeton.ErrScope unless the token has the required scopes, and
// jeton.ErrForbidden unless its limits permit the method, path and source.
func (l *Live) Permits(a policy.Request) error {
	if err := l.Limits.Check(a); err != nil {
		return err
	}
	return policy.CheckScopes(l.Scopes, a.Scopes)
}

// Budgets returns the key of the token's counts, and its own budget if it has one.
func (l *Live) Budgets() (*count.Key, []policy.Budget) { return &l.Key, l.own }

// Describe returns the token's identity and validity, for the operator.
func (l *Live) Describe() (which, window string) {
	which = fmt.Sprintf(
		"%s token %s of %s %s for %v, issued %s",
		l.Format,
		l.Accessor,
		l.Owner.Kind,
		l.Owner.Name,
		l.Audience,
		l.Created.UTC().Format(policy.TimeFormat),
	)

	return which, fmt.Sprintf(
		"valid from %s, expires %s",
		l.Window.Opens.UTC().Format(policy.TimeFormat),
		l.Window.Closes.UTC().Format(policy.TimeFormat),
	)
}

// refused is the error for a text that is not a valid token. Its text, the reason, is for the
// operator; the caller learns only jeton.ErrBadCredential.
func refused(format string, args ...any) error {
	return fmt.Errorf("%w: %s", jeton.ErrBadCredential, fmt.Sprintf(format, args...))
}

// Find returns the token of a text, for the service of an audience. It returns
// jeton.ErrBadCredential for a text that is not, or no longer, a token for the service. It
// does not check the time: see Check.
func (t *Tokens) Find(ctx context.Context, text, audience string, now time.Time) (*Live, error) {
	l, err := t.Lookup(ctx, text, now)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(l.Audience, audience) {
		return nil, refused("token %s is for %v, not for this service", l.Accessor, l.Audience)
	}

	return l, nil
}

// Lookup is Find for any audience.
func (t *Tokens) Lookup(ctx context.Context, text string, now time.Time) (*Live, error) {
	if strings.HasPrefix(text, secret.Prefix) {
		return t.findOpaque(ctx, text)
	}
	return t.findSigned(ctx, text, now)
}

func (t *Tokens) findOpaque(ctx context.Context, text string) (*Live, error) {
	if err := t.store.Fresh(ctx); err != nil {
		return nil, err
	}

	h := secret.HashOf(text)
	l := t.live.Get(h)
	if l != nil {
		return l, nil
	}

	if !secret.Is(secret.Access, text) && !secret.Is(secret.Personal, text) {
		return nil, refused("not the form of a Jeton token")
	}

	before := t.live.Generation(h)
	r, err := t.store.FindToken(ctx, h)
	if errors.Is(err, jeton.ErrNotFound) {
		return nil, refused("no such token, or it was revoked or has expired")
	}

	if err != nil {
		return nil, fmt.Errorf("find token: %w", err)
	}

	return t.live.Add(h, t.newLive(r), before), nil
}

// verified holds the claims of a token whose signature was verified.
type verified struct {
	record     Record
	generation string
	key        string // kid
}

// findSigned checks a signed token: key, signature, claims, and revocation. Verified
// signatures are cached by the hash of the text; the rest is checked each time.
func (t *Tokens) findSigned(ctx context.Context, text string, now time.Time) (*Live, error) {
	if len(text) > jose.MaxToken {
		return nil, refused("%d bytes are more than a token has", len(text))
	}
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
		return nil, refused("key %s no longer verifies tokens", p.key)
	}

	if !now.Before(p.record.Window.Closes) {
		t.checked.Drop(sum) // it has expired
	}

	h := p.record.Hash
	if l := t.live.Get(h); l != nil {
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
		return nil, refused("token %s has been revoked", p.record.Accessor)
	case number == 0 && p.record.MaxUses != policy.Unlimited:
		return nil, refused("token %s was revoked or has expired", p.record.Accessor)
	}

	owner, err := t.owner(ctx, p.record.Owner)
	switch {
	case err != nil:
		return nil, fmt.Errorf("find owner of token: %w", err)
	case owner.Generation != p.generation:
		return nil, refused("the owner of token %s is deleted, disabled, or has revoked its tokens", p.record.Accessor)
	}

	r := p.record
	r.Number = number
	r.Owner = owner

	return t.newLive(r), nil
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
