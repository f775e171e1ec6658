package server_test

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"testing"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/config"
	"github.com/jeton-auth/jeton/internal/server"
	"github.com/jeton-auth/jeton/jetontest"
)

func TestACopyOfAServerThatIsUp(t *testing.T) {
	p := newPast(t, "")
	s := p.start()
	u, err := url.Parse(shared.Database(t))
	if err != nil {
		t.Fatal(err)
	}

	conf, err := config.Parse("jeton.yaml", []byte("database: '"+u.String()+"'\n"), func(string) (string, bool) {
		return "", false
	})
	if err != nil {
		t.Fatal(err)
	}

	run := func(from, to server.End) (server.Copied, error) {
		return server.CopyDatabase(t.Context(), server.Config{}, from, to, func(server.Progress) {})
	}

	sqlite, postgres := server.End{DataDir: p.dir}, server.End{Database: conf.Database}
	first, err := run(sqlite, postgres)
	if err != nil || !first.Served || first.Written == 0 {
		t.Fatalf("first run = %+v, %v; want rows that were written by a run that served", first, err)
	}

	s.AddUser("eshana", password)
	cookie := s.Enter("shop", "eshana", password)
	s.Stop()
	second, err := run(sqlite, postgres)
	if err != nil || second.Served || second.Written == 0 || second.Written >= first.Written {
		t.Errorf("second run = %+v, %v; want fewer rows than %d, and no run that served", second, err, first.Written)
	}

	// The reverse copy is refused, and no row is there twice.
	if _, err := run(postgres, sqlite); !errors.Is(err, jeton.ErrConflict) {
		t.Errorf("over the source: %v, want ErrConflict", err)
	}
	if _, err := run(sqlite, sqlite); !errors.Is(err, server.ErrInUse) {
		t.Errorf("onto itself: %v, want ErrInUse", err)
	}

	back := server.End{DataDir: filepath.Join(t.TempDir(), "back")}
	third, err := run(postgres, back)
	if err != nil || fmt.Sprint(third.Tables) != fmt.Sprint(second.Tables) {
		t.Errorf("back: %+v, %v; want the tables of %+v", third, err, second)
	}

	// A server continues on the copy, with the secret of the old one.
	secret, err := os.ReadFile(filepath.Join(p.dir, "keys.secret"))
	if err == nil {
		err = os.WriteFile(filepath.Join(back.DataDir, "keys.secret"), secret, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}

	p.dir, p.options = back.DataDir, append(p.options, jetontest.DataDir(back.DataDir))
	s = p.start()
	a := s.Ask("GET", "shop", "/me", "Cookie", cookie)
	if a.Body != "eshana" {
		t.Errorf("GET /me with the session = %d %q %s, want eshana", a.Status, a.Body, a.Code())
	}

	p.spend(s, "0", "spent")
	if _, err := run(postgres, back); !errors.Is(err, server.ErrInUse) {
		t.Errorf("copy over a running server = %v, want ErrInUse", err)
	}

	s.Stop()
	if _, err := run(postgres, back); !errors.Is(err, jeton.ErrConflict) {
		t.Errorf("copy over a used database = %v, want ErrConflict", err)
	}
	if _, err := run(server.End{DataDir: t.TempDir()}, back); !errors.Is(err, jeton.ErrNotFound) {
		t.Errorf("from an empty folder: %v, want ErrNotFound", err)
	}
}
