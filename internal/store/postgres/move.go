package postgres

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/store/statements"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Side is a database that is copied or restored, without a node. One goroutine uses it.
type Side struct {
	reader
	log             *slog.Logger
	maxHeartbeatAge time.Duration // of a node that is alive
}

// OpenSide connects as Open does, without a node. It opens half a copy, too. Nodes may serve from the
// database; then Step refuses.
func OpenSide(ctx context.Context, c Config) (*Side, error) {
	c = c.withDefaults()
	s, err := c.side(ctx)
	if err != nil {
		return nil, fmt.Errorf("open database %s: %w", c.Where, explainOpen(err))
	}

	return s, nil
}

// ReadOlder connects to read what is in a database, and returns the number of its schema, which may
// be an older one. It changes nothing; nodes may serve from the database.
func ReadOlder(ctx context.Context, c Config) (s *Side, schema int, err error) {
	c = c.withDefaults()
	list, err := Migrations(ctx, c)
	if err != nil {
		return nil, 0, err
	}

	settings, err := c.parse()
	if err == nil {
		s, err = c.connectSide(ctx, settings)
	}
	if err != nil {
		return nil, 0, fmt.Errorf("open database %s: %w", c.Where, explainOpen(err))
	}

	return s, appliedSteps(list), nil
}

// side opens the database for a copy.
func (c Config) side(ctx context.Context) (*Side, error) {
	settings, err := c.parse()
	if err != nil {
		return nil, err
	}
	if err := migrate(ctx, c, settings.ConnConfig); err != nil {
		return nil, err
	}

	s, err := c.connectSide(ctx, settings)
	if err != nil {
		return nil, err
	}
	if err := s.identify(ctx); err != nil {
		s.pool.Close()
		return nil, err
	}

	return s, nil
}

// connectSide connects with few connections and without time limits for statements.
func (c Config) connectSide(ctx context.Context, settings *pgxpool.Config) (*Side, error) {
	// A copy may take long; the operator can interrupt it.
	settings.ConnConfig.RuntimeParams["statement_timeout"] = "0"
	settings.ConnConfig.RuntimeParams["idle_in_transaction_session_timeout"] = "0"
	settings.MaxConns = 4

	pool, err := pgxpool.NewWithConfig(ctx, settings)
	if err != nil {
		return nil, err
	}

	return &Side{reader: reader{pool}, log: c.Log, maxHeartbeatAge: maxHeartbeatAge}, nil
}

// identify gives the database an id, by which a copy recognises its source.
func (s *Side) identify(ctx context.Context) error {
	return pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error { return statements.Identify(ctx, conn{tx}) })
}

// claim is the first step of a node. The node is in the list already: so either a copy finds the
// node, or the node finds the mark of the copy.
func (db *DB) claim(ctx context.Context) error {
	return pgx.BeginFunc(ctx, db.pool, func(tx pgx.Tx) error { return statements.Serve(ctx, conn{tx}) })
}

// reader reads a database.
type reader struct{ pool *pgxpool.Pool }

// Snapshot calls read with one consistent state. Nodes may go on writing.
func (db *DB) Snapshot(ctx context.Context, read func(ctx context.Context, q statements.Queries) error) error {
	return reader{db.pool}.Snapshot(ctx, read)
}

// Last returns the greatest number that a row of a table ever had, or 0.
func (db *DB) Last(ctx context.Context, q statements.Queries, table, column string) (int64, error) {
	return reader{}.Last(ctx, q, table, column)
}

// Snapshot is DB.Snapshot.
func (r reader) Snapshot(ctx context.Context, read func(ctx context.Context, q statements.Queries) error) error {
	const unlimited = `SELECT set_config('statement_timeout', '0', true),
  set_config('idle_in_transaction_session_timeout', '0', true)`
	options := pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}

	return pgx.BeginTxFunc(ctx, r.pool, options, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, unlimited); err != nil {
			return err
		}
		return read(ctx, conn{tx})
	})
}

// Last is DB.Last. It also reads the sequence, which is not part of a snapshot: it may be ahead,
// never behind.
func (reader) Last(ctx context.Context, q statements.Queries, table, column string) (int64, error) {
	const sequence = "SELECT COALESCE(pg_sequence_last_value(pg_get_serial_sequence($1, $2)::regclass), 0)"

	var greatest, given int64
	if err := q.QueryRow(ctx, "SELECT COALESCE(max("+column+"), 0) FROM "+table).Scan(&greatest); err != nil {
		return 0, err
	}
	if err := q.QueryRow(ctx, sequence, table, column).Scan(&given); err != nil {
		return 0, err
	}

	return max(greatest, given), nil
}

// Step runs a step of any length, completely or not at all. It returns an error while there are
// nodes, and none can register meanwhile.
func (s *Side) Step(ctx context.Context, write func(ctx context.Context, tx statements.Conn) error) error {
	return pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "LOCK TABLE nodes IN SHARE ROW EXCLUSIVE MODE"); err != nil {
			return err
		}

		var n int
		if err := tx.QueryRow(ctx, "SELECT count(*) FROM nodes").Scan(&n); err != nil {
			return err
		}
		if n > 0 {
			text := fmt.Sprintf("%d nodes serve from the database; stop them first", n)
			return jeton.WithDetail(jeton.ErrConflict, text)
		}

		return write(ctx, conn{tx})
	})
}

// Nodes returns the ids of the nodes in the list of the database, in order. Some may have ended.
func (s *Side) Nodes(ctx context.Context) ([]string, error) {
	list, err := heartbeats(ctx, s.pool)
	return slices.Sorted(maps.Keys(list)), err
}

// Insert adds rows to a table inside a step.
func (s *Side) Insert(ctx context.Context, tx statements.Conn, table string, columns []string, rows [][]any) error {
	c, ok := tx.(conn)
	if !ok {
		return fmt.Errorf("transaction of type %T: want one of PostgreSQL", tx)
	}

	_, err := c.tx.CopyFrom(ctx, pgx.Identifier{table}, columns, pgx.CopyFromRows(rows))
	return err
}

// Advance makes the next number of a table greater than number.
func (s *Side) Advance(ctx context.Context, tx statements.Conn, table, column string, number int64) error {
	current, err := s.Last(ctx, tx, table, column)
	if err != nil {
		return err
	}

	number = max(number, current)
	if number == 0 {
		return nil
	}
	if number == math.MaxInt64 {
		return fmt.Errorf("table %s: no number is left", table)
	}

	const set = "SELECT setval(pg_get_serial_sequence($1, $2)::regclass, $3)"
	return tx.QueryRow(ctx, set, table, column, number).Scan(new(int64))
}

// Close ends the connections.
func (s *Side) Close() error {
	s.pool.Close()
	return nil
}
