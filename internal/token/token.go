// Package token mints, finds, looks up and ends access tokens.
//
// Opaque or signed, a token keeps its terms: not before, not after, for which services,
// with which scopes, at most so many uses. It promises that a token that has been revoked,
// or whose owner has been disabled or has voided its tokens, is accepted by nobody here
// once that has been answered; that a signed token is believed only with a key of ours
// that was made for tokens, whatever its header says; and that when the store cannot tell,
// the answer is jeton.ErrUnavailable. Of an opaque token only the SHA-256 is kept, of a
// signed one that nobody counts nothing at all until it is revoked.
//
// Proving the owner is internal/signin's, counting internal/count's. The package never
// sees an HTTP request.
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

// Owner is whose token it is, as of when it was read.
type Owner struct {
	Kind       jeton.Kind
	ID         int64
	Name       string
	Groups     []string
	Version    int64  // of the credential that was proved
	Generation string // what a signed token says of that version: gen
}

// Kind says how a token came to be.
type Kind string

// The kinds of token.
const (
	Access   Kind = "access"   // issued for a proof (RFC 6749)
	Personal Kind = "personal" // made by its owner, to be used where a password would be
)

// UserOwner returns a person as the owner of tokens.
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

// Record is a token as the store keeps it.
type Record struct {
	Number   int64 // never given twice; uses hang on it. 0: a signed token that the store does not hold
	Accessor string
	Hash     secret.Hash // of the secret, or of a signed token's jti
	Format   policy.Format
	Kind     Kind
	Name     string // that the owner gave a personal one
	Parent   int64  // number of the token that it was made of and ends with, or 0
	Owner    Owner
	Audience []string // whom it is for, sorted
	Scopes   []string // sorted
	Limits   policy.Limits
	MaxUses  int64 // or policy.Unlimited
	Window   policy.Window
	Created  time.Time
	Source   string // address that asked for it
}

// Once is a client's assertion that is used up by what it was shown for. The zero value is
// none.
type Once struct {
	Issuer  string      // name of the client: what it has used stays used when it is removed and added again
	JTI     secret.Hash // of the assertion's jti
	Expires time.Time   // until when it must be remembered
}

// Mint is a token to be recorded.
type Mint struct {
	Record      // without Number
	Keep   bool // the store holds the token itself
	// Shown is the hash of the parent as it was shown, where there is one; and Login the
	// session that asks, where one does: neither may have ended meanwhile. A child has the
	// credential of its parent's owner as it is now.
	Shown secret.Hash
	Login int64
	Once  Once        // used up in the same step
	Event jeton.Event // added in the same step
}

// Rotation is another secret for a personal token.
type Rotation struct {
	Accessor string
	Owner    *Owner      // nil: whosever it is
	Shown    secret.Hash // that the token has now, where it rotates itself; zero: whichever
	Fresh    secret.Hash
}

// Which chooses tokens; set fields must all fit. The zero value ends none and lists all.
type Which struct {
	Hash     secret.Hash
	Accessor string
	Client   string
	User     string
}

// Void is what must no longer be believed although its signature is right: the hash of a
// jti or of a generation, until whatever it is in has expired.
type Void struct {
	Hash  secret.Hash
	Until time.Time
}

// Voided is a line of the list of what is void.
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
	// UseOnce remembers an assertion, or returns ErrUsed when it has been used before.
	UseOnce(ctx context.Context, o Once) error
	// FindToken returns the token of a hash, or jeton.ErrNotFound when it does not hold it, or its
	// owner is disabled or has another version by now.
	FindToken(ctx context.Context, h secret.Hash) (Record, error)
	// FindSigned returns the number of a signed token, 0 when the store does not hold it,
	// and whether its jti or its generation is void.
	FindSigned(ctx context.Context, jti, generation secret.Hash) (number int64, void bool, err error)
	// EndTokens ends the chosen tokens, remembers what is void from now on, and adds the
	// event if it did either.
	EndTokens(ctx context.Context, w Which, void *Void, ev jeton.Event) error
	// RotateToken gives a personal token another hash, ends what was made of it, adds the
	// event, and returns the token; or jeton.ErrNotFound where there is none that fits.
	RotateToken(ctx context.Context, r Rotation, ev jeton.Event) (Record, error)
	// ListTokens returns the chosen tokens with what they have used, newest first, at most limit.
	ListTokens(ctx context.Context, w Which, limit int) ([]Record, error)
	// ListVoid returns what became void after a line of the list and is not forgotten yet,
	// in order, at most limit.
	ListVoid(ctx context.Context, after int64, now time.Time, limit int) ([]Voided, error)
	// SweepTokens removes at most limit tokens, assertions and void hashes each whose time was
	// over before the given time, and returns the largest of the three numbers: less than
	// limit means that nothing is left to remove.
	SweepTokens(ctx context.Context, before time.Time, limit int) (int, error)
}

// ErrUsed means that an assertion has been used before.
var ErrUsed = fmt.Errorf("%w: the assertion has been used before", jeton.ErrBadCredential)

// Tokens is what a server holds of its tokens.
type Tokens struct {
	issuer  atomic.Pointer[string] // iss of our tokens
	store   Store
	ring    *keys.Ring
	people  *account.Accounts
	clients *client.Clients
	counts  *count.Counts
	now     func() time.Time
	rand    io.Reader
	log     *slog.Logger
	budget  int64               // number of the budget of a token's own uses
	live    *cache.Cache[Live]  // by Record.Hash
	checked *cache.Cache[proof] // signatures that were right, by the SHA-256 of the text
}

// Config is what New needs.
type Config struct {
	Store   Store
	Ring    *keys.Ring
	People  *account.Accounts
	Clients *client.Clients
	Counts  *count.Counts
	Now     func() time.Time
	Rand    io.Reader // nil: crypto/rand
	Log     *slog.Logger
	Cache   int // tokens kept in memory
}

// New returns the tokens of a server. Run sweeps.
func New(ctx context.Context, c Config) (*Tokens, error) {
	if c.Rand == nil {
		c.Rand = rand.Reader
	}

	t := &Tokens{
		store:   c.Store,
		ring:    c.Ring,
		people:  c.People,
		clients: c.Clients,
		counts:  c.Counts,
		now:     c.Now,
		rand:    c.Rand,
		log:     c.Log,
		live:    cache.New[Live](c.Cache, nil),
		checked: cache.New[proof](c.Cache, nil),
	}

	c.Store.Subscribe(t.invalidate)
	var err error
	t.budget, err = c.Counts.BudgetID(ctx, "", "token")

	return t, err
}

// SetIssuer names the authorization server in tokens (iss). Tokens of another name are
// not believed from then on.
func (t *Tokens) SetIssuer(url string) {
	old := t.issuer.Swap(&url)
	if old != nil && *old != url {
		t.checked.DropIf(func(*proof) bool { return true })
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

// Live is a token in memory. It never changes; when the token does, another takes its place.
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
// is over. There is no leeway.
func (l *Live) Check(now time.Time) error { return l.Window.Check(now) }

// Permits returns jeton.ErrScope unless the token has the scopes that are needed, and
// jeton.ErrForbidden unless it is good for what is asked and from where.
func (l *Live) Permits(a policy.Request) error {
	if err := l.Limits.Check(a); err != nil {
		return err
	}
	return policy.CheckScopes(l.Scopes, a.Scopes)
}

// SessionBudgets returns what the uses of the token hang on, and its own budget if it has one.
func (l *Live) Budgets() (*count.Key, []policy.Budget) { return &l.Key, l.own }

// Describe tells the operator which token it is, and when it is good.
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
		"opens %s, ends %s",
		l.Window.Opens.UTC().Format(policy.TimeFormat),
		l.Window.Closes.UTC().Format(policy.TimeFormat),
	)
}

// refused says to the operator why a text is not a token that is good here. The caller
// hears that it is not.
func refused(format string, args ...any) error {
	return fmt.Errorf("%w: %s", jeton.ErrBadCredential, fmt.Sprintf(format, args...))
}

// Find returns the token that a text is, as the service of an audience sees it. It returns
// jeton.ErrBadCredential for what is not, or no longer, a token for the service. Whether it
// is good by time is for Check.
func (t *Tokens) Find(ctx context.Context, text, audience string, now time.Time) (*Live, error) {
	l, err := t.Lookup(ctx, text, now)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(l.Audience, audience) {
		return nil, refused("token %s is for %v and not for this service", l.Accessor, l.Audience)
	}

	return l, nil
}

// Lookup is Find whomever the token is for.
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
		return nil, refused("not the form of a token of ours")
	}

	before := t.live.Generation(h)
	r, err := t.store.FindToken(ctx, h)
	if errors.Is(err, jeton.ErrNotFound) {
		return nil, refused("no such token, or it has ended")
	}

	if err != nil {
		return nil, fmt.Errorf("find token: %w", err)
	}

	return t.live.Add(h, t.newLive(r), before), nil
}

// proof is what a right signature proves: the claims of a token of ours.
type proof struct {
	record     Record
	generation string
	key        string // kid
}

// findSigned checks a signed token: the key, the signature, the claims, and whether it has
// been revoked. Signatures that were right are remembered by the hash of the text; the
// rest is looked at each time.
func (t *Tokens) findSigned(ctx context.Context, text string, now time.Time) (*Live, error) {
	if len(text) > jose.MaxToken {
		return nil, refused("%d bytes are no token of ours", len(text))
	}
	if err := t.ring.Fresh(ctx); err != nil {
		return nil, err
	}

	sum := secret.HashOf(text)
	p := t.checked.Get(sum)
	if p == nil {
		before := t.checked.Generation(sum) // the name of the issuer may change meanwhile
		var err error
		if p, err = t.verify(ctx, text, now); err != nil {
			return nil, err
		}

		t.checked.Add(sum, p, before)
	} else if _, ok := t.ring.Verifier(keys.Access, p.key); !ok {
		return nil, refused("key %s no longer checks tokens", p.key)
	}

	if !now.Before(p.record.Window.Closes) {
		t.checked.Drop(sum) // it is over; nobody needs it again
	}

	h := p.record.Hash
	if l := t.live.Get(h); l != nil {
		return l, nil
	}

	before := t.live.Generation(h)
	l, err := t.stand(ctx, p)
	if err != nil {
		return nil, err
	}

	return t.live.Add(h, l, before), nil
}

// verify checks the signature and the claims of a token that says it is ours.
func (t *Tokens) verify(ctx context.Context, text string, now time.Time) (*proof, error) {
	signed, err := jose.Parse(text)
	if err != nil {
		return nil, refused("%v", err)
	}

	switch {
	case !signed.Header.Typ("at+jwt"):
		return nil, refused("its type is %q, not at+jwt", signed.Header.Type)
	case signed.Header.KeyID == "":
		return nil, refused("it names no key")
	}

	key, ok := t.ring.Verifier(keys.Access, signed.Header.KeyID)
	if !ok {
		if err := t.ring.Reload(ctx); err != nil {
			return nil, fmt.Errorf("look for key: %w", err)
		}
		if key, ok = t.ring.Verifier(keys.Access, signed.Header.KeyID); !ok {
			return nil, refused("key %q is not one of ours for tokens", clip(signed.Header.KeyID))
		}
	}

	if err := signed.Verify(key); err != nil {
		return nil, refused("%v (key %s)", err, key.ID)
	}

	c, err := jose.ParseClaims(signed.Payload)
	if err != nil {
		return nil, refused("%v", err)
	}

	switch {
	case c.Issuer == "" || c.Issuer != t.iss():
		return nil, refused("its issuer is %q", clip(c.Issuer))
	case c.ID == "" || c.Subject == "" || c.Generation == "" || len(c.Audience) == 0:
		return nil, refused("it lacks a claim of ours")
	case kindOf(c.Generation) == jeton.KindClient && c.ClientID != c.Subject:
		return nil, refused("its client_id is %q", clip(c.ClientID))
	case c.Expires.IsZero() || c.NotBefore.IsZero() || c.IssuedAt.IsZero():
		return nil, refused("it has no exp, nbf or iat")
	}

	uses := c.MaxUses
	if uses == 0 {
		uses = policy.Unlimited
	}

	return &proof{
		generation: c.Generation, key: key.ID,
		record: Record{
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
		},
	}, nil
}

// kindOf returns whose generation it is that a token of ours names.
func kindOf(generation string) jeton.Kind {
	if strings.HasPrefix(generation, "u") {
		return jeton.KindUser
	}
	return jeton.KindClient
}

// signedHash is what a signed token is stored and looked up by. No secret begins like it.
func signedHash(jti string) secret.Hash { return secret.HashOf("jti:" + jti) }

// stand asks whether a token whose signature is right still stands: neither it nor its
// owner's generation has been made void, and a counted one has its count.
func (t *Tokens) stand(ctx context.Context, p *proof) (*Live, error) {
	number, void, err := t.store.FindSigned(ctx, p.record.Hash, secret.HashOf(p.generation))
	switch {
	case err != nil:
		return nil, fmt.Errorf("look up token: %w", err)
	case void:
		return nil, refused("token %s has been revoked", p.record.Accessor)
	case number == 0 && p.record.MaxUses != policy.Unlimited:
		return nil, refused("token %s has ended", p.record.Accessor)
	}

	owner, err := t.owner(ctx, p.record.Owner)
	switch {
	case err != nil:
		return nil, fmt.Errorf("find owner of token: %w", err)
	case owner.Generation != p.generation:
		return nil, refused("the owner of token %s is gone, disabled, or has voided its tokens", p.record.Accessor)
	}

	r := p.record
	r.Number, r.Owner = number, owner

	return t.newLive(r), nil
}

// owner returns whom a signed token names, as they are now; the zero Owner when there is
// nobody, or they are disabled.
func (t *Tokens) owner(ctx context.Context, named Owner) (Owner, error) {
	if named.Kind == jeton.KindUser {
		a, err := t.people.Find(ctx, named.Name)
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

func clip(s string) string {
	const most = 60
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}
