// Package client keeps software that proves itself: its name, what it may have tokens
// for, its secret, and its public keys, registered or fetched from where it publishes them.
//
// It promises that what it is told of a client is what the next token is judged by; that
// a disabling, and whatever else is to end a client's tokens, voids them in the same
// step; that a key is one client's alone, whatever other keys have its kid; and that
// keys are fetched from the address of the configuration and from nowhere else: nothing
// that a caller sends chooses an address (RFC 8725, section 3.10). Where a source of keys
// does not answer, the answer is jeton.ErrUnavailable, and nobody is let in.
//
// What an assertion must say, and the tokens themselves, are for others to know.
package client

import (
	"context"
	"fmt"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/secret"
	"github.com/jeton-auth/jeton/internal/store/change"
)

// Client is a piece of software (RFC 6749, section 1.1) as the store keeps it. What one
// is found as is shared: nobody changes it.
type Client struct {
	ID          int64 // 0: there is no such client
	Name        string
	Folded      string       // Name without regard to case: no other client or user has it
	Version     int64        // grows with every change that voids its tokens
	Secret      *secret.Hash // nil: it has none
	Services    []string     // that it may have tokens for; this and the next two are sorted
	Scopes      []string     // that its tokens may have
	Introspects []string     // services whose tokens it may look up
	Source      *Source      // where more of its keys are fetched from; nil: nowhere
	Keys        []Key        // by age
	Disabled    bool
	Declared    bool
	Created     time.Time
	Updated     time.Time
}

// Public returns what may be told about the client.
func (c Client) Public() jeton.Client {
	out := jeton.Client{
		Name:        c.Name,
		Services:    notNil(c.Services),
		Scopes:      notNil(c.Scopes),
		Introspects: notNil(c.Introspects),
		Secret:      c.Secret != nil,
		Keys:        []jeton.ClientKey{},
		Disabled:    c.Disabled,
		Declared:    c.Declared,
		Created:     c.Created,
		Updated:     c.Updated,
	}
	if c.Source != nil {
		out.KeySource = c.Source.URL
	}

	for _, k := range c.Keys {
		out.Keys = append(out.Keys, k.Public())
	}

	return out
}

func notNil(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

// Generation names the client as it is now. A token carries the generation that it was
// issued in, and is void once the client has another.
func (c Client) Generation() string { return fmt.Sprintf("c%d.%d", c.ID, c.Version) }

// Change is what to change of a client; nil fields stay as they are.
type Change struct {
	Secret      *SetSecret
	Services    *[]string
	Scopes      *[]string
	Introspects *[]string
	Disabled    *bool
	End         bool // the client's tokens end, too
}

// SetSecret is the secret to be set: the hash of one, or none at all.
type SetSecret struct{ Hash *secret.Hash }

// Step is what a change of a client is done with.
type Step struct {
	Now time.Time
	// KeepRevoked is how long a generation that is over stays on the list of what is void:
	// longer than any token lives.
	KeepRevoked time.Duration
	Event       jeton.Event
}

// Store keeps clients. Methods are safe for concurrent use, on many nodes.
//
// A client's tokens end with a step that grows its version or removes it: the step puts
// the SHA-256 of the generation that is over on the list of what is void, until VoidFor
// from then, and removes those of its tokens that are kept one by one, with their counts.
type Store interface {
	change.Feed
	// FindClient returns the client of exactly this name with all its keys, or
	// jeton.ErrNotFound.
	FindClient(ctx context.Context, name string) (Client, error)
	// AddClient adds the client with its keys, and the event, or returns
	// jeton.ErrConflict when a client or a user has the name, or one that differs from it
	// in case alone. A token's subject must name one of them (RFC 9700, section 4.15).
	AddClient(ctx context.Context, c Client, ev jeton.Event) error
	// ChangeClient changes the client and adds the event, in one step. Disabling,
	// enabling and End grow the version. It returns jeton.ErrNotFound; or
	// jeton.ErrDeclared, except for a change that only ends tokens.
	ChangeClient(ctx context.Context, name string, c Change, s Step) error
	// RemoveClient removes the client with its keys, ends its tokens and adds the event.
	// It returns jeton.ErrNotFound or jeton.ErrDeclared.
	RemoveClient(ctx context.Context, name string, s Step) error
	// ListClients returns all clients by name, with their keys.
	ListClients(ctx context.Context) ([]Client, error)
	// DeclareClients makes the declared clients be the given ones, with exactly the keys
	// given: adds, changes and removes, each with its event, and writes nothing when
	// nothing differs. A name that is taken by a client that is not declared becomes
	// declared and keeps its number; one that a user has is jeton.ErrConflict.
	DeclareClients(ctx context.Context, declared []Client, s Step) error
	// AddClientKey adds the key and the event if judge, which sees the client as it is in
	// this step, returns nil; its error otherwise. It returns jeton.ErrConflict for a kid
	// that a key of this client has, retired or not, jeton.ErrNotFound or
	// jeton.ErrDeclared. The kids of other clients do not matter.
	AddClientKey(ctx context.Context, name string, k Key, judge func(Client) error, s Step) error
	// RetireClientKey keeps the key from checking anything from now on, and adds the
	// event; with end, the client's tokens end in the same step. Retiring twice is not an
	// error. It returns jeton.ErrNotFound for a client or a kid that is not there, or
	// jeton.ErrDeclared.
	RetireClientKey(ctx context.Context, name, kid string, end bool, s Step) error
}

// The bounds of what is kept of a client.
const (
	maxItems = 100 // of a list
	// MaxKeys is how many keys a client may have that are not retired. An assertion that
	// names none of them is checked with each.
	MaxKeys = 16
)
