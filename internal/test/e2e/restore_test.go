package e2e

import (
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jeton-auth/jeton/internal/test/pgtest"
)

// TestRestoreDrill loses a server under load, and restores the backup that was made during
// the load, on both databases.
func TestRestoreDrill(t *testing.T) {
	for _, engine := range []string{"sqlite", "postgres"} {
		t.Run(engine, func(t *testing.T) {
			o := Options{Config: counted, DataDir: filepath.Join(t.TempDir(), "data")}
			if engine == "postgres" {
				url, drop, err := pgtest.Start(t).Database(t.Context())
				if err != nil {
					t.Fatal(err)
				}

				t.Cleanup(drop)
				o.Env = []string{"JETON_DATABASE=" + url}
			}

			drill(t, o, engine == "postgres")
		})
	}
}

// load has clients log in and spend their uses, until it is stopped.
type load struct {
	stop  atomic.Bool
	spent atomic.Int64
	work  sync.WaitGroup
}

// start spends uses in the background, so that the backup is made while the store changes. It ends with the test, which
// may fail before it stops the load itself.
func (l *load) start(t *testing.T, c *Client) {
	t.Cleanup(func() {
		l.stop.Store(true)
		l.work.Wait()
	})

	for range 8 {
		l.work.Go(func() {
			for !l.stop.Load() {
				cookies, _, err := c.Login(crashName, crashPW)
				for range 3 {
					if a, derr := c.Do(
						http.MethodPost, "/three", cookies,
					); err == nil && derr == nil && a.Status == http.StatusOK {
						l.spent.Add(1)
					}
				}
			}
		})
	}
}

// drill is what an operator does after a disaster: backup, work that is lost, restore. What
// was spent or revoked after the backup must not be valid again.
func drill(t *testing.T, o Options, shared bool) {
	s := Start(t, o)
	c := s.Client(t)
	var l load
	l.start(t, c)
	spent := c.MustLogin(t, crashName, crashPW)

	ended := c.MustLogin(t, crashName, crashPW)
	idle := c.MustLogin(t, crashName, crashPW)
	Wait(t, "load", func() bool { return l.spent.Load() > 100 })

	file := filepath.Join(t.TempDir(), "backup")
	before := l.spent.Load()

	if r := o.Jeton(t, "", "backup", file); r.Code != 0 {
		t.Fatalf("backup exited with %d, want 0: %s%s", r.Code, r.Out, r.Err)
	}

	Wait(t, "the load to go on", func() bool { return l.spent.Load() > before })

	// What happens after the backup.
	for range 3 {
		if a := c.MustDo(t, http.MethodPost, "/three", spent); a.Status != http.StatusOK {
			t.Fatalf("use after the backup = %s, want 200", a)
		}
	}

	if a := c.MustDo(t, http.MethodPost, "/logout", ended); a.Status != http.StatusOK {
		t.Fatalf("logout after the backup = %s, want 200", a)
	}

	late := c.MustLogin(t, crashName, crashPW)
	l.stop.Store(true)
	l.work.Wait()
	args := []string{"restore", file}
	if shared {
		args = append(args, "--replace")
		s.Stop(t)
	} else {
		s.Kill()
	}

	if r := o.Jeton(t, "", args...); r.Code != 0 {
		t.Fatalf("restore exited with %d, want 0: %s%s", r.Code, r.Out, r.Err)
	}

	s = Start(t, o)
	c = s.Client(t)
	for name, cookies := range map[string]string{
		"spent since": spent,
		"ended since": ended,
		"idle since":  idle,
		"begun since": late,
	} {
		if a := c.MustDo(t, http.MethodGet, "/free", cookies); a.Status != http.StatusUnauthorized {
			t.Errorf("a login %s: %s, want 401", name, a)
		}
		if a := c.MustDo(t, http.MethodPost, "/three", cookies); a.Status != http.StatusUnauthorized {
			t.Errorf("a login %s, counted: %s, want 401", name, a)
		}
	}

	fresh := c.MustLogin(t, crashName, crashPW)
	for i, want := range []int{200, 200, 200, 403} {
		if a := c.MustDo(t, http.MethodPost, "/three", fresh); a.Status != want {
			t.Errorf("use %d of a login after the restore: %s, want %d", i+1, a, want)
		}
	}

	if r := o.Jeton(t, "", "audit", "--last", "1000"); !strings.Contains(r.Out, "restore") {
		t.Errorf("audit log, want an event of the restore:\n%s", r.Out)
	}

	s.Stop(t)

	// With --trust-credentials, the credentials of the backup stay valid.
	if r := o.Jeton(
		t, "", append(args, "--trust-credentials")...,
	); r.Code != 0 || !strings.Contains(strings.ToLower(r.Out+r.Err), "valid again") {
		t.Fatalf("restore --trust-credentials: %d %s%s, want a loud warning", r.Code, r.Out, r.Err)
	}

	s = Start(t, o)
	c = s.Client(t)
	for name, cookies := range map[string]string{"spent since": spent, "ended since": ended, "idle since": idle} {
		if a := c.MustDo(t, http.MethodPost, "/three", cookies); a.Status != http.StatusOK || a.Left() != 2 {
			t.Errorf("trusted, a login %s: %s with %d left, want 200 and 2 left", name, a, a.Left())
		}
	}

	if a := c.MustDo(t, http.MethodGet, "/free", fresh); a.Status != http.StatusUnauthorized {
		t.Errorf("trusted, a login that the backup does not know: %s, want 401", a)
	}
}
