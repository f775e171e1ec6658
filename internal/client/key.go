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
	Opens   time.Time // zero: since ever
	Closes  time.Time // zero: never
	Created time.Time
}

// Public returns what may be told about the key.
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

// Keys returns the keys that may check an assertion of the client which names kid, or
// names none (""): those that are valid now of its own, and those of its source. A kid of
// its own goes before one of its source, so that what is retired here stays retired. The
// kid is compared and never becomes part of an address.
//
// It returns jeton.ErrUnavailable when the source does not answer and what it said before
// is too old, and jeton.ErrBadCredential with a Reason when there is no such key.
func (k *Clients) Keys(ctx context.Context, c Client, kid string, now time.Time) ([]jose.Key, error) {
	switch {
	case c.ID == 0:
		return nil, refuse(UnknownClient)
	case c.Disabled:
		return nil, refuse(Disabled)
	}

	var keys []jose.Key
	var why error
	for _, own := range c.Keys {
		if kid != "" && own.ID != kid {
			continue
		}

		if err := own.Check(now); err != nil {
			why = err
			continue
		}

		keys = append(keys, own.Key)
	}

	switch {
	case kid != "" && len(keys) > 0:
		return keys, nil
	case kid != "" && why != nil:
		return nil, why
	}

	if c.Source != nil {
		theirs, err := k.sources.keys(ctx, *c.Source, kid, now)
		if err != nil {
			return nil, fmt.Errorf("keys of client %s: %w", c.Name, err)
		}

		for _, key := range theirs {
			// Nor does a key come back under another kid that may check nothing here.
			if !slices.ContainsFunc(c.Keys, func(own Key) bool {
				return own.ID == key.ID || own.Check(now) != nil && own.Thumbprint() == key.Thumbprint()
			}) {
				keys = append(keys, key)
			}
		}
	}

	if len(keys) > 0 {
		return keys, nil
	}
	if kid != "" {
		return nil, refuse(UnknownKey)
	}
	if len(c.Keys) == 1 && why != nil {
		return nil, why
	}

	return nil, refuse(NoKey)
}

// NewKey is a public key as it was sent.
type NewKey struct {
	Text      []byte   // PEM or JWK
	Alg       jose.Alg // "": what the text says, or the usual one of its kind
	ID        string   // "": what the text says, or the thumbprint; otherwise it wins over the text
	NotBefore time.Time
	NotAfter  time.Time
}

// key reads the key and checks what may be registered.
func (n NewKey) key(now time.Time) (Key, error) {
	parsed, err := jose.ParseKey(n.Text, n.Alg, n.ID)
	if err == nil && n.ID != "" && parsed.ID != n.ID {
		parsed, err = jose.ParsePEM(parsed.PEM(), parsed.Alg, n.ID) // a JWK with a name of its own
	}
	if err != nil {
		return Key{}, jeton.WithDetail(jeton.ErrInvalid, err.Error())
	}

	if err := checkKeyID(parsed.ID); err != nil {
		return Key{}, err
	}

	k := Key{
		Key:     parsed,
		Opens:   n.NotBefore,
		Closes:  n.NotAfter,
		Created: now,
	}
	if !k.Closes.IsZero() && !k.Opens.Before(k.Closes) {
		return Key{}, jeton.WithDetail(jeton.ErrInvalid, "the key is over (not_after) before it is valid (not_before)")
	}

	return k, nil
}

// takes reports whether the client can have one more key, this one. A key that it has had
// does not come back under another name: it was retired for a reason.
func (c Client) takes(k Key) error {
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

// AddKey registers a key, as an operator asks for it.
func (k *Clients) AddKey(ctx context.Context, by, name string, n NewKey) (jeton.ClientKey, error) {
	now := k.now()
	key, err := n.key(now)
	if err != nil {
		return jeton.ClientKey{}, err
	}

	judge := func(c Client) error { return c.takes(key) }
	if err := k.store.AddClientKey(
		ctx,
		name,
		key,
		judge,
		k.step(by, audit.ClientKeyAdd, name, keyNote(key)),
	); err != nil {
		return jeton.ClientKey{}, fmt.Errorf("add key to client %s: %w", name, err)
	}

	return key.Public(), nil
}

// AddOwnKey registers a key that the client itself has sent. The caller has verified that
// c holds one of its older keys and the new one. Whatever has changed of the client's keys
// or its standing since c was found makes it jeton.ErrConflict: a key that is being retired
// brings no successor in.
func (k *Clients) AddOwnKey(ctx context.Context, c Client, key jose.Key, ev jeton.Event) error {
	now := k.now()
	if err := checkKeyID(key.ID); err != nil {
		return err
	}

	fresh := Key{Key: key, Created: now}
	ev.Time = now
	ev.Action = audit.ClientKeyAdd
	ev.Target = "client:" + c.Name

	if ev.Outcome == "" {
		ev.Outcome = audit.OK
	}
	if ev.Reason == "" {
		ev.Reason = keyNote(fresh)
	}

	judge := func(stored Client) error {
		if stored.ID != c.ID || stored.Version != c.Version || stored.Disabled || !sameKeys(stored.Keys, c.Keys) {
			return jeton.WithDetail(jeton.ErrConflict, "the client has changed meanwhile; prove it again")
		}
		return stored.takes(fresh)
	}
	if err := k.store.AddClientKey(ctx, c.Name, fresh, judge, Step{
		Now:         now,
		KeepRevoked: voidFor,
		Event:       ev,
	}); err != nil {
		return fmt.Errorf("add own key to client %s: %w", c.Name, err)
	}

	return nil
}

func sameKeys(a, b []Key) bool {
	return slices.EqualFunc(a, b, func(a, b Key) bool { return a.ID == b.ID && a.Retired == b.Retired })
}

func keyNote(k Key) string {
	return fmt.Sprintf("kid %s, %s, thumbprint %s", k.ID, k.Alg, k.Thumbprint())
}

// RetireKey keeps a key from checking anything from now on, for good. With end, the
// client's tokens end, too.
func (k *Clients) RetireKey(ctx context.Context, by, name, kid string, end bool) error {
	if err := k.store.RetireClientKey(
		ctx,
		name,
		kid,
		end,
		k.step(by, audit.ClientKeyRetire, name, "kid "+kid+ended(end)),
	); err != nil {
		return fmt.Errorf("retire key of client %s: %w", name, err)
	}

	return nil
}

// checkKeyID returns jeton.ErrInvalid for what a key that is registered here cannot have
// as its kid.
func checkKeyID(kid string) error {
	if err := naming.KeyID(kid); err != nil {
		return jeton.WithDetail(jeton.ErrInvalid, "invalid kid: "+err.Error()+"; give the key another one")
	}

	return nil
}
