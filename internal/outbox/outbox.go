// Package outbox does the work that a store keeps until it is done: a mail to send, a logout token to deliver.
//
// What ends or changes something adds the work in the same step. A node claims what is due, and so makes it due again
// later: of many nodes one does it, and another one does it again if that node stops. No work is lost, and some is done
// twice. What the work is, how often it is tried and when it is given up is for packages mail and openid.
package outbox

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jeton-auth/jeton/internal/store/change"
)

// poll is how often a node looks for the work of nodes that have stopped.
const poll = time.Minute

// Config is what New needs.
type Config[T any] struct {
	// Feed is of the store: its changes may add work. New subscribes.
	Feed Feed
	// Next returns when work is due, perhaps in the past, and whether there is any.
	Next func(ctx context.Context) (at time.Time, waiting bool, err error)
	// Claim returns at most limit pieces of what is due and makes them due again later. Of many nodes, one gets each.
	Claim func(ctx context.Context, now time.Time, limit int) ([]T, error)
	// Do does what was claimed, and deletes it from the store once it is done or given up. Each call has a goroutine.
	Do func(ctx context.Context, work T)
	// AtOnce is how much of it a node does at the same time. A piece that takes long holds one of these places, and
	// nothing else waits for it.
	AtOnce int
	// Ready reports whether work can be done: nothing is claimed before.
	Ready func() bool
	// Failed is called with the error of a store that does not answer. Run goes on.
	Failed func(error)
	Now    func() time.Time
}

// Feed is where a box learns of changes; see change.Feed.
type Feed interface {
	Subscribe(func(change.Change))
}

// Box does the work of a store. It is safe for concurrent use.
type Box[T any] struct {
	conf Config[T]
	wake chan struct{}
	busy atomic.Int64 // how much is being done; only Run adds
	all  sync.WaitGroup
}

// New returns a box. Run does its work.
func New[T any](c Config[T]) *Box[T] {
	b := &Box[T]{conf: c, wake: make(chan struct{}, 1)}

	// Sessions that end and users who change are what mails and logouts are about.
	c.Feed.Subscribe(func(ch change.Change) {
		switch ch.Kind {
		case change.Sessions, change.Users, change.All:
			b.Wake()
		}
	})

	return b
}

// Wake makes Run look for what is due. It does not wait.
func (b *Box[T]) Wake() {
	select {
	case b.wake <- struct{}{}:
	default: // it is about to
	}
}

// Run does what is due until ctx ends, and returns once nothing is in progress. It is called once.
func (b *Box[T]) Run(ctx context.Context) error {
	defer b.all.Wait()

	for ctx.Err() == nil {
		wait, err := b.begin(ctx)
		if err != nil && ctx.Err() == nil {
			b.conf.Failed(err)
		}

		select {
		case <-ctx.Done():
		case <-b.wake:
		case <-time.After(wait):
		}
	}

	return nil
}

// begin begins what is due, as far as there are places, and returns how long to wait for the next.
func (b *Box[T]) begin(ctx context.Context) (time.Duration, error) {
	for {
		free := b.conf.AtOnce - int(b.busy.Load())
		// Each time: a reload may have ended it since.
		if free == 0 || !b.conf.Ready() {
			return poll, nil // the work that ends wakes it
		}

		at, waiting, err := b.conf.Next(ctx)
		if err != nil || !waiting {
			return poll, err
		}

		now := b.conf.Now()
		wait := at.Sub(now)
		if wait > 0 {
			return min(wait, poll), nil
		}

		list, err := b.conf.Claim(ctx, now, free)
		if err != nil {
			return poll, err
		}
		if len(list) == 0 {
			// Another node has claimed it, or Claim leaves it until other work has ended.
			if b.busy.Load() > 0 {
				return poll, nil // the work that ends wakes it
			}
			return time.Second, nil
		}

		for _, work := range list {
			b.busy.Add(1)
			b.all.Go(func() {
				defer b.Wake()
				defer b.busy.Add(-1)
				b.conf.Do(ctx, work)
			})
		}
	}
}
