package server_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/secret"
	"github.com/jeton-auth/jeton/internal/server"
)

const kept = `
issuer: {url: 'http://localhost:${ISSUER_PORT}', listen: 'localhost:${ISSUER_PORT}', plain_http: true}
services:
  - name: shop
    listen: localhost:0
    plain_http: true
    login: {paths: [/login]}
    routes: [{match: GET /me, respond: {template: '{{.Name}}'}}]
  - name: counted
    listen: localhost:0
    plain_http: true
    tokens: {format: opaque, max_uses: 2, lifetime: 1h}
    routes: [{match: GET /who, respond: {text: ok}}]
  - name: signed
    listen: localhost:0
    plain_http: true
    tokens: {lifetime: 1h}
    routes: [{match: GET /who, respond: {text: ok}}]
`

const password = "correct horse battery"

func TestCredentialsOfABackupAreRefusedByDefault(t *testing.T) {
	onBoth(t, func(t *testing.T, p *past) {
		out := p.mustRestore(server.Restoring{Replace: true})
		if out.Epoch != 1 || out.Sessions != 1 || out.Tokens != 1 || out.Keys != 1 || out.Trusted ||
			out.Backup.Rows() == 0 {
			t.Errorf("result = %+v, want epoch 1, rows, and one session, token and key refused", out)
		}

		s := p.start()
		p.checkEnded(s)

		// An assertion that was used in the lost time is used; a new one is not.
		if a := s.TryToken(p.key.Assertion("", p.claims), "audience", "counted"); a.Code() != "bad_credential" {
			t.Errorf("a used assertion = %d %s, want bad_credential", a.Status, a.Body)
		} else if why, err := s.Explain(a.Request()); err != nil || !strings.Contains(
			fmt.Sprint(why),
			"before the database was restored",
		) {
			t.Errorf("audit log = %v, %v, want the restore for a reason", why, err)
		}

		p.at.Add(20_000)
		fresh := s.Token(p.key, "audience", "signed")
		if a := s.Ask("GET", "signed", "/who", "Authorization", "Bearer "+fresh); a.Status != http.StatusOK {
			t.Errorf("a new token = %d %s, want 200", a.Status, a.Code())
		}

		if a := s.Ask("GET", "shop", "/me", "Cookie", s.Enter("shop", "diane", password)); a.Body != "diane" {
			t.Errorf("a new session = %d %s, want that of diane", a.Status, a.Code())
		}

		p.recorded(s, audit.Restore, "all sessions and tokens have ended")
	})
}

func TestTrustedCredentialsAreAcceptedAgain(t *testing.T) {
	onBoth(t, func(t *testing.T, p *past) {
		out := p.mustRestore(server.Restoring{Replace: true, Trust: true})
		if out.Epoch != 1 || out.Sessions+out.Tokens+out.Keys != 0 || !out.Trusted {
			t.Errorf("result = %+v, want epoch 1, a trusted backup, and nothing refused", out)
		}

		s := p.start()
		p.spend(s, "0", "")
		p.spend(s, "0", "spent")

		if a := s.Ask("GET", "shop", "/me", "Cookie", p.cookie); a.Body != "diane" {
			t.Errorf("the session = %d %s, want that of diane", a.Status, a.Code())
		}
		if a := s.Ask("GET", "signed", "/who", "Authorization", "Bearer "+p.signed); a.Status != http.StatusOK {
			t.Errorf("the signed token = %d %s, want 200", a.Status, a.Code())
		}
		if a := s.TryToken(p.key.Assertion("", p.claims), "audience", "counted"); a.Status != http.StatusOK {
			t.Errorf("the assertion = %d %s, want 200", a.Status, a.Code())
		}

		p.recorded(s, audit.Restore, "valid again")
	})
}

func TestANewEpochRefusesCredentialsOfAnOldDisk(t *testing.T) {
	onBoth(t, func(t *testing.T, p *past) {
		p.mustRestore(server.Restoring{Replace: true, Trust: true}) // stands for the disk
		out, err := server.NewEpoch(t.Context(), server.Config{File: p.conf, DataDir: p.dir, Now: p.now}, false)
		if err != nil {
			t.Fatal(err)
		}

		if out.Epoch != 2 || out.Sessions != 1 || out.Tokens != 1 || out.Keys != 1 {
			t.Errorf("result = %+v, want epoch 2, and one session, token and key refused", out)
		}

		s := p.start()
		p.checkEnded(s)
		p.recorded(s, audit.Epoch, "all sessions and tokens have ended")
	})
}

func TestAReaderOfRevocationsMissesNothing(t *testing.T) {
	p := newPast(t, "")
	s := p.start()
	// Lines of the lost time, which a reader has already read.
	for range 3 {
		s.MustControl("DELETE", "/api/v1/tokens/"+accessor(t), nil, nil)
	}

	before := p.lastVoid(s, 0)
	s.Stop()
	p.at.Add(1000)
	p.mustRestore(server.Restoring{})
	s = p.start()
	if got := p.lastVoid(s, before); got != before {
		t.Fatalf("last line before a revocation = %d, want %d", got, before)
	}

	s.MustControl("DELETE", "/api/v1/tokens/"+accessor(t), nil, nil)
	if got := p.lastVoid(s, before); got <= before {
		t.Errorf("last line after a revocation = %d, want one after %d", got, before)
	}
}

// files returns the contents of the files of a folder, without the lock.
func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	if err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || d.Name() == "jeton.lock" {
			return err
		}

		b, err := os.ReadFile(path)
		all[path] = string(b)

		return err
	}); err != nil {
		t.Fatal(err)
	}

	return all
}

func TestAnInvalidBackupChangesNothing(t *testing.T) {
	p := newPast(t, "")
	good, err := os.ReadFile(p.backup)
	if err != nil {
		t.Fatal(err)
	}

	before := files(t, p.dir)
	bad := filepath.Join(t.TempDir(), "bad")

	refused := func(t *testing.T, b []byte) {
		t.Helper()
		if err := os.WriteFile(bad, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := p.restore(server.Restoring{Path: bad}); !errors.Is(err, jeton.ErrInvalid) {
			t.Fatalf("got %v, want ErrInvalid", err)
		}

		after := files(t, p.dir)
		if len(after) != len(before) {
			t.Fatalf("%[2]d files, want %[1]d", len(before), len(after))
		}

		for name, was := range before {
			if after[name] != was {
				t.Fatalf("%s has changed, want no change", name)
			}
		}
	}

	for i := range 50 {
		refused(t, good[:len(good)*i/50])
	}

	for _, at := range []int{0, 13, 40, len(good) / 2, len(good) - 20, len(good) - 1} {
		b := bytes.Clone(good)
		b[at] ^= 4
		refused(t, b)
	}

	refused(t, bytes.Replace(good, []byte("backup 1\n"), []byte("backup 9\n"), 1))
	refused(t, []byte("SQLite format 3\x00 and so on"))

	if _, err := p.restore(server.Restoring{Path: p.dir}); !errors.Is(err, jeton.ErrInvalid) {
		t.Errorf("restore of a folder = %v, want ErrInvalid", err)
	}
	if _, err := p.restore(server.Restoring{Path: bad + "none"}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("restore of a missing file = %v, want ErrNotExist", err)
	}

	p.mustRestore(server.Restoring{})
}

func TestARestoreKeepsTheOldDatabase(t *testing.T) {
	p := newPast(t, "")
	db := filepath.Join(p.dir, "jeton.db")
	before, err := os.ReadFile(db)
	if err != nil {
		t.Fatal(err)
	}

	out := p.mustRestore(server.Restoring{})
	was, err := os.ReadFile(out.Kept)
	if err != nil || !bytes.Equal(was, before) || filepath.Dir(out.Kept) != p.dir {
		t.Errorf("old database in %s: %d bytes, %v; want %d in %s", out.Kept, len(was), err, len(before), p.dir)
	}

	for _, name := range []string{db, out.Kept} {
		if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}

	// Again, over a damaged database with its log, after a restore that was killed.
	if err := errors.Join(
		os.WriteFile(
			db, bytes.Repeat([]byte("damage"), 5000), 0o600,
		), os.WriteFile(db+"-wal", []byte("its log"), 0o600),
		os.WriteFile(db+".restoring", []byte("half"), 0o600), os.WriteFile(db+".restoring-wal", []byte("half"), 0o600),
	); err != nil {
		t.Fatal(err)
	}

	p.at.Add(1000)
	out = p.mustRestore(server.Restoring{})
	if log, err := os.ReadFile(out.Kept + "-wal"); err != nil || string(log) != "its log" {
		t.Errorf("log of the old database = %q, %v; want its log", log, err)
	}

	names := files(t, p.dir)
	if names[db+"-wal"] != "" || names[db+".restoring"] != "" {
		t.Errorf("%s-wal or %s.restoring is left, want neither", db, db)
	}
	// Again, without an old database.
	if err := os.Remove(db); err != nil {
		t.Fatal(err)
	}

	p.at.Add(1000)
	out = p.mustRestore(server.Restoring{})
	if out.Kept != "" {
		t.Errorf("Kept = %s, want none", out.Kept)
	}

	p.start()
}

func TestARestoreWhileAServerIsUpIsRefused(t *testing.T) {
	onBoth(t, func(t *testing.T, p *past) {
		s := p.start()
		if _, err := p.restore(server.Restoring{Replace: true}); !errors.Is(err, server.ErrInUse) {
			t.Errorf("on its folder: %v, want ErrInUse", err)
		}

		if p.conf.Database != nil {
			p.dir = filepath.Join(t.TempDir(), "other node")
			if _, err := p.restore(server.Restoring{Replace: true}); !errors.Is(err, server.ErrInUse) {
				t.Errorf("on the database, from another machine: %v, want ErrInUse", err)
			}
		}

		a := s.Ask("GET", "shop", "/me", "Cookie", s.Enter("shop", "diane", password))
		if a.Body != "diane" {
			t.Errorf("a session after the refusal = %d, want that of diane", a.Status)
		}
	})
}

func TestAPostgresDatabaseIsOverwrittenOnlyOnRequest(t *testing.T) {
	p := newPast(t, shared.Database(t))
	if _, err := p.restore(server.Restoring{}); !errors.Is(
		err,
		jeton.ErrConflict,
	) || !strings.Contains(err.Error(), "--replace") {
		t.Errorf("got %v, want ErrConflict that names --replace", err)
	}

	s := p.start()
	p.checkEnded(s)
}

func TestABackupMovesBetweenEngines(t *testing.T) {
	p := newPast(t, "")
	secret, err := os.ReadFile(filepath.Join(p.dir, "keys.secret"))
	if err != nil {
		t.Fatal(err)
	}

	q := newPast(t, shared.Database(t))
	if err := os.WriteFile(filepath.Join(q.dir, "keys.secret"), secret, 0o600); err != nil {
		t.Fatal(err)
	}

	q.mustRestore(server.Restoring{Path: p.backup, Replace: true, Trust: true})
	q.key = p.key
	q.cookie = p.cookie
	q.counted = p.counted
	q.signed = p.signed

	s := q.start()
	q.spend(s, "0", "")
	a := s.Ask("GET", "shop", "/me", "Cookie", q.cookie)
	if a.Body != "diane" {
		t.Errorf("the session = %d %s, want that of diane", a.Status, a.Code())
	}
}

func TestARestoreWorksWithoutTheLostSecret(t *testing.T) {
	onBoth(t, func(t *testing.T, p *past) {
		if err := os.Remove(filepath.Join(p.dir, "keys.secret")); err != nil {
			t.Fatal(err)
		}

		p.mustRestore(server.Restoring{Replace: true})
		p.at.Add(20_000)
		s := p.start()
		p.checkEnded(s)
		s.Token(p.key, "audience", "signed")
	})
}

// accessor returns an accessor that a token can have.
func accessor(t *testing.T) string {
	t.Helper()

	id, err := secret.ID("t_", time.Now(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}

	return id
}
