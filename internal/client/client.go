// Package client keeps the clients of a server: their names, what they may get tokens
// for, their secrets and public keys.
//
// A change counts from the client's next token on. A disabling revokes its tokens in the
// same step, and so does every change that is asked to. Keys with the same kid are kept
// apart by client. Keys are registered here or fetched from the address in the
// configuration: nothing that a caller sends chooses an address (RFC 8725, section
// 3.10). When a source of keys does not answer, the outcome is jeton.ErrUnavailable. The
// one exception is the document of a client, whose address is the name of the client; it
// is fetched from hosts alone that the configuration has.
// Package signin checks assertions, and package token issues tokens.
//
// # Files
//
//	clients.go   finding and changing clients
//	addresses.go changing where browsers are sent
//	key.go       the keys that may verify an assertion of a client now
//	fetch.go     keys that are fetched from a client's address, and cached
//	source.go    where keys of a client may be fetched from
//	declare.go   the clients of the configuration file
//	relying.go   clients that sign users in, and their addresses
//	documents.go clients that a document describes, whose address is their name
//	documents_fetch.go
//	             the request for such a document
//	refuse.go    why a client or a key was refused, for operators only
//	cache.go     found clients, until they change
package client

import (
	"context"
	"fmt"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/secret"
	"github.com/jeton-auth/jeton/internal/store/change"
)

// Client is a client (RFC 6749, section 1.1) as the store keeps it. A found Client is
// shared: its lists must not be changed.
type Client struct {
	ID          int64 // 0: no client
	Name        string
	Folded      string              // Name with its case folded: no other client or user has it
	Version     int64               // grows with every change that revokes its tokens
	Secret      *secret.Hash        // nil: none
	Services    []string            // that it may get tokens for; this and the next two are sorted
	Scopes      []string            // that its tokens may have
	Introspects []string            // services whose tokens it may introspect
	Source      *Source             // where more of its keys are fetched from; nil: no source
	Keys        []Key               // oldest first
	OpenID      *jeton.RelyingParty // as CheckRelying returns it; nil: it signs no users in
	Disabled    bool
	Declared    bool
	Created     time.Time
	Updated     time.Time
}

// Public returns what callers may see of the client.
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
		OpenID:      c.OpenID,
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

// notNil returns an empty list for nil, so that JSON has [] and not null.
func notNil(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

// Generation names the version of the client. A token carries the generation in which it
// was issued, and is revoked once the client has another.
func (c Client) Generation() string { return fmt.Sprintf("c%d.%d", c.ID, c.Version) }

// Change is a change of a client; nil fields stay as they are.
type Change struct {
	Secret      *SetSecret
	Services    *[]string
	Scopes      *[]string
	Introspects *[]string
	OpenID      *SetRelying
	Disabled    *bool
	End         bool // revoke the client's tokens, too
}

// SetSecret is the secret to be set: its hash, or nil to remove it.
type SetSecret struct{ Hash *secret.Hash }

// SetRelying changes the relying party. Edit returns the one to be set for the current one, either nil for none. It is
// called in the step of the change, perhaps again, so that no other change comes in between.
type SetRelying struct {
	Edit func(*jeton.RelyingParty) (*jeton.RelyingParty, error)
}

// Step is what the store needs for every change of a client.
type Step struct {
	Now time.Time
	// KeepRevoked is how long the previous generation stays on the revocation list: longer
	// than any token lives.
	KeepRevoked time.Duration
	Event       jeton.Event
}

// Page chooses clients by their names with the case folded.
type Page struct {
	Prefix string // that the names begin with
	After  string // name before the first of the page
	Limit  int    // maximum number of clients
}

// Store keeps clients. Methods are safe for concurrent use, on many nodes.
//
// A step that increments the version or removes the client ends its tokens: it puts the
// SHA-256 of the previous generation on the revocation list, for KeepRevoked, and deletes
// the opaque tokens with their counts.
type Store interface {
	change.Feed
	// FindClient returns the client of exactly this name with all its keys, or
	// jeton.ErrNotFound.
	FindClient(ctx context.Context, name string) (Client, error)
	// AddClient adds the client with its keys, and the event, or returns
	// jeton.ErrConflict when a client or a user has the name, or one that differs only in
	// case. A token's subject must name one of them (RFC 9700, section 4.15).
	AddClient(ctx context.Context, c Client, ev jeton.Event) error
	// AddDescribedClient is AddClient for a client that a document describes. It calls check with the number of such
	// clients in this step, and adds nothing and returns the error if there is one.
	AddDescribedClient(ctx context.Context, c Client, check func(kept int) error, ev jeton.Event) error
	// ChangeClient changes the client and adds the event, in one step. Disabling,
	// enabling and End increment the version. It returns jeton.ErrNotFound; or
	// jeton.ErrDeclared, except for a change that only ends tokens.
	ChangeClient(ctx context.Context, name string, c Change, s Step) error
	// RemoveClient removes the client with its keys, ends its tokens and adds the event.
	// It returns jeton.ErrNotFound or jeton.ErrDeclared.
	RemoveClient(ctx context.Context, name string, s Step) error
	// ListClients returns a page of the clients by name, case not counting, with their keys.
	ListClients(ctx context.Context, p Page) ([]Client, error)
	// DeclareClients makes the given clients the declared ones, with the given keys alone: it
	// adds, changes and removes clients, each with its event, and writes nothing when nothing
	// differs. A client that was not declared and has one of the names becomes declared, and
	// keeps its number and those retired keys whose ids are not among the given. A
	// name that a user has is jeton.ErrConflict.
	DeclareClients(ctx context.Context, declared []Client, s Step) error
	// AddClientKey adds the key and the event. It calls check with the client as it is in
	// this step, and adds nothing and returns the error if there is one. It returns
	// jeton.ErrConflict for a kid that a key of this client has, retired or not,
	// jeton.ErrNotFound or jeton.ErrDeclared. Other clients may have the same kid.
	AddClientKey(ctx context.Context, name string, k Key, check func(Client) error, s Step) error
	// RetireClientKey makes the key check nothing from now on, and adds the event. With end,
	// the client's tokens end in the same step. Retiring twice is not an error. It returns
	// jeton.ErrNotFound for an unknown client or kid, or jeton.ErrDeclared.
	RetireClientKey(ctx context.Context, name, kid string, end bool, s Step) error
}

// The limits of a client.
const (
	maxItems = 100 // names in a list
	// MaxKeys is the maximum number of keys that are not retired. An assertion without a
	// kid is checked with each of them.
	MaxKeys = 16
)
