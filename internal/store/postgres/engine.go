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

// longTimeout is how long a step that changes people, clients or keys may take, or a list. A
// databaseID that has gone away ends it sooner.
const longTimeout = 10 * time.Second

// attempts is how often a step is tried that PostgreSQL has taken back, or that found a
// connection broken before it said anything.
const attempts = 4

// engine is what the statements run on.
type engine struct{ *DB }

func (e engine) Query(ctx context.Context, text string, args ...any) (statements.Rows, error) {
	ctx, cancel, err := e.link.bind(ctx, longTimeout)
	if err != nil {
		return nil, err
	}

	var c *pgxpool.Conn
	var r pgx.Rows
	for range attempts {
		if c, err = e.acquire(ctx); err != nil {
			break
		}
		if r, err = c.Query(ctx, text, cleanText(args)...); err == nil {
			return &rows{r, c, cancel}, nil
		}

		c.Release()
		if !notSent(err) {
			break
		}
	}

	cancel()

	return nil, err
}

// acquire takes a connection of the pool. What may take long waits for one no longer than
// anything else.
func (db *DB) acquire(ctx context.Context) (*pgxpool.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, db.c.Answer)
	defer cancel()
	return db.pool.Acquire(ctx)
}

// rows gives the connection of a query back with it.
type rows struct {
	pgx.Rows
	conn   *pgxpool.Conn
	cancel context.CancelFunc
}

func (r *rows) Close() {
	r.Rows.Close()
	r.conn.Release()
	r.cancel()
}

func (e engine) QueryRow(ctx context.Context, text string, args ...any) statements.Row {
	return row{e.DB, ctx, text, cleanText(args)}
}

// exists asks when it is scanned, once more if the connection that it got was broken.
type row struct {
	db   *DB
	ctx  context.Context
	text string
	args []any
}

func (r row) Scan(into ...any) error {
	ctx, cancel, err := r.db.link.bind(r.ctx, r.db.c.Answer)
	if err != nil {
		return err
	}
	defer cancel()

	for range attempts {
		if err = r.db.pool.QueryRow(ctx, r.text, r.args...).Scan(into...); !connectionBroken(err) {
			break
		}
	}

	return err
}

// Settled implements statements.Engine. Numbers are given before the commit: so it looks which
// was the last one given, and waits for all who are adding events at this moment; they hold
// the table. What they leave behind is whole up to that number. Where somebody does not come
// to an end, it leaves out what was written in the time that a step may take, by the one
// clock of the database. When an event happened says nothing: it may have waited long.
func (e engine) Settled(ctx context.Context) (string, error) {
	const given = "SELECT COALESCE(pg_sequence_last_value(pg_get_serial_sequence('audit', 'seq')::regclass), 0)"
	const adding = `SELECT COALESCE(array_agg(virtualtransaction), '{}') FROM pg_locks
WHERE relation = 'audit'::regclass AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) AND mode = 'RowExclusiveLock' AND granted`
	var last int64
	if err := e.QueryRow(ctx, given).Scan(&last); err != nil {
		return "", err
	}

	var first []string
	for end, again := time.Now().Add(e.c.Answer/2), false; ; again = true {
		var now []string
		if err := e.QueryRow(ctx, adding).Scan(&now); err != nil {
			return "", err
		}
		if !again {
			first = now
		}

		if !slices.ContainsFunc(first, func(held string) bool { return slices.Contains(now, held) }) {
			return fmt.Sprintf(" AND seq <= %d", last), nil
		}
		if time.Now().After(end) {
			return " AND wrote < (extract(epoch FROM clock_timestamp()) * 1000)::bigint - 15000", nil
		}

		time.Sleep(time.Millisecond)
	}
}

// setMeta takes a step, and returns when it is durable and no node judges any more from what
// was before it. It goes on when the caller gives up, so that nobody has to guess whether
// it came to its end.
func (e engine) step(ctx context.Context, s statements.Step) error {
	most := e.c.Answer
	if s.Serial || s.Long {
		most = longTimeout
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%w: %w", jeton.ErrUnavailable, err)
	}

	var done committed
	var err error
	for range attempts {
		if done, err = e.once(context.WithoutCancel(ctx), s, most); !retryable(err) {
			break
		}
	}

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

// committed is a step that is durable, with what others have to hear of it.
type committed struct {
	changes []change.Change
	xid     uint64
	at      time.Time
}

// once tries a step one time.
func (e engine) once(ctx context.Context, s statements.Step, most time.Duration) (done committed, err error) {
	bound, cancel, err := e.link.bind(ctx, most)
	if err != nil {
		return done, err
	}
	defer cancel()

	if s.Serial {
		// They wait for one another, and would do it with all the connections of this node.
		select {
		case e.serial <- struct{}{}:
			defer func() { <-e.serial }()
		case <-bound.Done():
			return done, fmt.Errorf("wait for the turn to change something: %w", context.Cause(bound))
		}
	}

	held, err := e.acquire(bound)
	if err != nil {
		return done, err
	}
	defer held.Release()

	tx, err := held.Begin(bound)
	if err != nil {
		return done, err
	}
	// After a commit it does nothing. A connection that is not fit to roll back is closed.
	defer func() { _ = tx.Rollback(bound) }()

	c := conn{tx}
	if s.Serial {
		if err := c.Order(bound, "serial"); err != nil {
			return done, err
		}
	}

	done.changes, err = s.Run(bound, c)
	if err != nil {
		return committed{}, err
	}

	if len(done.changes) > 0 {
		done.xid, err = e.node.recordChanges(bound, tx, done.changes)
		if err != nil {
			return committed{}, err
		}
	}

	if err = tx.Commit(bound); err != nil {
		err = &commitError{err}
	}

	done.at = time.Now()
	if len(done.changes) > 0 {
		e.node.commitAnswered(done, err)
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

func (c conn) Order(ctx context.Context, what string) error {
	_, err := c.tx.Exec(ctx, "SELECT pg_advisory_xact_lock($1)", lockNumber(what))
	return err
}

func (c conn) Alone(ctx context.Context, what string) (mine bool, err error) {
	err = c.tx.QueryRow(ctx, "SELECT pg_try_advisory_xact_lock($1)", lockNumber(what)).Scan(&mine)
	return mine, err
}

func (conn) Lock(clause string) string { return " " + clause }

// lockNumber is the number of an advisory lock of ours.
func lockNumber(what string) int64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte("jeton " + what))
	return int64(h.Sum64())
}

// cleanText makes texts such as PostgreSQL can hold: valid UTF-8 without NUL. What is not is
// no name of anything that is stored.
func cleanText(args []any) []any {
	for i, a := range args {
		if s, ok := a.(string); ok && (strings.IndexByte(s, 0) >= 0 || !utf8.ValidString(s)) {
			args = slices.Clone(args)
			args[i] = strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
		}
	}

	return args
}
