package sqlite

import (
	"bytes"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/account"
)

// past makes a file with a schema of n steps.
func past(t *testing.T, n int) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "jeton.db")
	must(t, create(path))
	db := &DB{path: path}
	list, err := migrations(schema)
	must(t, err)

	db.write, err = sql.Open("sqlite", dsn(path, "_txlock=immediate"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { must(t, db.closeFiles()) }()

	db.conn, err = db.write.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}

	for _, m := range list[:n] {
		must(t, apply(t.Context(), db.conn, m))
	}

	return path
}

// files returns what is in the folder of a file, by name.
func files(t *testing.T, path string) map[string][]byte {
	t.Helper()
	names, err := filepath.Glob(filepath.Dir(path) + "/*")
	must(t, err)
	all := map[string][]byte{}
	for _, name := range names {
		b, err := os.ReadFile(name)
		must(t, err)
		all[filepath.Base(name)] = b
	}

	return all
}

func TestATrialListsTheStepsAndDoesNotChangeTheFile(t *testing.T) {
	list, err := migrations(schema)
	must(t, err)

	for n := 1; n <= len(list); n++ {
		path := past(t, n)
		before := files(t, path)
		got, err := Migrate(t.Context(), Config{Path: path}, true)
		must(t, err)

		if len(got) != len(list)-n {
			t.Errorf("after %d steps of %d a trial names %v, want the others", n, len(list), got)
		}

		after := files(t, path)
		for name := range after {
			if before[name] == nil && !strings.HasSuffix(name, logFile) && !strings.HasSuffix(name, indexFile) {
				t.Errorf("a trial has created %s", name)
			}
		}

		if !bytes.Equal(before["jeton.db"], after["jeton.db"]) {
			t.Error("a trial has changed the file")
		}

		steps, err := Migrations(t.Context(), Config{Path: path})
		must(t, err)

		for i, s := range steps {
			if s.Number != i+1 || s.Applied != (i < n) {
				t.Errorf("after %d steps, step %d = %+v, want applied: %t", n, i+1, s, i < n)
			}
		}

		again, err := Migrate(t.Context(), Config{Path: path}, false)
		must(t, err)
		same(t, "what is applied and what a trial named", again, got)
		again, err = Migrate(t.Context(), Config{Path: path}, false)
		if err != nil || len(again) > 0 {
			t.Errorf("a second Migrate = %v, %v, want no step", again, err)
		}
	}
}

func TestATrialReportsAStepThatFails(t *testing.T) {
	path := past(t, 1)
	statement(t, path, "CREATE TABLE meta (mine TEXT)", "PRAGMA wal_checkpoint") // in the way of a later step
	got, err := Migrate(t.Context(), Config{Path: path}, true)
	if err == nil || !strings.Contains(err.Error(), "meta already exists") || !strings.Contains(err.Error(), path) {
		t.Errorf("a trial that fails = %v, %v, want an error with the table and the file", got, err)
	}

	left, _ := filepath.Glob(filepath.Dir(path) + "/*trial*")
	if len(left) > 0 {
		t.Errorf("a failed trial has created %v", left)
	}
}

func TestStepsCanBeListedBesideAServer(t *testing.T) {
	b := newBench(t)
	must(t, b.AddUser(t.Context(), account.Account{Name: "eshana", Folded: "eshana"}, jeton.Event{}))
	steps, err := Migrations(t.Context(), Config{Path: b.path})
	must(t, err)

	for _, s := range steps {
		if !s.Applied {
			t.Errorf("step %s is missing", s.Name)
		}
	}

	must(t, b.AddUser(t.Context(), account.Account{Name: "other", Folded: "other"}, jeton.Event{}))
}

func TestAMissingOrForeignFileIsOnlyRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "jeton.db")
	steps, err := Migrations(t.Context(), Config{Path: path})
	if err != nil || len(steps) == 0 || steps[0].Applied {
		t.Errorf("steps of a missing file = %v, %v, want all, none applied", steps, err)
	}

	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Error("listing steps has created the file")
	}

	for name, tc := range map[string]struct{ change, says string }{
		"newer": {
			"INSERT INTO migrations SELECT number + 1, 'later', 'sum', 0 FROM migrations ORDER BY number DESC LIMIT 1",
			"newer version",
		},
		"another": {"UPDATE migrations SET sum = 'other' WHERE number = 1", "another build"},
		"foreign": {"PRAGMA application_id = 7", "another program"},
	} {
		b := newBench(t)
		must(t, b.Close())
		statement(t, b.path, tc.change)

		for _, try := range []bool{true, false} {
			if _, err := Migrate(t.Context(), Config{
				Path: b.path,
			}, try); err == nil || !strings.Contains(err.Error(), tc.says) || !strings.Contains(err.Error(), b.path) {
				t.Errorf("%s: Migrate: %v, want %q", name, err, tc.says)
			}
		}

		if _, err := Migrations(t.Context(), Config{
			Path: b.path,
		}); err == nil || !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%s: Migrations: %v, want %q", name, err, tc.says)
		}
	}
}
