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

// spender takes uses. Whatever waits when one of its workers is free goes into one
// statement: one commit, one sync, for all of this node. The rows that the statement
// locks keep it exact beside other workers and other nodes.
type spender struct {
	jobs    chan *job
	quit    chan struct{}
	work    sync.WaitGroup
	started bool
}

// job is a use that waits for its commit.
type job struct {
	use   count.Use
	left  []int64
	err   error
	until time.Time // nobody waits for longer
	done  chan struct{}
}

const (
	// workers is how many statements are under way at once: while one waits for its
	// commit, another is filled.
	workers = 2
	// waiting is how many uses may wait; more are refused at once.
	maxQueued = 8192
	// together is how many uses one statement carries at most, to bound how long it takes.
	maxBatch = 256
)

func (s *spender) start(ctx context.Context, db *DB) {
	s.jobs = make(chan *job, maxQueued)
	s.quit = make(chan struct{})
	s.started = true

	for range workers {
		s.work.Go(func() { s.loop(ctx, db) })
	}
}

// close lets what waits be answered and ends the workers.
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

	patience := db.c.Answer
	// Whoever waits is told at once when the database goes away.
	bound, cancel, err := db.link.bind(ctx, patience)
	if err != nil {
		return nil, err
	}
	defer cancel()

	j := &job{use: u, until: time.Now().Add(patience), done: make(chan struct{})}

	select {
	case <-db.spender.quit:
		return nil, fmt.Errorf("%w: %w", jeton.ErrUnavailable, errClosed)
	default:
	}

	select {
	case db.spender.jobs <- j:
	default:
		return nil, jeton.WithRetryAfter(jeton.ErrBusy, time.Second)
	}

	select {
	case <-j.done:
		return j.left, j.err
	case <-bound.Done():
		// It may still be taken: an unknown outcome counts as used.
		return nil, fmt.Errorf("%w: no commit in time: %w", jeton.ErrUnavailable, context.Cause(bound))
	}
}

func (s *spender) loop(ctx context.Context, db *DB) {
	var again []*job
	for {
		batch := statements.Batch(again, s.jobs, s.quit, maxBatch)
		if len(batch) == 0 {
			return
		}

		again = db.spendAll(ctx, batch)
		if len(again) > 0 {
			// Somebody holds what they need and will have let go of it in a moment.
			time.Sleep(time.Millisecond)
		}
	}
}

// spendAll takes the uses of a batch and answers them. It returns those that have to be
// tried again: what they need changed while the statement ran.
func (db *DB) spendAll(ctx context.Context, batch []*job) (again []*job) {
	now := time.Now()
	var single, several []*job
	for _, j := range batch {
		switch {
		case now.After(j.until):
			j.answer(nil, fmt.Errorf("%w: no commit in time", jeton.ErrUnavailable))
		case len(j.use.Budgets) == 1:
			single = append(single, j)
		default:
			several = append(several, j)
		}
	}

	if len(single) > 0 {
		again = db.spendSingle(ctx, single)
	}
	if len(several) > 0 {
		again = append(again, db.spendSeveral(ctx, several)...)
	}

	return again
}

func (j *job) answer(left []int64, err error) {
	j.left, j.err = left, err
	close(j.done)
}

// retrySpend runs one attempt to take uses, again if it was certainly taken back.
func (db *DB) retrySpend(ctx context.Context, do func(ctx context.Context) error) error {
	ctx, cancel, err := db.link.bind(ctx, db.c.Answer)
	if err != nil {
		return err
	}
	defer cancel()

	for range attempts {
		// A connection that broke may have committed first.
		if err = do(ctx); !rolledBack(err) && !notSent(err) {
			break
		}
	}

	return statements.Unavailable(err)
}
