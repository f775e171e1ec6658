package statements

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/jeton-auth/jeton/internal/limit"
	"github.com/jeton-auth/jeton/internal/secret"
	"github.com/jeton-auth/jeton/internal/store/change"
)

// FindFailures implements limit.Store.
func (db *Store) FindFailures(ctx context.Context, name secret.Hash) (time.Time, error) {
	var gone int64
	err := db.engine.QueryRow(ctx, "SELECT gone FROM failed_attempts WHERE name = $1", name[:]).Scan(&gone)
	if errors.Is(err, sql.ErrNoRows) {
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, Unavailable(err)
	}

	return known(gone), nil
}

// AddFailure implements limit.Store.
func (db *Store) AddFailure(ctx context.Context, name secret.Hash, f limit.Failure) error {
	// One statement, so that of two nodes at once each adds its own.
	add := insertInto("failed_attempts", failureColumns) + ` ON CONFLICT (name) DO UPDATE SET gone = CASE
WHEN failed_attempts.gone <= $3 THEN excluded.gone
WHEN failed_attempts.gone + $4 > $5 THEN $5
ELSE failed_attempts.gone + $4 END`

	// A power failure may lose it: no credential depends on it.
	return db.engine.Do(ctx, Step{Loose: true, Run: func(ctx context.Context, tx Conn) ([]change.Change, error) {
		_, err := tx.Exec(
			ctx, add, name[:], milli(f.At.Add(f.Every)), milli(f.At), f.Every.Milliseconds(), milli(f.At.Add(f.Most)),
		)
		return nil, err
	}})
}

// ForgiveFailures implements limit.Store.
func (db *Store) ForgiveFailures(ctx context.Context, name secret.Hash, at time.Time) error {
	return db.engine.Do(ctx, Step{Loose: true, Run: func(ctx context.Context, tx Conn) ([]change.Change, error) {
		_, err := tx.Exec(
			ctx, "UPDATE failed_attempts SET gone = $2 WHERE name = $1 AND gone > $2", name[:], milli(at),
		)
		return nil, err
	}})
}

// SweepFailures implements limit.Store.
func (db *Store) SweepFailures(ctx context.Context, before time.Time, limit int) (int, error) {
	var n int64

	err := db.do(ctx, func(ctx context.Context, tx Conn) error {
		// Set here, because the step may run again after a rollback.
		n = 0
		// Two nodes that delete the same rows would only wait for each other.
		if mine, err := tx.Alone(ctx, "sweep of failures"); err != nil || !mine {
			return err
		}

		var err error
		n, err = tx.Exec(
			ctx,
			"DELETE FROM failed_attempts WHERE name IN (SELECT name FROM failed_attempts WHERE gone < $1"+
				" ORDER BY gone"+atMost(limit)+")",
			milli(before),
		)

		return err
	})

	return int(n), err
}
