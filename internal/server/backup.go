package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/store/move"
	"github.com/jeton-auth/jeton/internal/store/postgres"
	"github.com/jeton-auth/jeton/internal/store/sqlite"
)

// Progress is the progress of a copy or a restore.
type Progress = move.Progress

// Summary describes the content of a backup.
type Summary = move.Summary

// backup writes what the server keeps to w, as of one moment.
func (k *core) backup(ctx context.Context, c Config, w io.Writer) error {
	_, shared := k.db.(*postgres.DB)
	_, err := move.Backup(ctx, k.db, w, c.backupHead(shared))
	// One that its caller has broken off is no failure to report.
	if err != nil && ctx.Err() == nil {
		c.Log.Error("a backup was not finished", "error", err)
	}

	return err
}

// backupHead returns the head of a backup of PostgreSQL, if shared says so, or SQLite.
func (c Config) backupHead(shared bool) move.Head {
	head := move.Head{Engine: "sqlite", Program: c.Version, Made: c.Now().UTC().Truncate(time.Millisecond)}
	if shared {
		head.Engine = "postgres"
	}

	return head
}

// ErrOldSchema means that a database has to be upgraded first: by Migrate, or by a server that starts.
var ErrOldSchema = move.ErrOldSchema

// BackupOlder writes a backup of a database that Offline refuses with ErrOldSchema, and does not
// change it. The version of that schema can restore it, and so can this one.
func BackupOlder(ctx context.Context, c Config, w io.Writer) error {
	c = c.withDefaults()
	f, err := lockDataDir(c.DataDir)
	if err != nil {
		return err
	}
	defer f.release()

	source, schema, err := c.readOlder(ctx)
	if err != nil {
		return err
	}
	defer source.Close()

	head := c.backupHead(c.File.Database != nil)
	head.Level = move.LevelOf(head.Engine, schema)
	if head.Level == 0 {
		return fmt.Errorf(
			"schema %d of the database is older than backups: run 'jeton migrate up', "+
				"which keeps a copy of the file, and make the backup then",
			schema,
		)
	}

	_, err = move.Backup(ctx, source, w, head)
	return err
}

// readOlder opens the configured database to read it, and returns the number of its schema.
func (c Config) readOlder(ctx context.Context) (side, int, error) {
	if c.File.Database != nil {
		return postgres.ReadOlder(ctx, sharedDatabase(c, c.File))
	}
	return sqlite.ReadOlder(ctx, DataFile(c.DataDir))
}

// CheckBackup reads a backup from beginning to end. It returns jeton.ErrInvalid for what is
// none, is not whole, or is newer than this program.
func CheckBackup(ctx context.Context, path string) (Summary, error) {
	file, done, err := openBackup(ctx, path)
	if err != nil {
		return Summary{}, err
	}
	defer done()

	return file.Summary, nil
}

// openBackup opens a backup and checks it completely. The returned function closes the
// file.
func openBackup(ctx context.Context, path string) (*move.File, func(), error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, fmt.Errorf("open backup: %w", err)
	}

	info, err := f.Stat()
	// It is read twice, to check it and to restore it, and a pipe can be read once.
	if err == nil && !info.Mode().IsRegular() {
		err = jeton.WithDetail(
			jeton.ErrInvalid,
			path+" is no file; a backup is read more than once, so write it to one first",
		)
	}

	var file *move.File
	if err == nil {
		file, err = move.Open(ctx, f, info.Size())
	}

	if err != nil {
		_ = f.Close()
		return nil, nil, fmt.Errorf("backup %s: %w", path, err)
	}

	return file, func() { _ = f.Close() }, nil
}

// Restoring is what Restore does.
type Restoring struct {
	Path   string // of the backup
	Trust  bool   // keep what could have been spent or revoked since the backup
	Report func(Progress)
	// Replace gives up what a PostgreSQL database holds. A file of SQLite is set aside.
	Replace bool
}

// Renewed reports what a new epoch has ended.
type Renewed = move.Renewed

// Restored reports what a restore has done.
type Restored struct {
	Backup Summary `json:"backup"`
	Renewed
	Trusted bool   `json:"credentials_trusted"`
	Kept    string `json:"old_database,omitempty"` // where the one that was there is now
}

// Restore puts what is in a backup in the place of what the server keeps, and begins a new
// epoch. It returns ErrInUse or jeton.ErrConflict while a server is up, and jeton.ErrInvalid
// for a file that is no whole backup, before anything has changed.
func Restore(ctx context.Context, c Config, r Restoring) (Restored, error) {
	c = c.withDefaults()
	file, done, err := openBackup(ctx, r.Path)
	if err != nil {
		return Restored{}, err
	}
	defer done()

	// After the backup was checked: a bad one is refused without touching the directory.
	f, err := lockDataDir(c.DataDir)
	if err != nil {
		return Restored{}, err
	}
	defer f.release()

	out := Restored{Backup: file.Summary, Trusted: r.Trust}
	ask := c.ask(
		audit.Restore, "database", r.Trust,
		fmt.Sprintf("from a backup of %s with %d rows", file.Made.UTC().Format(time.RFC3339), file.Rows()),
	)

	if c.File.Database != nil {
		to, err := End{Database: c.File.Database}.hold(ctx, c, nil)
		if err != nil {
			return out, err
		}
		defer to.Close()

		out.Renewed, err = file.Restore(ctx, to, ask, r.Replace, 0, r.Report)
		return out, err
	}

	return out, restoreFile(ctx, c, f, file, ask, r.Report, &out)
}

// ask is how a new epoch is begun.
func (c Config) ask(action, target string, trust bool, reason string) move.Ask {
	now := c.Now()
	if trust {
		reason += "; its credentials are trusted: what was spent or revoked since is valid again"
	} else {
		reason += "; all sessions and tokens have ended, all signing keys are revoked"
	}

	return move.Ask{
		Now:   now,
		Trust: trust,
		Event: jeton.Event{
			Time:    now,
			Actor:   "operator",
			Action:  action,
			Target:  target,
			Outcome: audit.OK,
			Reason:  reason,
		},
	}
}

// fileRestoring is where a restore makes the new database. What an interrupted one leaves
// there is replaced by the next.
const fileRestoring = fileDB + ".restoring"

// restoreFile makes a new file beside the old one, and puts it in its place when it is whole.
func restoreFile(
	ctx context.Context,
	c Config,
	f *dataDir,
	file *move.File,
	ask move.Ask,
	report func(Progress),
	out *Restored,
) (err error) {
	path, fresh := f.file(fileDB), f.file(fileRestoring)
	if err := sqlite.Remove(fresh); err != nil { // of one that was broken off
		return fmt.Errorf("restore: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, sqlite.Remove(fresh))
		}
	}()

	to, err := sqlite.OpenSide(ctx, sqlite.Config{Path: fresh, Log: c.Log})
	if err != nil {
		return err
	}

	out.Renewed, err = file.Restore(ctx, to, ask, false, sqlite.Settle(ctx, path), report)
	// Closing merges the log into the new file, which takes its place as one file.
	err = errors.Join(err, to.Close())
	if err != nil {
		return err
	}

	kept := f.file(fmt.Sprintf("%s.before-restore-%s", fileDB, ask.Now.UTC().Format("20060102T150405.000Z")))
	if _, err := os.Stat(path); err == nil {
		out.Kept = kept
	}

	return sqlite.Replace(path, fresh, kept)
}

// NewEpoch begins a new epoch of a database that was brought back from the past by other
// means than Restore.
func NewEpoch(ctx context.Context, c Config, trust bool) (Renewed, error) {
	c = c.withDefaults()
	if err := c.mustExist(); err != nil {
		return Renewed{}, err
	}

	f, err := lockDataDir(c.DataDir)
	if err != nil {
		return Renewed{}, err
	}
	defer f.release()

	to, err := End{Database: c.File.Database}.hold(ctx, c, f)
	if err != nil {
		return Renewed{}, err
	}
	defer to.Close()

	return move.Renew(ctx, to, c.ask(audit.Epoch, "database", trust, "the database was brought back from the past"))
}

// side is a database that this process holds.
type side interface {
	move.Side
	Close() error
}

// DataFile returns where the database of a data directory is, if it is SQLite.
func DataFile(dir string) string { return filepath.Join(dir, fileDB) }
