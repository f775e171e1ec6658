package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	sqldriver "database/sql/driver"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/count"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/store/change"
	"github.com/jeton-auth/jeton/internal/store/statements"
)

// writer is the one goroutine that writes. Whatever waits when it is free goes into
// one transaction: one commit, one sync, for all. A caller is answered after that.
type writer struct {
	jobs     chan *job
	quit     chan struct{}
	done     chan struct{}
	once     sync.Once
	spend    sqldriver.Stmt
	first    sqldriver.Stmt
	look     sqldriver.Stmt
	alive    sqldriver.Stmt
	prepared *preparedCache          // the statements of steps
	args     [3]sqldriver.NamedValue // of the statement that runs, for no allocation in each use
	row      [1]sqldriver.Value      // that it has returned
	limit    sqldriver.Value         // of the last use: that of the next one as a rule
	started  bool
	unsynced bool          // commits of the connection are not synced
	patience time.Duration // how long a caller waits
}

// job is one atomic step that waits for its commit.
type job struct {
	// run is nil for a use.
	run     func(ctx context.Context, tx statements.Conn) ([]change.Change, error)
	changes []change.Change // of run, to be published once they are durable
	times   time.Duration   // how many times the usual patience its caller has; 0 is once
	use     count.Use
	loose   bool // its commit need not be synced
	left    []int64
	err     error
	done    chan struct{} // receives once, when the job is committed or has failed
	timer   *time.Timer   // of its caller's patience; stopped unless one waits
}

const (
	// waiting is how many steps may wait; more are refused at once.
	waiting = 8192
	// together is how many steps one commit carries at most, to bound how long it takes.
	together = 512
	// patience is how long a caller waits for its commit before it gets ErrUnavailable. The
	// step may still be committed: an unknown outcome counts as used.
	patience = 2 * time.Second
	// forSerial is how many times longer it waits for a change of a user, client or key, which
	// may end many sessions.
	forSerial = 5
	// forLong is how many times longer it waits for an import and for the end of many sessions.
	// On a busy machine hundreds of rows take many seconds.
	forLong = 30
)

// jobs recycles jobs with their channels and timers: there is one for every counted request.
var jobs = sync.Pool{New: func() any {
	j := &job{done: make(chan struct{}, 1), timer: time.NewTimer(patience)}
	j.timer.Stop()

	return j
}}

// lookUses reads a count. No row is a count of 0. Its column has neither a name nor a type, of which the driver would
// make texts for every use.
const lookUses = `SELECT +used AS "" FROM uses WHERE login = $1 AND budget = $2`

// spendFirst takes the first use, if the holder is there and has no count yet. A login
// stands under its number, a token under its own with a minus before it, and a user under its
// own and count.UserHolders.
const spendFirst = `INSERT INTO uses (login, budget, used)
SELECT $1, $2, 1 WHERE EXISTS (SELECT 1 FROM sessions WHERE login = $1)
OR EXISTS (SELECT 1 FROM tokens WHERE number = -$1)
OR EXISTS (SELECT 1 FROM users WHERE id = $1 - 4611686018427387904)
ON CONFLICT (login, budget) DO NOTHING`

// lookHolder finds out whether a login or, by its number as stored, a token or a user is there.
const lookHolder = `SELECT login FROM sessions WHERE login = $1 UNION ALL SELECT number FROM tokens WHERE number = -$1
UNION ALL SELECT id FROM users WHERE id = $1 - 4611686018427387904`

// prepare prepares the statements of uses on the connection of the writer, past
// database/sql (see spends).
func (w *writer) prepare(ctx context.Context, conn *sql.Conn) error {
	w.prepared = newPreparedCache(conn.PrepareContext, true)

	return conn.Raw(func(c any) error {
		p, ok := c.(sqldriver.ConnPrepareContext)
		if !ok {
			return errors.New("the driver cannot prepare statements")
		}

		for s, text := range map[*sqldriver.Stmt]string{
			&w.spend: spendOne,
			&w.first: spendFirst,
			&w.look:  lookUses,
			&w.alive: lookHolder,
		} {
			var err error
			*s, err = p.PrepareContext(ctx, text)
			if err != nil {
				return err
			}
		}

		return nil
	})
}

// start starts the goroutine that writes.
func (w *writer) start(db *DB) {
	w.jobs = make(chan *job, waiting)
	w.quit = make(chan struct{})
	w.done = make(chan struct{})
	w.started, w.patience = true, cmp.Or(db.c.Patience, patience)
	go func() {
		defer close(w.done)
		w.loop(db)
	}()
}

// stop ends the goroutine once it has answered what waits, and closes the statements.
// Without start it does nothing.
func (w *writer) stop() {
	if !w.started {
		return
	}

	w.once.Do(func() { close(w.quit) })
	// The loop has ended, so that no statement is closed while it runs.
	<-w.done

	for _, s := range []sqldriver.Stmt{w.spend, w.first, w.look, w.alive} {
		_ = s.Close()
	}
	_ = w.prepared.close()
}

// wait queues a job and waits for its outcome. The job is the caller's again only
// if mine is true; otherwise the writer may still be about to use it.
func (w *writer) wait(ctx context.Context, j *job) (err error, mine bool) {
	select {
	// A select with both cases would pick either: a closed store must take no more.
	case <-w.quit:
		return fmt.Errorf("%w: the store is closed", jeton.ErrUnavailable), true
	default:
	}

	select {
	case w.jobs <- j:
	default:
		return jeton.WithRetryAfter(jeton.ErrBusy, time.Second), true
	}

	patience := w.patience * max(j.times, 1)
	j.timer.Reset(patience)
	defer j.timer.Stop()

	select {
	case <-j.done:
		return j.err, true
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", jeton.ErrUnavailable, ctx.Err()), false
	case <-j.timer.C:
		return fmt.Errorf("%w: no commit within %v", jeton.ErrUnavailable, patience), false
	case <-w.done:
	}

	// The writer has ended; it answered everything that it took.
	select {
	case <-j.done:
		return j.err, true
	default:
		return fmt.Errorf("%w: the store is closed", jeton.ErrUnavailable), true
	}
}

// loop commits batches until quit is closed and nothing waits.
func (w *writer) loop(db *DB) {
	batch := make([]*job, 0, together)
	for {
		batch = statements.Batch(batch[:0], w.jobs, w.quit, together)
		if len(batch) == 0 {
			return
		}

		w.commit(db, batch)

		for _, j := range batch {
			// Before the answer: its caller must not find the previous value in a cache.
			if j.err == nil && len(j.changes) > 0 {
				db.Publish(j.changes...) // also when the caller has given up
			}
			j.done <- struct{}{}
		}
	}
}

// spends runs the uses of a batch. They are most of what is written under load, so they
// go to the driver without database/sql between.
func (w *writer) spends(conn *sql.Conn, batch []*job) error {
	return conn.Raw(func(any) error {
		for _, j := range batch {
			if j.run != nil {
				continue
			}

			var err error
			if len(j.use.Budgets) == 1 {
				err = w.spendSingle(j)
			} else {
				err = w.spendSeveral(j)
			}

			if err != nil {
				return err
			}
		}

		return nil
	})
}

// spendSingle needs no savepoint: one statement is a whole step by itself.
func (w *writer) spendSingle(j *job) error {
	holder := j.use.HolderOf(j.use.Budgets[0])
	left, err := w.take(holder, j.use.Budgets[0])
	if err != nil {
		return err
	}

	j.left, j.err = append(j.left[:0], left), nil
	// A login without a use left, and one that has ended, look the same until here.
	if left < 0 {
		j.left[0] = 0
		j.err, err = w.whyNot(holder)
	}

	return err
}

// take takes one use of a budget and returns how many are left, or -1 when it took none.
func (w *writer) take(login int64, b policy.Budget) (left int64, err error) {
	// Each of these is an allocation, so it is made once.
	holder, id := sqldriver.Value(login), sqldriver.Value(b.ID)
	if w.limit != b.Max {
		w.limit = b.Max
	}

	n, err := w.exec(w.spend, holder, id, w.limit)
	if err != nil {
		return 0, err
	}

	if n == 1 {
		used, err := w.one(w.look, holder, id)
		return max(b.Max-used, 0), err
	}

	// There is no count yet, or it has reached the limit.
	if n, err = w.exec(w.first, holder, id); err != nil || n == 0 {
		return -1, err
	}

	return b.Max - 1, nil
}

// whyNot returns jeton.ErrSpent for a login without a use left, and jeton.ErrBadCredential for
// one that has ended.
func (w *writer) whyNot(login int64) (why, err error) {
	switch _, err := w.one(w.alive, login); {
	case err == nil:
		return jeton.ErrSpent, nil
	case errors.Is(err, io.EOF):
		return jeton.ErrBadCredential, nil
	default:
		return nil, err
	}
}

// spendSeveral takes one use of each budget or of none. It looks first, and nothing can
// come between the look and the step: this goroutine is the only writer.
func (w *writer) spendSeveral(j *job) error {
	left, err := w.left(j.use, j.left[:0])
	if err != nil {
		return err
	}

	j.left, j.err = left, nil

	// All holders are looked for before anything is taken, so that there is nothing to undo.
	for i, b := range j.use.Budgets {
		holder := j.use.HolderOf(b)
		if i > 0 && holder == j.use.HolderOf(j.use.Budgets[i-1]) {
			continue
		}

		why, err := w.whyNot(holder)
		if err != nil {
			return err
		}
		if errors.Is(why, jeton.ErrBadCredential) {
			j.err = why
			return nil
		}
	}

	if slices.Min(left) <= 0 {
		j.err = jeton.ErrSpent
		return nil
	}

	for i, b := range j.use.Budgets {
		left[i], err = w.take(j.use.HolderOf(b), b)
		if err != nil {
			return err
		}

		// Cannot happen. Failing the whole batch takes back what the first budgets gave.
		if left[i] < 0 {
			return errors.New("a budget that had a use left gave none")
		}
	}

	return nil
}

// left appends how many uses of each budget are left, without taking one.
func (w *writer) left(u count.Use, left []int64) ([]int64, error) {
	for _, b := range u.Budgets {
		used, err := w.one(w.look, u.HolderOf(b), b.ID)
		// The first use makes the row.
		if errors.Is(err, io.EOF) {
			used, err = 0, nil
		}
		if err != nil {
			return nil, err
		}

		left = append(left, b.Max-used)
	}

	return left, nil
}

// named returns arguments as the driver takes them, until it is called again.
func (w *writer) named(args []sqldriver.Value) []sqldriver.NamedValue {
	for i, a := range args {
		w.args[i] = sqldriver.NamedValue{Ordinal: i + 1, Value: a}
	}

	return w.args[:len(args)]
}

// exec runs a prepared statement and returns how many rows it changed.
func (w *writer) exec(s sqldriver.Stmt, args ...sqldriver.Value) (int64, error) {
	result, err := s.(sqldriver.StmtExecContext).ExecContext(context.Background(), w.named(args))
	if err != nil {
		return 0, err
	}

	return result.RowsAffected()
}

// one runs a prepared statement and returns the number in its only row, or io.EOF when
// there is no row.
func (w *writer) one(s sqldriver.Stmt, args ...sqldriver.Value) (int64, error) {
	rows, err := s.(sqldriver.StmtQueryContext).QueryContext(context.Background(), w.named(args))
	if err != nil {
		return 0, err
	}

	err = rows.Next(w.row[:])
	err = errors.Join(err, rows.Close())
	if err != nil {
		return 0, err
	}

	n, ok := w.row[0].(int64)
	if !ok {
		return 0, fmt.Errorf("%w: a count is %T", jeton.ErrUnavailable, w.row[0])
	}

	return n, nil
}

// Spend implements count.Store.
func (db *DB) Spend(ctx context.Context, u count.Use) ([]int64, error) {
	// The insert of a first use does not compare a limit, so one below 1 must not get there.
	if len(u.Budgets) == 0 || slices.ContainsFunc(u.Budgets, func(b policy.Budget) bool { return b.Max < 1 }) {
		return nil, jeton.ErrSpent
	}

	j := jobs.Get().(*job)
	j.run = nil
	j.changes = nil
	j.err = nil
	j.use = u

	err, mine := db.writer.wait(ctx, j)
	// The writer may still use the job, so it must not go back into the pool.
	if !mine {
		return nil, err
	}

	// A copy: the next use of the job writes into the same array.
	left := append([]int64(nil), j.left...)
	j.use = count.Use{}
	jobs.Put(j)

	return left, err
}
