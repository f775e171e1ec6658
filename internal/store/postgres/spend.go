package postgres

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/count"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/store/statements"
)

// spender takes uses. Everything that waits when one of its workers is free goes into one
// statement: one commit and one sync for all of it. The row locks of the statement keep the
// counts exact, beside other workers and other nodes.
type spender struct {
	jobs    chan *job
	quit    chan struct{}
	work    sync.WaitGroup
	started bool
}

// job is a use that waits for its commit.
type job struct {
	use      count.Use
	left     []int64
	err      error
	deadline time.Time
	done     chan struct{}
}

const (
	// workers is how many statements are under way at once: while one waits for its commit,
	// another is filled.
	workers = 2
	// maxQueued limits the uses that wait. Further ones are refused at once.
	maxQueued = 8192
	// maxBatch limits the uses of one statement, and so how long it takes.
	maxBatch = 256
)

// start starts the workers.
func (s *spender) start(ctx context.Context, db *DB) {
	s.jobs = make(chan *job, maxQueued)
	s.quit = make(chan struct{})
	s.started = true

	for range workers {
		s.work.Go(func() { s.run(ctx, db) })
	}
}

// close answers what waits and ends the workers.
func (s *spender) close() {
	if s.started {
		close(s.quit)
		s.work.Wait()
	}
}

// Spend implements count.Store.
func (db *DB) Spend(ctx context.Context, u count.Use) ([]int64, error) {
	if len(u.Budgets) == 0 || slices.ContainsFunc(u.Budgets, func(b policy.Budget) bool { return b.Max < 1 }) {
		return nil, jeton.ErrSpent
	}

	// The context ends at once when the database is lost.
	ctx, cancel, err := db.link.bind(ctx, db.c.Answer)
	if err != nil {
		return nil, err
	}
	defer cancel()

	j := &job{
		use:      u,
		deadline: time.Now().Add(db.c.Answer),
		done:     make(chan struct{}),
	}
	if err := db.spender.enqueue(j); err != nil {
		return nil, err
	}

	select {
	case <-j.done:
		return j.left, j.err
	case <-ctx.Done():
		// The use may still be taken: an unknown outcome counts as used.
		return nil, fmt.Errorf("%w: no commit in time: %w", jeton.ErrUnavailable, context.Cause(ctx))
	}
}

// enqueue queues a use. It returns jeton.ErrBusy at once if the queue is full, and
// jeton.ErrUnavailable after Close.
func (s *spender) enqueue(j *job) error {
	select {
	case <-s.quit:
		// A select with both cases would pick either: a closed store must take no more.
		return fmt.Errorf("%w: %w", jeton.ErrUnavailable, errClosed)
	default:
	}

	select {
	case s.jobs <- j:
		return nil
	default:
		return jeton.WithRetryAfter(jeton.ErrBusy, time.Second)
	}
}

// run is one worker. It ends when quit is closed and nothing waits.
func (s *spender) run(ctx context.Context, db *DB) {
	var retry []*job
	for {
		batch := statements.Batch(retry, s.jobs, s.quit, maxBatch)
		if len(batch) == 0 {
			return
		}

		retry = db.spendAll(ctx, batch)
		if len(retry) > 0 {
			// Another transaction holds what they need, for a moment.
			time.Sleep(time.Millisecond)
		}
	}
}

// spendAll takes the uses of a batch and answers them. It returns those to try again: what they
// need changed while the statement ran.
func (db *DB) spendAll(ctx context.Context, batch []*job) (retry []*job) {
	now := time.Now()
	var single, several []*job
	for _, j := range batch {
		switch {
		case now.After(j.deadline):
			// Its caller has given up: taking the use would only lose it.
			j.answer(nil, fmt.Errorf("%w: no commit in time", jeton.ErrUnavailable))
		case len(j.use.Budgets) == 1:
			single = append(single, j)
		default:
			several = append(several, j)
		}
	}

	if len(single) > 0 {
		retry = db.spendSingle(ctx, single)
	}
	if len(several) > 0 {
		retry = append(retry, db.spendSeveral(ctx, several)...)
	}

	return retry
}

// answer answers a job, exactly once: the channel is closed.
func (j *job) answer(left []int64, err error) {
	j.left = left
	j.err = err
	close(j.done)
}

// retrySpend runs an attempt to take uses, again while it was certainly rolled back.
func (db *DB) retrySpend(ctx context.Context, try func(ctx context.Context) error) error {
	ctx, cancel, err := db.link.bind(ctx, db.c.Answer)
	if err != nil {
		return err
	}
	defer cancel()

	// A connection that broke later may have committed first.
	again := func(err error) bool { return rolledBack(err) || notSent(err) }
	err = retryIf(again, func() error { return try(ctx) })

	return statements.Unavailable(err)
}
