package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
)

// keepBefore keeps a copy of the file before step number n is applied to it: PATH.before-N, whole
// and durable before it has that name, with the mode and the owner of the file. It replaces one of
// an earlier upgrade that was undone: this one is newer. The caller's connection has no transaction.
func (db *DB) keepBefore(ctx context.Context, n int) (err error) {
	if db.c.trial {
		return nil
	}

	kept := CopyBefore(db.path, n)
	part := kept + ".part"
	if err := Remove(part); err != nil { // of an interrupted upgrade
		return err
	}

	defer func() {
		if err != nil {
			err = errors.Join(err, Remove(part))
		}
	}()

	f, err := os.OpenFile(part, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}

	err = vacuumInto(ctx, db.conn, db.path, f)
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}

	if err := os.Rename(part, kept); err != nil {
		return err
	}
	if err := SyncDir(filepath.Dir(kept)); err != nil {
		return err
	}

	db.log.Info("the database before the upgrade is kept; delete it when the upgrade has proved good", "file", kept)

	return db.dropOldCopies(n)
}

// vacuumInto writes one state of the database at path to an empty file, which gets its mode and owner.
func vacuumInto(ctx context.Context, conn *sql.Conn, path string, f *os.File) error {
	// One consistent state, with what is still in the log beside the file.
	if _, err := conn.ExecContext(ctx, "VACUUM INTO $1", f.Name()); err != nil {
		return err
	}

	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if err := chown(f, info); err != nil {
		return err
	}
	if err := f.Chmod(info.Mode().Perm()); err != nil {
		return err
	}

	return f.Sync()
}
