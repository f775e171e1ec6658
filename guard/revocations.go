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
	// maxLife is how long a token may be good: no server of ours issues longer ones.
	maxLife = 24 * time.Hour
	// keepVoid is for how long what is void is remembered, at least: longer than any token
	// that it could be about, so that none outlives its revocation.
	keepVoid = maxLife + time.Hour
	// maxVoid bounds how many are remembered.
	maxVoid = 1 << 20
)

// hash is a SHA-256. The list of what is void has those of "jti:" with a jti, and of
// generations.
type hash = [sha256.Size]byte

// feed is what is void, and how we know.
type feed struct {
	turn sync.Mutex // of who asks
	last position

	mu    sync.RWMutex
	err   error     // of the last attempt
	heard time.Time // all that was void when this was is known. Zero: nothing
	// What is void goes into the young set. Every keepVoid the old one is dropped and the
	// young takes its place, so that nothing is forgotten too early and no entry needs a time.
	young, old map[hash]struct{}
	turned     time.Time
}

// position is the last line of the list that we have. The zero value is its beginning.
type position struct {
	seq  int64
	hash hash
}

func (f *feed) ready(now time.Time, bound time.Duration) error {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.stale(now, bound)
}

func (f *feed) stale(now time.Time, bound time.Duration) error {
	err := f.err
	if err == nil {
		err = errNotAsked
	}

	switch {
	case f.heard.IsZero():
		return fmt.Errorf("the issuer has not yet said what is revoked: %w", err)
	case age(now, f.heard) > bound:
		return fmt.Errorf(
			"the issuer last said what is revoked %v ago, which is over the bound: %w",
			age(now, f.heard).Round(time.Millisecond),
			err,
		)
	}

	return nil
}

// void reports whether one of two hashes is void. The error says that this is not known.
func (f *feed) void(now time.Time, bound time.Duration, a, b hash) (bool, error) {
	f.mu.RLock()
	defer f.mu.RUnlock()

	if err := f.stale(now, bound); err != nil {
		return false, err
	}

	for _, set := range []map[hash]struct{}{f.young, f.old} {
		if _, ok := set[a]; ok {
			return true, nil
		}
		if _, ok := set[b]; ok {
			return true, nil
		}
	}

	return false, nil
}

// remember adds what is void.
func (f *feed) remember(list []hash) error {
	f.mu.Lock()
	defer f.mu.Unlock()

	for _, h := range list {
		if _, ok := f.young[h]; ok {
			continue
		}
		if len(f.young)+len(f.old) >= maxVoid {
			return fmt.Errorf("more is void than the %d entries that are remembered", maxVoid)
		}

		f.young[h] = struct{}{}
	}

	return nil
}

// forget drops what cannot matter any more.
func (f *feed) forget(now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()

	if f.young == nil {
		f.young, f.turned = map[hash]struct{}{}, now
	}
	// By the monotonic clock alone: where the other one leaps, tokens may be back that are over.
	if now.Sub(f.turned) >= keepVoid {
		f.old, f.young, f.turned = f.young, map[hash]struct{}{}, now
	}
}

// listen asks what has become void since the last time.
func (g *Guard) listen(ctx context.Context) error {
	f := &g.feed
	f.turn.Lock()
	defer f.turn.Unlock()

	f.forget(g.conf.Now())
	sent, err := g.follow(ctx)
	if err != nil && ctx.Err() != nil {
		return err // Run is ending
	}

	f.mu.Lock()
	before := f.err
	f.err = err
	if err == nil {
		f.heard = sent
	}

	f.mu.Unlock()
	g.trouble("what is revoked", before, err)

	return err
}

// follow reads the list to its end, and returns when the last page was asked for: what was
// void by then is known, whenever the answer came.
//
// It begins with the line that it read last, which must be there still. If it is not, it has
// been forgotten by the server, or the server's store was put back to an older state and
// counts its lines anew: then the list is read from its beginning.
func (g *Guard) follow(ctx context.Context) (sent time.Time, err error) {
	f := &g.feed
	s := g.keys.known.Load()
	if s == nil {
		return sent, errors.New("the issuer has not yet said where its list is")
	}

	after, again := f.last.seq, f.last.seq > 0
	if again {
		after--
	}

	for {
		sent = g.conf.Now()
		p, err := g.page(ctx, s.at.Void, after)
		if err != nil {
			return sent, fmt.Errorf("ask what is void after line %d: %w", after, err)
		}

		if again {
			again = false
			if len(p.void) == 0 || p.void[0] != f.last.hash {
				g.conf.Log.Info("the list of what is revoked begins anew", "issuer", g.conf.Issuer, "line", f.last.seq)
				f.last, after = position{}, 0
				continue
			}

			p.void = p.void[1:]
		}

		if err := f.remember(p.void); err != nil {
			return sent, err
		}

		n := len(p.void)
		if n > 0 {
			f.last = position{p.next, p.void[n-1]}
		}

		after = p.next
		if !p.more {
			return sent, nil
		}
	}
}

// page is a jeton.Revocations that has been checked.
type page struct {
	next int64
	more bool
	void []hash
}

func (g *Guard) page(ctx context.Context, address string, after int64) (page, error) {
	body, _, err := g.get(ctx, address+"?after="+strconv.FormatInt(after, 10), min(patience, g.pace))
	if err != nil {
		return page{}, err
	}

	var in struct {
		jeton.Revocations
		Next *int64    `json:"next"`
		Void *[]string `json:"void"`
	}
	if err := decode(body, &in); err != nil {
		return page{}, err
	}
	if in.Next == nil || in.Void == nil {
		return page{}, errors.New("the answer is not a page of the list")
	}

	p := page{next: *in.Next, more: in.More, void: make([]hash, len(*in.Void))}
	for i, text := range *in.Void {
		b, err := base64.RawURLEncoding.Strict().DecodeString(text)
		if err != nil || len(b) != len(hash{}) {
			return page{}, fmt.Errorf("entry %d is not a SHA-256", i+1)
		}
		p.void[i] = hash(b)
	}

	// Lines are counted upwards, so a page of n ends n lines further on at least, and one that
	// has none where it began.
	n := int64(len(p.void))
	if p.next < after || p.next-after < n || n == 0 && (p.next != after || p.more) {
		return page{}, fmt.Errorf("a page of %d entries after line %d ends at line %d", n, after, p.next)
	}

	return p, nil
}
