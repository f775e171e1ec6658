package signin

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"sync"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/cache"
	"github.com/jeton-auth/jeton/internal/limit"
	"github.com/jeton-auth/jeton/internal/secret"
)

const (
	// rememberFor is how long a password that was right is not hashed again.
	rememberFor = 5 * time.Minute
	// maxRemembered bounds how many are remembered.
	maxRemembered = 20_000
)

// passwordCache remembers names and passwords that were right at a network, so that a client which
// sends them with each request (RFC 7617) costs one slow hash and not one per request.
// Its keys are HMACs under a secret of this process, which reveal no password. A change of
// the account invalidates its entries before the change is answered.
type passwordCache struct {
	secret   [sha256.Size]byte
	verified *cache.Cache[Verified]

	mu         sync.Mutex                    // protects inProgress
	inProgress map[secret.Hash]chan struct{} // closed when the check is done
}

// newPasswordCache returns an empty cache with a new secret: its keys mean nothing to
// another process.
func newPasswordCache() *passwordCache {
	c := &passwordCache{
		verified:   cache.New[Verified](maxRemembered, nil),
		inProgress: map[secret.Hash]chan struct{}{},
	}

	_, _ = rand.Read(c.secret[:]) // never fails (crypto/rand)
	return c
}

// key returns the key of a name and a password at a network: what was proved at one network
// proves nothing at another. Lengths separate the parts.
func (c *passwordCache) key(req PasswordRequest) secret.Hash {
	by := "name"
	if req.ByEmail {
		by = "email" // an address is not a name with the same text
	}

	m := hmac.New(sha256.New, c.secret[:])
	for _, part := range []string{by, limit.Network(req.Source), req.Name} {
		m.Write(binary.BigEndian.AppendUint64(nil, uint64(len(part))))
		m.Write([]byte(part))
	}
	m.Write([]byte(req.Password.Reveal()))

	return secret.Hash(m.Sum(nil))
}

// find returns the user for a key, or nil.
func (c *passwordCache) find(key secret.Hash, now time.Time) *Verified {
	v := c.verified.Get(key)
	if v == nil {
		return nil
	}

	age := now.Sub(v.At)
	if age < 0 || age >= rememberFor { // a clock that is set back does not extend it
		return nil
	}

	return v
}

// lock waits until no other request checks the password, and keeps others from checking it
// until unlock is called.
func (c *passwordCache) lock(ctx context.Context, key secret.Hash) (unlock func(), err error) {
	// A loop: after a wait, another of the waiting requests may have been faster.
	for {
		c.mu.Lock()
		other, busy := c.inProgress[key]
		if !busy {
			done := make(chan struct{})
			c.inProgress[key] = done
			c.mu.Unlock()

			return func() {
				c.mu.Lock()
				delete(c.inProgress, key)
				c.mu.Unlock()
				// After delete: a request that wakes up must not find this entry again.
				close(done)
			}, nil
		}

		c.mu.Unlock()

		select {
		case <-other:
		case <-ctx.Done():
			// Nothing is known about the password, so this is not a failed attempt.
			return nil, fmt.Errorf("%w: %w", jeton.ErrUnavailable, ctx.Err())
		}
	}
}
