package server_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/config"
	"github.com/jeton-auth/jeton/internal/server"
	"github.com/jeton-auth/jeton/internal/store/move"
	"github.com/jeton-auth/jeton/internal/store/postgres"
	"github.com/jeton-auth/jeton/internal/store/sqlite"
	"github.com/jeton-auth/jeton/internal/store/statements"
	"github.com/jeton-auth/jeton/jetontest"
)

// older is the configuration of a server whose database the previous version has made, with the
// user diane in it.
type older struct {
	yaml   string
	conf   server.Config
	schema int // of the database
}

// firstSteps returns the first n steps of the schema of an engine.
func firstSteps(t *testing.T, engine string, n int) fs.FS {
	t.Helper()
	names, err := filepath.Glob(filepath.Join("..", "store", engine, "schema", "*.sql"))
	if err != nil || len(names) <= n {
		t.Fatalf("steps of %s = %v, %v, want more than %d", engine, names, err, n)
	}

	files := fstest.MapFS{}
	for _, name := range names[:n] {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		files["schema/"+filepath.Base(name)] = &fstest.MapFile{Data: text}
	}

	return files
}

// writable is a database that a test writes to.
type writable interface {
	move.Side
	Close() error
}

// newOlder makes a database with the schema of the first n steps, of SQLite or, with a URL, of PostgreSQL.
func newOlder(t *testing.T, url string, n int) *older {
	t.Helper()
	o, side := emptyOlder(t, url, n)
	defer func() { _ = side.Close() }()

	const insert = "INSERT INTO users (id, name, folded, password, version, groups, disabled, declared, created, " +
		"updated, uuid) VALUES (1, 'diane', 'diane', '', 1, '[]', $1, $1, 0, 0, 'one')"
	err := side.Step(t.Context(), func(ctx context.Context, tx statements.Conn) error {
		_, err := tx.Exec(ctx, insert, false)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}

	return o
}

// emptyOlder makes a database as newOlder does, without a user. The caller closes it.
func emptyOlder(t *testing.T, url string, n int) (*older, writable) {
	t.Helper()
	o := &older{yaml: "services: [{name: shop, listen: 'localhost:0', plain_http: true}]\n", schema: n}
	if url != "" {
		o.yaml = fmt.Sprintf("database: '%s'\n", url) + o.yaml
	}

	path := filepath.Join(t.TempDir(), "jeton.yaml")
	if err := os.WriteFile(path, []byte(o.yaml), 0o600); err != nil {
		t.Fatal(err)
	}

	conf, err := config.Load(path, func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}

	o.conf = server.Config{File: conf, DataDir: filepath.Join(t.TempDir(), "data")}
	if err := os.Mkdir(o.conf.DataDir, 0o700); err != nil {
		t.Fatal(err)
	}

	var side writable
	if url == "" {
		file := sqlite.Config{Path: server.DataFile(o.conf.DataDir), Schema: firstSteps(t, "sqlite", n)}
		side, err = sqlite.OpenSide(t.Context(), file)
	} else {
		database := postgres.Config{URL: jeton.NewSecret(url), Schema: firstSteps(t, "postgres", n)}
		side, err = postgres.OpenSide(t.Context(), database)
	}
	if err != nil {
		t.Fatal(err)
	}

	return o, side
}

// applied returns how many steps of the schema the database has been through.
func (o *older) applied(t *testing.T) (n int) {
	t.Helper()
	list, err := server.Migrations(t.Context(), o.conf)
	if err != nil {
		t.Fatal(err)
	}

	for _, m := range list {
		if m.Applied {
			n++
		}
	}

	return n
}

// onOlder runs a test with the database of the previous version, of each engine.
func onOlder(t *testing.T, run func(t *testing.T, o *older)) {
	t.Run("sqlite", func(t *testing.T) { run(t, newOlder(t, "", previous(t, "sqlite"))) })
	t.Run("postgres", func(t *testing.T) { run(t, newOlder(t, shared.Database(t), previous(t, "postgres"))) })
}

// previous returns the schema before the one of this program.
func previous(t *testing.T, engine string) int {
	t.Helper()
	names, err := filepath.Glob(filepath.Join("..", "store", engine, "schema", "*.sql"))
	if err != nil || len(names) < 2 {
		t.Fatalf("steps of %s = %v, %v, want some", engine, names, err)
	}

	return len(names) - 1
}

func TestCommandsLeaveAnOlderSchemaAsItIs(t *testing.T) {
	onOlder(t, func(t *testing.T, o *older) {
		end := server.End{Database: o.conf.File.Database, DataDir: o.conf.DataDir}
		target := server.End{DataDir: filepath.Join(t.TempDir(), "copy")}

		for name, command := range map[string]func() error{
			"Offline":  func() error { _, _, err := server.Offline(t.Context(), o.conf); return err },
			"NewEpoch": func() error { _, err := server.NewEpoch(t.Context(), o.conf, false); return err },
			"CopyDatabase": func() error {
				_, err := server.CopyDatabase(t.Context(), server.Config{}, end, target, func(server.Progress) {})
				return err
			},
		} {
			err := command()
			want := fmt.Sprintf("has schema %d, this program %d: run 'jeton migrate up'", o.schema, o.schema+1)
			if !errors.Is(err, server.ErrOldSchema) || !strings.Contains(err.Error(), want) {
				t.Errorf("%s = %v, want %q", name, err, want)
			}

			where := "source: "
			if o.conf.File.Database == nil {
				where = ", with --data-dir " + o.conf.DataDir
			}
			if name == "CopyDatabase" && !strings.Contains(err.Error(), where) {
				t.Errorf("%s = %v, want %q, too", name, err, where)
			}
		}

		if got := o.applied(t); got != o.schema {
			t.Errorf("the database has schema %d, want still %d", got, o.schema)
		}
	})
}

func TestABackupOfAnOlderSchemaCanBeRestored(t *testing.T) {
	onOlder(t, func(t *testing.T, o *older) {
		path := filepath.Join(t.TempDir(), "older.backup")
		f, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(server.BackupOlder(t.Context(), o.conf, f), f.Close()); err != nil {
			t.Fatalf("BackupOlder = %v", err)
		}

		engine := "sqlite"
		if o.conf.File.Database != nil {
			engine = "postgres"
		}

		// Of the level of that schema, so that the previous version can restore it as well.
		level := move.LevelOf(engine, o.schema)
		summary, err := server.CheckBackup(t.Context(), path)
		if err != nil || summary.Level != level {
			t.Fatalf("CheckBackup = level %d, %v, want %d", summary.Level, err, level)
		}
		if got := o.applied(t); got != o.schema {
			t.Errorf("after a backup the database has schema %d, want still %d", got, o.schema)
		}

		to := newOlder(t, "", previous(t, "sqlite")) // is set aside
		_, err = server.Restore(t.Context(), to.conf, server.Restoring{Path: path, Report: func(server.Progress) {}})
		if err != nil {
			t.Fatalf("Restore = %v", err)
		}
		wantDiane(t, to)
	})
}

// TestABackupIsRefusedForSchemasOlderThanBackups expects of the first schemas of SQLite an error that names the way to
// a backup, and that this way works.
func TestABackupIsRefusedForSchemasOlderThanBackups(t *testing.T) {
	for n := 1; n <= 4; n++ {
		t.Run(fmt.Sprintf("schema %d", n), func(t *testing.T) {
			o, side := emptyOlder(t, "", n)
			if err := side.Close(); err != nil {
				t.Fatal(err)
			}

			var out bytes.Buffer
			err := server.BackupOlder(t.Context(), o.conf, &out)
			want := fmt.Sprintf("schema %d of the database is older than backups: run 'jeton migrate up'", n)
			if err == nil || !strings.HasPrefix(err.Error(), want) || out.Len() > 0 {
				t.Errorf("BackupOlder = %v after %d bytes, want %q and none", err, out.Len(), want)
			}
			if got := o.applied(t); got != n {
				t.Errorf("the database has schema %d, want still %d", got, n)
			}

			if _, err := server.Migrate(t.Context(), o.conf, false); err != nil {
				t.Fatalf("Migrate = %v", err)
			}
			kept := server.DataFile(o.conf.DataDir) + fmt.Sprintf(".before-%d", n+1)
			if _, err := os.Stat(kept); err != nil {
				t.Errorf("%v, want the database before the upgrade", err)
			}
		})
	}
}

// wantDiane starts a server and checks that it knows the user of the older database.
func wantDiane(t *testing.T, o *older) {
	t.Helper()
	s := jetontest.Start(t, o.yaml, jetontest.DataDir(o.conf.DataDir))
	var list []jeton.User
	if err := s.Control("GET", "/api/v1/users", nil, &list); err != nil {
		t.Fatal(err)
	}
	if len(list) != 1 || list[0].Name != "diane" {
		t.Errorf("users = %v, want diane", list)
	}
}

func TestAServerUpgradesAnOlderSchema(t *testing.T) {
	onOlder(t, func(t *testing.T, o *older) {
		wantDiane(t, o)
		if got := o.applied(t); got != o.schema+1 {
			t.Errorf("after a start the database has schema %d, want %d", got, o.schema+1)
		}

		kept := server.DataFile(o.conf.DataDir) + fmt.Sprintf(".before-%d", o.schema+1)
		_, err := os.Stat(kept)
		if o.conf.File.Database == nil && err != nil {
			t.Errorf("%v, want the database before the upgrade", err)
		}
	})
}

func TestOfTwoUpgradesAtOnceOneAppliesTheSteps(t *testing.T) {
	onOlder(t, func(t *testing.T, o *older) {
		var wg sync.WaitGroup
		results := make(chan int, 4)

		for i := range cap(results) {
			wg.Go(func() {
				conf := o.conf
				if conf.File.Database != nil { // nodes have directories of their own
					conf.DataDir = filepath.Join(conf.DataDir, fmt.Sprint(i))
				}

				names, err := server.Migrate(t.Context(), conf, false)
				if err != nil && !errors.Is(err, server.ErrInUse) {
					t.Errorf("Migrate = %v, want no error but ErrInUse", err)
				}
				results <- len(names)
			})
		}

		wg.Wait()
		close(results)
		sum := 0
		for n := range results {
			sum += n
		}
		if sum != 1 || o.applied(t) != o.schema+1 {
			t.Errorf("steps applied by all = %d, schema %d, want 1 and %d", sum, o.applied(t), o.schema+1)
		}
	})
}
