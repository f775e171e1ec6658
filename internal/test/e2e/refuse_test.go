package e2e

import (
	"context"
	"database/sql"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jeton-auth/jeton/internal/test/need"

	_ "modernc.org/sqlite"
)

// TestInvalidSetupsAreRefused prepares an invalid data directory or configuration, and expects
// an error on standard error and no server.
func TestInvalidSetupsAreRefused(t *testing.T) {
	for _, tc := range []struct {
		name    string
		prepare func(t *testing.T, o *Options)
		says    []string
	}{
		{"a database that is no database", func(t *testing.T, o *Options) {
			damage(t, o, 0, strings.Repeat("not a database at all", 1000))
		}, []string{"jeton.db", "not a Jeton database, or it is damaged", "restore a backup"}},
		{"a database with a damaged page", func(t *testing.T, o *Options) {
			damage(t, o, 100, strings.Repeat("\xff", 12<<10))
		}, []string{"jeton.db", "damaged", "restore a backup"}},
		{"a database that is cut off", func(t *testing.T, o *Options) {
			fill(t, o)
			if err := os.Truncate(filepath.Join(o.DataDir, "jeton.db"), 5000); err != nil {
				t.Fatal(err)
			}
		}, []string{"jeton.db", "damaged", "restore a backup"}},
		{"a database of a newer version", func(t *testing.T, o *Options) {
			fill(t, o)
			alter(
				t,
				o,
				"INSERT INTO migrations (number, name, sum, at) "+
					"SELECT max(number) + 1, '9999_future.sql', 'x', 0 FROM migrations",
			)
		}, []string{"jeton.db", "a newer version of jeton has written it", "restore a backup"}},
		{"a database of another build", func(t *testing.T, o *Options) {
			fill(t, o)
			alter(t, o, "UPDATE migrations SET sum = 'x' WHERE number = 1")
		}, []string{"jeton.db", "another build of jeton"}},
		{"a database of another program", func(t *testing.T, o *Options) {
			alter(t, o, "CREATE TABLE books (title TEXT)")
		}, []string{"jeton.db", "a database of another program", "name another data directory"}},
		{"a data directory that is a file", func(t *testing.T, o *Options) {
			write(t, o.DataDir, "")
		}, []string{"data directory"}},
		{"a certificate without its key", func(t *testing.T, o *Options) {
			fill(t, o)
			if err := os.Remove(filepath.Join(o.DataDir, "private.pem")); err != nil {
				t.Fatal(err)
			}
		}, []string{"private.pem", "does not exist"}},
		{"a configuration that is not there", func(_ *testing.T, o *Options) {
			o.Config = filepath.Join(o.DataDir, "none.yaml")
		}, []string{"read configuration", "none.yaml", "no such file"}},
		{"a configuration with faults", func(t *testing.T, o *Options) {
			text := strings.Replace(read(t, counted), "max_uses: 3\n", "max_use: 3\n", 1)
			o.Config = file(t, strings.Replace(text, "max_uses: 1000\n", "max_uses: many\n", 1))
		}, []string{"jeton.yaml:26:9: ", "max_use: ", "did you mean max_uses?", "jeton.yaml:29:19: ", "many"}},
		{"a configuration that is not YAML", func(t *testing.T, o *Options) {
			o.Config = file(t, "services:\n  - name: [\n")
		}, []string{"jeton.yaml:", "invalid YAML"}},
		{"a data directory that is read-only", func(t *testing.T, o *Options) {
			if os.Getuid() == 0 { // without this capability, modes hold for root, too
				const right = "-dac_override"
				o.Under = []string{need.Program(t, "setpriv"), "--inh-caps=" + right, "--bounding-set=" + right}
			}
			if err := os.Mkdir(o.DataDir, 0o500); err != nil {
				t.Fatal(err)
			}
		}, []string{"lock data directory", "must be able to write there"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			o := Options{Config: counted, DataDir: filepath.Join(t.TempDir(), "data")}
			tc.prepare(t, &o)
			s := Launch(t, o)
			if s.Up(t) {
				t.Fatal("the server started, want a refusal")
			}

			code := s.Code(t)
			if code != 1 {
				t.Errorf("the server exited with code %d, want 1", code)
			}

			contains(t, s.Err.String(), append(tc.says, "jeton: ")...)
			if strings.Contains(s.Err.String(), "goroutine ") {
				t.Errorf("the server crashed, want a reason:\n%s", s.Err)
			}
		})
	}
}

// fill makes a data directory by running a server there for a moment.
func fill(t *testing.T, o *Options) {
	t.Helper()
	s := Start(t, *o)
	s.Client(t).MustLogin(t, crashName, crashPW)
	s.Stop(t)
}

// damage writes bytes into a database that has been used.
func damage(t *testing.T, o *Options, at int64, with string) {
	t.Helper()
	fill(t, o)
	f, err := os.OpenFile(filepath.Join(o.DataDir, "jeton.db"), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()

	if _, err := f.WriteAt([]byte(with), at); err != nil {
		t.Fatal(err)
	}
}

// alter changes a database as another program would, and creates it if it does not exist.
func alter(t *testing.T, o *Options, statement string) {
	t.Helper()
	if err := os.MkdirAll(o.DataDir, 0o700); err != nil {
		t.Fatal(err)
	}

	db, err := sql.Open("sqlite", filepath.Join(o.DataDir, "jeton.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()

	if _, err := db.ExecContext(context.Background(), statement); err != nil {
		t.Fatal(err)
	}
	// A database that others can open is refused for that alone.
	if err := os.Chmod(filepath.Join(o.DataDir, "jeton.db"), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestMisspeltVariablesAreReported(t *testing.T) {
	s := Start(t, Options{Config: counted, Env: []string{"JETON_DATADIR=/somewhere", "JETON_SERVICE_PORT=1"}})
	contains(t, s.Err.String(), "unknown environment variable", "JETON_DATADIR")
	if strings.Contains(s.Err.String(), "JETON_SERVICE_PORT") {
		t.Error("a variable that container tools set is reported, too; want only our own")
	}
}

// A server starts without a configuration: one service on loopback, and a hint for the first admin.
func TestWithoutAConfiguration(t *testing.T) {
	if _, err := os.Stat("/etc/jeton/jeton.yaml"); err == nil {
		need.Optional(t, "this machine has a system-wide configuration, /etc/jeton/jeton.yaml; the test needs none")
	}

	s := Launch(t, Options{Env: []string{"JETON_ADMIN_LISTEN=127.0.0.1:0"}})
	if !s.Up(t) {
		if strings.Contains(s.Err.String(), "address already in use") {
			need.Optional(t, "the default port, 8443, is in use")
		}
		t.Fatalf("the server exited, want it to run:\n%s", s.Err)
	}

	contains(t, s.Out.String(), "There are no users yet", "jeton user add admin --group admin --data-dir "+s.DataDir)
	s.Must(t, "a long password", "user", "add", "admin", "--group", "admin", "--password-stdin")
	c := s.Client(t)
	a := c.MustDo(t, http.MethodGet, "/whoami", c.MustLogin(t, "admin", "a long password"))
	want := fmt.Sprintf("{%q: %q, %q: %q}\n", "name", "admin", "service", "jeton")
	if a.Body != want {
		t.Errorf("got %v, want %s", a, want)
	}

	s.Stop(t)
}
