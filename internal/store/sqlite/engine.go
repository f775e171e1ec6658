package sqlite

import (
	"context"
	"database/sql"

	"github.com/jeton-auth/jeton/internal/store/change"
	"github.com/jeton-auth/jeton/internal/store/statements"
)

// engine is what the statements run on: readers beside the one writer.
type engine struct{ *DB }

// Query reads beside the writer: in WAL mode neither waits for the other.
func (e engine) Query(ctx context.Context, text string, args ...any) (statements.Rows, error) {
	r, err := e.read.QueryContext(ctx, text, args...)
	return rows{r}, err
}

// QueryRow uses the prepared statement where Open has made one.
func (e engine) QueryRow(ctx context.Context, text string, args ...any) statements.Row {
	stmt := e.prepared[text]
	if stmt != nil {
		return stmt.QueryRowContext(ctx, args...)
	}
	return e.read.QueryRowContext(ctx, text, args...)
}

// Do takes a step. All steps are serial here.
func (e engine) Do(ctx context.Context, s statements.Step) error {
	j := jobs.Get().(*job)
	j.run = s.Run
	j.loose = s.Loose
	j.err = nil
	switch {
	case s.Long:
		j.times = forLong
	case s.Serial:
		j.times = forSerial
	}

	err, mine := e.writer.wait(ctx, j)
	// Otherwise the writer may still use the job, which must not go back into the pool.
	if mine {
		j.run = nil
		j.changes = nil
		j.times = 0
		j.loose = false
		jobs.Put(j)
	}

	return err
}

// Settled returns nothing: numbers are given in the order of the commits.
func (engine) Settled(context.Context) (string, error) { return "", nil }

// Settle takes an empty step: those before it have reached every subscriber. It writes nothing.
func (e engine) Settle(ctx context.Context) error {
	return e.Do(ctx, statements.Step{
		Run: func(context.Context, statements.Conn) ([]change.Change, error) { return nil, nil },
	})
}

// Fresh returns nil: a change has reached every subscriber before the call that made it returns.
func (db *DB) Fresh(context.Context) error { return nil }

// tx is the writer's connection while a step is being taken.
type tx struct{ *sql.Conn }

func (t tx) Query(ctx context.Context, text string, args ...any) (statements.Rows, error) {
	r, err := t.QueryContext(ctx, text, args...)
	return rows{r}, err
}

func (t tx) QueryRow(ctx context.Context, text string, args ...any) statements.Row {
	return t.QueryRowContext(ctx, text, args...)
}

// Exec returns the number of changed rows, which conditional statements are judged by.
func (t tx) Exec(ctx context.Context, text string, args ...any) (int64, error) {
	r, err := t.ExecContext(ctx, text, args...)
	if err != nil {
		return 0, err
	}
	return r.RowsAffected()
}

// Steps run one after another, and there is no other writer: there is nothing to wait for.

// Order, Alone and Lock have nothing to do: steps run one at a time, on one connection.
func (tx) Order(context.Context, string) error         { return nil }
func (tx) Alone(context.Context, string) (bool, error) { return true, nil }
func (tx) Lock(string) string                          { return "" }

// rows makes the rows of database/sql a statements.Rows.
type rows struct{ *sql.Rows }

// Close closes the rows. What went wrong, Err has said.
func (r rows) Close() { _ = r.Rows.Close() }
