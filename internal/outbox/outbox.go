// Package outbox does the work that a store keeps until it is done: a mail to send, a logout token to deliver.
//
// What ends or changes something adds the work in the same step. A node claims what is due, and so makes it due again
// later: of many nodes one does it, and another one does it again if that node stops. No work is lost, and some is done
// twice. What the work is, how often it is tried and when it is given up is for packages mail and openid.
package outbox

import (
	"context"
	"sync"
	"time"
)

// poll is how often a node looks for the work of nodes that have stopped.
const poll = time.Minute

// Config is what New needs.
type Config[T any] struct {
	// Next returns when work is due, perhaps in the past, and whether there is any.
	Next func(ctx context.Context) (at time.Time, waiting bool, err error)
	// Claim returns some of what is due and makes it due again later. Of many nodes, one gets each.
	Claim func(ctx context.Context, now time.Time) ([]T, error)
	// Do does what was claimed, and deletes it from the store once it is done or given up.
	Do func(ctx context.Context, work T)
	// Ready reports whether work can be done: nothing is claimed before.
	Ready func() bool
	// Failed is called with the error of a store that does not answer. Run goes on.
	Failed func(error)
	Now    func() time.Time
}

// Box does the work of a store. It is safe for concurrent use.
type Box[T any] struct {
	conf Config[T]
	wake chan struct{}
}

// New returns a box. Run does its work.
func New[T any](c Config[T]) *Box[T] { return &Box[T]{c, make(chan struct{}, 1)} }

// Wake makes Run look for what is due. It does not wait.
func (b *Box[T]) Wake() {
	select {
	case b.wake <- struct{}{}:
	default: // it is about to
	}
}

// Run does what is due until ctx ends.
func (b *Box[T]) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		wait, err := b.doDue(ctx)
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

// doDue does what is due, and returns how long to wait for the next.
func (b *Box[T]) doDue(ctx context.Context) (time.Duration, error) {
	for {
		// Each time: a reload may have ended it since.
		if !b.conf.Ready() {
			return poll, nil
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

		list, err := b.conf.Claim(ctx, now)
		if err != nil {
			return poll, err
		}
		if len(list) == 0 {
			return time.Second, nil // another node has claimed it
		}

		var all sync.WaitGroup
		for _, work := range list {
			all.Go(func() { b.conf.Do(ctx, work) })
		}
		all.Wait()
	}
}
