package keys

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/jose"
)

// Config is what New needs.
type Config struct {
	Store  Store
	Secret Secret
	Now    func() time.Time
	Log    *slog.Logger
	// The three times are as in Needs, and used until Configure is called.
	RotateEvery, PublishFor, Keep time.Duration
	// Generate makes a key pair; nil: jose.Generate. It is there for tests of many servers.
	Generate func(jose.Alg) (*jose.Signer, error)
}

// Ring is the signing keys of one server. It is safe for concurrent use.
type Ring struct {
	store    Store
	secret   Secret
	now      func() time.Time
	log      *slog.Logger
	generate func(jose.Alg) (*jose.Signer, error)
	needs    atomic.Pointer[needs]

	changes atomic.Int64             // number of invalidations
	seen    atomic.Int64             // number of invalidations that cached reflects
	cached  atomic.Pointer[snapshot] // replaced as a whole, never changed

	reading chan struct{} // holds one value; taking it allows to read the store and replace cached
	readAt  time.Time     // of the last read
	readErr error         // of the last read
}

// needs is Needs, and whether they come from Configure.
type needs struct {
	Needs
	configured bool
}

// New returns a ring without keys: Configure reads and makes them. Before that, the ring can
// list, rotate and revoke the keys of the store.
func New(c Config) (*Ring, error) {
	n := Needs{RotateEvery: c.RotateEvery, PublishFor: c.PublishFor, Keep: c.Keep}
	if err := n.check(); err != nil {
		return nil, err
	}
	if c.Secret.key.IsZero() {
		return nil, errors.New("signing keys: no secret")
	}

	r := &Ring{
		store:    c.Store,
		secret:   c.Secret,
		now:      c.Now,
		log:      c.Log,
		generate: c.Generate,
		reading:  make(chan struct{}, 1),
	}
	if r.generate == nil {
		r.generate = jose.Generate
	}

	// The lock is free. It is a channel and not a mutex, so that waiting for it ends with ctx.
	r.reading <- struct{}{}
	r.needs.Store(&needs{Needs: n})
	r.cached.Store(&snapshot{})
	// Last, because the store may call it before New returns.
	c.Store.Subscribe(r.invalidate)

	return r, nil
}

// Configure makes the keys that the configuration needs and the store does not have. Such a
// key signs at once: no verifier can have an older one. Configure is called at every start
// and reload, and writes nothing when nothing is missing. When there are keys that the
// secret does not open, it returns an error and changes nothing.
func (r *Ring) Configure(ctx context.Context, n Needs) error {
	if err := n.check(); err != nil {
		return err
	}

	// The ring keeps the list; the caller may change its own at the next reload.
	n.Pairs = slices.Clone(n.Pairs)
	configured := needs{n, true}

	_, err := r.change(ctx, configured, "config", func(d *draft) error {
		d.supply()
		return nil
	})
	if err != nil {
		return fmt.Errorf("make signing keys: %w", err)
	}

	// Only after the keys exist: Run must not rotate by a configuration that was refused.
	r.needs.Store(&configured)

	return nil
}

// Ensure makes a key of a pair if there is none, which signs at once. It takes up to a second for RSA.
func (r *Ring) Ensure(ctx context.Context, p Pair) error {
	if _, err := r.Signer(p.Kind, p.Alg); err == nil {
		return nil
	}

	n := *r.needs.Load()
	n.Pairs = append(slices.Clone(n.Pairs), p)

	_, err := r.change(ctx, n, "server", func(d *draft) error {
		d.supply()
		return nil
	})
	if err != nil {
		return fmt.Errorf("make signing key for %s: %w", p, err)
	}

	return nil
}

// Rotate makes the next key of every pair with the algorithm, "" for all, and returns those
// keys. A next key is published at once and signs after PublishFor; then the current one
// retires. With now it signs at once, also when it exists already. Without now, an existing
// next key is jeton.ErrConflict. Without a current key it returns jeton.ErrNotFound.
func (r *Ring) Rotate(ctx context.Context, actor string, alg jose.Alg, now bool) ([]jeton.SigningKey, error) {
	if alg != "" {
		if err := checkAlg(alg); err != nil {
			return nil, err
		}
	}

	d, err := r.change(ctx, *r.needs.Load(), actor, func(d *draft) error {
		pairs := slices.DeleteFunc(d.pairs(), func(p Pair) bool { return alg != "" && p.Alg != alg })
		if len(pairs) == 0 {
			return jeton.WithDetail(
				jeton.ErrNotFound,
				"there is no key to rotate; a server makes the keys of its configuration when it starts",
			)
		}

		for _, p := range pairs {
			if err := d.rotate(p, now, ""); err != nil {
				return err
			}
		}

		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("rotate signing keys: %w", err)
	}

	return public(d.list(d.started), d.all, d.now), nil
}

// maxReason is the maximum length of the reason of a revocation, in bytes.
const maxReason = 200

// Revoke revokes a key: tokens that it has signed are not valid any more. If it was the
// current key, the next key signs at once, or a new one that is made. The reason is for the
// audit log. Revoking twice is not an error; an unknown kid is jeton.ErrNotFound. Keys that
// the secret does not open can be revoked, too.
func (r *Ring) Revoke(ctx context.Context, actor, kid, reason string) error {
	if len(reason) > maxReason {
		return jeton.WithDetail(jeton.ErrInvalid, fmt.Sprintf("invalid reason: want at most %d bytes", maxReason))
	}

	// step, not change: an operator who has lost the secret must still be able to revoke.
	d, err := r.step(ctx, *r.needs.Load(), actor, func(d *draft) error { return d.revoke(kid, reason) })
	if err == nil && d.isEmpty() {
		// Another node may have revoked it a moment ago and still wait for acknowledgements.
		err = r.store.Settle(ctx)
	}
	if err != nil {
		return fmt.Errorf("revoke signing key %s: %w", kid, err)
	}

	return nil
}

// List returns all keys that are not withdrawn, by kind, algorithm and age.
func (r *Ring) List(ctx context.Context) ([]jeton.SigningKey, error) {
	records, err := r.store.ListKeys(ctx)
	if err != nil {
		return nil, fmt.Errorf("list signing keys: %w", err)
	}

	now := r.time()
	all := pointers(records)
	open := slices.DeleteFunc(slices.Clone(all), func(k *Record) bool { return k.closed(now) })

	return public(open, all, now), nil
}

// public returns what callers may see of some of all keys.
func public(some, all []*Record, now time.Time) []jeton.SigningKey {
	list := make([]jeton.SigningKey, 0, len(some))
	for _, k := range some {
		list = append(list, jeton.SigningKey{
			ID:        k.ID,
			Kind:      string(k.Kind),
			Algorithm: string(k.Alg),
			Status:    status(k, all, now),
			Created:   k.Created,
			Signs:     k.Opens,
			Retires:   k.Retires,
			Withdrawn: k.Closes,
		})
	}

	slices.SortStableFunc(list, func(a, b jeton.SigningKey) int {
		return strings.Compare(a.Kind+" "+a.Algorithm, b.Kind+" "+b.Algorithm)
	})

	return list
}

// status returns the state of a key as operators see it: revoked, current, retired or next.
func status(k *Record, all []*Record, now time.Time) string {
	switch {
	case k.Revoked:
		return "revoked"
	case current(inOrder(all, k.pair()), now) == k:
		return "current"
	case k.opened(now) || k.retired(now):
		return "retired"
	}

	return "next"
}

// time returns the time with the precision of the store.
func (r *Ring) time() time.Time { return time.UnixMilli(r.now().UnixMilli()).UTC() }

// tickEvery is how often keys that are due are rotated. It is also how often the store is
// read for changes of other nodes whose notification was lost.
const tickEvery = time.Minute

// Run rotates keys when they are due, until ctx ends.
func (r *Ring) Run(ctx context.Context) error {
	tick := time.NewTicker(tickEvery)
	defer tick.Stop()

	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			if err := r.tick(ctx); err != nil && ctx.Err() == nil {
				r.log.Error("signing keys were not rotated", "error", err)
			}
		}
	}
}

// tick does what Run does once a minute.
func (r *Ring) tick(ctx context.Context) error {
	n := *r.needs.Load()
	if !n.configured {
		return nil // a command without a server does not rotate keys on schedule
	}

	_, err := r.change(ctx, n, "schedule", func(d *draft) error {
		d.supply()

		for _, p := range d.pairs() {
			if err := d.schedule(p); err != nil {
				return err
			}
		}

		d.removeWithdrawn()

		return nil
	})

	return err
}

// change is step for a change that may add keys. It refuses when the secret does not open
// the existing keys: then it is the wrong one to seal others with.
func (r *Ring) change(ctx context.Context, n needs, actor string, decide func(*draft) error) (*draft, error) {
	s, err := r.load(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.sealedError(r.secret); err != nil {
		return nil, err
	}

	return r.step(ctx, n, actor, decide)
}

// errKeyNeeded means that a step needs a key that has not been made before it.
var errKeyNeeded = errors.New("a key is needed that has not been made")

// step changes the keys as decide does. It calls decide with the keys that are read first:
// then it knows which new keys are needed, which take too long to make inside the step of
// the store, and it does not write when nothing changes. Then it calls decide again inside
// that step. When step returns nil, the cached keys reflect the change.
func (r *Ring) step(ctx context.Context, n needs, actor string, decide func(*draft) error) (*draft, error) {
	// The caller may give up, but what has been written must be in the cache all the same.
	ctx = context.WithoutCancel(ctx)

	keys, err := r.store.ListKeys(ctx)
	if err != nil {
		return nil, err
	}

	made := map[Pair]Record{}
	const attempts = 4
	for range attempts {
		d := newDraft(keys, made, n, actor, r.time())
		if err := decide(d); err != nil {
			return d, err
		}
		if d.isEmpty() {
			_, err = r.load(ctx) // another node may have made this change after the cache was read
			return d, err
		}

		// Keys of an earlier attempt stay in made, so a retry makes none twice.
		for _, p := range d.needed {
			made[p], err = r.make(p)
			if err != nil {
				return nil, err
			}
		}

		err = r.store.ChangeKeys(ctx, func(current []Record) ([]Record, []string, []jeton.Event, error) {
			// The next attempt decides with what this step has seen, not with the older read.
			keys = current
			d = newDraft(keys, made, n, actor, r.time())
			if err := decide(d); err != nil {
				return nil, nil, nil, err
			}
			if len(d.needed) > 0 {
				return nil, nil, nil, errKeyNeeded
			}

			return d.put(), d.drop, d.events, nil
		})
		if errors.Is(err, errKeyNeeded) {
			continue // another node has changed the keys meanwhile
		}
		if err != nil {
			return nil, err
		}

		for _, e := range d.events {
			r.log.Info("signing keys changed", "action", e.Action, "key", e.Target, "what", e.Reason, "by", actor)
		}

		_, err = r.load(ctx)

		return d, err
	}

	return nil, jeton.WithDetail(jeton.ErrConflict, "other nodes are changing the signing keys; try again")
}

// make makes a key, which takes up to a second for RSA.
func (r *Ring) make(p Pair) (Record, error) {
	s, err := r.generate(p.Alg)
	if err != nil {
		return Record{}, err
	}

	der, err := s.MarshalPKCS8()
	if err != nil {
		return Record{}, fmt.Errorf("encode key: %w", err)
	}
	// The encoded key is in clear until it is sealed: no copy stays in memory for longer.
	defer clear(der)

	k := Record{
		ID:     s.Key().ID,
		Kind:   p.Kind,
		Alg:    p.Alg,
		Public: string(s.Key().JWK()),
	}

	k.Sealed, err = r.secret.seal(&k, der)
	if err != nil {
		return Record{}, fmt.Errorf("seal key: %w", err)
	}

	return k, nil
}
