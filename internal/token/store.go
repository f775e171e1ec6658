package token

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/account"
	"github.com/jeton-auth/jeton/internal/client"
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
	Service    string // the only one that a user is valid at; "": every service
	// OneFactor is of a user whom a password alone has proved, for a new token: jeton.ErrFactor refuses it to a user
	// who has an authenticator app by now. It is not stored.
	OneFactor bool
}

// ValidAt reports whether a service accepts tokens of the owner.
func (o Owner) ValidAt(service string) bool { return o.Service == "" || o.Service == service }

// actor returns the owner as in the audit log.
func (o Owner) actor() string { return string(o.Kind) + ":" + o.Name }

// Kind is how a token was made.
type Kind string

// The kinds of token.
const (
	Access   Kind = "access"   // issued to a proved owner (RFC 6749)
	Personal Kind = "personal" // created by its owner, to use in place of a password
	Approved Kind = "approved" // a personal token that a program requested and the user approved
	Leased   Kind = "leased"   // made of another credential for one job; ends unless it is renewed
	// Exchanged is a token that a client got for another one, to act for its owner at another service (RFC 8693).
	Exchanged Kind = "exchanged"
)

// IsPersonal reports whether the owner made or approved a token. It outlives a changed password, and can be rotated.
func (k Kind) IsPersonal() bool { return k == Personal || k == Approved }

// CheckKind returns jeton.ErrInvalid for a text that names no kind of token.
func CheckKind(text string) error {
	if slices.Contains([]Kind{Access, Personal, Approved, Leased, Exchanged}, Kind(text)) {
		return nil
	}

	return jeton.WithDetail(
		jeton.ErrInvalid, fmt.Sprintf("invalid kind %.60q: want access, personal, approved, leased or exchanged", text),
	)
}

// UserOwner returns a user as the owner of tokens.
func UserOwner(a account.Account) Owner {
	return Owner{
		Kind:       jeton.KindUser,
		ID:         a.ID,
		Name:       a.Name,
		Groups:     a.Groups,
		Version:    a.Version,
		Generation: a.Generation(),
		Service:    a.Service,
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
	Number         int64 // never reused; counts refer to it. 0: a signed token that is not stored
	Accessor       string
	Hash           secret.Hash // of the secret, or of a signed token's jti
	Format         policy.Format
	Kind           Kind
	Name           string // of a personal token; of a client's access token the rule of a workload issuer, or ""
	Parent         int64  // number of the token that it derives from and is revoked with, or 0
	ParentAccessor string // of that token, as the store reads it
	Owner          Owner
	Audience       []string // services that accept it, sorted
	Scopes         []string // sorted
	Limits         policy.Limits
	MaxUses        int64 // or policy.Unlimited
	Window         policy.Window
	Created        time.Time
	Source         string    // address that requested it
	LastUsed       time.Time // zero: never, or before last uses were kept
	Actors         []Actor   // of an exchanged token, the latest first
	Shares         []Share   // counts of other tokens that its uses are taken from, too
}

// Actor is a client that acts for the owner of a token: it has exchanged a token of the owner, or of an earlier actor.
type Actor struct {
	Client  string `json:"client"`
	ID      int64  `json:"id"`
	Version int64  `json:"version"` // of the client that was proved, as in Owner
	From    string `json:"from"`    // service that the exchanged token was for

	// What has to last as long as the token.
	Rule   string `json:"rule"`             // of the exchange
	Origin string `json:"origin,omitempty"` // rule of a workload issuer by which the exchanged token was issued
	Key    string `json:"key,omitempty"`    // thumbprint of the registered key that proved the client
	Signed string `json:"signed,omitempty"` // kid of the key of this server that signed the exchanged token
}

// Share is the count of another token that a token shares.
type Share struct {
	Token int64 `json:"token"` // its number
	Max   int64 `json:"max"`
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
	// Most is the maximum number of personal tokens of the user, or of leased tokens of the owner,
	// that have not expired at Created, with this one; 0: no limit.
	Most   int64
	SignIn *SignIn // the login that the token stands for, or nil
	// Subject is the signed token that is to be the parent and need not be stored yet: then it is stored in the same
	// step. It is not counted, and was not revoked when it was read.
	Subject *Record
	Once    Once        // used in the same transaction
	Event   jeton.Event // added in the same transaction
}

// SignIn is a login whose outcome is a token and not a session.
type SignIn struct {
	Service  string
	Remember time.Time // older logins do not matter
	// Judge runs inside the transaction. It gets the user's past logins at the service; an
	// error refuses the token. It must not call the store.
	Judge func(policy.History) error
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
	Parent   string // accessor of the token that they derive from directly
	Kinds    []Kind // any of these; none: every kind
	Before   int64  // number, for the next page of ListTokens alone; 0: the first
}

// Ended is a token that was revoked or rotated, for the operator. A signed token says itself which one it is: only At,
// Actor and Action are set.
type Ended struct {
	Accessor string
	Name     string // of a personal token
	Owner    string // user:NAME or client:NAME
	At       time.Time
	Actor    string // of the audit event
	Action   string // of the audit event
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
	GrantStore
	ConnectionStore
	// MintToken is one atomic step. It returns jeton.ErrBadCredential unless the owner
	// exists, is enabled, its credential still has the version that was proved, and the named
	// parent and session exist; the error of SignIn.Judge; jeton.ErrTokensFull when the owner
	// has as many tokens as Most; or ErrUsed when the assertion has been used before.
	// It returns jeton.ErrBadCredential if Subject has been revoked meanwhile, and makes it the parent.
	// Otherwise it adds the login of SignIn and lets the user's counts at that service begin
	// again, remembers the assertion, stores the token if Keep is set, and adds the event.
	MintToken(ctx context.Context, m Mint) error
	// UseOnce remembers an assertion, or returns ErrUsed if it was used before.
	UseOnce(ctx context.Context, o Once) error
	// FindToken returns the token of a hash. It returns jeton.ErrNotFound if there is none, or
	// if its owner is disabled or now has another version.
	FindToken(ctx context.Context, h secret.Hash) (Record, error)
	// FindEnded returns an opaque token that was revoked or rotated, or by the hash of a jti or
	// of a generation the revocation of signed tokens, as long as the audit log
	// has events of that time. It returns jeton.ErrNotFound if there is none.
	FindEnded(ctx context.Context, h secret.Hash) (Ended, error)
	// FindSigned returns the number of a signed token, 0 if it is not stored, and whether its
	// jti or its generation is revoked.
	FindSigned(ctx context.Context, jti, generation secret.Hash) (number int64, void bool, err error)
	// EndTokens revokes the selected tokens, adds void to the revocation list, and adds the
	// event if it did either.
	EndTokens(ctx context.Context, w Which, void *Void, ev jeton.Event) error
	// RotateToken replaces the hash of a personal token, revokes the tokens that derive from
	// it, adds the event, and returns the token, or jeton.ErrNotFound if none matches.
	RotateToken(ctx context.Context, r Rotation, ev jeton.Event) (Record, error)
	// RenewLease sets the end and the parent of a leased token of the owner, in one step. It returns
	// jeton.ErrBadCredential as MintToken does, and jeton.ErrNotFound if there is none for Audience alone that ends
	// after Now, or if it derives from another token than Parent; with Adopt, from one that is no access token.
	RenewLease(ctx context.Context, r LeaseRenewal) error
	// ListTokens returns at most limit of the selected tokens, newest first.
	ListTokens(ctx context.Context, w Which, limit int) ([]Record, error)
	// CountDerived returns how many stored tokens derive from the one with the accessor, directly or not.
	CountDerived(ctx context.Context, accessor string) (int64, error)
	// CountTokens returns how many stored tokens of a user expire after a time; "": of all users and clients.
	CountTokens(ctx context.Context, user string, after time.Time) (int64, error)
	// ListVoid returns at most limit entries of the revocation list after a sequence number,
	// in order.
	ListVoid(ctx context.Context, after int64, now time.Time, limit int) ([]Voided, error)
	// TouchTokens moves last uses forward, by number. It leaves out tokens that have ended.
	TouchTokens(ctx context.Context, at map[int64]time.Time) error
	// SweepTokens deletes at most limit tokens, assertions and revocations each that expired
	// before the given time, and returns the largest of the three numbers: less than limit
	// means that nothing is left to delete.
	SweepTokens(ctx context.Context, before time.Time, limit int) (int, error)
}

// ErrUsed means that an assertion was used before.
var ErrUsed = fmt.Errorf("%w: the assertion has been used before", jeton.ErrBadCredential)
