package client

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/jose"
	"github.com/jeton-auth/jeton/internal/naming"
)

// Key is a public key of a client.
type Key struct {
	jose.Key
	Retired bool
	Opens   time.Time // zero: valid from the start
	Closes  time.Time // zero: never
	Created time.Time
}

// Public returns what callers may see of the key.
func (k Key) Public() jeton.ClientKey {
	return jeton.ClientKey{
		ID:        k.ID,
		Algorithm: string(k.Alg),
		Retired:   k.Retired,
		NotBefore: k.Opens,
		NotAfter:  k.Closes,
		Created:   k.Created,
		Public:    string(k.JWK()),
	}
}

// Check returns nil when the key may check a signature now, and jeton.ErrBadCredential
// with its Reason otherwise.
func (k Key) Check(now time.Time) error {
	switch {
	case k.Retired:
		return refuse(KeyRetired)
	case !k.Opens.IsZero() && now.Before(k.Opens):
		return refuse(KeyNotYetValid)
	case !k.Closes.IsZero() && !now.Before(k.Closes):
		return refuse(KeyExpired)
	}

	return nil
}

// Keys returns the keys that may check an assertion of the client now: the key with the
// kid, or all of them for an assertion that names none (""). They are the client's own,
// which are registered here, and those of its source. An own key comes before one of the
// source with the same kid, so that a key that is retired here stays retired. The kid is
// compared, and never becomes part of an address.
//
// It returns jeton.ErrBadCredential with a Reason when there is no such key, and
// jeton.ErrUnavailable when the source does not answer and its last answer is too old.
func (cs *Clients) Keys(ctx context.Context, c Client, kid string, now time.Time) ([]jose.Key, error) {
	switch {
	case c.ID == 0:
		return nil, refuse(UnknownClient)
	case c.Disabled:
		return nil, refuse(Disabled)
	case kid != "":
		return cs.keyWithID(ctx, c, kid, now)
	}

	return cs.allKeys(ctx, c, now)
}

// keyWithID is Keys for an assertion that names its key.
func (cs *Clients) keyWithID(ctx context.Context, c Client, kid string, now time.Time) ([]jose.Key, error) {
	for _, own := range c.Keys {
		if own.ID != kid {
			continue
		}
		// The search ends here: a retired key must not return from the source.
		if err := own.Check(now); err != nil {
			return nil, err
		}

		return []jose.Key{own.Key}, nil
	}

	keys, err := cs.fetchedKeys(ctx, c, kid, now)
	if err == nil && len(keys) == 0 {
		err = refuse(UnknownKey)
	}

	return keys, err
}

// allKeys is Keys for an assertion without a kid: the caller tries every key that is valid
// now.
func (cs *Clients) allKeys(ctx context.Context, c Client, now time.Time) ([]jose.Key, error) {
	var keys []jose.Key
	var refusal error
	for _, own := range c.Keys {
		if err := own.Check(now); err != nil {
			refusal = err
			continue
		}

		keys = append(keys, own.Key)
	}

	// An error is returned though own keys may fit: without the fetched ones, "no key fits"
	// could be wrong, and the caller would take it as final.
	fetched, err := cs.fetchedKeys(ctx, c, "", now)
	if err != nil {
		return nil, err
	}

	keys = append(keys, fetched...)
	switch {
	case len(keys) > 0:
		return keys, nil
	// With one key, its own reason says more to the operator than "no key".
	case len(c.Keys) == 1:
		return nil, refusal
	}

	return nil, refuse(NoKey)
}

// fetchedKeys returns keys of the client's source, if it has one. A key that is registered
// here and may check nothing is left out, also under another kid.
func (cs *Clients) fetchedKeys(ctx context.Context, c Client, kid string, now time.Time) ([]jose.Key, error) {
	if c.Source == nil {
		return nil, nil
	}

	fetched, err := cs.sources.keys(ctx, *c.Source, kid, now)
	if err != nil {
		return nil, fmt.Errorf("keys of client %s: %w", c.Name, err)
	}

	var keys []jose.Key
	for _, key := range fetched {
		replaced := slices.ContainsFunc(c.Keys, func(own Key) bool {
			return own.ID == key.ID || own.Check(now) != nil && own.Thumbprint() == key.Thumbprint()
		})
		if !replaced {
			keys = append(keys, key)
		}
	}

	return keys, nil
}

// NewKey is a public key to be registered.
type NewKey struct {
	Text      []byte   // PEM or JWK
	Alg       jose.Alg // "": the one in the text, or the default for its type
	ID        string   // "": the one in the text, or the thumbprint
	NotBefore time.Time
	NotAfter  time.Time
}

// key reads the key and checks whether it may be registered.
func (n NewKey) key(now time.Time) (Key, error) {
	parsed, err := jose.ParseKey(n.Text, n.Alg, n.ID)
	if err == nil && n.ID != "" && parsed.ID != n.ID {
		parsed, err = jose.ParsePEM(parsed.PEM(), parsed.Alg, n.ID) // a JWK with a kid of its own
	}
	if err != nil {
		return Key{}, jeton.WithDetail(jeton.ErrInvalid, err.Error())
	}

	if err := checkKeyID(parsed.ID); err != nil {
		return Key{}, err
	}
	if !n.NotBefore.IsZero() && !n.NotAfter.IsZero() && !n.NotAfter.After(n.NotBefore) {
		return Key{}, jeton.WithDetail(jeton.ErrInvalid, "invalid not_after: want a time after not_before")
	}

	return Key{
		Key:     parsed,
		Opens:   n.NotBefore,
		Closes:  n.NotAfter,
		Created: now,
	}, nil
}

// checkKeyID returns jeton.ErrInvalid for what cannot be the kid of a registered key.
func checkKeyID(kid string) error {
	if err := naming.KeyID(kid); err != nil {
		return jeton.WithDetail(jeton.ErrInvalid, "invalid kid: "+err.Error()+"; give the key another one")
	}

	return nil
}

// checkNewKey returns jeton.ErrConflict when the client cannot have the key as well. A key
// that it had before cannot return under another kid: it was retired for a reason.
func (c Client) checkNewKey(k Key) error {
	active := 0
	for _, own := range c.Keys {
		if own.ID == k.ID {
			return jeton.WithDetail(jeton.ErrConflict, fmt.Sprintf("the client has a key with the kid %s", own.ID))
		}
		if own.Thumbprint() == k.Thumbprint() {
			return jeton.WithDetail(jeton.ErrConflict, fmt.Sprintf("the client has this key as %s", own.ID))
		}
		if !own.Retired {
			active++
		}
	}

	if active >= MaxKeys {
		return jeton.WithDetail(
			jeton.ErrConflict,
			fmt.Sprintf("the client has %d keys that are not retired; retire one first", active),
		)
	}

	return nil
}

// AddKey registers a key for an operator.
func (cs *Clients) AddKey(ctx context.Context, actor, name string, n NewKey) (jeton.ClientKey, error) {
	if described(name) {
		return jeton.ClientKey{}, errDescribed
	}

	key, err := n.key(cs.now())
	if err != nil {
		return jeton.ClientKey{}, err
	}

	// Inside the step, so that two requests at once cannot both add the last key that fits.
	check := func(c Client) error { return c.checkNewKey(key) }
	step := cs.step(actor, audit.ClientKeyAdd, name, keyNote(key))
	if err := cs.store.AddClientKey(ctx, name, key, check, step); err != nil {
		return jeton.ClientKey{}, fmt.Errorf("add key to client %s: %w", name, err)
	}

	return key.Public(), nil
}

// AddOwnKey registers a key that the client itself has sent. The caller has verified that c
// holds one of its older keys and the new one. When the client or its keys have changed
// since c was found, it returns jeton.ErrConflict: a key that is being retired must not
// register its successor.
func (cs *Clients) AddOwnKey(ctx context.Context, c Client, key jose.Key, ev jeton.Event) error {
	if err := checkKeyID(key.ID); err != nil {
		return err
	}

	now := cs.now()
	added := Key{Key: key, Created: now}

	ev.Time = now
	ev.Action = audit.ClientKeyAdd
	ev.Target = "client:" + c.Name
	if ev.Outcome == "" {
		ev.Outcome = audit.OK
	}
	if ev.Reason == "" {
		ev.Reason = keyNote(added)
	}

	// Checked inside the step: a revocation between the proof and this step must win.
	check := func(stored Client) error {
		if stored.ID != c.ID || stored.Version != c.Version || stored.Disabled || !sameKeys(stored.Keys, c.Keys) {
			return jeton.WithDetail(jeton.ErrConflict, "the client has changed meanwhile; authenticate it again")
		}

		return stored.checkNewKey(added)
	}

	step := Step{Now: now, KeepRevoked: keepRevoked, Event: ev}
	if err := cs.store.AddClientKey(ctx, c.Name, added, check, step); err != nil {
		return fmt.Errorf("add own key to client %s: %w", c.Name, err)
	}

	return nil
}

// sameKeys compares which keys a client has and which are retired: what AddOwnKey must not
// miss a change of.
func sameKeys(a, b []Key) bool {
	return slices.EqualFunc(a, b, func(a, b Key) bool { return a.ID == b.ID && a.Retired == b.Retired })
}

// keyNote describes a key in the audit log. The thumbprint identifies it whatever its kid
// says.
func keyNote(k Key) string {
	return fmt.Sprintf("kid %s, %s, thumbprint %s", k.ID, k.Alg, k.Thumbprint())
}

// RetireKey makes a key check nothing from now on, permanently. With end, the client's
// tokens end, too.
func (cs *Clients) RetireKey(ctx context.Context, actor, name, kid string, end bool) error {
	step := cs.step(actor, audit.ClientKeyRetire, name, "kid "+kid+ended(end))
	if err := cs.store.RetireClientKey(ctx, name, kid, end, step); err != nil {
		return fmt.Errorf("retire key of client %s: %w", name, err)
	}

	return nil
}
