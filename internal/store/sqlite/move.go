package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/jeton-auth/jeton/internal/store/statements"
)

// Side is a file that is copied to or from while no server uses it. It is not safe for
// concurrent use.
type Side struct {
	db       *DB
	readOnly bool
}

// OpenSide opens the file as Open does, but to move what is in it: half a copy, too.
func OpenSide(ctx context.Context, c Config) (*Side, error) {
	if err := create(c.Path); err != nil {
		return nil, err
	}

	s := &Side{db: newDB(c)}
	if err := s.db.openFiles(ctx); err != nil {
		_ = s.db.closeFiles()
		return nil, fmt.Errorf("open database %s: %w", c.Path, advise(err))
	}

	return s, nil
}

// ReadSide opens a file that another process serves from, to read it and nothing else. Its
// schema has to be the one of this program.
func ReadSide(ctx context.Context, path string) (*Side, error) {
	s, schema, err := ReadOlder(ctx, path)
	if err != nil {
		return nil, err
	}

	steps, err := migrations(s.db.c.schemaFiles())
	// It cannot migrate: the server holds the file, and this one only reads.
	if err == nil && schema != len(steps) {
		err = fmt.Errorf(
			"read database %s: its schema is number %d and this program's is %d: "+
				"the running server is of another version; restart it with this one",
			path,
			schema,
			len(steps),
		)
	}

	if err != nil {
		return nil, errors.Join(err, s.Close())
	}

	return s, nil
}

// ReadOlder opens a file to read it and nothing else, and returns the number of its schema, which
// may be an older one.
func ReadOlder(ctx context.Context, path string) (s *Side, schema int, err error) {
	db := newDB(Config{Path: path})
	schema, err = db.openServed(ctx)
	if err != nil {
		_ = db.closeFiles()
		return nil, 0, fmt.Errorf("read database %s: %w", path, advise(err))
	}

	return &Side{db, true}, schema, nil
}

// openServed opens one read-only connection and returns the number of the schema. It refuses one
// that this program does not know.
func (db *DB) openServed(ctx context.Context) (schema int, err error) {
	if err := db.openReaders(1); err != nil {
		return 0, err
	}

	conn, err := db.read.Conn(ctx)
	if err != nil {
		return 0, err
	}
	defer conn.Close()

	steps, err := migrations(db.c.schemaFiles())
	if err != nil {
		return 0, err
	}

	done, err := applied(ctx, conn)
	if err != nil {
		return 0, err
	}

	return len(done), known(steps, done)
}

// Snapshot hands read one consistent state. Others may go on writing; what they write
// stays in the log beside the file until read returns.
func (db *DB) Snapshot(ctx context.Context, read func(ctx context.Context, q statements.Queries) error) error {
	conn, err := db.read.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()

	// The state is the one of the first look.
	if _, err := conn.ExecContext(ctx, "BEGIN"); err != nil {
		return err
	}
	defer func() { _, _ = conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK") }()

	if _, err := conn.ExecContext(ctx, "SELECT 1 FROM migrations LIMIT 1"); err != nil {
		return err
	}

	return read(ctx, tx{Conn: conn})
}

// Last returns the greatest number that a row of a table was ever given, 0 for none.
func (db *DB) Last(ctx context.Context, q statements.Queries, table, column string) (int64, error) {
	var last, given int64
	// Rows with greater numbers may have been deleted; sqlite_sequence still has their number.
	err := q.QueryRow(ctx, "SELECT COALESCE(max("+column+"), 0) FROM "+table).Scan(&last)
	if err != nil {
		return 0, err
	}

	err = q.QueryRow(ctx, "SELECT seq FROM sqlite_sequence WHERE name = $1", table).Scan(&given)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return 0, err
	}

	return max(last, given), nil
}

// Snapshot hands read one consistent state.
func (s *Side) Snapshot(ctx context.Context, read func(ctx context.Context, q statements.Queries) error) error {
	return s.db.Snapshot(ctx, read)
}

// Last is DB.Last.
func (s *Side) Last(ctx context.Context, q statements.Queries, table, column string) (int64, error) {
	return s.db.Last(ctx, q, table, column)
}

// Step takes a step of any length, whole or not at all.
func (s *Side) Step(ctx context.Context, write func(ctx context.Context, tx statements.Conn) error) error {
	if s.readOnly {
		return errors.New("another process serves from this file: it can only be read")
	}

	// Not ctx: a canceled context would keep the connection from rolling back.
	plain := context.WithoutCancel(ctx)
	if _, err := s.db.conn.ExecContext(plain, "BEGIN IMMEDIATE"); err != nil {
		return err
	}

	err := write(ctx, tx{Conn: s.db.conn})
	if err == nil {
		_, err = s.db.conn.ExecContext(plain, "COMMIT")
	}

	if err != nil {
		_, rerr := s.db.conn.ExecContext(plain, "ROLLBACK")
		// After an error that spoils, SQLite may have rolled back already, and ROLLBACK fails.
		if rerr != nil && !spoils(err) {
			return errors.Join(err, rerr)
		}
		return advise(err)
	}

	return nil
}

// Insert adds rows to a table inside a step.
func (s *Side) Insert(ctx context.Context, _ statements.Conn, table string, columns []string, rows [][]any) error {
	marks := strings.TrimSuffix(strings.Repeat("?, ", len(columns)), ", ")
	stmt, err := s.db.conn.PrepareContext(
		ctx,
		"INSERT INTO "+table+" ("+strings.Join(columns, ", ")+") VALUES ("+marks+")",
	)
	if err != nil {
		return err
	}
	defer stmt.Close()

	for _, r := range rows {
		if _, err := stmt.ExecContext(ctx, r...); err != nil {
			return err
		}
	}

	return nil
}

// Advance makes the next number of a table greater than last. Numbers of a table that has
// no count of them follow its greatest anyway.
func (s *Side) Advance(ctx context.Context, tx statements.Conn, table, column string, last int64) error {
	now, err := s.db.Last(ctx, tx, table, column)
	if err != nil || now >= last {
		return err
	}

	n, err := tx.Exec(ctx, "UPDATE sqlite_sequence SET seq = $2 WHERE name = $1", table, last)
	if err != nil || n > 0 {
		return err
	}

	// There is no row: no number of the table was given yet, or the table has no count of them.
	var counted int
	if err := tx.QueryRow(
		ctx, "SELECT count(*) FROM sqlite_schema WHERE name = $1 AND sql LIKE '%AUTOINCREMENT%'", table,
	).Scan(&counted); err != nil || counted == 0 {
		return err
	}

	_, err = tx.Exec(ctx, "INSERT INTO sqlite_sequence (name, seq) VALUES ($1, $2)", table, last)
	return err
}

// Close closes the file. Where it was written, everything is in the one file then.
func (s *Side) Close() error {
	var err error
	if !s.readOnly && s.db.conn != nil {
		_, err = s.db.conn.ExecContext(context.Background(), "PRAGMA wal_checkpoint(TRUNCATE)")
	}
	return errors.Join(err, s.db.closeFiles())
}
