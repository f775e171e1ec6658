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

// keepRevoked is how long a revoked generation stays on the revocation list: a day, which
// no token outlives, and an hour for clocks that differ.
const keepRevoked = 25 * time.Hour

// Clients is the clients of one server. Its methods are safe for concurrent use.
type Clients struct {
	store     Store
	now       func() time.Time
	log       *slog.Logger
	rand      io.Reader
	cache     *cache
	sources   *fetcher
	documents *documents
}

// Config is what New needs.
type Config struct {
	Store Store
	Now   func() time.Time
	Rand  io.Reader // nil: crypto/rand
	Log   *slog.Logger
	Cache int // maximum number of cached clients; 0: 4096
}

// New returns the clients of a server.
func New(c Config) *Clients {
	if c.Rand == nil {
		c.Rand = rand.Reader
	}
	if c.Cache == 0 {
		c.Cache = 4096
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}

	cs := &Clients{
		store:     c.Store,
		now:       c.Now,
		log:       c.Log,
		rand:      c.Rand,
		cache:     newCache(c.Cache),
		sources:   newFetcher(c.Log),
		documents: newDocuments(),
	}

	c.Store.Subscribe(cs.invalidate)

	return cs
}

// Find returns the client of a name, or jeton.ErrNotFound. It is exact: once a change has
// been answered, no call returns the client as it was before.
func (cs *Clients) Find(ctx context.Context, name string) (Client, error) {
	c, err := cs.FindForLogin(ctx, name)
	if err == nil && c.ID == 0 {
		err = jeton.WithDetail(jeton.ErrNotFound, "there is no such client")
	}

	return c, err
}

// FindForLogin returns the client of a name, exact as Find is. For an unknown name it
// returns the zero Client: a login goes on with that, so that it does the same work.
func (cs *Clients) FindForLogin(ctx context.Context, name string) (Client, error) {
	// Fresh comes before the cache: once it returns, all changes answered before this call
	// have been dropped.
	if err := cs.store.Fresh(ctx); err != nil {
		return Client{}, err
	}
	if c, ok := cs.cache.get(name); ok {
		return c, nil
	}
	if !cs.mayExist(name) {
		return Client{}, nil
	}

	// Before the read: a drop between the two makes add ignore the result.
	generation := cs.cache.generation.Load()
	c, err := cs.store.FindClient(ctx, name)
	if errors.Is(err, jeton.ErrNotFound) {
		return Client{}, nil
	}

	if err != nil {
		return Client{}, fmt.Errorf("find client: %w", err)
	}

	cs.cache.add(c, generation)

	return c, nil
}

// mayExist reports whether a client can have a name.
func (cs *Clients) mayExist(name string) bool {
	_, err := naming.Client(name)
	if err == nil {
		return true
	}
	_, ok := cs.documents.host(name)

	return ok
}

// invalidate drops the clients of a change from the cache.
func (cs *Clients) invalidate(c change.Change) {
	switch c.Kind {
	case change.Clients:
		for _, id := range c.IDs {
			cs.cache.drop(id)
		}
	case change.All:
		cs.cache.dropAll()
	}
}

// CheckSecret reports whether the text is the client's secret: never for the zero Client
// and one that is disabled or has no secret. It takes the same time for every client and
// every wrong text of one length.
func (cs *Clients) CheckSecret(c Client, text string) bool {
	// Without a secret, the comparison is with a hash of zeros: the time does not show which
	// clients exist.
	var want secret.Hash
	if c.Secret != nil {
		want = *c.Secret
	}

	got := secret.HashOf(text)
	same := subtle.ConstantTimeCompare(got[:], want[:]) == 1

	return same && c.ID != 0 && c.Secret != nil && !c.Disabled
}

// NewClient is a client to be added.
type NewClient struct {
	Name        string
	Services    []string
	Scopes      []string
	Introspects []string
	Secret      bool // make a secret for it
	Keys        []NewKey
	OpenID      *jeton.RelyingParty // nil: it signs no users in
}

// Add adds a client and returns it with its secret, if it gets one. Only the hash of the
// secret is kept.
func (cs *Clients) Add(ctx context.Context, actor string, n NewClient) (jeton.Client, jeton.Secret, error) {
	now := cs.now()
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

	c.OpenID, err = CheckRelying(n.OpenID)
	if err != nil {
		return jeton.Client{}, jeton.Secret{}, err
	}

	if c.OpenID != nil && c.OpenID.Public && (n.Secret || len(n.Keys) > 0) {
		return jeton.Client{}, jeton.Secret{}, jeton.WithDetail(jeton.ErrInvalid,
			"a public client has no secret and no key: leave them out, or public")
	}

	for _, newKey := range n.Keys {
		key, err := newKey.key(now)
		if err == nil {
			err = c.checkNewKey(key)
		}
		if err != nil {
			return jeton.Client{}, jeton.Secret{}, err
		}

		c.Keys = append(c.Keys, key)
	}

	var text jeton.Secret
	if n.Secret {
		text, c.Secret, err = cs.mint()
		if err != nil {
			return jeton.Client{}, jeton.Secret{}, err
		}
	}

	ev := cs.event(actor, audit.ClientAdd, c.Name, c.describe())
	if err := cs.store.AddClient(ctx, c, ev); err != nil {
		return jeton.Client{}, jeton.Secret{}, fmt.Errorf("add client %s: %w", c.Name, err)
	}

	return c.Public(), text, nil
}

// describe describes a client in the audit log. Of its secret it says only whether there is one.
func (c *Client) describe() string {
	text := fmt.Sprintf("services %s, scopes %s, introspects %s, keys %d, secret %t",
		strings.Join(c.Services, ","),
		strings.Join(c.Scopes, ","),
		strings.Join(c.Introspects, ","),
		len(c.Keys),
		c.Secret != nil,
	)
	if c.OpenID != nil {
		text += ", redirect_uris " + strings.Join(c.OpenID.RedirectURIs, " ")
	}

	return text
}

// setTerms sets the checked and sorted lists, or returns jeton.ErrInvalid.
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

// mint makes a secret and its hash, which alone is stored.
func (cs *Clients) mint() (jeton.Secret, *secret.Hash, error) {
	text, err := secret.New(secret.Client, cs.rand)
	if err != nil {
		return jeton.Secret{}, nil, fmt.Errorf("make client secret: %w", err)
	}

	h := secret.HashOf(text.Reveal())

	return text, &h, nil
}

// Remove removes the client with its keys and ends its tokens.
func (cs *Clients) Remove(ctx context.Context, actor, name string) error {
	step := cs.step(actor, audit.ClientRemove, name, "all tokens ended")
	if err := cs.store.RemoveClient(ctx, name, step); err != nil {
		return fmt.Errorf("remove client %s: %w", name, err)
	}

	return nil
}

// Disable disables the client and ends its tokens, or enables it again.
func (cs *Clients) Disable(ctx context.Context, actor, name string, disabled bool) error {
	reason := "enabled"
	if disabled {
		reason = "disabled, all tokens ended"
	}

	return cs.change(ctx, name, Change{Disabled: &disabled}, cs.step(actor, audit.ClientChange, name, reason))
}

// SetTerms sets what the client may get tokens for, from its next token on. A nil list
// stays as it is. Tokens that were issued before keep their terms; EndTokens ends them.
func (cs *Clients) SetTerms(ctx context.Context, actor, name string, services, scopes, introspects *[]string) error {
	if described(name) {
		return errDescribed
	}

	var c Change
	var changed []string
	for _, l := range []struct {
		name    string
		in      *[]string
		out     **[]string
		prepare func([]string) ([]string, error)
	}{
		{"services", services, &c.Services, Services},
		{"scopes", scopes, &c.Scopes, Scopes},
		{"introspects", introspects, &c.Introspects, Services},
	} {
		if l.in == nil {
			continue
		}

		list, err := l.prepare(*l.in)
		if err != nil {
			return fmt.Errorf("%s: %w", l.name, err)
		}

		*l.out = &list
		changed = append(changed, l.name+" "+strings.Join(list, ","))
	}

	if len(changed) == 0 {
		return jeton.WithDetail(jeton.ErrInvalid, "name services, scopes or introspects")
	}

	return cs.change(ctx, name, c, cs.step(actor, audit.ClientChange, name, strings.Join(changed, ", ")))
}

// NewSecret replaces the secret of the client and returns the new one. With end, its
// tokens end, too.
func (cs *Clients) NewSecret(ctx context.Context, actor, name string, end bool) (jeton.Secret, error) {
	if described(name) {
		return jeton.Secret{}, errDescribed
	}

	text, h, err := cs.mint()
	if err != nil {
		return jeton.Secret{}, err
	}

	step := cs.step(actor, audit.ClientSecret, name, "new secret"+ended(end))
	if err := cs.change(ctx, name, Change{Secret: &SetSecret{h}, End: end}, step); err != nil {
		return jeton.Secret{}, err
	}

	return text, nil
}

// RemoveSecret removes the secret of the client. With end, its tokens end, too.
func (cs *Clients) RemoveSecret(ctx context.Context, actor, name string, end bool) error {
	step := cs.step(actor, audit.ClientSecret, name, "secret removed"+ended(end))
	return cs.change(ctx, name, Change{Secret: &SetSecret{}, End: end}, step)
}

// EndTokens ends all tokens of the client, declared or not. The client may get new ones.
func (cs *Clients) EndTokens(ctx context.Context, actor, name string) error {
	return cs.change(ctx, name, Change{End: true}, cs.step(actor, audit.ClientEndTokens, name, "all tokens ended"))
}

// ended completes the reason of an audit event.
func ended(end bool) string {
	if end {
		return ", all tokens ended"
	}
	return ""
}

// change changes a client in the store. The store publishes the change, which invalidates
// the cache before the call returns.
func (cs *Clients) change(ctx context.Context, name string, c Change, s Step) error {
	if err := cs.store.ChangeClient(ctx, name, c, s); err != nil {
		return fmt.Errorf("change client %s: %w", name, err)
	}
	return nil
}

// List returns at most p.Limit clients by name, and the After of the next page, or "" if this is the last.
// Case does not count.
func (cs *Clients) List(ctx context.Context, p Page) (list []jeton.Client, next string, err error) {
	limit := p.Limit
	p.Prefix = strings.ToLower(strings.TrimSpace(p.Prefix))
	p.Limit++ // one more shows whether there is a next page

	found, err := cs.store.ListClients(ctx, p)
	if err != nil {
		return nil, "", fmt.Errorf("list clients: %w", err)
	}
	if len(found) > limit {
		found = found[:limit]
		next = found[limit-1].Folded
	}

	list = make([]jeton.Client, len(found))
	for i, c := range found {
		list[i] = c.Public()
	}

	return list, next, nil
}

// Read returns the client of exactly this name, or jeton.ErrNotFound.
func (cs *Clients) Read(ctx context.Context, name string) (jeton.Client, error) {
	c, err := cs.store.FindClient(ctx, name)
	if err != nil {
		return jeton.Client{}, fmt.Errorf("read client: %w", err)
	}

	return c.Public(), nil
}

// step returns what the store needs for a change, with its audit event.
func (cs *Clients) step(actor, action, name, reason string) Step {
	return Step{Now: cs.now(), KeepRevoked: keepRevoked, Event: cs.event(actor, action, name, reason)}
}

// event returns the audit event of a change that succeeds. The store writes it in the same
// transaction: there is neither a change without its event nor the reverse.
func (cs *Clients) event(actor, action, name, reason string) jeton.Event {
	return jeton.Event{
		Time:    cs.now(),
		Actor:   actor,
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

// prepare checks a list, sorts it and removes duplicates, so that equal terms are equal in
// the store.
func prepare(names []string, kind string, check func(string) error) ([]string, error) {
	if len(names) > maxItems {
		return nil, jeton.WithDetail(jeton.ErrInvalid, fmt.Sprintf("a list has at most %d names", maxItems))
	}

	for _, s := range names {
		if err := check(s); err != nil {
			return nil, jeton.WithDetail(jeton.ErrInvalid, "invalid "+kind+": "+err.Error())
		}
	}

	// A copy, because sorting in place would change the caller's list; and never nil.
	list := append([]string{}, names...)
	slices.Sort(list)

	return slices.Compact(list), nil
}
