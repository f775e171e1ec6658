package sqlite

import (
	"context"
	"fmt"
	"slices"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/store/statements"

	lib "modernc.org/sqlite/lib"
)

// commit runs a batch in one transaction. If the transaction fails, every job in it fails, also
// one that succeeded. Unless all jobs are loose, it is on disk when commit returns.
func (w *writer) commit(db *DB, batch []*job) {
	// No caller's context reaches here: one that gives up must not spoil the others' commit.
	ctx := context.Background()
	err := w.transact(ctx, db, batch)
	if err == nil {
		return
	}

	_, rerr := db.conn.ExecContext(ctx, "ROLLBACK")
	// SQLITE_ERROR: no transaction is open, since SQLite has rolled it back by itself.
	if rerr != nil && code(rerr) != lib.SQLITE_ERROR {
		db.log.Error("transaction was not rolled back", "error", rerr)
	}

	db.probe.failed(err)
	db.log.Error("writes were not committed", "count", len(batch), "error", err)

	for _, j := range batch {
		j.left, j.changes = nil, nil
		j.err = fmt.Errorf("%w: %w", jeton.ErrUnavailable, err)
	}
}

// setSync sets whether the next commit is synced, as it is unless all of a batch is loose. A later commit that is
// synced makes those before it durable: they are in the same file, in front of it.
func (w *writer) setSync(ctx context.Context, db *DB, batch []*job) error {
	unsynced := !slices.ContainsFunc(batch, func(j *job) bool { return !j.loose })
	if unsynced == w.unsynced {
		return nil
	}

	level := "FULL"
	if unsynced {
		level = "NORMAL"
	}
	if _, err := db.conn.ExecContext(ctx, "PRAGMA synchronous = "+level); err != nil {
		return err
	}
	w.unsynced = unsynced

	return nil
}

// transact runs a batch between BEGIN IMMEDIATE and COMMIT. IMMEDIATE takes the lock for
// writing now: taken later, it could fail in the middle of the batch.
func (w *writer) transact(ctx context.Context, db *DB, batch []*job) error {
	if err := w.setSync(ctx, db, batch); err != nil {
		return err
	}
	t := tx{db.conn, w.prepared}
	if _, err := t.exec(ctx, "BEGIN IMMEDIATE"); err != nil {
		return err
	}

	// Uses may go first: none of the batch was answered, so no caller knows of an order.
	if err := w.spends(db.conn, batch); err != nil {
		return err
	}

	for _, j := range batch {
		if j.run == nil {
			continue
		}
		if err := runAlone(ctx, t, j); err != nil {
			return err
		}
	}

	_, err := t.exec(ctx, "COMMIT")
	return err
}

// runAlone runs one job so that its failure takes back its own changes only. The
// error it returns is one that spoils the whole transaction.
func runAlone(ctx context.Context, t tx, j *job) error {
	if _, err := t.exec(ctx, "SAVEPOINT job"); err != nil {
		return err
	}

	j.changes, j.err = j.run(ctx, t)
	if j.err == nil {
		_, err := t.exec(ctx, "RELEASE job")
		return err
	}

	// The transaction may be gone, and with it what the other jobs have done.
	if spoils(j.err) {
		return j.err
	}

	j.changes, j.err = nil, statements.Unavailable(j.err)
	_, err := t.ExecContext(ctx, "ROLLBACK TO job; RELEASE job")

	return err
}

// spoils reports whether after this error SQLite may have rolled the whole transaction
// back by itself, so that going on would run outside of it.
func spoils(err error) bool {
	switch code(err) {
	case lib.SQLITE_FULL, lib.SQLITE_IOERR, lib.SQLITE_NOMEM, lib.SQLITE_BUSY,
		lib.SQLITE_INTERRUPT, lib.SQLITE_CORRUPT, lib.SQLITE_READONLY:
		return true
	}
	return false
}
