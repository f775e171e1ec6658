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

// snapshot is what the store held when it was last read, opened. It is never changed.
type snapshot struct {
	keys  map[string]*key // by kid
	lines map[Pair][]*Record
	order []*key // oldest first
	shut  []shut
	set   document
	until time.Time // when a key of the set is withdrawn; zero: never
}

// key is a key that the secret has opened.
type key struct {
	Record
	signing *Signing
}

// shut is a key that the secret does not open.
type shut struct {
	kid string
	err error
}

type document struct {
	body []byte
	etag string
}

// Signer returns the key that signs now. The error says that there is none.
func (r *Ring) Signer(kind Kind, alg jose.Alg) (*Signing, error) {
	s := r.known.Load()
	p := Pair{kind, alg}
	k := current(s.lines[p], r.now())
	if k == nil {
		return nil, fmt.Errorf("no key signs %s", p)
	}

	return s.keys[k.ID].signing, nil
}

// Verifier returns the key of a kid if it checks tokens of that kind now: one that is next,
// current or retired. A key that is not known may be another node's; Reload asks the store.
func (r *Ring) Verifier(kind Kind, kid string) (jose.Key, bool) {
	k, ok := r.known.Load().keys[kid]
	if !ok || k.Kind != kind || k.closed(r.now()) {
		return jose.Key{}, false
	}
	return k.signing.Signer.Key(), true
}

// JWKS returns the published keys as a JWK Set, oldest first, and its entity tag. The
// caller must not change the body.
func (r *Ring) JWKS() (body []byte, etag string) {
	s := r.known.Load()
	now := r.now()
	if !s.until.IsZero() && !now.Before(s.until) {
		// Until the next tick reads the store. It is short work.
		d, _ := publish(s.order, now)
		return d.body, d.etag
	}

	return s.set.body, s.set.etag
}

// publish makes the set of the keys that are not withdrawn, and says until when it is right.
func publish(order []*key, now time.Time) (d document, until time.Time) {
	var list []jose.Key
	for _, k := range order {
		if k.closed(now) {
			continue
		}

		list = append(list, k.signing.Signer.Key())
		if !k.Closes.IsZero() && (until.IsZero() || k.Closes.Before(until)) {
			until = k.Closes
		}
	}

	d.body = jose.MarshalSet(list)
	sum := sha256.Sum256(d.body)
	d.etag = `"` + base64.RawURLEncoding.EncodeToString(sum[:16]) + `"`

	return d, until
}

// reloadEvery bounds how often tokens with unknown keys can have the store read.
const reloadEvery = time.Second

// Reload reads the keys from the store, because a token names one that is not known. It
// reads once for all who ask at the same time and at most once a second; in between, it
// returns what came of the last time.
func (r *Ring) Reload(ctx context.Context) error {
	if err := r.wait(ctx); err != nil {
		return err
	}
	defer r.pass()

	since := r.now().Sub(r.read)
	if since >= 0 && since < reloadEvery {
		return r.readErr
	}

	_, err := r.fetch(ctx)
	return err
}

// invalidate makes Fresh read the keys again.
func (r *Ring) invalidate(c change.Change) {
	if c.Kind == change.Keys || c.Kind == change.All {
		r.changed.Add(1)
	}
}

// Fresh makes what the ring knows at least as new as the store says that memory has to be.
// Signer, Verifier and JWKS tell what it knows.
func (r *Ring) Fresh(ctx context.Context) error {
	if err := r.store.Fresh(ctx); err != nil {
		return err
	}
	if r.seen.Load() == r.changed.Load() {
		return nil
	}
	if err := r.wait(ctx); err != nil {
		return fmt.Errorf("%w: %w", jeton.ErrUnavailable, err)
	}
	defer r.pass()

	// Only when what is known has been replaced is it as new as it has to be: until then all
	// who come meanwhile wait for their turn here.
	changed := r.changed.Load()
	if r.seen.Load() == changed {
		return nil // somebody else has read them
	}
	if _, err := r.fetch(ctx); err != nil {
		return err
	}

	r.seen.Store(changed)

	return nil
}

// load reads the keys from the store. What it returns is at least as new as the call.
func (r *Ring) load(ctx context.Context) (*snapshot, error) {
	if err := r.wait(ctx); err != nil {
		return nil, err
	}
	defer r.pass()
	return r.fetch(ctx)
}

// wait takes the turn: one reads at a time, so that an older reading never replaces a newer one.
func (r *Ring) wait(ctx context.Context) error {
	select {
	case <-r.turn:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("read signing keys: %w", ctx.Err())
	}
}

func (r *Ring) pass() { r.turn <- struct{}{} }

// fetch is load for whoever has the turn. When the store cannot be read, what is known stays.
func (r *Ring) fetch(ctx context.Context) (*snapshot, error) {
	r.read = r.now()
	have, err := r.store.ListKeys(ctx)
	if err != nil {
		r.readErr = fmt.Errorf("read signing keys: %w", err)
		return nil, r.readErr
	}

	r.readErr = nil
	old := r.known.Load()
	s := r.build(have, old)
	for _, k := range s.shut {
		if !slices.ContainsFunc(old.shut, func(o shut) bool { return o.kid == k.kid }) {
			r.log.Error("a signing key is of no use here", "key", k.kid, "secret", r.secret.path, "error", k.err)
		}
	}

	r.known.Store(s)

	return s, nil
}

// build opens keys, except those that old has opened already.
func (r *Ring) build(have []Record, old *snapshot) *snapshot {
	now := r.time()
	s := &snapshot{keys: map[string]*key{}, lines: map[Pair][]*Record{}}
	var all []*Record
	for _, rec := range have {
		if rec.Revoked || rec.closed(now) {
			continue
		}

		k := &key{Record: rec}
		o := old.keys[rec.ID]
		if o != nil && o.pair() == rec.pair() && o.Public == rec.Public && bytes.Equal(o.Sealed, rec.Sealed) {
			k.signing = o.signing
		} else {
			signer, err := r.secret.signer(&rec)
			if err != nil {
				s.shut = append(s.shut, shut{rec.ID, err})
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
		if s.lines[p] == nil {
			s.lines[p] = line(all, p)
		}
	}

	s.set, s.until = publish(s.order, now)

	return s
}

// shutError says what to do about keys that the secret does not open, or nil when it
// opens all.
func (s *snapshot) shutError(secret Secret) error {
	if len(s.shut) == 0 {
		return nil
	}

	var kids []string
	for _, k := range s.shut {
		kids = append(kids, k.kid)
	}

	return fmt.Errorf("the secret in %s does not open signing key %s: %w; it is another one, or the right one was lost: restore the file from the backup, or give up what these keys have signed with 'jeton keys revoke KID' for each",
		secret.path, strings.Join(kids, ", "), s.shut[0].err)
}
