package sqlite

import (
	"context"
	"database/sql"
	"sync"

	"github.com/jeton-auth/jeton/internal/store/change"
	"github.com/jeton-auth/jeton/internal/store/statements"
)

// engine is what the statements run on: readers beside the one writer.
type engine struct{ *DB }

// Query reads beside the writer: in WAL mode neither waits for the other.
func (e engine) Query(ctx context.Context, text string, args ...any) (statements.Rows, error) {
	p := e.prepared.take(ctx, text)
	if p == nil {
		r, err := e.read.QueryContext(ctx, text, args...)
		return rows{Rows: r}, err
	}
	// The rows keep their connection, and its statement, to themselves.
	defer e.prepared.release(p)

	r, err := p.stmt.QueryContext(ctx, args...)

	return rows{Rows: r}, err
}

// QueryRow is Query for one row.
func (e engine) QueryRow(ctx context.Context, text string, args ...any) statements.Row {
	p := e.prepared.take(ctx, text)
	if p == nil {
		return e.read.QueryRowContext(ctx, text, args...)
	}
	defer e.prepared.release(p)

	return p.stmt.QueryRowContext(ctx, args...)
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
type tx struct {
	*sql.Conn
	prepared *preparedCache // of the connection; nil: none
}

func (t tx) Query(ctx context.Context, text string, args ...any) (statements.Rows, error) {
	p := t.prepared.take(ctx, text)
	if p == nil {
		r, err := t.QueryContext(ctx, text, args...)
		return rows{Rows: r}, err
	}

	r, err := p.stmt.QueryContext(ctx, args...)
	if err != nil {
		t.prepared.release(p)
		return nil, err
	}

	return rows{r, sync.OnceFunc(func() { t.prepared.release(p) })}, nil
}

func (t tx) QueryRow(ctx context.Context, text string, args ...any) statements.Row {
	p := t.prepared.take(ctx, text)
	if p == nil {
		return t.QueryRowContext(ctx, text, args...)
	}

	return row{p.stmt.QueryRowContext(ctx, args...), func() { t.prepared.release(p) }}
}

// Exec returns the number of changed rows, which conditional statements are judged by.
func (t tx) Exec(ctx context.Context, text string, args ...any) (int64, error) {
	r, err := t.exec(ctx, text, args...)
	if err != nil {
		return 0, err
	}
	return r.RowsAffected()
}

func (t tx) exec(ctx context.Context, text string, args ...any) (sql.Result, error) {
	p := t.prepared.take(ctx, text)
	if p == nil {
		return t.ExecContext(ctx, text, args...)
	}
	defer t.prepared.release(p)

	return p.stmt.ExecContext(ctx, args...)
}

// Steps run one after another, and there is no other writer: there is nothing to wait for.

// Order, Alone and Lock have nothing to do: steps run one at a time, on one connection.
func (tx) Order(context.Context, string) error         { return nil }
func (tx) Alone(context.Context, string) (bool, error) { return true, nil }
func (tx) Lock(string) string                          { return "" }

// rows makes the rows of database/sql a statements.Rows.
type rows struct {
	*sql.Rows
	release func() // gives the statement back; nil: nothing to do
}

// Close closes the rows. What went wrong, Err has said.
func (r rows) Close() {
	_ = r.Rows.Close()
	if r.release != nil {
		r.release()
	}
}

// row is the row of a prepared statement.
type row struct {
	*sql.Row
	release func()
}

// Scan reads the row, once.
func (r row) Scan(into ...any) error {
	defer r.release()
	return r.Row.Scan(into...)
}
