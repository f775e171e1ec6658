// Package keys makes, keeps and rotates the keys that the server signs tokens with.
//
// A key has one algorithm and signs one kind of token; its kid is its RFC 7638
// thumbprint. It is next (published, so that everybody has it before it is used), then
// current (it signs), then retired (it checks what it has signed until that has
// expired), and then withdrawn. Which of them it is, is judged by the clock whenever it
// is asked for: no timer can be late. A revoked key neither signs nor checks from the
// moment its revocation is answered; another node knows after a minute at most.
//
// The store holds private keys sealed with a secret that is not in it (Secret). Only a
// key that the secret opens signs, checks or is published, so whoever writes the database
// can neither read a key nor slip in one of their own. What times and revocations say is
// the store's word. Rotation has one owner on any number of nodes: the step of the store
// that it happens in.
//
// What a token says, and who may have one, is for internal/token. Keys of others are with
// internal/client.
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
// is ever taken for another (RFC 8725, section 2.8).
type Kind string

// Access is the kind of access tokens as RFC 9068 has them.
const Access Kind = "access"

// typ returns what the header of a token of the kind says that it is (RFC 9068, section 2.1).
func (k Kind) typ() string {
	if k == Access {
		return "at+jwt"
	}
	return ""
}

// Pair is what a key is for.
type Pair struct {
	Kind Kind
	Alg  jose.Alg
}

// String returns the pair for people: access ES256.
func (p Pair) String() string { return string(p.Kind) + " " + string(p.Alg) }

// check refuses what no key is made for.
func (p Pair) check() error {
	if p.Kind.typ() == "" {
		return fmt.Errorf("signing keys: there is no kind of token %q", p.Kind)
	}
	return checkAlg(p.Alg)
}

func checkAlg(alg jose.Alg) error {
	switch alg {
	case jose.RS256, jose.ES256, jose.EdDSA:
		return nil
	}
	return jeton.WithDetail(jeton.ErrInvalid, "signing keys are of RS256, ES256 or EdDSA")
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
	Retires time.Time // signs no more from then on; zero: not yet known
	Closes  time.Time // checks no more from then on; zero: not yet known
	Revoked bool
}

func (k *Record) pair() Pair                 { return Pair{k.Kind, k.Alg} }
func (k *Record) opened(now time.Time) bool  { return !now.Before(k.Opens) }
func (k *Record) retired(now time.Time) bool { return !k.Retires.IsZero() && !now.Before(k.Retires) }
func (k *Record) closed(now time.Time) bool  { return !k.Closes.IsZero() && !now.Before(k.Closes) }

// live reports whether the key signs, now or later.
func (k *Record) live(now time.Time) bool { return !k.Revoked && !k.retired(now) }

// Store keeps keys. Methods are safe for concurrent use, on many nodes.
type Store interface {
	change.Feed
	// ListKeys returns all keys, oldest first, those of one moment by their kid.
	ListKeys(ctx context.Context) ([]Record, error)
	// ChangeKeys is one atomic step: it hands all keys, as ListKeys returns them, to decide,
	// adds or replaces those that decide puts, removes those that it drops, and appends the
	// events. An error of decide is returned and nothing is changed. Steps come one
	// after another on all nodes: each is handed what the one before has left. decide may
	// be called again, holds up other writes while it runs, and must not call the store.
	ChangeKeys(
		ctx context.Context,
		decide func(have []Record) (put []Record, drop []string, events []jeton.Event, err error),
	) error
}

// Needs is what the configuration asks of the keys.
type Needs struct {
	Pairs       []Pair
	RotateEvery time.Duration // how long a key signs; 0: until somebody rotates it
	PublishFor  time.Duration // how long a key is published before it signs
	Keep        time.Duration // how long a retired key checks: the longest life of a token and the age of a cached JWKS
}

func (n Needs) check() error {
	if n.RotateEvery < 0 || n.PublishFor < 0 || n.Keep <= 0 {
		return fmt.Errorf(
			"signing keys: rotated every %v, published for %v, kept for %v: none may be below zero, nor the last be zero",
			n.RotateEvery,
			n.PublishFor,
			n.Keep,
		)
	}

	for _, p := range n.Pairs {
		if err := p.check(); err != nil {
			return err
		}
	}

	return nil
}
