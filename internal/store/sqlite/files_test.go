package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/account"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/secret"
	"github.com/jeton-auth/jeton/internal/session"
	"github.com/jeton-auth/jeton/internal/store/statements"
)

func TestReopeningKeepsEverything(t *testing.T) {
	b := newBench(t)
	must(t, b.spend(t)())
	groups := []string{"blue"}

	err := b.ChangeUser(t.Context(), "diane", account.Change{
		Groups: &groups,
	}, noon, jeton.Event{Action: audit.UserChange})

	must(t, err)

	type all struct {
		user    account.Account
		session session.Record
		events  []jeton.Event
		known   bool
	}

	read := func() (a all) {
		var errs [4]error
		a.user, errs[0] = b.FindUser(t.Context(), "diane")
		a.session, errs[1] = b.FindSession(t.Context(), secret.HashOf("one"))
		a.events, errs[2] = b.Events(t.Context(), audit.Filter{})
		a.known, errs[3] = b.KnownSource(t.Context(), a.user.ID, "", time.Time{})

		must(t, errors.Join(errs[:]...))
		return a
	}

	before := read()
	for range 2 {
		must(t, b.Close())
		b.DB = opened(t, b.path)
		same(t, "after reopening", read(), before)
		b.left(t, 2)
		id, err := b.BudgetID(t.Context(), "shop", "*")
		if err != nil || id != b.use.Budgets[0].ID {
			t.Errorf("BudgetID = %d, %v, want %d as before the restart", id, err, b.use.Budgets[0].ID)
		}

		must(t, b.Ping(t.Context()))
	}
}

func TestFilesAreForTheOwnerAlone(t *testing.T) {
	b := newBench(t)
	files, err := filepath.Glob(b.path + "*")
	must(t, err)

	if len(files) < 2 {
		t.Fatalf("files are %v, want the database and its log", files)
	}

	for _, name := range files {
		info, err := os.Stat(name)
		must(t, err)
		mode := info.Mode().Perm()
		if mode != 0o600 {
			t.Errorf("%s has mode %o, want 600", filepath.Base(name), mode)
		}
	}
}

func TestADatabaseThatOthersCanOpenIsRefused(t *testing.T) {
	for mode, refused := range map[os.FileMode]bool{
		0o600: false,
		0o660: false,
		0o602: true,
		0o644: true,
	} {
		path := filepath.Join(t.TempDir(), "jeton.db")
		must(t, opened(t, path).Close())
		must(t, os.Chmod(path, mode))

		db, err := Open(t.Context(), Config{Path: path})
		if db != nil {
			must(t, db.Close())
		}

		if (err != nil) != refused || refused && !strings.Contains(err.Error(), "chmod 600 "+path) {
			t.Errorf("Open of a database with mode %o: %v, want it refused: %t, with chmod", mode, err, refused)
		}
	}
}

// TestAPathIsTakenLiterally has characters in the path that a URL gives a meaning to, since
// SQLite is opened by a URL.
func TestAPathIsTakenLiterally(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a b%20c?mode=memory#d&e.db")
	db := opened(t, path)
	must(t, db.AddUser(t.Context(), account.Account{Name: "diane", Folded: "diane"}, jeton.Event{}))
	must(t, db.Close())

	if info, err := os.Stat(path); err != nil || info.Size() == 0 {
		t.Errorf("Stat of the database = %v, %v, want a file", info, err)
	}
}

func TestDurabilitySettings(t *testing.T) {
	b := newBench(t)
	for name, want := range map[string]string{"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1"} {
		var got string
		must(t, b.do(t.Context(), func(ctx context.Context, tx statements.Conn) error {
			return tx.QueryRow(ctx, "PRAGMA "+name).Scan(&got)
		}))

		if got != want {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
}

// statement runs statements on a file without the store.
func statement(t *testing.T, path string, text ...string) {
	t.Helper()
	must(t, create(path)) // SQLite would make it readable by others, which Open refuses
	db, err := sql.Open("sqlite", "file:"+path)
	must(t, err)
	defer db.Close()

	for _, s := range text {
		_, err := db.ExecContext(t.Context(), s)
		must(t, err)
	}

	// SQLite makes a file that every user can read.
	must(t, os.Chmod(path, 0o600))
}

// overwrite damages a file, as a disk may.
func overwrite(t *testing.T, path string, offset int64, with []byte) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	must(t, err)
	_, err = f.WriteAt(with, offset)
	must(t, errors.Join(err, f.Close()))
}

// TestAForeignFileIsRefusedAndNotChanged stands for a data directory that is misspelled.
func TestAForeignFileIsRefusedAndNotChanged(t *testing.T) {
	for _, tc := range []struct {
		name string
		harm func(t *testing.T, path string) // done to a good database that is closed
		says []string
	}{
		{"a text", func(t *testing.T, path string) {
			must(t, os.WriteFile(path, []byte(strings.Repeat("dear diary, ", 1000)), 0o600))
		}, []string{"not a Jeton database", "restore a backup"}},
		{"a few bytes", func(t *testing.T, path string) {
			must(t, os.WriteFile(path, []byte("x"), 0o600))
		}, []string{"not a Jeton database", "restore a backup"}},
		{"a database with a broken first page", func(t *testing.T, path string) {
			overwrite(t, path, 100, bytes.Repeat([]byte{0xff}, 3000))
		}, []string{"damaged", "restore a backup"}},
		{"a database whose end is missing", func(t *testing.T, path string) {
			must(t, os.Truncate(path, 4096))
		}, []string{"damaged", "restore a backup"}},
		{"a database without an application id", func(t *testing.T, path string) {
			must(t, os.Remove(path))
			statement(t, path, "CREATE TABLE users (name TEXT)", "INSERT INTO users VALUES ('diane')")
		}, []string{"another program", "another data directory"}},
		{"a database of another program", func(t *testing.T, path string) {
			statement(t, path, "PRAGMA journal_mode = DELETE", "PRAGMA application_id = 1196444487")
		}, []string{"another program", "another data directory"}},
		{"a newer schema", func(t *testing.T, path string) {
			statement(
				t,
				path,
				"PRAGMA journal_mode = DELETE",
				"INSERT INTO migrations SELECT number + 1, 'later', 'sum', 0 FROM migrations "+
					"ORDER BY number DESC LIMIT 1",
			)
		}, []string{"newer version", "run that version", "backup"}},
		{"a schema step with another past", func(t *testing.T, path string) {
			statement(t, path, "PRAGMA journal_mode = DELETE", "UPDATE migrations SET sum = 'other' WHERE number = 1")
		}, []string{"0001_first.sql", "another build"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newBench(t)
			must(t, b.Close())
			tc.harm(t, b.path)
			before, err := os.ReadFile(b.path)
			must(t, err)

			refused(t, b.path, tc.says...)
			after, err := os.ReadFile(b.path)
			must(t, err)

			if !bytes.Equal(before, after) {
				t.Error("the file was changed")
			}
		})
	}
}

// refused checks that a file does not open, and that the error names it and what to do.
func refused(t *testing.T, path string, says ...string) {
	t.Helper()
	db, err := Open(t.Context(), Config{Path: path})
	if err == nil {
		_ = db.Close()
		t.Fatal("Open = nil, want an error")
	}

	for _, want := range append(says, path) {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("Open = %q, want %q in it", err, want)
		}
	}
}

func TestAPathThatIsNotAFileIsRefused(t *testing.T) {
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "file"), nil, 0o600))

	for name, path := range map[string]string{
		"a folder":          dir,
		"a missing folder":  filepath.Join(dir, "missing", "jeton.db"),
		"a file for folder": filepath.Join(dir, "file", "jeton.db"),
	} {
		t.Run(name, func(t *testing.T) { refused(t, path, "needs to read and write") })
	}
}

func TestALockedFileIsRefusedWithAdvice(t *testing.T) {
	path := filepath.Join(t.TempDir(), "jeton.db")
	statement(t, path, "PRAGMA user_version = 1")
	release := rival(t, path)
	refused(t, path, "another process uses the file", "stop it first")
	release()

	must(t, opened(t, path).Ping(t.Context()))
}

func TestDamageInUseIsUnavailable(t *testing.T) {
	b := newBench(t)
	for range 50 { // so that there are pages behind the first ones
		must(t, b.append(t, strings.Repeat("reason", 500))())
	}

	must(t, b.Close())
	info, err := os.Stat(b.path)
	must(t, err)
	b.DB = opened(t, b.path)
	overwrite(t, b.path, 8192, bytes.Repeat([]byte{0xff}, int(info.Size())-8192))

	for name, call := range map[string]func() error{
		"FindUser":    func() error { _, err := b.FindUser(t.Context(), "diane"); return err },
		"FindSession": func() error { _, err := b.FindSession(t.Context(), secret.HashOf("one")); return err },
		"Events":      func() error { _, err := b.Events(t.Context(), audit.Filter{}); return err },
		"Spend":       b.spend(t),
		"AddUser": func() error {
			return b.AddUser(t.Context(), account.Account{Name: "x", Folded: "x"}, jeton.Event{})
		},
	} {
		if err := call(); !errors.Is(err, jeton.ErrUnavailable) {
			t.Errorf("%s in a damaged file: %v, want ErrUnavailable", name, err)
		}
	}
}
