package server

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/config"
	"github.com/jeton-auth/jeton/internal/secretfile"
	"github.com/jeton-auth/jeton/internal/store/move"
	"github.com/jeton-auth/jeton/internal/store/postgres"
	"github.com/jeton-auth/jeton/internal/store/sqlite"
)

// fileBefore begins the names of the backups in the data directory that were made before a PostgreSQL
// database was upgraded; the number of the first missing step follows.
const fileBefore = "jeton.backup-before-"

// backupsKept is how many of them are kept: as many as copies of SQLite.
const backupsKept = 2

// backUpBefore makes a backup of a PostgreSQL database before a step of the schema is applied, in the
// data directory of the node that applies it. What nodes of the previous version write from then on
// is not in it.
func (c Config) backUpBefore(ctx context.Context, conf *config.Config, step int) error {
	err := c.writeBackupBefore(ctx, conf, c.backupBefore(step))
	if err != nil {
		return fmt.Errorf("back up the database before its upgrade: %w", err)
	}

	return c.dropOldBackups(step)
}

// backupBefore returns where the backup before a step is.
func (c Config) backupBefore(step int) string {
	return filepath.Join(c.DataDir, fmt.Sprint(fileBefore, step))
}

// writeBackupBefore writes the backup under another name first, so that it is whole when it has its own.
func (c Config) writeBackupBefore(ctx context.Context, conf *config.Config, path string) (err error) {
	if err := makeDataDir(c.DataDir); err != nil {
		return err
	}

	part := path + fileNew
	if err := os.RemoveAll(part); err != nil { // of an interrupted upgrade
		return err
	}

	f, err := secretfile.Create(part)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(part))
		}
	}()

	source, schema, err := postgres.ReadOlder(ctx, sharedDatabase(c, conf))
	if err != nil {
		return errors.Join(err, f.Close())
	}

	head := c.backupHead(true)
	head.Level = move.LevelOf(head.Engine, schema)
	_, err = move.Backup(ctx, source, f, head)
	err = errors.Join(err, source.Close(), f.Sync(), f.Close())
	if err != nil {
		return err
	}

	c.Log.Info("the database before the upgrade is backed up; delete the file when the upgrade has proved good",
		"file", path)

	if err := os.Rename(part, path); err != nil {
		return err
	}

	// Without it a power failure could take the name away after the steps were applied.
	return sqlite.SyncDir(c.DataDir)
}

// dropOldBackups removes the oldest of these backups.
func (c Config) dropOldBackups(step int) error {
	list := c.backupsBefore(step)
	for _, path := range list[min(backupsKept, len(list)):] {
		if err := os.Remove(path); err != nil {
			return err
		}
	}

	return nil
}

// backupsBefore returns the backups that were made before a step or an earlier one, the newest first.
func (c Config) backupsBefore(step int) (list []string) {
	for n := step; n > 1; n-- {
		path := c.backupBefore(n)
		if _, err := os.Stat(path); err == nil {
			list = append(list, path)
		}
	}

	return list
}

// cannotUndo returns why an upgrade of a PostgreSQL database is not undone, and what to do instead.
func (c Config) cannotUndo(ctx context.Context) error {
	list, err := postgres.Migrations(ctx, sharedDatabase(c, c.File))
	if err != nil {
		return err
	}

	schema, needs := 0, 0
	for _, s := range list {
		if s.Applied {
			schema, needs = s.Number, s.Needs
		}
	}

	if needs < schema {
		return jeton.WithDetail(jeton.ErrConflict, fmt.Sprintf(
			"a version of jeton that knows schema %d works with schema %d: start it; nothing is to be undone",
			needs,
			schema,
		))
	}

	found := c.backupsBefore(schema)
	where := "no such backup is in " + c.DataDir
	if len(found) > 0 {
		where = strings.Join(found, ", ")
	}

	return jeton.WithDetail(jeton.ErrConflict, "an upgrade of a PostgreSQL database is not undone in place: with the "+
		"previous version, restore the backup from before it into an empty database ("+where+")")
}
