package keys

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/jose"
	"github.com/jeton-auth/jeton/internal/store/change"
)

// Signing is a key with the header of the tokens that it signs. It is never changed.
type Signing struct {
	Signer *jose.Signer
	Head   string // as jose.Signer.SignHead takes it
}

// Sign returns the token with these claims, which are a JSON object.
func (s *Signing) Sign(claims []byte) (string, error) { return s.Signer.SignHead(s.Head, claims) }

// snapshot is the keys of the store as they were last read, opened. It is never changed.
type snapshot struct {
	keys   map[string]*key    // by kid
	pairs  map[Pair][]*Record // in order
	order  []*key             // oldest first
	sealed []sealed
	set    document
	until  time.Time // when the first key of the set is withdrawn; zero: never
}

// key is a key that the secret has opened.
type key struct {
	Record
	signing *Signing
}

// sealed is a key that the secret does not open.
type sealed struct {
	kid string
	err error
}

// document is the JWK Set with its entity tag, both made once per change of the keys.
type document struct {
	body []byte
	etag string
}

// Signer returns the current key, or an error when there is none.
func (r *Ring) Signer(kind Kind, alg jose.Alg) (*Signing, error) {
	s := r.cached.Load()
	p := Pair{kind, alg}
	k := current(s.pairs[p], r.now())
	if k == nil {
		return nil, fmt.Errorf("there is no key to sign %s", p)
	}

	return s.keys[k.ID].signing, nil
}

// Verifier returns the key with the kid if it checks tokens of that kind now: a next,
// current or retired one. An unknown key may be another node's; Reload reads the store.
func (r *Ring) Verifier(kind Kind, kid string) (jose.Key, bool) {
	k, ok := r.cached.Load().keys[kid]
	if !ok || k.Kind != kind || k.closed(r.now()) {
		return jose.Key{}, false
	}
	return k.signing.Signer.Key(), true
}

// JWKS returns the published keys as a JWK Set, oldest first, and its entity tag. The
// caller must not change the body.
func (r *Ring) JWKS() (body []byte, etag string) {
	s := r.cached.Load()
	now := r.now()
	if !s.until.IsZero() && !now.Before(s.until) {
		// A key of the set is withdrawn, and the next tick has not read the store yet.
		d, _ := publish(s.order, now)
		return d.body, d.etag
	}

	return s.set.body, s.set.etag
}

// publish makes the set of the keys that are not withdrawn, and returns until when it is
// correct.
func publish(order []*key, now time.Time) (d document, until time.Time) {
	var list []jose.Key
	for _, k := range order {
		// A retired key stays in the set until the last token that it has signed has expired.
		if k.closed(now) {
			continue
		}

		list = append(list, k.signing.Signer.Key())
		if !k.Closes.IsZero() && (until.IsZero() || k.Closes.Before(until)) {
			until = k.Closes
		}
	}

	// The tag is of the content, so all nodes send the same one and caches stay valid.
	d.body = jose.MarshalSet(list)
	sum := sha256.Sum256(d.body)
	d.etag = `"` + base64.RawURLEncoding.EncodeToString(sum[:16]) + `"`

	return d, until
}

// reloadEvery is the minimum time between reads of the store for tokens with unknown keys.
const reloadEvery = time.Second

// Reload reads the keys from the store, because a token names an unknown key. It reads once
// for all callers of the same time, and at most once a second; in between, it returns the
// result of the last read.
func (r *Ring) Reload(ctx context.Context) error {
	if err := r.lock(ctx); err != nil {
		return err
	}
	defer r.unlock()

	// A caller can invent kids: without the limit, each of them would be a read of the
	// database. A negative time is a clock that was set back.
	since := r.now().Sub(r.readAt)
	if since >= 0 && since < reloadEvery {
		return r.readErr
	}

	_, err := r.fetch(ctx)
	return err
}

// invalidate makes Fresh read the keys again.
func (r *Ring) invalidate(c change.Change) {
	if c.Kind == change.Keys || c.Kind == change.All {
		r.changes.Add(1)
	}
}

// Fresh makes the cached keys as new as the store requires. Signer, Verifier and JWKS use
// the cached keys.
func (r *Ring) Fresh(ctx context.Context) error {
	if err := r.store.Fresh(ctx); err != nil {
		return err
	}
	if r.seen.Load() == r.changes.Load() {
		return nil
	}

	if err := r.lock(ctx); err != nil {
		return fmt.Errorf("%w: %w", jeton.ErrUnavailable, err)
	}
	defer r.unlock()

	// Read before the keys are: an invalidation that comes during the read is counted as
	// unseen, and the next caller reads again.
	changes := r.changes.Load()
	if r.seen.Load() == changes {
		return nil // another caller has read them
	}
	if _, err := r.fetch(ctx); err != nil {
		return err
	}

	// Only now: callers that come before the cache is replaced must wait for the lock.
	r.seen.Store(changes)

	return nil
}

// load reads the keys from the store. The result is at least as new as the call.
func (r *Ring) load(ctx context.Context) (*snapshot, error) {
	if err := r.lock(ctx); err != nil {
		return nil, err
	}
	defer r.unlock()
	return r.fetch(ctx)
}

// lock waits for other reads: one reads at a time, so that an older result never replaces a
// newer one.
func (r *Ring) lock(ctx context.Context) error {
	select {
	case <-r.reading:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("read signing keys: %w", ctx.Err())
	}
}

// unlock lets the next reader read.
func (r *Ring) unlock() { r.reading <- struct{}{} }

// fetch is load for a caller that holds the lock. When the store cannot be read, the cached
// keys stay.
func (r *Ring) fetch(ctx context.Context) (*snapshot, error) {
	r.readAt = r.now()
	have, err := r.store.ListKeys(ctx)
	if err != nil {
		r.readErr = fmt.Errorf("read signing keys: %w", err)
		return nil, r.readErr
	}

	r.readErr = nil
	// Only keys that were not sealed before are logged: once for each, not at every read.
	old := r.cached.Load()
	s := r.build(have, old)
	for _, k := range s.sealed {
		if !slices.ContainsFunc(old.sealed, func(o sealed) bool { return o.kid == k.kid }) {
			r.log.Error("a signing key cannot be used", "key", k.kid, "file", r.secret.path, "error", k.err)
		}
	}

	r.cached.Store(s)

	return s, nil
}

// build opens keys, except those that old has opened already.
func (r *Ring) build(have []Record, old *snapshot) *snapshot {
	now := r.time()
	s := &snapshot{keys: map[string]*key{}, pairs: map[Pair][]*Record{}}
	var all []*Record
	for _, rec := range have {
		// A key that is not in the snapshot neither signs nor checks, whatever the kid of a
		// token.
		if rec.Ended(now) {
			continue
		}

		k := &key{Record: rec}
		// Opening and parsing a key costs more than the rest: an unchanged one is used again.
		o := old.keys[rec.ID]
		if o != nil && o.pair() == rec.pair() && o.Public == rec.Public && bytes.Equal(o.Sealed, rec.Sealed) {
			k.signing = o.signing
		} else {
			signer, err := r.secret.signer(&rec)
			if err != nil {
				s.sealed = append(s.sealed, sealed{rec.ID, err})
				continue
			}

			k.signing = &Signing{signer, signer.Head(rec.Kind.typ())}
		}

		s.keys[rec.ID] = k
		s.order = append(s.order, k)
		all = append(all, &k.Record)
	}

	for _, k := range all {
		p := k.pair()
		if s.pairs[p] == nil {
			s.pairs[p] = inOrder(all, p)
		}
	}

	s.set, s.until = publish(s.order, now)

	return s
}

// sealedError returns an error that says what to do about keys that the secret does not
// open, or nil.
func (s *snapshot) sealedError(secret Secret) error {
	if len(s.sealed) == 0 {
		return nil
	}

	var kids []string
	for _, k := range s.sealed {
		kids = append(kids, k.kid)
	}

	return fmt.Errorf(
		"the secret in %s does not open signing key %s: %w; restore the file from the backup, "+
			"or revoke each of these keys with 'jeton keys revoke KID', with the tokens that they have signed",
		secret.path,
		strings.Join(kids, ", "),
		s.sealed[0].err,
	)
}
