package gate

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"sync"
	"time"

	"github.com/jeton-auth/jeton/internal/secret"
)

const (
	// repeatWithin is how long a use pays for the same request again, when another proxy asks about it again.
	repeatWithin = 10 * time.Second
	// maxRepeats is how many uses are remembered, in about 200 bytes each. One that is forgotten early makes a
	// repeated request take a use of its own, and never gives one away.
	maxRepeats = 32_768
)

// repeats remembers the uses that requests of other proxies took: a proxy may ask twice about one request. Its zero
// value is empty. It is safe for concurrent use.
type repeats struct {
	mu     sync.Mutex
	newer  map[secret.Hash]*taken
	older  map[secret.Hash]*taken // before newer began
	rotate time.Time              // when older is forgotten
}

// taken is a use that was taken, or is being taken.
type taken struct {
	done chan struct{} // closed when the rest is known
	ok   bool
	left int64
	at   time.Time
}

// spend calls take, unless the same request has taken its use within the last ten seconds. Of concurrent calls with
// one key, one calls take, and the others wait for it. A failure is not remembered.
func (r *repeats) spend(
	ctx context.Context,
	key secret.Hash,
	now func() time.Time,
	take func() (int64, error),
) (int64, error) {
	for {
		t, mine := r.entry(key, now())
		if mine {
			return r.take(key, t, now, take)
		}

		select {
		case <-t.done:
		case <-ctx.Done():
			return 0, ctx.Err()
		}
		if t.ok {
			return t.left, nil
		}
	}
}

// take takes the use of an entry.
func (r *repeats) take(key secret.Hash, t *taken, now func() time.Time, take func() (int64, error)) (int64, error) {
	defer close(t.done) // also after a panic, which leaves ok false: then the next caller takes the use
	left, err := take()

	r.mu.Lock()
	defer r.mu.Unlock()

	t.left, t.ok = left, err == nil
	t.at = now()
	if err != nil {
		delete(r.newer, key)
		delete(r.older, key)
	}

	return left, err
}

// entry returns the entry of a key, and whether the caller has to take the use: there was none, or it is too old.
func (r *repeats) entry(key secret.Hash, now time.Time) (t *taken, mine bool) {
	r.mu.Lock()
	defer r.mu.Unlock()

	// A clock that was set back makes the entries of the future useless, too.
	if now.After(r.rotate) || r.rotate.Sub(now) > repeatWithin || len(r.newer) >= maxRepeats/2 {
		r.newer, r.older = map[secret.Hash]*taken{}, r.newer
		r.rotate = now.Add(repeatWithin)
	}

	t = r.newer[key]
	if t == nil {
		t = r.older[key]
	}
	if t != nil && t.valid(now) {
		return t, false
	}

	t = &taken{done: make(chan struct{})}
	r.newer[key] = t

	return t, true
}

// valid reports whether an entry still counts. The caller holds the lock.
func (t *taken) valid(now time.Time) bool {
	select {
	case <-t.done:
		return t.ok && !now.Before(t.at) && now.Sub(t.at) < repeatWithin
	default:
		return true // it is being taken
	}
}

// repeatKey returns under which key the use of a request is remembered, by what names the request and by whose uses
// are counted.
func repeatKey(req *Request, holder int64) secret.Hash {
	b := make([]byte, 0, 256)
	for _, list := range [][]string{req.Repeat, {req.Service.Name, req.Route}} {
		for _, text := range list {
			b = append(binary.AppendUvarint(b, uint64(len(text))), text...)
		}
	}

	return sha256.Sum256(binary.AppendVarint(b, holder))
}
