package postgres

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/jeton-auth/jeton"
)

// link says whether the database is there. While it is not, nobody waits for it but the
// one who looks for it.
type link struct {
	mu  sync.Mutex
	ctx context.Context
	cut context.CancelCauseFunc
	err error
}

func (l *link) up() {
	l.mu.Lock()
	defer l.mu.Unlock()

	if l.ctx == nil || l.err != nil {
		l.ctx, l.cut = context.WithCancelCause(context.Background())
		l.err = nil
	}
}

// down ends whatever is being asked, with why.
func (l *link) down(why error) {
	l.mu.Lock()
	defer l.mu.Unlock()

	if l.err == nil {
		l.err = why
		l.cut(why)
	}
}

// bind returns a context that ends with the link, with ctx, and after so long.
func (l *link) bind(ctx context.Context, most time.Duration) (context.Context, context.CancelFunc, error) {
	l.mu.Lock()
	gone, linked := l.err, l.ctx
	l.mu.Unlock()

	if gone != nil {
		return nil, nil, jeton.WithRetryAfter(fmt.Errorf("%w: %w", jeton.ErrUnavailable, gone), time.Second)
	}
	if err := ctx.Err(); err != nil {
		return nil, nil, fmt.Errorf("%w: %w", jeton.ErrUnavailable, err)
	}

	ctx, cancel := context.WithTimeout(ctx, most)
	release := context.AfterFunc(linked, cancel)

	return ctx, func() { release(); cancel() }, nil
}

func (l *link) isUp() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err == nil
}
