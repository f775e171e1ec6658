// Package change invalidates what is cached of a store.
//
// A cache subscribes to the Feed of the store. It promises that a change has reached every
// subscriber, on every node, before the call that made the change returns. Which rows a
// step changes is for internal/store/statements to say; internal/store/postgres carries
// changes to other nodes.
//
// # Example
//
//	feed.Subscribe(func(c change.Change) {
//		if c.Kind == change.Sessions {
//			cache.Drop(c.Hashes...)
//		}
//	})
package change

import (
	"context"
	"sync"

	"github.com/jeton-auth/jeton/internal/secret"
)

// Kind is the sort of a change. The database holds the numbers: never reuse one.
type Kind int16

// The kinds of change.
const (
	Sessions Kind = 1 // sessions ended: Hashes of their secrets
	Tokens   Kind = 2 // tokens ended or became void: Hashes of secrets, of a jti or of a generation
	Users    Kind = 3 // users changed, and all that depends on them: IDs
	Clients  Kind = 4 // clients changed, and all that depends on them: IDs
	Keys     Kind = 5 // the server's signing keys changed
	All      Kind = 6 // anything may have changed
	Replaced Kind = 7 // the secrets of sessions were replaced: Hashes of the previous ones
)

// Change says which cached values are outdated.
type Change struct {
	Kind   Kind
	IDs    []int64
	Hashes []secret.Hash
}

// Feed is the part of a store that keeps caches correct.
type Feed interface {
	// Subscribe registers a function that is called with every change that any node makes:
	// after the change is durable and before the call that made it returns, and also when
	// that caller has given up. A cache subscribes before it reads anything from the store.
	// The function must not call the store.
	Subscribe(invalidate func(Change))
	// Fresh returns nil when the subscribers have received every change up to now, or up to
	// as long ago as the operator allows: cached values may be used. Otherwise it returns
	// jeton.ErrUnavailable.
	Fresh(ctx context.Context) error
	// Settle returns when no node uses a value any more that was outdated before the call,
	// or returns jeton.ErrUnavailable. A caller that finds nothing left to end waits here:
	// another may have ended it a moment ago and still be waiting for the nodes.
	Settle(ctx context.Context) error
}

// Subscribers implements Feed.Subscribe. The zero value is ready, and safe for concurrent use.
type Subscribers struct {
	mu   sync.RWMutex
	list []func(Change)
}

// Subscribe implements Feed.
func (s *Subscribers) Subscribe(invalidate func(Change)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.list = append(s.list, invalidate)
}

// maxUsers is how many users one change names. A cache looks through all its values for each.
const maxUsers = 16

// Publish calls every subscriber with each change.
func (s *Subscribers) Publish(changes ...Change) {
	// Held during the calls, so that Publish returns only after each subscriber was called.
	s.mu.RLock()
	defer s.mu.RUnlock()

	for _, c := range changes {
		unknown := c.Kind < Sessions || c.Kind > Replaced // a newer node made it
		// Too much is invalidated rather than too little: an unknown kind may be a revocation.
		if unknown || c.Kind == Users && len(c.IDs) > maxUsers {
			c = Change{Kind: All}
		}

		for _, invalidate := range s.list {
			invalidate(c)
		}
	}
}
