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
	// The three times are those of Needs, until Use brings others.
	RotateEvery, PublishFor, Keep time.Duration
}

// Ring is the signing keys of one server. It is safe for concurrent use.
type Ring struct {
	store  Store
	secret Secret
	now    func() time.Time
	log    *slog.Logger
	needs  atomic.Pointer[needs]

	changed atomic.Int64             // how often the store has said that it has other keys
	seen    atomic.Int64             // how much of that is in what is known
	known   atomic.Pointer[snapshot] // replaced whole, never changed

	turn    chan struct{} // who has taken it out reads the store and replaces known
	read    time.Time     // when it was last read
	readErr error         // what came of it
}

// needs is Needs and whether they are the configuration's or only the times of Config.
type needs struct {
	Needs
	used bool
}

// New returns a ring that holds no key yet: Use fetches and makes them. Before that it
// lists and revokes, and rotates what the store has.
func New(c Config) (*Ring, error) {
	n := Needs{RotateEvery: c.RotateEvery, PublishFor: c.PublishFor, Keep: c.Keep}
	if err := n.check(); err != nil {
		return nil, err
	}
	if c.Secret.key.IsZero() {
		return nil, errors.New("signing keys: no secret")
	}

	r := &Ring{
		store:  c.Store,
		secret: c.Secret,
		now:    c.Now,
		log:    c.Log,
		turn:   make(chan struct{}, 1),
	}

	r.turn <- struct{}{}
	r.needs.Store(&needs{Needs: n})
	r.known.Store(&snapshot{})
	c.Store.Subscribe(r.invalidate)

	return r, nil
}

// Use makes the ring be what the configuration asks for. A pair that has no key gets one,
// which signs at once: nobody can have seen an older one. It is called at every start
// and reload, and writes nothing when nothing is missing. When there are keys that the
// secret does not open, it says so and changes nothing.
func (r *Ring) Use(ctx context.Context, n Needs) error {
	if err := n.check(); err != nil {
		return err
	}

	n.Pairs = slices.Clone(n.Pairs)
	used := needs{n, true}
	if _, err := r.change(ctx, used, "config", func(c *draft) error {
		c.supply()
		return nil
	}); err != nil {
		return fmt.Errorf("make signing keys: %w", err)
	}

	r.needs.Store(&used)

	return nil
}

// Rotate makes the next key of every pair of an algorithm, "" for all, and returns those
// keys. Each is published at once and signs when it has been for PublishFor, upon which
// the one before it retires; with now it signs at once, and so does one that was waiting.
// Where a next key waits already it returns jeton.ErrConflict, and jeton.ErrNotFound where there is
// no key to follow.
func (r *Ring) Rotate(ctx context.Context, by string, alg jose.Alg, now bool) ([]jeton.SigningKey, error) {
	if alg != "" {
		if err := checkAlg(alg); err != nil {
			return nil, err
		}
	}

	c, err := r.change(ctx, *r.needs.Load(), by, func(c *draft) error {
		pairs := slices.DeleteFunc(c.pairs(), func(p Pair) bool { return alg != "" && p.Alg != alg })
		if len(pairs) == 0 {
			return jeton.WithDetail(
				jeton.ErrNotFound,
				"no key of that sort signs; the server makes those that its configuration asks for when it starts",
			)
		}

		for _, p := range pairs {
			if err := c.rotate(p, now, ""); err != nil {
				return err
			}
		}

		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("rotate signing keys: %w", err)
	}

	return tell(c.list(c.coming), c.all, c.now), nil
}

// Revoke makes a key neither sign nor check any more: tokens that it has signed are void.
// If it was the one that signs, the next one does at once, or another that is made for it.
// why is for the record. Revoking twice is not an error; an unknown kid is jeton.ErrNotFound.
// It works on keys that the secret does not open, too.
func (r *Ring) Revoke(ctx context.Context, by, kid, why string) error {
	if len(why) > maxReason {
		return jeton.WithDetail(jeton.ErrInvalid, fmt.Sprintf("a reason has %d bytes at most", maxReason))
	}

	c, err := r.step(ctx, *r.needs.Load(), by, func(c *draft) error { return c.revoke(kid, why) })
	if err == nil && c.isEmpty() {
		// Another node may have revoked it a moment ago, whose answer waits until all have heard.
		err = r.store.Settle(ctx)
	}

	if err != nil {
		return fmt.Errorf("revoke signing key %s: %w", kid, err)
	}

	return nil
}

// maxReason bounds what an operator says of a revocation, in bytes.
const maxReason = 200

// List returns all keys that are not withdrawn, by kind, algorithm and age.
func (r *Ring) List(ctx context.Context) ([]jeton.SigningKey, error) {
	have, err := r.store.ListKeys(ctx)
	if err != nil {
		return nil, fmt.Errorf("list signing keys: %w", err)
	}

	now := r.time()
	all := pointers(have)

	return tell(slices.DeleteFunc(slices.Clone(all), func(k *Record) bool { return k.closed(now) }), all, now), nil
}

// tell returns what may be told of some keys among all.
func tell(some, all []*Record, now time.Time) []jeton.SigningKey {
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

func status(k *Record, all []*Record, now time.Time) string {
	switch {
	case k.Revoked:
		return "revoked"
	case current(line(all, k.pair()), now) == k:
		return "current"
	case k.opened(now) || k.retired(now):
		return "retired"
	}

	return "next"
}

// time returns the time as the store keeps it.
func (r *Ring) time() time.Time { return time.UnixMilli(r.now().UnixMilli()).UTC() }

// tickEvery is how often the store is looked at for what other nodes have changed and for
// keys that are due. It bounds how late another node knows of a revocation.
const tickEvery = time.Minute

// Run rotates keys when they are due and takes over what other nodes have changed, until
// ctx ends.
func (r *Ring) Run(ctx context.Context) error {
	tick := time.NewTicker(tickEvery)
	defer tick.Stop()

	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			if err := r.tick(ctx); err != nil && ctx.Err() == nil {
				r.log.Error("signing keys were not looked after", "error", err)
			}
		}
	}
}

// tick does what Run does once a minute.
func (r *Ring) tick(ctx context.Context) error {
	n := *r.needs.Load()
	if !n.used {
		return nil // keys are nobody's business here, as in a command without a server
	}

	_, err := r.change(ctx, n, "schedule", func(c *draft) error {
		c.supply()

		for _, p := range c.pairs() {
			if err := c.schedule(p); err != nil {
				return err
			}
		}

		c.tidy()

		return nil
	})

	return err
}

// change is step for whoever adds keys to those that are there: where the secret does not
// open them it is not the one to seal others with.
func (r *Ring) change(ctx context.Context, n needs, by string, decide func(*draft) error) (*draft, error) {
	known, err := r.load(ctx)
	if err != nil {
		return nil, err
	}
	if err := known.shutError(r.secret); err != nil {
		return nil, err
	}

	return r.step(ctx, n, by, decide)
}

// errShort means that a step needs a key that has not been made before it.
var errShort = errors.New("a key is missing for this step")

// step has decide work out a change, first on what is read, so that the keys which it
// needs are made before the step and an unchanged store is not written; then in the step of the
// store. When it returns nil the ring knows what has changed.
func (r *Ring) step(ctx context.Context, n needs, by string, decide func(*draft) error) (*draft, error) {
	// Who asked may go away; what is on its way to the store must be known here all the same.
	ctx = context.WithoutCancel(ctx)
	have, err := r.store.ListKeys(ctx)
	if err != nil {
		return nil, err
	}

	fresh := map[Pair]Record{}
	const tries = 4
	for range tries {
		c := newDraft(have, fresh, n, by, r.time())
		if err := decide(c); err != nil || c.isEmpty() {
			return c, err
		}

		for _, p := range c.short {
			fresh[p], err = r.make(p)
			if err != nil {
				return nil, err
			}
		}

		err = r.store.ChangeKeys(ctx, func(found []Record) ([]Record, []string, []jeton.Event, error) {
			c = newDraft(found, fresh, n, by, r.time())
			if err := decide(c); err != nil {
				return nil, nil, nil, err
			}

			if len(c.short) > 0 {
				have = found
				return nil, nil, nil, errShort
			}

			return c.put(), c.drop, c.events, nil
		})
		if errors.Is(err, errShort) {
			continue // somebody was faster, and took what this step was to build on
		}
		if err != nil {
			return nil, err
		}

		for _, e := range c.events {
			r.log.Info("signing keys changed", "action", e.Action, "key", e.Target, "what", e.Reason, "by", by)
		}

		_, err = r.load(ctx)
		return c, err
	}

	return nil, jeton.WithDetail(jeton.ErrConflict, "the signing keys are changed by others; try again")
}

// make makes a key, which takes a second for RSA.
func (r *Ring) make(p Pair) (Record, error) {
	s, err := jose.Generate(p.Alg)
	if err != nil {
		return Record{}, err
	}

	der, err := s.MarshalPKCS8()
	if err != nil {
		return Record{}, fmt.Errorf("encode key: %w", err)
	}
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
