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

// How long cached keys are valid.
const (
	minKeyLifetime     = time.Minute
	maxKeyLifetime     = time.Hour
	defaultKeyLifetime = 5 * time.Minute // if the issuer sends no max-age
	// unknownKeyInterval limits how often tokens with unknown keys make the guard fetch keys.
	unknownKeyInterval = 5 * time.Second
)

// issuerKey is a key of the issuer. A key that stays in the set keeps its pointer, so a token
// verified by a key stays verified while the pointer is in the set.
type issuerKey struct {
	jose.Key
	thumbprint string
}

// keyset is what the issuer published at one time. It is never changed.
type keyset struct {
	metadata  metadata
	keys      map[string]*issuerKey // by kid
	requested time.Time             // keys that are newer than this may be missing
	lifetime  time.Duration
}

// keyring holds the newest set.
type keyring struct {
	current  atomic.Pointer[keyset]
	fetching sync.Mutex // held during a fetch, so that no older set replaces a newer one

	mu         sync.Mutex // protects all below
	err        error      // of the last attempt
	flight     *flight
	lastLookup time.Time // when an unknown key last caused a fetch
	lookupErr  error     // of that fetch
}

// flight is one fetch of the keys that many callers may wait for.
type flight struct {
	done chan struct{}
	err  error
}

// ready returns why no token can be checked now, or nil.
func (k *keyring) ready(now time.Time) error {
	set := k.current.Load()
	switch {
	case set == nil:
		return fmt.Errorf("the issuer's keys have not been fetched yet: %w", k.lastError())
	case age(now, set.requested) > set.lifetime:
		return fmt.Errorf("the issuer's keys, fetched at %s, have expired: %w",
			set.requested.UTC().Format(time.RFC3339), k.lastError())
	case len(set.keys) == 0:
		return errNoKeys
	}

	return nil
}

// errNoKeys is returned for an issuer that has not signed a token yet, or that issues only
// opaque tokens.
var errNoKeys = errors.New("the issuer publishes no usable key")

// errNoRequest is the last error while Run has not begun.
var errNoRequest = errors.New("no request has been sent")

// lastError returns why the last attempt failed. It is never nil.
func (k *keyring) lastError() error {
	k.mu.Lock()
	defer k.mu.Unlock()

	if k.err == nil {
		return errNoRequest
	}

	return k.err
}

// setError stores the result of an attempt and returns that of the previous one.
func (k *keyring) setError(err error) (before error) {
	k.mu.Lock()
	defer k.mu.Unlock()

	before = k.err
	k.err = err

	return before
}

// refreshKeys fetches the keys when half of their lifetime has passed.
func (g *Guard) refreshKeys(ctx context.Context) error {
	set := g.keys.current.Load()
	if set != nil && len(set.keys) > 0 && age(g.conf.Now(), set.requested) < set.lifetime/2 {
		return nil
	}

	err := g.discoverAndFetch(ctx)
	// When Run ends, the request fails because of that, which is no error of the issuer.
	if ctx.Err() == nil {
		g.logTransition("keys", g.keys.setError(err), err)
	}

	return err
}

// discoverAndFetch reads the addresses again before the keys, so that a change of the
// issuer's endpoints is noticed.
func (g *Guard) discoverAndFetch(ctx context.Context) error {
	m, err := g.discover(ctx)
	if err != nil {
		return fmt.Errorf("discover the issuer: %w", err)
	}

	return g.fetchKeys(ctx, m)
}

// fetchKeys replaces the current set by the one that the issuer publishes.
func (g *Guard) fetchKeys(ctx context.Context, m metadata) error {
	g.keys.fetching.Lock()
	defer g.keys.fetching.Unlock()

	// Before the request: a key that is published while the answer is under way may be missing in it.
	requested := g.conf.Now()
	resp, err := g.get(ctx, m.JWKS, requestTimeout)
	if err != nil {
		return fmt.Errorf("fetch keys: %w", err)
	}

	list, _, err := jose.ParseSet(resp.body)
	if err != nil {
		return fmt.Errorf("fetch keys: %w", err)
	}

	var previous map[string]*issuerKey
	set := g.keys.current.Load()
	if set != nil {
		previous = set.keys
	}

	keys := map[string]*issuerKey{}
	for _, k := range list {
		key := &issuerKey{k, k.Thumbprint()}
		old := previous[k.ID]
		// The same key keeps its pointer, and with it all tokens that it has verified.
		if old != nil && old.Alg == key.Alg && old.thumbprint == key.thumbprint {
			key = old
		}

		// Tokens name a key by its kid alone, and our issuer never gives one to two keys.
		if keys[k.ID] != nil {
			return fmt.Errorf("fetch keys: two keys have the kid %.80q", k.ID)
		}

		keys[k.ID] = key
	}

	g.keys.current.Store(&keyset{
		metadata:  m,
		keys:      keys,
		requested: requested,
		lifetime:  cacheLifetime(resp.header),
	})

	// After the new set is stored: a token added in between is checked against it by verify.
	g.verified.dropIf(func(v *verifiedToken) bool { return keys[v.key.ID] != v.key })

	return nil
}

// cacheLifetime returns for how long a response may be cached (RFC 9111, sections 4.2 and 5.2.2).
func cacheLifetime(h http.Header) time.Duration {
	lifetime := defaultKeyLifetime
	for _, line := range h.Values("Cache-Control") {
		for directive := range strings.SplitSeq(line, ",") {
			name, value, _ := strings.Cut(strings.TrimSpace(directive), "=")
			switch strings.ToLower(name) {
			case "no-store", "no-cache":
				return minKeyLifetime
			case "max-age":
				n, err := strconv.ParseUint(strings.Trim(value, `"`), 10, 31)
				if err != nil {
					return minKeyLifetime
				}
				lifetime = time.Duration(n) * time.Second
			}
		}
	}

	if n, err := strconv.ParseUint(h.Get("Age"), 10, 31); err == nil {
		lifetime -= time.Duration(n) * time.Second // the time in a cache on the way
	}

	return min(max(lifetime, minKeyLifetime), maxKeyLifetime)
}

// key returns the key that a token names. An unknown key may be newer than the cached keys, so
// the keys are fetched: once for all tokens that wait, and at most once per unknownKeyInterval.
// Between two fetches, the key of a token issued before the last fetch does not exist. That of
// a newer token may exist: the error is jeton.ErrUnavailable.
func (g *Guard) key(ctx context.Context, kid string, issued time.Time) (*issuerKey, error) {
	key := g.keys.current.Load().keys[kid]
	if key != nil {
		return key, nil
	}

	if err := g.fetchForUnknown(ctx, issued); err != nil {
		return nil, err
	}

	key = g.keys.current.Load().keys[kid]
	if key == nil {
		return nil, refused("key %.100q is not a key of the issuer", kid)
	}

	return key, nil
}

// fetchForUnknown fetches the keys because a token names an unknown one.
func (g *Guard) fetchForUnknown(ctx context.Context, issued time.Time) error {
	k := &g.keys
	now := g.conf.Now()

	k.mu.Lock()
	f := k.flight
	if f != nil {
		k.mu.Unlock()
		return g.wait(ctx, f)
	}

	// Any caller can send tokens with unknown key identifiers: they must not make the guard flood the issuer.
	elapsed := now.Sub(k.lastLookup)
	if !k.lastLookup.IsZero() && elapsed >= 0 && elapsed < unknownKeyInterval {
		defer k.mu.Unlock()

		if k.lookupErr != nil {
			return k.lookupErr
		}
		if issued.Before(k.lastLookup.Truncate(time.Second)) { // iat is in whole seconds
			return nil
		}

		err := fmt.Errorf("%w: the keys were fetched just now", jeton.ErrUnavailable)
		return jeton.WithRetryAfter(err, unknownKeyInterval-elapsed)
	}

	f = &flight{done: make(chan struct{})}
	k.flight = f
	k.lastLookup = now
	k.mu.Unlock()

	// Other callers wait for this fetch, so it goes on when the request that began it is cancelled.
	if err := g.fetchKeys(context.WithoutCancel(ctx), k.current.Load().metadata); err != nil {
		f.err = g.unavailable(err)
	}

	k.mu.Lock()
	k.flight = nil
	k.lookupErr = f.err
	k.mu.Unlock()
	close(f.done)

	return f.err
}

// wait waits for a fetch that another caller began.
func (g *Guard) wait(ctx context.Context, f *flight) error {
	select {
	case <-f.done:
		return f.err
	case <-ctx.Done():
		return g.unavailable(fmt.Errorf("wait for keys: %w", ctx.Err()))
	}
}
