package server

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/store/move"
	"github.com/jeton-auth/jeton/internal/store/sqlite"
)

// Undoing is how UndoMigration undoes an upgrade.
type Undoing struct {
	Force int  // give up what was written since the upgrade from this schema
	Trust bool // with Force: keep credentials that may have been spent or revoked since
}

// Undone is an upgrade that was undone.
type Undone struct {
	Schema int                 `json:"schema"` // of the database now
	Copy   string              `json:"copy"`   // the file that was put in its place
	Kept   string              `json:"old_database"`
	Lost   []sqlite.Difference `json:"lost"`            // what was written since the upgrade
	Epoch  *Renewed            `json:"epoch,omitempty"` // if anything was
}

// beforeUndo begins the rest of the name of a database that was set aside; the time follows.
const beforeUndo = ".before-undo-"

// fileUndoing is where an undo makes the file that becomes the database.
const fileUndoing = fileDB + ".undoing"

// UndoMigration puts the copy that was kept before the last upgrade of the schema in the place of the
// database, whose file is set aside. If anything was written since the upgrade it returns
// jeton.ErrConflict with the tables, unless u.Force names the schema of the copy, which may be that of an earlier
// upgrade; then a new epoch begins, as after a restore. It returns ErrInUse while a server is running, and
// jeton.ErrNotFound without a copy.
func UndoMigration(ctx context.Context, c Config, u Undoing) (Undone, error) {
	c = c.withDefaults()
	if err := c.mustExist(); err != nil {
		return Undone{}, err
	}
	if c.File.Database != nil {
		return Undone{}, c.cannotUndo(ctx)
	}

	f, err := lockDataDir(c.DataDir)
	if err != nil {
		return Undone{}, err
	}
	defer f.release()

	kept, err := c.keptCopy(ctx)
	if err != nil {
		return Undone{}, err
	}

	// What is still in the log beside the file would stay there without its file.
	path := f.file(fileDB)
	epoch := sqlite.Settle(ctx, path)
	out := Undone{Schema: kept.Schema, Copy: kept.Path}
	lost, err := sqlite.Since(ctx, c.sqliteFile(), kept)
	out.Lost = append([]sqlite.Difference{}, lost...) // a list for programs, also without an element
	if err != nil {
		return out, err
	}
	if len(out.Lost) > 0 && u.Force != kept.Schema {
		at, err := sqlite.UpgradedAt(ctx, c.sqliteFile(), kept)
		if err != nil {
			return out, err
		}

		return out, jeton.WithDetail(jeton.ErrConflict, fmt.Sprintf(
			"since the upgrade the server has written what an undo would lose: %s; --force %d gives it up, ends "+
				"all sessions and tokens, and goes back to schema %d as of %s (%s)",
			differences(out.Lost),
			kept.Schema,
			kept.Schema,
			at.UTC().Format(time.RFC3339),
			kept.Path,
		))
	}

	err = c.undo(ctx, f, kept, u, epoch, &out)

	return out, err
}

// keptCopy returns the copy that was made before the last upgrade.
func (c Config) keptCopy(ctx context.Context) (sqlite.Copy, error) {
	steps, err := sqlite.Migrations(ctx, c.sqliteFile())
	if err != nil {
		return sqlite.Copy{}, err
	}

	missing := 0
	for _, s := range steps {
		if !s.Applied {
			missing++
		}
	}
	// Since can only compare with the schema of this program.
	if missing > 0 {
		return sqlite.Copy{}, jeton.WithDetail(jeton.ErrConflict, fmt.Sprintf(
			"the database has schema %d, this program %d: there is no upgrade of this program to undo; "+
				"undo an earlier one with the version that made it",
			len(steps)-missing,
			len(steps),
		))
	}

	path := DataFile(c.DataDir)
	copies, err := sqlite.Copies(path)
	if err != nil {
		return sqlite.Copy{}, err
	}

	for _, kept := range copies {
		if kept.Schema >= len(steps) {
			continue // of a newer version, which was undone by hand
		}
		if move.LevelOf("sqlite", kept.Schema) == 0 {
			return kept, jeton.WithDetail(jeton.ErrConflict, kept.Path+" is older than backups and cannot be put back")
		}

		return kept, checkCopy(ctx, kept)
	}

	return sqlite.Copy{}, jeton.WithDetail(
		jeton.ErrNotFound,
		"no copy from before an upgrade is beside "+path+"; restore a backup with the earlier version",
	)
}

// checkCopy refuses a copy that is not what its name says.
func checkCopy(ctx context.Context, kept sqlite.Copy) error {
	side, schema, err := sqlite.ReadOlder(ctx, kept.Path)
	if err != nil {
		return err
	}

	if schema != kept.Schema {
		err = fmt.Errorf("%s has schema %d, want %d: its name is wrong", kept.Path, schema, kept.Schema)
	}

	return errors.Join(err, side.Close())
}

// undo makes the file that becomes the database, and puts it in its place.
func (c Config) undo(
	ctx context.Context,
	f *dataDir,
	kept sqlite.Copy,
	u Undoing,
	epoch int64,
	out *Undone,
) (err error) {
	path, fresh := f.file(fileDB), f.file(fileUndoing)
	if err := sqlite.Remove(fresh); err != nil { // of one that was interrupted
		return fmt.Errorf("undo: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, sqlite.Remove(fresh))
		}
	}()

	if err := sqlite.Duplicate(ctx, kept.Path, fresh); err != nil {
		return fmt.Errorf("undo: %w", err)
	}

	ask := c.ask(audit.Restore, "database", u.Trust, fmt.Sprintf("undid the upgrade from schema %d", kept.Schema))
	// Nothing was spent or revoked since the copy if nothing was written: every credential is as it was.
	if len(out.Lost) > 0 {
		renewed, err := c.renewUndone(ctx, fresh, kept.Schema, ask, epoch)
		if err != nil {
			return err
		}
		out.Epoch = &renewed
	}

	out.Kept = f.file(fmt.Sprintf("%s%s%s", fileDB, beforeUndo, ask.Now.UTC().Format("20060102T150405.000Z")))

	if err := sqlite.Replace(path, fresh, out.Kept); err != nil {
		return err
	}

	// The upgrade is undone; what is left over is no failure of it.
	err = c.dropUndone(f)
	if err != nil {
		c.Log.Warn("an older database of an undo was not removed", "error", err)
	}

	return nil
}

// undoneKept is how many databases are kept whose upgrade was undone.
const undoneKept = 2

// dropUndone removes older ones. Their names end with the time.
func (c Config) dropUndone(f *dataDir) error {
	list, err := filepath.Glob(f.file(fileDB + beforeUndo + "*Z"))
	if err != nil {
		return err
	}

	slices.Sort(list)
	for _, path := range list[:max(0, len(list)-undoneKept)] {
		if err := sqlite.Remove(path); err != nil {
			return err
		}
		c.Log.Info("the database of an older undo is removed", "file", path)
	}

	return nil
}

// renewUndone begins a new epoch in a file with an older schema.
func (c Config) renewUndone(
	ctx context.Context,
	path string,
	schema int,
	ask move.Ask,
	after int64,
) (move.Renewed, error) {
	side, err := sqlite.OpenSide(ctx, sqlite.Config{Path: path, Log: c.Log, Schema: sqlite.FirstSteps(schema)})
	if err != nil {
		return move.Renewed{}, err
	}

	renewed, err := move.RenewOlder(ctx, side, ask, move.LevelOf("sqlite", schema), after)

	// Closing merges the log into the file, which takes its place as one file.
	return renewed, errors.Join(err, side.Close())
}

// differences lists tables with their rows.
func differences(list []sqlite.Difference) string {
	var parts []string
	for _, d := range list {
		name := d.Table
		if name == "sqlite_sequence" {
			name = "numbers given"
		}
		parts = append(parts, fmt.Sprintf("%s %d", name, d.Rows))
	}

	return strings.Join(parts, ", ")
}
