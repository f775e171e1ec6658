package postgres

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/count"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/store/statements"

	"github.com/jackc/pgx/v5"
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

// countKey is what a count hangs on.
type countKey struct{ holder, budget int64 }

// countGroup is what the jobs of a batch want of one count.
type countGroup struct {
	countKey
	limit int64
	jobs  []*job
}

// groupByCount sorts jobs by what they want, in the order in which rows are locked everywhere.
// Jobs that know of another limit of the same count wait for the next batch.
func groupByCount(batch []*job) (list []*countGroup, later []*job) {
	byPair := make(map[countKey]*countGroup, len(batch))
	for _, j := range batch {
		b := j.use.Budgets[0]
		p := countKey{j.use.Holder, b.ID}
		w := byPair[p]
		if w == nil {
			w = &countGroup{countKey: p, limit: b.Max}
			byPair[p] = w
			list = append(list, w)
		}

		if w.limit != b.Max {
			later = append(later, j)
			continue
		}

		w.jobs = append(w.jobs, j)
	}

	slices.SortFunc(list, func(a, b *countGroup) int {
		return cmp.Or(cmp.Compare(a.holder, b.holder), cmp.Compare(a.budget, b.budget))
	})

	return list, later
}

// spendSingle answers uses of one budget each, with one statement for all of them; those
// that found no count to take from need another.
func (db *DB) spendSingle(ctx context.Context, batch []*job) (again []*job) {
	list, again := groupByCount(batch)
	took, err := db.takeUses(ctx, spendBatch, list)
	if err != nil {
		return append(again, answerAll(list, err)...)
	}

	var missed []*countGroup
	for i, w := range list {
		if took[i].taken == 0 {
			missed = append(missed, w)
			continue
		}
		again = append(again, w.answer(took[i])...)
	}

	if len(missed) == 0 {
		return again
	}
	if took, err = db.takeUses(ctx, firstUsesSQL, missed); err != nil {
		return append(again, answerAll(missed, err)...)
	}

	for i, w := range missed {
		again = append(again, w.answer(took[i])...)
	}

	return again
}

func answerAll(list []*countGroup, err error) []*job {
	for _, w := range list {
		for _, j := range w.jobs {
			j.answer(nil, err)
		}
	}

	return nil
}

// takeUses runs one of the two statements.
func (db *DB) takeUses(ctx context.Context, text string, list []*countGroup) ([]takeResult, error) {
	n := len(list)
	numbers := make([]int64, 4*n)
	holders := numbers[:n]
	budgets := numbers[n : 2*n]
	wants := numbers[2*n : 3*n]

	mosts := numbers[3*n:]
	for i, w := range list {
		holders[i] = w.holder
		budgets[i] = w.budget
		wants[i] = int64(len(w.jobs))
		mosts[i] = w.limit
	}

	took := make([]takeResult, n)
	err := db.retrySpend(ctx, func(ctx context.Context) error {
		clear(took) // what an attempt said that was taken back is not so
		rows, err := db.pool.Query(ctx, text, holders, budgets, wants, mosts)
		if err != nil {
			return err
		}
		defer rows.Close()

		for rows.Next() {
			var place int64
			var t takeResult
			into := []any{&place, &t.taken, &t.used, &t.holderExists}
			if err := rows.Scan(into[:len(rows.FieldDescriptions())]...); err != nil {
				return err
			}

			took[place-1] = t
		}

		return rows.Err()
	})

	return took, err
}

// takeResult is what the statement says of one wish.
type takeResult struct {
	taken        int64 // how many uses it took
	used         int64 // how many are used by now; of a count that it did not touch: at the latest
	holderExists bool  // the holder is there
}

// answer answers the jobs of a wish in the order in which they came, and returns those to
// which the statement has no answer.
func (w *countGroup) answer(t takeResult) (again []*job) {
	for i, j := range w.jobs {
		n := int64(i)
		switch {
		case n < t.taken:
			j.answer([]int64{w.limit - t.used + t.taken - n - 1}, nil)
		case t.taken > 0 || t.used >= w.limit: // it takes all that is left, or all that is wanted
			j.answer([]int64{0}, jeton.ErrSpent)
		case !t.holderExists:
			j.answer(nil, jeton.ErrBadCredential)
		default:
			again = append(again, j)
		}
	}

	return again
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

// spendSeveral answers uses of several budgets each, all of them or none, in one
// transaction.
func (db *DB) spendSeveral(ctx context.Context, batch []*job) (again []*job) {
	var holders, budgets []int64
	for _, j := range batch {
		for _, b := range j.use.Budgets {
			holders, budgets = append(holders, j.use.Holder), append(budgets, b.ID)
		}
	}

	var verdicts []error
	var lefts [][]int64

	err := db.retrySpend(ctx, func(ctx context.Context) error {
		return pgx.BeginFunc(ctx, db.pool, func(tx pgx.Tx) error {
			counts, err := lockCounts(ctx, tx, holders, budgets)
			if err != nil {
				return err
			}

			verdicts, lefts = make([]error, len(batch)), make([][]int64, len(batch))
			changed := map[countKey]bool{}
			for i, j := range batch {
				lefts[i], verdicts[i] = j.take(counts, changed)
			}

			return writeCounts(ctx, tx, counts, changed)
		})
	})

	for i, j := range batch {
		switch {
		case err != nil:
			j.answer(nil, err)
		case verdicts[i] == errRetry:
			again = append(again, j)
		default:
			j.answer(lefts[i], verdicts[i])
		}
	}

	return again
}

var errRetry = fmt.Errorf("%w: the holder is being ended", jeton.ErrUnavailable)

// lockedCount is a count whose row is held.
type lockedCount struct {
	used         int64
	exists       bool // there is one
	holderExists bool // the holder is
}

// take takes one use of every budget of a job, or of none.
func (j *job) take(counts map[countKey]*lockedCount, changed map[countKey]bool) (left []int64, err error) {
	for _, b := range j.use.Budgets {
		c := counts[countKey{j.use.Holder, b.ID}]
		switch {
		case !c.holderExists:
			return nil, jeton.ErrBadCredential
		case !c.exists:
			return nil, errRetry
		}

		left = append(left, b.Max-c.used)
	}

	if slices.Min(left) <= 0 {
		return left, jeton.ErrSpent
	}

	for i, b := range j.use.Budgets {
		p := countKey{j.use.Holder, b.ID}
		counts[p].used++
		changed[p] = true
		left[i] = b.Max - counts[p].used
	}

	return left, nil
}

// lockCounts makes the counts that are not there yet, and holds all of them to the end of
// the transaction.
func lockCounts(ctx context.Context, tx pgx.Tx, holders, budgets []int64) (map[countKey]*lockedCount, error) {
	if _, err := tx.Exec(ctx, insertCountsSQL, holders, budgets); err != nil {
		return nil, err
	}

	rows, err := tx.Query(ctx, lockCountsSQL, holders, budgets)
	if err != nil {
		return nil, err
	}

	counts := map[countKey]*lockedCount{}
	var p countKey
	var used *int64
	var there bool

	_, err = pgx.ForEachRow(rows, []any{&p.holder, &p.budget, &used, &there}, func() error {
		c := &lockedCount{holderExists: there}
		if used != nil {
			c.used, c.exists = *used, true
		}

		counts[p] = c
		return nil
	})

	return counts, err
}

// writeCounts writes the counts that have changed. Each is held, and is what it was.
func writeCounts(ctx context.Context, tx pgx.Tx, counts map[countKey]*lockedCount, changed map[countKey]bool) error {
	if len(changed) == 0 {
		return nil
	}

	var holders, budgets, used []int64
	for p := range changed {
		holders, budgets, used = append(holders, p.holder), append(budgets, p.budget), append(used, counts[p].used)
	}

	tag, err := tx.Exec(ctx, updateCountsSQL, holders, budgets, used)
	if err == nil && tag.RowsAffected() != int64(len(changed)) {
		err = fmt.Errorf("%d of %d counts that were held are gone", len(changed)-int(tag.RowsAffected()), len(changed))
	}

	return err
}
