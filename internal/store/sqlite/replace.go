package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"github.com/jeton-auth/jeton/internal/secretfile"
)

// The files that SQLite keeps beside one that is in use.
const (
	logFile   = "-wal"
	indexFile = "-shm"
)

// Exists reports whether there is a file, of whatever sort.
func Exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// Settle merges the log of an unused file into it, and returns the number of its epoch, or 0
// if that cannot be read. A file that is damaged, missing or not ours stays as it is, without
// an error: that may be why it is replaced.
func Settle(ctx context.Context, path string) (epoch int64) {
	if !hasLog(path) {
		return 0 // SQLite would take away the log of what it does not know
	}

	db, err := sql.Open("sqlite", dsn(path, "mode=rw"))
	if err != nil {
		return 0
	}
	defer db.Close() // the last one to close removes the log

	db.SetMaxOpenConns(1)
	var text string
	if db.QueryRowContext(ctx, "SELECT value FROM meta WHERE name = 'epoch'").Scan(&text) == nil {
		epoch, _ = strconv.ParseInt(text, 10, 64)
	}

	// When this fails, the log stays, and keep moves it with its file.
	_, _ = db.ExecContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)")

	return epoch
}

// hasLog reports whether a file begins as one of SQLite that has a log (its file format,
// section 1.3). Whose it is may be in the log alone.
func hasLog(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()

	var head [100]byte
	_, err = io.ReadFull(f, head[:])

	return err == nil && string(head[:16]) == "SQLite format 3\x00" && head[18] == 2 && head[19] == 2
}

// Replace puts the file with in the place of path, and keeps what was there under a third
// name, which must be free. No process uses any of them, and Settle has been called for path.
// A crash leaves the old one or the new one in its place, whole, and never none.
func Replace(path, with, kept string) error {
	if err := keep(path, kept); err != nil {
		return fmt.Errorf("keep the old database: %w", err)
	}
	if err := os.Rename(with, path); err != nil {
		return fmt.Errorf("put the new database in its place: %w", err)
	}

	// A rename that is not synced may be undone by a power failure, after it was reported.
	return SyncDir(filepath.Dir(path))
}

// keep gives the old file a second name, kept, which must be free. A missing old file is no
// error.
func keep(path, kept string) error {
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		return nil
	}

	// The new file must never meet the log of the old one. There is still one only where the
	// old file could not be read.
	if err := os.Rename(path+logFile, kept+logFile); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Remove(path + indexFile); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}

	// A link and not a rename: the old file stays in its place until the new one takes it.
	if err := os.Link(path, kept); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return err
		}
		return duplicate(path, kept) // a file system without links
	}

	return nil
}

// duplicate copies the file for a file system that has no hard links, such as FAT or some
// network mounts.
func duplicate(path, kept string) (err error) {
	from, err := os.Open(path)
	if err != nil {
		return err
	}
	defer from.Close()

	to, err := secretfile.Create(kept)
	if err != nil {
		return err
	}

	_, err = io.Copy(to, from)
	// Synced before the new file takes the place of the old one: this is then the only copy.
	return errors.Join(err, to.Sync(), to.Close())
}

// SyncDir makes the new names durable. Some file systems cannot sync a directory, and some
// systems have no such call: that is not an error.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}

	err = d.Sync()
	if errors.Is(err, errors.ErrUnsupported) {
		err = nil
	}

	return errors.Join(err, d.Close())
}

// Remove removes a file with what is beside it. One that is not there is no error.
func Remove(path string) error {
	var errs []error
	for _, name := range []string{path, path + logFile, path + indexFile} {
		if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}

	return errors.Join(errs...)
}
