// Package factor keeps what proves a user beside the password: authenticator apps (TOTP, RFC 6238), recovery codes and
// passkeys.
//
// A code of an authenticator app and a recovery code are accepted once, on any number of nodes and over all paths.
// Attempts with codes are limited for each user, and those that fail take from the budget of the account, as wrong
// passwords do. Secrets of authenticator apps are sealed with a key outside the database; recovery codes are stored as
// hashes.
//
// Package signin decides when a factor is needed and starts the session; package api lets users manage their factors.
// The package never sees an HTTP request.
package factor

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/secret"
	"github.com/jeton-auth/jeton/internal/sweep"
)

// Kind is the sort of a factor. The database holds the texts.
type Kind string

// The kinds of factor.
const (
	TOTP     Kind = "totp"     // authenticator app
	Recovery Kind = "recovery" // one of a set of one-time codes
	Passkey  Kind = "passkey"  // WebAuthn credential
)

const (
	// EnrolFor is how long a factor waits for the code that confirms it.
	EnrolFor = 10 * time.Minute
	// MaxPerKind limits the factors of a kind that a user has.
	MaxPerKind = 20
	// MaxName limits the name of a factor, in bytes.
	MaxName = 100

	// idPrefix is the prefix of the public id of a factor.
	idPrefix = "f_"

	// sweepGrace is how long a factor that was not confirmed is kept, for nodes whose clocks differ.
	sweepGrace = time.Hour
)

// Factor is a factor as stored.
type Factor struct {
	ID        string // public
	User      int64
	Kind      Kind
	Name      string // given by the user
	Created   time.Time
	Confirmed time.Time // since when it proves the user; zero: it does not yet
	Used      time.Time // zero: never
	// Handle finds the factor: the SHA-256 of a recovery code, or the credential ID of a passkey. It is unique among
	// those of the kind. TOTP has none.
	Handle []byte
	// Secret is the sealed secret of TOTP, or the public key of a passkey (COSE). A recovery code has none.
	Secret []byte
	// Counter is the last step of TOTP that was used, the sign count of a passkey, or 1 for a recovery code that was
	// used.
	Counter    int64
	Flags      int64  // of the authenticator data of a passkey, as it was registered
	Transports string // of a passkey, separated by spaces
	Model      string // AAGUID of a passkey
}

// Use is the use of a factor, which the store accepts or refuses.
type Use struct {
	User    int64
	ID      string
	Counter int64 // the new one; a smaller one is not stored
	Flags   int64 // a passkey's new ones; 0: as they are
	At      time.Time
	// Once refuses a counter that is not greater than the last one.
	Once bool
	// Keep is the id of the session that confirms a factor, and stays; "": none.
	Keep string
	// Ticket is the hash of the ticket of a sign-in that confirms a factor and has no session yet; zero: none.
	Ticket secret.Hash
}

// Which selects factors of a user. The zero value selects none.
type Which struct {
	ID   string // "": those of Kind
	Kind Kind   // "": any
	All  bool   // with neither
	// Providers are the issuers at which users can sign in, so that the last way in is known.
	Providers []string
}

// Store keeps factors. Methods are safe for concurrent use, on many nodes. Factors end with their user. The event of a
// change is added in the same step; nil is none.
type Store interface {
	// AddFactor adds a factor. One of the kind that was not confirmed is replaced. It returns jeton.ErrNotFound for a
	// user who is gone, jeton.ErrExpired if the session that asks for it (its id; "": none) has ended, and
	// jeton.ErrConflict if the user has MaxPerKind of the kind, or the Handle exists.
	AddFactor(ctx context.Context, f Factor, session string, ev *jeton.Event) error
	// AddByCode uses a recovery code up, as UseFactor does, and adds a factor in the same step: a code that was used
	// replaces no factor that waits for its first code. The errors are those of both; with one, nothing changes.
	AddByCode(ctx context.Context, code Use, f Factor, ev *jeton.Event) error
	// ReplaceFactors replaces all factors of a kind of a user by others. The errors are those of AddFactor.
	ReplaceFactors(ctx context.Context, o Owner, k Kind, list []Factor, ev *jeton.Event) error
	// ConfirmFactor lets a factor prove its user from then on, stores the counter, and ends the sessions of the user
	// but Keep, which were started without it; an end is an event of its own. As AddFactor does, it publishes that the
	// user has changed. It returns jeton.ErrNotFound for one that was confirmed before, was added before a time, or
	// does not exist, and jeton.ErrExpired if Keep has ended, or if Ticket was taken or revoked.
	ConfirmFactor(ctx context.Context, u Use, addedAfter time.Time, ev *jeton.Event) error
	// ListFactors returns the factors of a user, oldest first, also those that were not confirmed.
	ListFactors(ctx context.Context, user int64) ([]Factor, error)
	// FindFactor returns the factor of a handle, or jeton.ErrNotFound.
	FindFactor(ctx context.Context, k Kind, handle []byte) (Factor, error)
	// UseFactor stores a use of a confirmed factor, and forgets the failed attempts of its user. With Once it is one
	// conditional update: it returns jeton.ErrSpent unless the counter is greater than the last one. It returns
	// jeton.ErrNotFound if the user has no such factor.
	UseFactor(ctx context.Context, u Use, ev *jeton.Event) error
	// RenameFactor returns jeton.ErrNotFound if the user has no such factor.
	RenameFactor(ctx context.Context, user int64, id, name string, ev *jeton.Event) error
	// RemoveFactors removes the selected factors of a user and returns how many. Recovery codes end with the last
	// factor that they replace. The event is added if one was removed. It returns account.ErrLastWay for a passkey
	// without which the user could not sign in: of several ways that are removed at once, on any node, one stays.
	RemoveFactors(ctx context.Context, user int64, w Which, ev *jeton.Event) (int, error)
	// TakeAttempt changes the failed attempts of a user in one step. The error of take prevents the change.
	TakeAttempt(ctx context.Context, user int64, take func(Attempts) (Attempts, error)) error
	// ForgetAttempts forgets the failed attempts of a user.
	ForgetAttempts(ctx context.Context, user int64) error
	// ClaimParty stores the host name that passkeys are for, unless there are passkeys for another one. It returns the
	// stored name, and how many passkeys there are if that is another one.
	ClaimParty(ctx context.Context, id string) (party string, passkeys int, err error)
	// SweepFactors deletes at most limit factors that were added before a time and not confirmed, and returns how many.
	SweepFactors(ctx context.Context, before time.Time, limit int) (int, error)
}

// Factors is the factors of the users of a server. It is safe for concurrent use.
type Factors struct {
	store  Store
	now    func() time.Time
	rand   io.Reader
	log    *slog.Logger
	clock  *sweep.Clock
	seal   seal
	issuer string
	failed func(ctx context.Context, user string) error

	providers func() []string
}

// Config is what New needs.
type Config struct {
	Store  Store
	Now    func() time.Time
	Log    *slog.Logger
	Rand   io.Reader    // nil: crypto/rand
	Clock  *sweep.Clock // by which factors that were not confirmed are deleted
	Key    []byte       // 32 bytes, which seal secrets
	Issuer string       // name of the server in authenticator apps
	// Providers returns the issuers at which users can sign in; nil: there are none.
	Providers func() []string
	// Failed counts a wrong code against the budget of the account of a name; nil: it is not counted there.
	Failed func(ctx context.Context, user string) error
}

// New returns the factors of a server. Run deletes those that were not confirmed.
func New(c Config) (*Factors, error) {
	if c.Rand == nil {
		c.Rand = rand.Reader
	}

	if c.Providers == nil {
		c.Providers = func() []string { return nil }
	}
	if c.Failed == nil {
		c.Failed = func(context.Context, string) error { return nil }
	}

	s, err := newSeal(c.Key)
	if err != nil {
		return nil, fmt.Errorf("key of factors: %w", err)
	}

	return &Factors{
		store:  c.Store,
		now:    c.Now,
		rand:   c.Rand,
		log:    c.Log,
		clock:  c.Clock,
		seal:   s,
		issuer: c.Issuer,
		failed: c.Failed,

		providers: c.Providers,
	}, nil
}

// List returns the confirmed factors of a user, oldest first, with all recovery codes.
func (f *Factors) List(ctx context.Context, user int64) ([]Factor, error) {
	list, err := f.store.ListFactors(ctx, user)
	if err != nil {
		return nil, fmt.Errorf("list factors: %w", err)
	}

	return slices.DeleteFunc(list, func(one Factor) bool { return one.Confirmed.IsZero() }), nil
}

// Second reports whether a list of confirmed factors has one that is asked for after the password. A passkey signs in
// by itself, and recovery codes only replace an authenticator app.
func Second(list []Factor) bool {
	return slices.ContainsFunc(list, func(one Factor) bool { return one.Kind == TOTP })
}

// CodesLeft returns how many recovery codes of a list were not used.
func CodesLeft(list []Factor) int {
	n := 0
	for _, one := range list {
		if one.Kind == Recovery && one.Used.IsZero() {
			n++
		}
	}

	return n
}

// Rename names a factor of a user, or returns jeton.ErrNotFound.
func (f *Factors) Rename(ctx context.Context, user int64, id, name string, ev jeton.Event) error {
	if err := checkName(name); err != nil {
		return err
	}
	if err := f.store.RenameFactor(ctx, user, id, name, &ev); err != nil {
		return fmt.Errorf("rename factor: %w", err)
	}

	return nil
}

// Remove removes factors of a user, or returns jeton.ErrNotFound if there are none. Recovery codes end with the last
// factor that they replace.
func (f *Factors) Remove(ctx context.Context, user int64, w Which, ev jeton.Event) (int, error) {
	w.Providers = f.providers()
	n, err := f.store.RemoveFactors(ctx, user, w, &ev)
	if err == nil && n == 0 {
		err = jeton.ErrNotFound
	}
	if err != nil {
		return 0, fmt.Errorf("remove factors: %w", err)
	}

	return n, nil
}

// newID returns a new public id.
func (f *Factors) newID() (string, error) { return secret.ID(idPrefix, f.now(), f.rand) }

// checkName returns jeton.ErrInvalid for a name that is too long or not printable.
func checkName(name string) error {
	if len(name) > MaxName || !printable(name) {
		return jeton.WithDetail(
			jeton.ErrInvalid, fmt.Sprintf("name of a factor: want at most %d bytes of printable text", MaxName),
		)
	}

	return nil
}

// Run deletes factors that were not confirmed until ctx ends.
func (f *Factors) Run(ctx context.Context) error {
	sweep.Loop(ctx, sweep.Interval, f.sweep)
	return nil
}

// sweep deletes factors that were not confirmed in time.
func (f *Factors) sweep(ctx context.Context) {
	err := sweep.Run(ctx, func(ctx context.Context, limit int) (int, error) {
		before, err := f.clock.Before(ctx, f.now(), EnrolFor+sweepGrace)
		if err != nil {
			return 0, err
		}

		return f.store.SweepFactors(ctx, before, limit)
	})
	if err != nil {
		f.log.Warn("delete factors that were not confirmed", "error", err)
	}
}
