package guard

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/jeton-auth/jeton"
)

const (
	// maxLifetime is the longest lifetime of a token. No Jeton server issues longer ones.
	maxLifetime = 24 * time.Hour
	// keepRevoked is for how long an entry is kept, at least. It is longer than the lifetime of
	// any token, so that no token outlives its revocation.
	keepRevoked = maxLifetime + time.Hour
	// maxRevoked is how many entries are kept at most.
	maxRevoked = 1 << 20
)

// hash is a SHA-256. The list of revocations holds those of "jti:" with a jti, and of
// generations.
type hash = [sha256.Size]byte

// revocationSet is the guard's copy of the issuer's list of revocations.
type revocationSet struct {
	updating sync.Mutex // held by the goroutine that reads the list
	last     position

	mu   sync.RWMutex
	err  error     // of the last attempt
	asOf time.Time // the copy has every revocation up to this time. Zero: no copy yet
	// New entries go into newer. Every keepRevoked, older is dropped and newer takes its place:
	// no entry is dropped too early, and none needs a time of its own.
	newer, older map[hash]struct{}
	rotated      time.Time
}

// position is the last line of the list that was read. The zero value is its beginning.
type position struct {
	seq  int64
	hash hash
}

// ready returns why revocations are not known well enough, or nil.
func (s *revocationSet) ready(now time.Time, bound time.Duration) error {
	s.mu.RLock()
	defer s.mu.RUnlock()

	return s.stale(now, bound)
}

// stale returns an error if the copy is older than the bound. The caller holds mu.
func (s *revocationSet) stale(now time.Time, bound time.Duration) error {
	err := s.err
	if err == nil {
		err = errNoRequest
	}

	if s.asOf.IsZero() {
		return fmt.Errorf("the list of revocations has not been fetched yet: %w", err)
	}

	elapsed := age(now, s.asOf)
	if elapsed > bound {
		return fmt.Errorf("the list of revocations is %v old, longer than the bound %v: %w",
			elapsed.Round(time.Millisecond), bound, err)
	}

	return nil
}

// contains reports whether the set has one of two hashes. It returns an error if the copy is
// older than the bound.
func (s *revocationSet) contains(now time.Time, bound time.Duration, a, b hash) (bool, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()

	if err := s.stale(now, bound); err != nil {
		return false, err
	}

	for _, set := range []map[hash]struct{}{s.newer, s.older} {
		if _, ok := set[a]; ok {
			return true, nil
		}
		if _, ok := set[b]; ok {
			return true, nil
		}
	}

	return false, nil
}

// add adds entries. It returns an error over maxRevoked, after which the copy grows stale:
// the guard must not accept tokens by a list that lacks some.
func (s *revocationSet) add(list []hash) error {
	s.mu.Lock()
	defer s.mu.Unlock()

	for _, h := range list {
		if _, ok := s.newer[h]; ok {
			continue
		}
		if len(s.newer)+len(s.older) >= maxRevoked {
			return fmt.Errorf("the issuer lists more than %d revocations", maxRevoked)
		}

		s.newer[h] = struct{}{}
	}

	return nil
}

// rotate drops the entries that are older than every valid token.
func (s *revocationSet) rotate(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()

	if s.newer == nil {
		s.newer = map[hash]struct{}{}
		s.rotated = now
	}

	// By the monotonic clock alone: when the wall clock jumps back, expired tokens are valid again.
	if now.Sub(s.rotated) >= keepRevoked {
		s.older = s.newer
		s.newer = map[hash]struct{}{}
		s.rotated = now
	}
}

// updateRevocations fetches the revocations since the last call.
func (g *Guard) updateRevocations(ctx context.Context) error {
	s := &g.revoked
	s.updating.Lock()
	defer s.updating.Unlock()

	s.rotate(g.conf.Now())

	requested, err := g.readRevocations(ctx)
	if err != nil && ctx.Err() != nil {
		return err // Run is stopping
	}

	s.mu.Lock()
	before := s.err
	s.err = err
	if err == nil {
		// Only after a complete read: a failed one leaves the older time, so the bound still holds.
		s.asOf = requested
	}
	s.mu.Unlock()

	g.logTransition("revocations", before, err)

	return err
}

// readRevocations reads the list to its end and returns the time of the last page's request:
// the copy has all that was revoked by then, however long the response took.
//
// It starts at the line that it read last, which must still be there. If it is not, the server
// has dropped the line, or was restored from a backup and counts from an older line. Then the
// list is read from its beginning.
func (g *Guard) readRevocations(ctx context.Context) (requested time.Time, err error) {
	s := &g.revoked
	keys := g.keys.current.Load()
	if keys == nil {
		return requested, errors.New("the discovery document has not been fetched yet")
	}

	after := s.last.seq
	verifyLast := after > 0
	if verifyLast {
		// The page then begins with the line that was read last, if the list still has it.
		after--
	}

	for {
		requested = g.conf.Now()
		p, err := g.fetchPage(ctx, keys.metadata.Revocations, after)
		if err != nil {
			return requested, fmt.Errorf("fetch revocations after line %d: %w", after, err)
		}

		if verifyLast {
			verifyLast = false
			if len(p.hashes) == 0 || p.hashes[0] != s.last.hash {
				g.conf.Log.Info("the list of revocations has changed; reading it from its beginning",
					"issuer", g.conf.Issuer, "line", s.last.seq)
				// Entries of the old list are kept: no token is valid again because the list was.
				s.last = position{}
				after = 0
				continue
			}

			p.hashes = p.hashes[1:]
		}

		if err := s.add(p.hashes); err != nil {
			return requested, err
		}

		n := len(p.hashes)
		if n > 0 {
			s.last = position{p.next, p.hashes[n-1]}
		}

		after = p.next
		if !p.more {
			return requested, nil
		}
	}
}

// page is a jeton.Revocations that has been checked.
type page struct {
	next   int64
	more   bool
	hashes []hash
}

// fetchPage reads the page of the list after a line, and checks it. It may take as long as
// one step of the guard's pace, at most.
func (g *Guard) fetchPage(ctx context.Context, address string, after int64) (page, error) {
	resp, err := g.get(ctx, address+"?after="+strconv.FormatInt(after, 10), min(requestTimeout, g.pace))
	if err != nil {
		return page{}, err
	}

	var in struct {
		jeton.Revocations
		Next *int64    `json:"next"`
		Void *[]string `json:"void"`
	}
	if err := decode(resp.body, &in); err != nil {
		return page{}, err
	}

	// An error page in JSON would otherwise look like an empty list, and nothing as revoked.
	if in.Next == nil || in.Void == nil {
		return page{}, errors.New("invalid response: next or void is missing")
	}

	p := page{next: *in.Next, more: in.More}
	for i, text := range *in.Void {
		b, err := base64.RawURLEncoding.Strict().DecodeString(text)
		if err != nil || len(b) != len(hash{}) {
			return page{}, fmt.Errorf("entry %d is not a SHA-256", i+1)
		}
		p.hashes = append(p.hashes, hash(b))
	}

	// Line numbers increase, so a page of n entries ends at least n lines further on. A page
	// without entries ends where it began.
	n := int64(len(p.hashes))
	if p.next < after || p.next-after < n || n == 0 && (p.next != after || p.more) {
		return page{}, fmt.Errorf("a page of %d entries after line %d ends at line %d", n, after, p.next)
	}

	return p, nil
}
