package postgres

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/jeton-auth/jeton"
)

// link knows whether the database is there. While it is not, requests fail at once, and only the
// node protocol looks for it.
type link struct {
	mu     sync.Mutex
	ctx    context.Context // done when the database is lost
	cancel context.CancelCauseFunc
	err    error // why it is lost; nil while it is there
}

// up notes that the database is there. What failed while it was lost is not run again.
func (l *link) up() {
	l.mu.Lock()
	defer l.mu.Unlock()

	if l.ctx == nil || l.err != nil {
		l.ctx, l.cancel = context.WithCancelCause(context.Background())
		l.err = nil
	}
}

// down ends everything that waits for the database.
func (l *link) down(cause error) {
	l.mu.Lock()
	defer l.mu.Unlock()

	if l.err == nil {
		l.err = cause
		l.cancel(cause)
	}
}

// bind returns a context that ends with the link, with ctx, or after the limit. It returns an
// error when the database is lost.
func (l *link) bind(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc, error) {
	l.mu.Lock()
	lost, linked := l.err, l.ctx
	l.mu.Unlock()

	if lost != nil {
		return nil, nil, jeton.WithRetryAfter(fmt.Errorf("%w: %w", jeton.ErrUnavailable, lost), time.Second)
	}
	if err := ctx.Err(); err != nil {
		return nil, nil, fmt.Errorf("%w: %w", jeton.ErrUnavailable, err)
	}

	ctx, cancel := context.WithTimeout(ctx, limit)
	// The link lives longer than the request: without release it would keep every context.
	release := context.AfterFunc(linked, cancel)

	return ctx, func() { release(); cancel() }, nil
}

// isUp reports what up and down noted last. It asks the database nothing.
func (l *link) isUp() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err == nil
}
