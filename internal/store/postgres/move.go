package postgres

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/store/statements"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Side is a database that is moved to or from. It is no node. One goroutine uses it.
type Side struct {
	pool            *pgxpool.Pool
	log             *slog.Logger
	maxHeartbeatAge time.Duration // with nodes that may have ended without a word
}

// OpenSide connects and brings the schema up to date, to move what is in it: half a copy,
// too. Nodes may serve from it; then Step refuses.
func OpenSide(ctx context.Context, c Config) (*Side, error) {
	c = c.withDefaults()
	s, err := c.side(ctx)
	if err != nil {
		return nil, fmt.Errorf("open database %s: %w", c.Where, explainOpen(err))
	}

	return s, nil
}

func (c Config) side(ctx context.Context) (*Side, error) {
	settings, err := c.parse()
	if err != nil {
		return nil, err
	}
	if err := migrate(ctx, c, settings.ConnConfig); err != nil {
		return nil, err
	}

	// Whoever moves a database may interrupt it.
	settings.ConnConfig.RuntimeParams["statement_timeout"] = "0"
	settings.ConnConfig.RuntimeParams["idle_in_transaction_session_timeout"] = "0"
	settings.MaxConns = 4
	pool, err := pgxpool.NewWithConfig(ctx, settings)
	if err != nil {
		return nil, err
	}

	s := &Side{pool, c.Log, maxHeartbeatAge}
	if err := s.identify(ctx); err != nil {
		s.pool.Close()
		return nil, err
	}

	return s, nil
}

func (s *Side) identify(ctx context.Context) error {
	return pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error { return statements.Identify(ctx, conn{tx}) })
}

// claim is the first step of a node, which is on the list already: who makes a copy finds
// it there, or it finds the mark of the copy.
func (db *DB) claim(ctx context.Context) error {
	return pgx.BeginFunc(ctx, db.pool, func(tx pgx.Tx) error { return statements.Serve(ctx, conn{tx}) })
}

// Snapshot hands read one consistent state. Others may go on writing.
func (db *DB) Snapshot(ctx context.Context, read func(ctx context.Context, q statements.Queries) error) error {
	return snapshotOf(ctx, db.pool, read)
}

// Last returns the greatest number that a row of a table was ever given, 0 for none.
func (db *DB) Last(ctx context.Context, q statements.Queries, table, column string) (int64, error) {
	return last(ctx, q, table, column)
}

// Snapshot hands read one consistent state. Nodes may go on writing.
func (s *Side) Snapshot(ctx context.Context, read func(ctx context.Context, q statements.Queries) error) error {
	return snapshotOf(ctx, s.pool, read)
}

// Last is DB.Last.
func (s *Side) Last(ctx context.Context, q statements.Queries, table, column string) (int64, error) {
	return last(ctx, q, table, column)
}

func snapshotOf(
	ctx context.Context,
	pool *pgxpool.Pool,
	read func(ctx context.Context, q statements.Queries) error,
) error {
	return pgx.BeginTxFunc(ctx, pool, pgx.TxOptions{
		IsoLevel:   pgx.RepeatableRead,
		AccessMode: pgx.ReadOnly,
	}, func(tx pgx.Tx) error {
		if _, err := tx.Exec(
			ctx,
			"SELECT set_config('statement_timeout', '0', true), set_config('idle_in_transaction_session_timeout', '0', true)",
		); err != nil {
			return err
		}
		return read(ctx, conn{tx})
	})
}

// lastSnapshot looks at the sequence, which is not of the snapshot: it may be ahead, never behind.
func last(ctx context.Context, q statements.Queries, table, column string) (n int64, err error) {
	var given, greatest int64
	err = q.QueryRow(ctx, "SELECT COALESCE(max("+column+"), 0) FROM "+table).Scan(&greatest)
	if err == nil {
		err = q.QueryRow(
			ctx,
			"SELECT COALESCE(pg_sequence_last_value(pg_get_serial_sequence($1, $2)::regclass), 0)",
			table,
			column,
		).Scan(&given)
	}

	return max(greatest, given), err
}

// Step takes a step of any length, whole or not at all, while no node joins. It returns an
// error while there are nodes.
func (s *Side) Step(ctx context.Context, write func(ctx context.Context, tx statements.Conn) error) error {
	return pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "LOCK TABLE nodes IN SHARE ROW EXCLUSIVE MODE"); err != nil {
			return err
		}

		n, err := countNodes(ctx, tx)
		if err != nil {
			return err
		}
		if n > 0 {
			return errNodes(n)
		}

		return write(ctx, conn{tx})
	})
}

func countNodes(ctx context.Context, tx pgx.Tx) (n int, err error) {
	err = tx.QueryRow(ctx, "SELECT count(*) FROM nodes").Scan(&n)
	return n, err
}

func errNodes(n int) error {
	return jeton.WithDetail(jeton.ErrConflict, fmt.Sprintf("%d nodes serve from the database; stop them first", n))
}

// maxHeartbeatAge is how long a node that has ended without a word is waited for: it
// heartbeats more often, and judges nothing from memory any more after that.
const maxHeartbeatAge = 2*heartbeatEvery + MaxStaleness/2

// Served reports how many nodes serve from the database. One whose line is left from a
// crash is looked at for a while, and its line taken away when it does not beat.
func (s *Side) Served(ctx context.Context) (int, error) {
	before, err := s.heartbeats(ctx)
	if err != nil || len(before) == 0 {
		return 0, err
	}

	s.log.Warn(
		"nodes are on the list of the database; waiting to see whether they are alive",
		"nodes",
		len(before),
		"for",
		s.maxHeartbeatAge.String(),
	)

	for end := time.Now().Add(s.maxHeartbeatAge); ; {
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-time.After(min(heartbeatEvery/5, s.maxHeartbeatAge/5)):
		}

		now, err := s.heartbeats(ctx)
		if err != nil {
			return 0, err
		}

		for id, beat := range now {
			if old, ok := before[id]; !ok || old != beat {
				return len(now), nil
			}
		}

		if len(now) == 0 || time.Now().After(end) {
			return 0, s.removeNodes(ctx, now)
		}
	}
}

func (s *Side) heartbeats(ctx context.Context) (map[string]int64, error) {
	rows, err := s.pool.Query(ctx, "SELECT id, beat FROM nodes")
	if err != nil {
		return nil, err
	}

	list := map[string]int64{}
	var id string
	var beat int64

	_, err = pgx.ForEachRow(rows, []any{&id, &beat}, func() error {
		list[id] = beat
		return nil
	})

	return list, err
}

// dropAcks takes nodes off the list. One that comes back all the same finds that, and
// begins anew.
func (s *Side) removeNodes(ctx context.Context, silent map[string]int64) error {
	for id, beat := range silent {
		if _, err := s.pool.Exec(ctx, "DELETE FROM nodes WHERE id = $1 AND beat = $2", id, beat); err != nil {
			return err
		}
	}

	return nil
}

// Insert adds rows to a table inside a step.
func (s *Side) Insert(ctx context.Context, tx statements.Conn, table string, columns []string, rows [][]any) error {
	c, ok := tx.(conn)
	if !ok {
		return fmt.Errorf("a step of %T is none of PostgreSQL", tx)
	}

	_, err := c.tx.CopyFrom(ctx, pgx.Identifier{table}, columns, pgx.CopyFromRows(rows))
	return err
}

// Advance makes the next number of a table greater than last.
func (s *Side) Advance(ctx context.Context, tx statements.Conn, table, column string, number int64) error {
	now, err := last(ctx, tx, table, column)
	if err != nil {
		return err
	}

	number = max(number, now)
	if number == 0 {
		return nil
	}
	if number == math.MaxInt64 {
		return errors.New("there are no numbers left")
	}

	var set int64
	return tx.QueryRow(
		ctx,
		"SELECT setval(pg_get_serial_sequence($1, $2)::regclass, $3)",
		table,
		column,
		number,
	).Scan(&set)
}

// Close ends the connections.
func (s *Side) Close() error {
	s.pool.Close()
	return nil
}
