package client

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/naming"
	"github.com/jeton-auth/jeton/internal/secret"
	"github.com/jeton-auth/jeton/internal/store/change"
)

// voidFor is how long a generation that is over is remembered: a day, which no token
// outlives, and an hour for clocks that differ.
const voidFor = 25 * time.Hour

// Clients is the software of one server. Its methods are safe for concurrent use.
type Clients struct {
	store   Store
	now     func() time.Time
	rand    io.Reader
	cache   *cache
	sources *fetcher
}

// Config is what New needs.
type Config struct {
	Store Store
	Now   func() time.Time
	Rand  io.Reader // nil: crypto/rand
	Log   *slog.Logger
	Cache int // clients kept in memory; 0: 4096
}

// New returns the clients of a server.
func New(c Config) *Clients {
	if c.Rand == nil {
		c.Rand = rand.Reader
	}
	if c.Cache == 0 {
		c.Cache = 4096
	}

	k := &Clients{
		store:   c.Store,
		now:     c.Now,
		rand:    c.Rand,
		cache:   newCache(c.Cache),
		sources: newFetcher(c.Log),
	}

	c.Store.Subscribe(k.invalidate)

	return k
}

// Find returns the client of a name, or jeton.ErrNotFound. It is exact: once a change has
// been answered, no call returns the client as it was before.
func (k *Clients) Find(ctx context.Context, name string) (Client, error) {
	c, err := k.FindForLogin(ctx, name)
	if err == nil && c.ID == 0 {
		err = jeton.WithDetail(jeton.ErrNotFound, "there is no such client")
	}

	return c, err
}

// FindForLogin returns the client of a name, exact as Find is. For an unknown name it
// returns the zero Client: a login goes on with that, so that it does the same work.
func (k *Clients) FindForLogin(ctx context.Context, name string) (Client, error) {
	if err := k.store.Fresh(ctx); err != nil {
		return Client{}, err
	}
	if c, ok := k.cache.get(name); ok {
		return c, nil
	}
	if _, err := naming.Client(name); err != nil {
		return Client{}, nil // no client has it
	}

	generation := k.cache.generation.Load()
	c, err := k.store.FindClient(ctx, name)
	if errors.Is(err, jeton.ErrNotFound) {
		return Client{}, nil
	}

	if err != nil {
		return Client{}, fmt.Errorf("find client: %w", err)
	}

	k.cache.add(c, generation)

	return c, nil
}

// invalidate drops the clients that a change concerns, so that the next look at one of them
// asks the store.
func (k *Clients) invalidate(c change.Change) {
	switch c.Kind {
	case change.Clients:
		for _, id := range c.IDs {
			k.cache.drop(id)
		}
	case change.All:
		k.cache.dropAll()
	}
}

// CheckSecret reports whether the text is the client's secret. It takes the same time for
// every client and every wrong text of one length; a client that is not there, has no
// secret or is disabled has no text that is right.
func (k *Clients) CheckSecret(c Client, text string) bool {
	var want secret.Hash
	if c.Secret != nil {
		want = *c.Secret
	}

	got := secret.HashOf(text)
	same := subtle.ConstantTimeCompare(got[:], want[:]) == 1

	return same && c.ID != 0 && c.Secret != nil && !c.Disabled
}

// NewUser is a client as an operator asks for it.
type NewClient struct {
	Name        string
	Services    []string
	Scopes      []string
	Introspects []string
	Secret      bool // give it one
	Keys        []NewKey
}

// Add makes a client. The secret, where one was asked for, is shown this once.
func (k *Clients) Add(ctx context.Context, by string, n NewClient) (jeton.Client, jeton.Secret, error) {
	now := k.now()
	c := Client{
		Name:    n.Name,
		Version: 1,
		Created: now,
		Updated: now,
	}

	var err error
	c.Folded, err = foldName(n.Name)
	if err != nil {
		return jeton.Client{}, jeton.Secret{}, err
	}

	if err := c.setTerms(n.Services, n.Scopes, n.Introspects); err != nil {
		return jeton.Client{}, jeton.Secret{}, err
	}

	for _, one := range n.Keys {
		key, err := one.key(now)
		if err == nil {
			err = c.takes(key)
		}
		if err != nil {
			return jeton.Client{}, jeton.Secret{}, err
		}

		c.Keys = append(c.Keys, key)
	}

	var text jeton.Secret
	if n.Secret {
		text, c.Secret, err = k.mint()
		if err != nil {
			return jeton.Client{}, jeton.Secret{}, err
		}
	}

	ev := k.event(by, audit.ClientAdd, c.Name, fmt.Sprintf("services %s, scopes %s, introspects %s, keys %d, secret %t",
		strings.Join(
			c.Services,
			",",
		), strings.Join(c.Scopes, ","), strings.Join(c.Introspects, ","), len(c.Keys), n.Secret))
	if err := k.store.AddClient(ctx, c, ev); err != nil {
		return jeton.Client{}, jeton.Secret{}, fmt.Errorf("add client %s: %w", c.Name, err)
	}

	return c.Public(), text, nil
}

func (c *Client) setTerms(services, scopes, introspects []string) (err error) {
	c.Services, err = Services(services)
	if err != nil {
		return fmt.Errorf("services: %w", err)
	}

	c.Scopes, err = Scopes(scopes)
	if err != nil {
		return fmt.Errorf("scopes: %w", err)
	}

	c.Introspects, err = Services(introspects)
	if err != nil {
		return fmt.Errorf("introspects: %w", err)
	}

	return nil
}

func (k *Clients) mint() (jeton.Secret, *secret.Hash, error) {
	text, err := secret.New(secret.Client, k.rand)
	if err != nil {
		return jeton.Secret{}, nil, fmt.Errorf("make client secret: %w", err)
	}

	h := secret.HashOf(text.Reveal())
	return text, &h, nil
}

// Remove removes the client with its keys and ends its tokens.
func (k *Clients) Remove(ctx context.Context, by, name string) error {
	if err := k.store.RemoveClient(ctx, name, k.step(by, audit.ClientRemove, name, "all tokens ended")); err != nil {
		return fmt.Errorf("remove client %s: %w", name, err)
	}
	return nil
}

// Disable keeps the client from proving itself and ends its tokens; or lets it prove
// itself again.
func (k *Clients) Disable(ctx context.Context, by, name string, disabled bool) error {
	reason := "enabled"
	if disabled {
		reason = "disabled, all tokens ended"
	}
	return k.change(ctx, name, Change{Disabled: &disabled}, k.step(by, audit.ClientChange, name, reason))
}

// SetTerms sets what the client may have tokens for, from its next token on; a nil list
// stays as it is. Tokens that were issued before keep what they were issued with: where
// that must not be, end them.
func (k *Clients) SetTerms(ctx context.Context, by, name string, services, scopes, introspects *[]string) error {
	var c Change
	var told []string
	for _, l := range []struct {
		what string
		in   *[]string
		out  **[]string
		rule func([]string) ([]string, error)
	}{
		{"services", services, &c.Services, Services},
		{"scopes", scopes, &c.Scopes, Scopes},
		{"introspects", introspects, &c.Introspects, Services},
	} {
		if l.in == nil {
			continue
		}

		list, err := l.rule(*l.in)
		if err != nil {
			return fmt.Errorf("%s: %w", l.what, err)
		}

		*l.out = &list
		told = append(told, l.what+" "+strings.Join(list, ","))
	}

	if len(told) == 0 {
		return jeton.WithDetail(jeton.ErrInvalid, "name services, scopes or introspects")
	}

	return k.change(ctx, name, c, k.step(by, audit.ClientChange, name, strings.Join(told, ", ")))
}

// NewSecret gives the client a new secret, which is shown this once; the old one is over.
// With end, its tokens end, too.
func (k *Clients) NewSecret(ctx context.Context, by, name string, end bool) (jeton.Secret, error) {
	text, h, err := k.mint()
	if err != nil {
		return jeton.Secret{}, err
	}

	err = k.change(ctx, name, Change{
		Secret: &SetSecret{h},
		End:    end,
	}, k.step(by, audit.ClientSecret, name, "new secret"+ended(end)))
	if err != nil {
		return jeton.Secret{}, err
	}

	return text, nil
}

// RemoveSecret leaves the client without a secret. With end, its tokens end, too.
func (k *Clients) RemoveSecret(ctx context.Context, by, name string, end bool) error {
	return k.change(ctx, name, Change{
		Secret: &SetSecret{},
		End:    end,
	}, k.step(by, audit.ClientSecret, name, "secret removed"+ended(end)))
}

// EndTokens ends all tokens of the client, declared or not. It may get new ones.
func (k *Clients) EndTokens(ctx context.Context, by, name string) error {
	return k.change(ctx, name, Change{End: true}, k.step(by, audit.ClientEndTokens, name, "all tokens ended"))
}

func ended(end bool) string {
	if end {
		return ", all tokens ended"
	}
	return ""
}

func (k *Clients) change(ctx context.Context, name string, c Change, s Step) error {
	if err := k.store.ChangeClient(ctx, name, c, s); err != nil {
		return fmt.Errorf("change client %s: %w", name, err)
	}
	return nil
}

// List returns all clients by name.
func (k *Clients) List(ctx context.Context) ([]jeton.Client, error) {
	found, err := k.store.ListClients(ctx)
	if err != nil {
		return nil, fmt.Errorf("list clients: %w", err)
	}

	list := make([]jeton.Client, len(found))
	for i, c := range found {
		list[i] = c.Public()
	}

	return list, nil
}

func (k *Clients) step(by, action, name, reason string) Step {
	return Step{Now: k.now(), KeepRevoked: voidFor, Event: k.event(by, action, name, reason)}
}

func (k *Clients) event(by, action, name, reason string) jeton.Event {
	return jeton.Event{
		Time:    k.now(),
		Actor:   by,
		Action:  action,
		Target:  "client:" + name,
		Outcome: audit.OK,
		Reason:  reason,
	}
}

// foldName checks the name of a client and folds its case, as package naming does. It
// returns jeton.ErrInvalid for what is not a name.
func foldName(name string) (folded string, err error) {
	folded, err = naming.Client(name)
	if err != nil {
		return "", jeton.WithDetail(jeton.ErrInvalid, "invalid client name: "+err.Error())
	}

	return folded, nil
}

// Services prepares a list of names of services: checked, sorted, each once.
func Services(names []string) ([]string, error) {
	return prepare(names, "service name", naming.Service)
}

// Scopes prepares a list of scopes: checked, sorted, each once.
func Scopes(names []string) ([]string, error) { return prepare(names, "scope", naming.Scope) }

func prepare(names []string, kind string, check func(string) error) ([]string, error) {
	if len(names) > maxItems {
		return nil, jeton.WithDetail(jeton.ErrInvalid, fmt.Sprintf("a list has at most %d names", maxItems))
	}

	for _, s := range names {
		if err := check(s); err != nil {
			return nil, jeton.WithDetail(jeton.ErrInvalid, "invalid "+kind+": "+err.Error())
		}
	}

	list := append([]string{}, names...)
	slices.Sort(list)

	return slices.Compact(list), nil
}
