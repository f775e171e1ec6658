package guard

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/jose"
)

// How long a copy of the keys is good.
const (
	minFresh     = time.Minute
	maxFresh     = time.Hour
	defaultFresh = 5 * time.Minute // where the issuer does not say
	// lookEvery bounds how often tokens with unknown keys can have the issuer asked.
	lookEvery = 5 * time.Second
)

// trusted is a key of the issuer. While a key stays in the set, so does its trusted: what
// was checked with it is right as long as the pointer is in the set.
type trusted struct {
	jose.Key
	print string
}

// keyset is what the issuer published at a time. It is never changed.
type keyset struct {
	at    metadata
	keys  map[string]*trusted // by kid
	asked time.Time           // when it was asked for: what is newer may not be in it
	fresh time.Duration
}

// keyring holds the newest set.
type keyring struct {
	known atomic.Pointer[keyset]
	turn  sync.Mutex // of who fetches: no older set replaces a newer one

	mu     sync.Mutex
	err    error // of the last attempt
	flight *flight
	looked time.Time // when an unknown key last made us ask
	failed error     // what came of that
}

// flight is one look at the keys that many may wait for.
type flight struct {
	done chan struct{}
	err  error
}

func (k *keyring) ready(now time.Time) error {
	s := k.known.Load()
	switch {
	case s == nil:
		return fmt.Errorf("the issuer has not yet given its keys: %w", k.lastError())
	case age(now, s.asked) > s.fresh:
		return fmt.Errorf(
			"the keys of the issuer are from %s and have run out: %w",
			s.asked.UTC().Format(time.RFC3339),
			k.lastError(),
		)
	case len(s.keys) == 0:
		return errNoKeys
	}

	return nil
}

// errNoKeys is how it is with an issuer that has not signed anything yet, or issues opaque
// tokens alone.
var errNoKeys = errors.New("the issuer publishes no key that is of use here")

var errNotAsked = errors.New("it has not been asked")

func (k *keyring) lastError() error {
	k.mu.Lock()
	defer k.mu.Unlock()

	if k.err == nil {
		return errNotAsked
	}

	return k.err
}

// note keeps what came of an attempt, and returns what came of the one before.
func (k *keyring) note(err error) (before error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	before, k.err = k.err, err
	return before
}

// keepKeys fetches the keys where the copy is half as old as it may become.
func (g *Guard) keepKeys(ctx context.Context) error {
	s := g.keys.known.Load()
	if s != nil && len(s.keys) > 0 && age(g.conf.Now(), s.asked) < s.fresh/2 {
		return nil
	}

	err := g.renew(ctx)
	if ctx.Err() == nil {
		g.trouble("its keys", g.keys.note(err), err)
	}

	return err
}

// renew asks again where things are, and for the keys.
func (g *Guard) renew(ctx context.Context) error {
	at, err := g.discover(ctx)
	if err != nil {
		return fmt.Errorf("discover the issuer: %w", err)
	}
	return g.fetch(ctx, at)
}

// fetch asks for the keys.
func (g *Guard) fetch(ctx context.Context, at metadata) error {
	g.keys.turn.Lock()
	defer g.keys.turn.Unlock()

	asked := g.conf.Now()
	body, header, err := g.get(ctx, at.JWKS, patience)
	if err != nil {
		return fmt.Errorf("fetch keys: %w", err)
	}

	list, err := jose.ParseSet(body)
	if err != nil {
		return fmt.Errorf("fetch keys: %w", err)
	}

	s, old := &keyset{
		at:    at,
		keys:  map[string]*trusted{},
		asked: asked,
		fresh: freshness(header),
	}, g.keys.known.Load()
	for _, k := range list {
		t := &trusted{k, k.Thumbprint()}
		if old != nil {
			o := old.keys[k.ID]
			if o != nil && o.Alg == t.Alg && o.print == t.print {
				t = o
			}
		}

		s.keys[k.ID] = t
	}

	g.keys.known.Store(s)
	g.proofs.dropIf(func(p *proof) bool { return s.keys[p.key.ID] != p.key })

	return nil
}

// freshness returns for how long a copy may be kept (RFC 9111, sections 4.2 and 5.2.2).
func freshness(h http.Header) time.Duration {
	fresh := defaultFresh
	for _, line := range h.Values("Cache-Control") {
		for directive := range strings.SplitSeq(line, ",") {
			name, value, _ := strings.Cut(strings.TrimSpace(directive), "=")
			switch strings.ToLower(name) {
			case "no-store", "no-cache":
				return minFresh
			case "max-age":
				n, err := strconv.ParseUint(strings.Trim(value, `"`), 10, 31)
				if err != nil {
					return minFresh
				}
				fresh = time.Duration(n) * time.Second
			}
		}
	}

	if n, err := strconv.ParseUint(h.Get("Age"), 10, 31); err == nil {
		fresh -= time.Duration(n) * time.Second // it has lain in a cache on the way
	}

	return min(max(fresh, minFresh), maxFresh)
}

// key returns the key that a token names. One that is not known may be newer than our copy,
// and then the issuer is asked, for all who ask at the same time and once in a while. In
// between, a token that was issued before the last look has no key; of one that says it is
// newer nothing can be said.
func (g *Guard) key(ctx context.Context, kid string, issued time.Time) (*trusted, error) {
	if t := g.keys.known.Load().keys[kid]; t != nil {
		return t, nil
	}
	if err := g.look(ctx, issued); err != nil {
		return nil, err
	}
	if t := g.keys.known.Load().keys[kid]; t != nil {
		return t, nil
	}

	return nil, refused("key %.100q is none of the issuer's", kid)
}

// look fetches the keys because a token names one that is not known.
func (g *Guard) look(ctx context.Context, issued time.Time) error {
	k, now := &g.keys, g.conf.Now()
	k.mu.Lock()

	if f := k.flight; f != nil {
		k.mu.Unlock()

		select {
		case <-f.done:
			return f.err
		case <-ctx.Done():
			return g.unavailable(fmt.Errorf("wait for keys: %w", ctx.Err()))
		}
	}

	since := now.Sub(k.looked)
	if !k.looked.IsZero() && since >= 0 && since < lookEvery {
		looked, failed := k.looked, k.failed
		k.mu.Unlock()

		switch {
		case failed != nil:
			return failed
		case issued.Before(looked.Truncate(time.Second)): // iat is in whole seconds
			return nil
		}

		return jeton.WithRetryAfter(
			fmt.Errorf("%w: the keys were fetched just now", jeton.ErrUnavailable),
			lookEvery-since,
		)
	}

	f := &flight{done: make(chan struct{})}
	k.flight, k.looked = f, now
	k.mu.Unlock()

	// Others wait for it, so it does not end when the one who began it goes away.
	if err := g.fetch(context.WithoutCancel(ctx), k.known.Load().at); err != nil {
		f.err = g.unavailable(err)
	}

	k.mu.Lock()
	k.flight, k.failed = nil, f.err
	k.mu.Unlock()
	close(f.done)

	return f.err
}
