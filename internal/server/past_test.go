package server_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/config"
	"github.com/jeton-auth/jeton/internal/server"
	"github.com/jeton-auth/jeton/jetontest"
)

// past is a server with a backup, after which a few sessions and tokens ended.
type past struct {
	t       *testing.T
	yaml    string
	options []jetontest.Option
	conf    *config.Config
	dir     string
	backup  string
	at      atomic.Int64 // the time that the servers have
	key     jetontest.Key
	issuer  string
	cookie  string         // of a session that was logged out after the backup
	counted string         // token with two uses, of which the second was taken after it
	signed  string         // JWT that was revoked after it
	claims  map[string]any // of an assertion that was used after it
}

func (p *past) now() time.Time { return time.UnixMilli(p.at.Load()).UTC() }

func (p *past) start() *jetontest.Server {
	p.t.Helper()
	return jetontest.Start(p.t, p.yaml, p.options...)
}

// newPast makes a past on SQLite, or on the database of a URL.
func newPast(t *testing.T, database string) *past {
	t.Helper()
	port, err := jetontest.FreePort()
	if err != nil {
		t.Fatal(err)
	}

	p := &past{t: t, yaml: kept, dir: filepath.Join(t.TempDir(), "data")}
	if database != "" {
		p.yaml = fmt.Sprintf("database: '%s'\n", database) + kept
	}

	p.at.Store(time.Now().UnixMilli())
	p.options = []jetontest.Option{jetontest.Clock(p.now), jetontest.DataDir(p.dir), jetontest.Env("ISSUER_PORT", port)}
	env := map[string]string{"ISSUER_PORT": port}
	p.conf, err = config.Parse("jeton.yaml", []byte(p.yaml), func(name string) (string, bool) {
		v, ok := env[name]
		return v, ok
	})
	if err != nil {
		t.Fatal(err)
	}

	s := p.start()
	s.AddUser("diane", password)
	p.key, p.issuer = s.AddClient("ci", "counted", "signed"), s.Issuer()
	p.cookie = s.Enter("shop", "diane", password)
	p.counted, p.signed = s.Token(p.key, "audience", "counted"), s.Token(p.key, "audience", "signed")

	p.spend(s, "1", "")
	p.backup = filepath.Join(t.TempDir(), "backup")
	p.save(s, p.backup)
	// Changes after the backup.
	p.spend(s, "0", "")
	p.spend(s, "0", "spent")

	var ended struct{ Ended int }
	s.MustControl("DELETE", "/api/v1/sessions?user=diane", nil, &ended)

	revoke := func(token string) {
		t.Helper()
		a := s.Post(
			"/oauth2/revoke", "token", token, "client_assertion",
			p.key.Assertion("", p.key.Claims(p.issuer, p.now())), "client_assertion_type",
			"urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
		)
		if a.Status != http.StatusOK {
			t.Fatalf("revoke = %d %s, want 200", a.Status, a.Body)
		}
	}

	revoke(p.signed)
	p.at.Add(1000)
	p.claims = p.key.Claims(p.issuer, p.now().Add(8*time.Second)) // by a clock that is ahead
	if a := s.TryToken(p.key.Assertion("", p.claims), "audience", "counted"); a.Status != http.StatusOK {
		t.Fatalf("token = %d %s, want 200", a.Status, a.Body)
	}

	if a := s.TryToken(p.key.Assertion("", p.claims), "audience", "counted"); a.Status == http.StatusOK {
		t.Fatal("an assertion was accepted a second time, want a refusal")
	}

	p.checkEnded(s)
	s.Stop()
	p.at.Add(1000)

	return p
}

// save writes a backup of a server.
func (p *past) save(s *jetontest.Server, path string) {
	p.t.Helper()
	answer, err := s.ControlClient().Get("http://control/api/v1/backup")
	if err != nil {
		p.t.Fatal(err)
	}
	defer answer.Body.Close()

	b, err := io.ReadAll(answer.Body)
	if err == nil {
		err = os.WriteFile(path, b, 0o600)
	}
	if err != nil || answer.StatusCode != http.StatusOK {
		p.t.Fatalf("backup: %v, %s", err, answer.Status)
	}
}

// spend spends a use of the counted token.
func (p *past) spend(s *jetontest.Server, left, code string) {
	p.t.Helper()
	a := s.Ask("GET", "counted", "/who", "Authorization", "Bearer "+p.counted)
	if a.Left() != left || a.Code() != code {
		p.t.Errorf(
			"the counted token is answered %d, %q left, %q; want %q left and %q",
			a.Status, a.Left(), a.Code(), left, code,
		)
	}
}

// checkEnded checks that sessions and tokens that ended after the backup are refused.
func (p *past) checkEnded(s *jetontest.Server) {
	p.t.Helper()
	if a := s.Ask("GET", "shop", "/me", "Cookie", p.cookie); a.Status == http.StatusOK {
		p.t.Error("a session that was logged out is accepted")
	}
	if a := s.Ask("GET", "signed", "/who", "Authorization", "Bearer "+p.signed); a.Status == http.StatusOK {
		p.t.Error("a revoked signed token is accepted")
	}

	if a := s.Ask("GET", "counted", "/who", "Authorization", "Bearer "+p.counted); a.Status == http.StatusOK {
		p.t.Error("a spent token is accepted")
	}
}

// restore restores the backup of the test, with the clock of the test.
func (p *past) restore(how server.Restoring) (server.Restored, error) {
	if how.Path == "" {
		how.Path = p.backup
	}
	how.Report = func(server.Progress) {}
	return server.Restore(p.t.Context(), server.Config{
		File:    p.conf,
		DataDir: p.dir,
		Version: "test",
		Now:     p.now,
	}, how)
}

func (p *past) mustRestore(how server.Restoring) server.Restored {
	p.t.Helper()
	out, err := p.restore(how)
	if err != nil {
		p.t.Fatal(err)
	}

	return out
}

// onBoth runs a test on SQLite and on PostgreSQL.
func onBoth(t *testing.T, run func(t *testing.T, p *past)) {
	t.Run("sqlite", func(t *testing.T) { run(t, newPast(t, "")) })
	t.Run("postgres", func(t *testing.T) { run(t, newPast(t, shared.Database(t))) })
}

// recorded checks the reason of the newest event of an action.
func (p *past) recorded(s *jetontest.Server, action, says string) {
	p.t.Helper()
	last := jeton.Event{}
	for _, e := range s.Events() {
		if e.Action == action {
			last = e
		}
	}

	if last.Actor != "operator" || last.Outcome != audit.OK || !strings.Contains(last.Reason, says) {
		p.t.Errorf("audit log = %+v, want %q", last, says)
	}
}

// lastVoid returns the number of the last revocation after one.
func (p *past) lastVoid(s *jetontest.Server, after int64) int64 {
	p.t.Helper()
	a := s.Send(s.Client(), http.MethodGet, fmt.Sprintf("%s/oauth2/revocations?after=%d", p.issuer, after), "")
	var list jeton.Revocations
	if err := json.Unmarshal([]byte(a.Body), &list); err != nil || a.Status != http.StatusOK {
		p.t.Fatalf("revocations: %d %s, %v", a.Status, a.Body, err)
	}

	return list.Next
}
