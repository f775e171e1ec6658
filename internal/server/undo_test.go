package server_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/server"
	"github.com/jeton-auth/jeton/internal/store/sqlite"
	"github.com/jeton-auth/jeton/internal/store/statements"
	"github.com/jeton-auth/jeton/jetontest"
)

// upgraded returns a SQLite database of schema n that this program has upgraded.
func upgraded(t *testing.T, n int) *older {
	t.Helper()
	o := newOlder(t, "", n)
	if _, err := server.Migrate(t.Context(), o.conf, false); err != nil {
		t.Fatal(err)
	}

	return o
}

// write runs a statement in the database of this program's schema.
func (o *older) write(t *testing.T, text string) {
	t.Helper()
	side, err := sqlite.OpenSide(t.Context(), sqlite.Config{Path: server.DataFile(o.conf.DataDir)})
	if err != nil {
		t.Fatal(err)
	}

	err = side.Step(t.Context(), func(ctx context.Context, tx statements.Conn) error {
		_, err := tx.Exec(ctx, text)
		return err
	})
	if err := errors.Join(err, side.Close()); err != nil {
		t.Fatal(err)
	}
}

func TestAnUpgradeIsUndone(t *testing.T) {
	o := upgraded(t, previous(t, "sqlite"))
	done, err := server.UndoMigration(t.Context(), o.conf, server.Undoing{})
	if err != nil || len(done.Lost) > 0 || done.Epoch != nil {
		t.Fatalf("UndoMigration = %+v, %v, want nothing lost and no new epoch", done, err)
	}
	if got := o.applied(t); got != o.schema {
		t.Errorf("schema after it = %d, want %d", got, o.schema)
	}

	wantDiane(t, o) // it can be upgraded again
}

func TestTheDatabasesOfTheNewestTwoUndosAreKept(t *testing.T) {
	o := newOlder(t, "", previous(t, "sqlite"))
	var want []string
	for i := range 3 {
		if _, err := server.Migrate(t.Context(), o.conf, false); err != nil {
			t.Fatal(err)
		}
		done, err := server.UndoMigration(t.Context(), o.conf, server.Undoing{})
		if err != nil {
			t.Fatal(err)
		}
		if i > 0 {
			want = append(want, done.Kept)
		}
	}

	got, err := filepath.Glob(server.DataFile(o.conf.DataDir) + ".before-undo-*Z")
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("databases of undos = %q, %v, want the newest two, %q", got, err, want)
	}
}

func TestAnUndoSucceedsIfAnOlderDatabaseIsNotRemoved(t *testing.T) {
	o := upgraded(t, previous(t, "sqlite"))
	for _, n := range []int{1, 2} { // a directory with a file cannot be removed as a file
		path := fmt.Sprintf("%s.before-undo-%dZ", server.DataFile(o.conf.DataDir), n)
		if err := os.MkdirAll(filepath.Join(path, "in the way"), 0o700); err != nil {
			t.Fatal(err)
		}
	}

	done, err := server.UndoMigration(t.Context(), o.conf, server.Undoing{})
	if err != nil || done.Kept == "" {
		t.Errorf("UndoMigration = %+v, %v, want the upgrade undone", done, err)
	}
}

// TestAnUndoBeginsANewEpochOfEverySchema is about the tables that an older schema lacks.
func TestAnUndoBeginsANewEpochOfEverySchema(t *testing.T) {
	for n := 5; n <= previous(t, "sqlite"); n++ {
		t.Run(fmt.Sprintf("schema %d", n), func(t *testing.T) {
			o := upgraded(t, n)
			o.write(t, "UPDATE users SET email = 'diane@example.org', email_folded = 'diane@example.org'")

			_, err := server.UndoMigration(t.Context(), o.conf, server.Undoing{Force: n + 1})
			back := fmt.Sprintf("back to schema %d as of 20", n)
			if !errors.Is(err, jeton.ErrConflict) || !strings.Contains(err.Error(), "users 1;") ||
				!strings.Contains(err.Error(), back) {
				t.Errorf("after a change, to another schema: %v, want ErrConflict, users 1 and %q", err, back)
			}

			done, err := server.UndoMigration(t.Context(), o.conf, server.Undoing{Force: n})
			if err != nil || done.Epoch == nil || done.Epoch.Epoch == 0 {
				t.Fatalf("UndoMigration with Force = %+v, %v, want a new epoch", done, err)
			}
			if _, err := os.Stat(done.Kept); err != nil {
				t.Errorf("the upgraded database: %v, want it kept", err)
			}
			if got := o.applied(t); got != n {
				t.Errorf("schema after it = %d, want %d", got, n)
			}
		})
	}
}

func TestAnUndoNamesWhatAServerHasWritten(t *testing.T) {
	o := upgraded(t, previous(t, "sqlite"))
	s := jetontest.Start(t, o.yaml, jetontest.DataDir(o.conf.DataDir))
	user := map[string]any{"name": "carlos", "password": "correct horse battery"}
	if err := s.Control("POST", "/api/v1/users", user, nil); err != nil {
		t.Fatal(err)
	}

	_, err := server.UndoMigration(t.Context(), o.conf, server.Undoing{Force: previous(t, "sqlite")})
	if !errors.Is(err, server.ErrInUse) {
		t.Errorf("UndoMigration beside a server = %v, want ErrInUse", err)
	}

	s.Stop()
	_, err = server.UndoMigration(t.Context(), o.conf, server.Undoing{})
	if err == nil || !strings.Contains(err.Error(), "users 1") || !strings.Contains(err.Error(), "audit ") {
		t.Errorf("UndoMigration = %v, want an error that names users and the audit log", err)
	}
}

func TestThereIsNothingToUndo(t *testing.T) {
	none := newOlder(t, "", previous(t, "sqlite")) // not upgraded
	_, err := server.UndoMigration(t.Context(), none.conf, server.Undoing{Force: previous(t, "sqlite")})
	if !errors.Is(err, jeton.ErrConflict) {
		t.Errorf("UndoMigration without an upgrade = %v, want ErrConflict", err)
	}

	gone := upgraded(t, previous(t, "sqlite"))
	kept := sqlite.CopyBefore(server.DataFile(gone.conf.DataDir), gone.schema+1)
	if err := os.Remove(kept); err != nil {
		t.Fatal(err)
	}
	_, err = server.UndoMigration(t.Context(), gone.conf, server.Undoing{Force: previous(t, "sqlite")})
	if !errors.Is(err, jeton.ErrNotFound) {
		t.Errorf("UndoMigration without a copy = %v, want ErrNotFound", err)
	}

	if err := os.WriteFile(kept, []byte(strings.Repeat("not a database ", 20)), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = server.UndoMigration(t.Context(), gone.conf, server.Undoing{Force: gone.schema})
	if err == nil {
		t.Error("UndoMigration with a damaged copy = nil, want an error")
	}
	if got := gone.applied(t); got != gone.schema+1 {
		t.Errorf("schema after refusals = %d, want still %d", got, gone.schema+1)
	}
}

func TestPostgreSQLIsBackedUpBeforeAnUpgrade(t *testing.T) {
	o := newOlder(t, shared.Database(t), previous(t, "postgres"))
	for _, n := range []int{2, 3} { // of earlier upgrades
		path := filepath.Join(o.conf.DataDir, fmt.Sprint("jeton.backup-before-", n))
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}

	if _, err := server.Migrate(t.Context(), o.conf, false); err != nil {
		t.Fatal(err)
	}

	name := fmt.Sprint("jeton.backup-before-", o.schema+1)
	found, err := filepath.Glob(filepath.Join(o.conf.DataDir, "jeton.backup-*"))
	if err != nil || len(found) != 2 || filepath.Base(found[0]) != name {
		t.Errorf("backups = %v, %v, want %s and the newer one of two older ones", found, err, name)
	}

	path := filepath.Join(o.conf.DataDir, name)
	_, err = server.UndoMigration(t.Context(), o.conf, server.Undoing{Force: previous(t, "sqlite")})
	if !errors.Is(err, jeton.ErrConflict) || !strings.Contains(err.Error(), path) {
		t.Errorf("UndoMigration = %v, want an error that names %s", err, path)
	}

	to := newOlder(t, "", previous(t, "sqlite"))
	_, err = server.Restore(t.Context(), to.conf, server.Restoring{Path: path, Report: func(server.Progress) {}})
	if err != nil {
		t.Fatalf("Restore of the backup = %v", err)
	}
	wantDiane(t, to)
}

func TestWithoutABackupNoStepIsApplied(t *testing.T) {
	o := newOlder(t, shared.Database(t), previous(t, "postgres"))
	path := filepath.Join(o.conf.DataDir, fmt.Sprint("jeton.backup-before-", o.schema+1))
	if err := os.MkdirAll(filepath.Join(path, "in the way"), 0o700); err != nil {
		t.Fatal(err)
	}

	_, err := server.Migrate(t.Context(), o.conf, false)
	if err == nil || !strings.Contains(err.Error(), "back up the database before its upgrade") {
		t.Errorf("Migrate = %v, want an error about the backup", err)
	}
	if got := o.applied(t); got != o.schema {
		t.Errorf("schema after it = %d, want still %d", got, o.schema)
	}
}

func TestAPreflightReportsWhatAnUpgradeNeeds(t *testing.T) {
	onOlder(t, func(t *testing.T, o *older) {
		found, err := server.TryMigration(t.Context(), o.conf)
		if err != nil {
			t.Fatal(err)
		}

		if found.Schema != o.schema || found.Target != o.schema+1 || len(found.Steps) != 1 || found.Servers != 0 {
			t.Errorf("TryMigration = %+v, want one step from schema %d without servers", found, o.schema)
		}
		if filepath.Dir(found.Before) != o.conf.DataDir {
			t.Errorf("kept before: %q, want a file in %s", found.Before, o.conf.DataDir)
		}
		if o.conf.File.Database == nil && found.Size == 0 {
			t.Error("size of the database = 0, want its bytes")
		}
		if got := o.applied(t); got != o.schema {
			t.Errorf("schema after it = %d, want still %d", got, o.schema)
		}

		// The nodes of the database, beside which an upgrade is made.
		jetontest.Start(t, o.yaml, jetontest.DataDir(o.conf.DataDir))
		found, err = server.TryMigration(t.Context(), o.conf)
		if err != nil || found.Servers != 1 || len(found.Steps) != 0 {
			t.Errorf("TryMigration beside a server = %+v, %v, want one server and no step", found, err)
		}
	})
}
