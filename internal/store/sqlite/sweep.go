package sqlite

import (
	"context"
	"time"

	"github.com/jeton-auth/jeton/internal/audit"
)

// A step of a sweep touches hundreds of pages all over the file. Were they left in the log,
// every few steps a commit of others would find it full and copy thousands of pages before
// it is answered: 60 ms in a file of five gigabytes. So a sweep copies them itself, on a
// connection of its own, while the writer goes on.

// SweepSessions implements session.Store.
func (db *DB) SweepSessions(ctx context.Context, before time.Time, limit int) (int, error) {
	n, err := db.Store.SweepSessions(ctx, before, limit)
	return n, db.copied(ctx, n, err)
}

// SweepTokens implements token.Store.
func (db *DB) SweepTokens(ctx context.Context, before time.Time, limit int) (int, error) {
	n, err := db.Store.SweepTokens(ctx, before, limit)
	return n, db.copied(ctx, n, err)
}

// SweepTickets implements ticket.Store.
func (db *DB) SweepTickets(ctx context.Context, before time.Time, limit int) (int, error) {
	n, err := db.Store.SweepTickets(ctx, before, limit)
	return n, db.copied(ctx, n, err)
}

// Forget implements audit.Store.
func (db *DB) Forget(ctx context.Context, before time.Time, limit int) (int, error) {
	n, err := db.Store.Forget(ctx, before, limit)
	return n, db.copied(ctx, n, err)
}

// Drop implements audit.Store.
func (db *DB) Drop(ctx context.Context, x audit.Excess) (audit.Measured, error) {
	m, err := db.Store.Drop(ctx, x)
	return m, db.copied(ctx, int(m.Bytes), err)
}

// copied copies what is in the log into the file after a step that swept n rows. That it could
// not is no fault of the step: the log stays, and the next commit that finds it full copies it.
func (db *DB) copied(ctx context.Context, n int, err error) error {
	if err != nil || n == 0 {
		return err
	}
	if _, err := db.aside.ExecContext(ctx, "PRAGMA wal_checkpoint(PASSIVE)"); err != nil && ctx.Err() == nil {
		db.log.Warn("the log was not copied into the database file", "file", db.path, "error", err)
	}

	return nil
}
