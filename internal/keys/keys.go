// Package keys makes, keeps and rotates the keys that the server signs tokens with.
//
// A key has one algorithm and signs one kind of token. Its kid is its RFC 7638
// thumbprint. First it is next: published, so that every verifier has it before it signs.
// Then it is current, and signs. Then it is retired, and checks what it has signed until
// that has expired. Then it is withdrawn. The clock decides which of them it is whenever
// the key is used, so no timer can be late. A revoked key neither signs nor checks once its
// revocation has been answered.
//
// The store holds private keys sealed with a Secret that it does not have. Only a key that
// the secret opens signs, checks or is published: access to the database is not enough to
// read a key or to add one. Times and revocations are taken from the store as they are.
// Each change is one step of the store, on any number of nodes.
//
// Package token has the contents of tokens. Package client has the keys of clients.
//
// # Files
//
//	ring.go       the keys of one server: rotate, revoke, list, the work in the background
//	draft.go      what one step does to the keys, as a function of them and the time
//	snapshot.go   the keys in memory, to sign and verify without the store
//	secret.go     the secret that private keys are sealed with
package keys

import (
	"context"
	"fmt"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/jose"
	"github.com/jeton-auth/jeton/internal/store/change"
)

// Kind is a kind of token. A key signs and checks tokens of one kind only, so that none
// can be used as another (RFC 8725, section 2.8).
type Kind string

// The kinds of tokens.
const (
	Access    Kind = "access"    // access tokens (RFC 9068)
	ID        Kind = "id"        // ID tokens (OpenID Connect Core 1.0, section 2)
	Logout    Kind = "logout"    // logout tokens (OpenID Connect Back-Channel Logout 1.0, section 2.4)
	Assertion Kind = "assertion" // what proves to a service that a request was admitted, and whose it is
)

// typ returns the typ header of tokens of the kind (RFC 9068, section 2.1; RFC 8725, section 3.11).
func (k Kind) typ() string {
	switch k {
	case Access:
		return "at+jwt"
	case ID:
		return "JWT"
	case Logout:
		return "logout+jwt"
	case Assertion:
		return "jeton-assertion+jwt"
	}

	return ""
}

// Pair is what a key is for: a kind of token and an algorithm.
type Pair struct {
	Kind Kind
	Alg  jose.Alg
}

// String returns the pair as text, such as "access ES256".
func (p Pair) String() string { return string(p.Kind) + " " + string(p.Alg) }

// check returns an error for a pair that no key can be made for.
func (p Pair) check() error {
	if p.Kind.typ() == "" {
		return fmt.Errorf("signing keys: unknown kind of token %q", p.Kind)
	}
	return checkAlg(p.Alg)
}

// checkAlg returns jeton.ErrInvalid for an algorithm that the server does not sign with. It
// verifies more: clients may use those.
func checkAlg(alg jose.Alg) error {
	switch alg {
	case jose.RS256, jose.ES256, jose.EdDSA:
		return nil
	}
	return jeton.WithDetail(jeton.ErrInvalid, "invalid algorithm: want RS256, ES256 or EdDSA")
}

// Record is a key as the store keeps it. Times are kept to the millisecond.
type Record struct {
	ID      string // kid
	Kind    Kind
	Alg     jose.Alg
	Public  string // JWK
	Sealed  []byte // private key, PKCS #8, encrypted
	Created time.Time
	Opens   time.Time // signs from then on
	Retires time.Time // no longer signs from then on; zero: not known yet
	Closes  time.Time // no longer checks from then on; zero: not known yet
	Revoked bool
}

// pair returns what the key is for. The other three say how far its life has come: it opens and
// signs, retires and only checks, and closes.
func (k *Record) pair() Pair                 { return Pair{k.Kind, k.Alg} }
func (k *Record) opened(now time.Time) bool  { return !now.Before(k.Opens) }
func (k *Record) retired(now time.Time) bool { return !k.Retires.IsZero() && !now.Before(k.Retires) }
func (k *Record) closed(now time.Time) bool  { return !k.Closes.IsZero() && !now.Before(k.Closes) }

// Ended reports whether the key neither signs nor checks any more.
func (k *Record) Ended(now time.Time) bool { return k.Revoked || k.closed(now) }

// live reports whether the key signs, now or later.
func (k *Record) live(now time.Time) bool { return !k.Revoked && !k.retired(now) }

// Store keeps keys. Methods are safe for concurrent use, on many nodes.
type Store interface {
	change.Feed
	// ListKeys returns all keys, oldest first, those of the same time by kid.
	ListKeys(ctx context.Context) ([]Record, error)
	// ChangeKeys is one atomic step. It calls decide with all keys, as ListKeys returns them,
	// adds or replaces the keys that decide puts, removes those that it drops, and appends
	// the events. An error of decide is returned, and nothing is changed. Steps of all nodes
	// come one after another: each sees the result of the one before. decide may be called
	// again, delays other writes while it runs, and must not call the store.
	ChangeKeys(
		ctx context.Context,
		decide func(keys []Record) (put []Record, drop []string, events []jeton.Event, err error),
	) error
}

// Needs is the configuration of the keys.
type Needs struct {
	Pairs       []Pair
	RotateEvery time.Duration // how long a key signs; 0: until an operator rotates it
	PublishFor  time.Duration // how long a key is published before it signs
	// Keep is how long a retired key checks: the longest lifetime of a token plus the
	// longest time that a JWKS is cached.
	Keep time.Duration
}

// check returns an error for needs that make no sense. Package config has checked those of a file.
func (n Needs) check() error {
	if n.RotateEvery < 0 || n.PublishFor < 0 || n.Keep <= 0 {
		return fmt.Errorf(
			"signing keys: rotated every %v, published for %v, kept for %v; want none negative, and the last above 0",
			n.RotateEvery, n.PublishFor, n.Keep,
		)
	}

	for _, p := range n.Pairs {
		if err := p.check(); err != nil {
			return err
		}
	}

	return nil
}
