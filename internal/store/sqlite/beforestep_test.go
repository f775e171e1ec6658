package sqlite

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jeton-auth/jeton/internal/store/statements"
)

// stepsOf returns how many steps of the schema a file has been through.
func stepsOf(t *testing.T, path string) (n int) {
	t.Helper()
	list, err := Migrations(t.Context(), Config{Path: path})
	must(t, err)

	for _, s := range list {
		if s.Applied {
			n++
		}
	}

	return n
}

// beside returns the names of the files beside a database, without its log.
func beside(t *testing.T, path string) (names []string) {
	t.Helper()

	for name := range files(t, path) {
		if name != "jeton.db" && !strings.HasSuffix(name, logFile) && !strings.HasSuffix(name, indexFile) {
			names = append(names, name)
		}
	}

	return names
}

func TestAnOlderSchemaIsUpgradedOnlyOnRequest(t *testing.T) {
	list, err := migrations(schema)
	must(t, err)

	for n := 1; n < len(list); n++ {
		path := past(t, n)

		for name, open := range map[string]func() error{
			"Open":     func() error { _, err := Open(t.Context(), Config{Path: path}); return err },
			"OpenSide": func() error { _, err := OpenSide(t.Context(), Config{Path: path}); return err },
		} {
			err := open()
			if !errors.Is(err, statements.ErrOldSchema) || !strings.Contains(err.Error(), path) {
				t.Errorf("%s of schema %d = %v, want ErrOldSchema with the path", name, n, err)
			}
		}

		if got := stepsOf(t, path); got != n || len(beside(t, path)) > 0 {
			t.Errorf("after a refusal there are %d steps and %v, want %d and no file", got, beside(t, path), n)
		}
	}
}

func TestTheDatabaseBeforeAStepIsKept(t *testing.T) {
	path := past(t, 5)
	statement(t, path, "INSERT INTO meta VALUES ('mine', 'before')")
	must(t, os.Chmod(path, 0o640))

	kept := path + ".before-6"
	must(t, os.WriteFile(kept, []byte("of an earlier upgrade that was undone"), 0o600))
	must(t, os.WriteFile(kept+".part", []byte("of an interrupted upgrade"), 0o600))

	db, err := Open(t.Context(), Config{Path: path, Upgrade: true})
	must(t, err)
	must(t, db.Close())

	info, err := os.Stat(kept)
	must(t, err)
	if info.Mode() != 0o640 {
		t.Errorf("mode of %s = %v, want that of the database, 0640", kept, info.Mode())
	}

	if got := beside(t, path); len(got) != 1 {
		t.Errorf("files beside the database = %v, want only the copy", got)
	}

	var value string
	s, n, err := ReadOlder(t.Context(), kept)
	must(t, err)
	defer s.Close()
	must(t, s.db.read.QueryRowContext(t.Context(), "SELECT value FROM meta WHERE name = 'mine'").Scan(&value))
	if n != 5 || value != "before" {
		t.Errorf("the copy has schema %d and %q, want 5 and the earlier row", n, value)
	}
}

func TestOnlyAnUpgradeKeepsACopy(t *testing.T) {
	fresh := filepath.Join(t.TempDir(), "jeton.db")
	must(t, opened(t, fresh).Close())
	if got := beside(t, fresh); len(got) > 0 {
		t.Errorf("a new database has %v beside it, want no file", got)
	}

	path := past(t, 5)
	_, err := Migrate(t.Context(), Config{Path: path}, true)
	must(t, err)
	if got := beside(t, path); len(got) > 0 {
		t.Errorf("a trial has left %v, want no file", got)
	}

	_, err = Migrate(t.Context(), Config{Path: path}, false)
	must(t, err)
	if got := beside(t, path); len(got) != 1 || got[0] != "jeton.db.before-6" {
		t.Errorf("Migrate has left %v, want jeton.db.before-6", got)
	}
}

func TestWithoutACopyNoStepIsApplied(t *testing.T) {
	path := past(t, 5)
	must(t, os.MkdirAll(filepath.Join(path+".before-6", "in the way"), 0o700))

	_, err := Migrate(t.Context(), Config{Path: path}, false)
	if err == nil || !strings.Contains(err.Error(), "keep a copy of the database") {
		t.Errorf("Migrate without room for the copy = %v, want an error about it", err)
	}

	if got := stepsOf(t, path); got != 5 {
		t.Errorf("%d steps are applied, want 5", got)
	}
	if _, err := os.Stat(path + ".before-6.part"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a partial copy = %v, want none", err)
	}
}
