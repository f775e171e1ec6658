package postgres

import (
	"context"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/store/change"
	"github.com/jeton-auth/jeton/internal/store/statements"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// longTimeout limits a list, and a step that changes users, clients or keys. A database that
// is lost ends them sooner.
const longTimeout = 10 * time.Second

// engine is what the statements run on.
type engine struct{ *DB }

// Query runs a query of up to longTimeout. Its connection is not free until the rows are
// closed.
func (e engine) Query(ctx context.Context, text string, args ...any) (statements.Rows, error) {
	ctx, cancel, err := e.link.bind(ctx, longTimeout)
	if err != nil {
		return nil, err
	}

	r := &rows{cancel: cancel}
	err = retryIf(notSent, func() error {
		conn, err := e.acquire(ctx)
		if err != nil {
			return err
		}

		r.conn = conn
		// The rows keep the connection until they are closed.
		r.Rows, err = conn.Query(ctx, text, cleanText(args)...)
		if err != nil {
			conn.Release()
		}

		return err
	})
	if err != nil {
		cancel()
		return nil, err
	}

	return r, nil
}

// acquire takes a connection of the pool. Also what may take long waits no longer for one than
// Config.Answer.
func (db *DB) acquire(ctx context.Context) (*pgxpool.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, db.c.Answer)
	defer cancel()
	return db.pool.Acquire(ctx)
}

// rows releases the connection of a query when it is closed.
type rows struct {
	pgx.Rows
	conn   *pgxpool.Conn
	cancel context.CancelFunc
}

// Close releases the connection and ends the time limit. It may be called more than once.
func (r *rows) Close() {
	r.Rows.Close()
	r.conn.Release()
	r.cancel()
}

// QueryRow returns a row that has not been queried yet: the errors come with Scan.
func (e engine) QueryRow(ctx context.Context, text string, args ...any) statements.Row {
	return row{e.DB, ctx, text, cleanText(args)}
}

// row runs its query when it is scanned, again if the connection was broken.
type row struct {
	db   *DB
	ctx  context.Context
	text string
	args []any
}

// Scan runs the query, within Config.Answer. It changes nothing, so it may be sent again
// after the connection broke.
func (r row) Scan(into ...any) error {
	ctx, cancel, err := r.db.link.bind(r.ctx, r.db.c.Answer)
	if err != nil {
		return err
	}
	defer cancel()

	return retryIf(connectionBroken, func() error {
		return r.db.pool.QueryRow(ctx, r.text, r.args...).Scan(into...)
	})
}

// Settled implements statements.Engine. An event gets its number before its transaction
// commits. So Settled reads the last number given, and waits for the transactions that are
// inserting events now: they hold a lock on the table. After them, everything up to that number
// is visible. When one of them does not end in time, Settled leaves out what was written
// during the longest step, by the clock of the database. The time of an event itself proves
// nothing: the event may have waited long.
func (e engine) Settled(ctx context.Context) (string, error) {
	const lastNumber = `SELECT COALESCE(pg_sequence_last_value(pg_get_serial_sequence('audit', 'seq')::regclass), 0)`
	const inserting = `SELECT COALESCE(array_agg(virtualtransaction), '{}') FROM pg_locks
WHERE relation = 'audit'::regclass AND mode = 'RowExclusiveLock' AND granted
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`

	var last int64
	if err := e.QueryRow(ctx, lastNumber).Scan(&last); err != nil {
		return "", err
	}

	var waiting []string
	if err := e.QueryRow(ctx, inserting).Scan(&waiting); err != nil {
		return "", err
	}

	for deadline := time.Now().Add(e.c.Answer / 2); len(waiting) > 0; time.Sleep(time.Millisecond) {
		// 15 s are longTimeout, with some to spare.
		if time.Now().After(deadline) {
			return " AND wrote < (extract(epoch FROM clock_timestamp()) * 1000)::bigint - 15000", nil
		}

		var now []string
		if err := e.QueryRow(ctx, inserting).Scan(&now); err != nil {
			return "", err
		}

		waiting = slices.DeleteFunc(waiting, func(tx string) bool { return !slices.Contains(now, tx) })
	}

	return fmt.Sprintf(" AND seq <= %d", last), nil
}

// Settle implements statements.Engine.
func (e engine) Settle(ctx context.Context) error { return e.node.settle(ctx) }

// step runs a step. It returns when the step is durable, and no node answers any more from what
// its cache held before. The step goes on when the caller gives up, so that its outcome is known.
func (e engine) step(ctx context.Context, s statements.Step) error {
	limit := e.c.Answer
	if s.Serial || s.Long {
		limit = longTimeout
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%w: %w", jeton.ErrUnavailable, err)
	}

	var done committed
	err := retryIf(retryable, func() (err error) {
		done, err = e.once(context.WithoutCancel(ctx), s, limit)
		return err
	})
	if err != nil {
		return statements.Unavailable(err)
	}
	if len(done.changes) == 0 {
		return nil
	}

	if err := e.node.waitAcked(ctx, done); err != nil {
		return err
	}

	e.c.OnInvalidated(time.Since(done.at))

	return nil
}

// committed is a step that is durable, with the changes that it has recorded.
type committed struct {
	changes []change.Change
	xid     uint64 // number of its transaction, when there are changes
	at      time.Time
}

// once tries a step one time, in a transaction.
func (e engine) once(ctx context.Context, s statements.Step, limit time.Duration) (committed, error) {
	ctx, cancel, err := e.link.bind(ctx, limit)
	if err != nil {
		return committed{}, err
	}
	defer cancel()

	// Before a connection is taken, which a waiting step would keep from the others.
	if s.Serial {
		if err := e.takeTurn(ctx); err != nil {
			return committed{}, err
		}
		defer func() { <-e.serial }()
	}

	held, err := e.acquire(ctx)
	if err != nil {
		return committed{}, err
	}
	defer held.Release()

	tx, err := held.Begin(ctx)
	if err != nil {
		return committed{}, err
	}

	// After a commit this does nothing. A connection that cannot roll back is closed.
	defer func() { _ = tx.Rollback(ctx) }()

	done, err := e.runStep(ctx, tx, s)
	if err != nil {
		return committed{}, err
	}

	err = tx.Commit(ctx)
	if err != nil {
		err = &commitError{err}
	}

	// After the commit: the leases that are waited for must have begun before this.
	done.at = time.Now()
	// Also after an error: the step may be committed.
	if len(done.changes) > 0 {
		e.node.commitAnswered(done, err)
	}

	return done, err
}

// takeTurn waits until no other serial step of this node is under way. Without it they would
// wait for one another in the database, with all connections of this node.
func (e engine) takeTurn(ctx context.Context) error {
	select {
	case e.serial <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for another change: %w", context.Cause(ctx))
	}
}

// runStep runs a step in a transaction, and records its changes there.
func (e engine) runStep(ctx context.Context, tx pgx.Tx, s statements.Step) (done committed, err error) {
	c := conn{tx}
	if s.Serial {
		if err := c.Order(ctx, "serial"); err != nil {
			return done, err
		}
	}

	done.changes, err = s.Run(ctx, c)
	if err == nil && len(done.changes) > 0 {
		done.xid, err = e.node.recordChanges(ctx, tx, done.changes)
	}

	return done, err
}

// conn is a transaction that is under way.
type conn struct{ tx pgx.Tx }

func (c conn) Query(ctx context.Context, text string, args ...any) (statements.Rows, error) {
	return c.tx.Query(ctx, text, cleanText(args)...)
}

func (c conn) QueryRow(ctx context.Context, text string, args ...any) statements.Row {
	return c.tx.QueryRow(ctx, text, cleanText(args)...)
}

func (c conn) Exec(ctx context.Context, text string, args ...any) (int64, error) {
	tag, err := c.tx.Exec(ctx, text, cleanText(args)...)
	return tag.RowsAffected(), err
}

// Order takes an advisory lock that ends with the transaction.
func (c conn) Order(ctx context.Context, what string) error {
	_, err := c.tx.Exec(ctx, "SELECT pg_advisory_xact_lock($1)", lockNumber(what))
	return err
}

// Alone tries to take the lock and does not wait.
func (c conn) Alone(ctx context.Context, what string) (alone bool, err error) {
	err = c.tx.QueryRow(ctx, "SELECT pg_try_advisory_xact_lock($1)", lockNumber(what)).Scan(&alone)
	return alone, err
}

// Lock returns the clause: rows of this engine are locked one by one.
func (conn) Lock(clause string) string { return " " + clause }

// lockNumber returns the number of an advisory lock.
func lockNumber(name string) int64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte("jeton " + name))
	return int64(h.Sum64())
}

// cleanText replaces what PostgreSQL cannot store in a text: NUL, and invalid UTF-8. No name
// that is stored has either.
func cleanText(args []any) []any {
	for i, a := range args {
		s, ok := a.(string)
		if ok && (strings.IndexByte(s, 0) >= 0 || !utf8.ValidString(s)) {
			args = slices.Clone(args)
			args[i] = strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
		}
	}

	return args
}
