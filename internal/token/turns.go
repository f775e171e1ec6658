package token

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/jeton-auth/jeton"
)

// The store makes the tokens of one owner one after the other, because it counts them. Of many at once, atOnce wait in
// the store, each with a connection of it; the others wait here, so that they keep none from other owners.
const (
	atOnce      = 4
	longestTurn = 10 * time.Second
)

// turns lets steps about one owner wait for each other. It is safe for concurrent use; its zero value has none waiting.
type turns struct {
	mu sync.Mutex
	of map[string]*turn
}

// turn is of one owner.
type turn struct {
	slots chan struct{}
	users int // that have a slot or wait for one
}

// take waits for a slot of an owner, and returns the function that gives it back. It returns jeton.ErrBusy if the slot
// is not free in time.
func (t *turns) take(ctx context.Context, owner string) (free func(), err error) {
	one := t.join(owner)
	ctx, cancel := context.WithTimeout(ctx, longestTurn)
	defer cancel()

	select {
	case one.slots <- struct{}{}:
		return func() {
			<-one.slots
			t.leave(owner)
		}, nil
	case <-ctx.Done():
		t.leave(owner)
		return nil, jeton.WithRetryAfter(
			fmt.Errorf("%w: many tokens of %s are made at once: %w", jeton.ErrBusy, owner, ctx.Err()),
			time.Second,
		)
	}
}

func (t *turns) join(owner string) *turn {
	t.mu.Lock()
	defer t.mu.Unlock()

	if t.of == nil {
		t.of = map[string]*turn{}
	}
	one := t.of[owner]
	if one == nil {
		one = &turn{slots: make(chan struct{}, atOnce)}
		t.of[owner] = one
	}
	one.users++

	return one
}

func (t *turns) leave(owner string) {
	t.mu.Lock()
	defer t.mu.Unlock()

	one := t.of[owner]
	one.users--
	if one.users == 0 {
		delete(t.of, owner)
	}
}
