package server_test

import (
	"crypto/tls"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/jeton-auth/jeton/jetontest"
)

// ordering orders from an authority that is away: port 1 of this machine.
const ordering = `
acme: {agree_to_terms: true, directory: "https://127.0.0.1:1/directory"}
redirect: localhost:0
services:
  - name: shop
    listen: localhost:0
    host: shop.example.org
    routes: [{match: /, open: true, respond: {text: shop}}]
`

// TestAnAuthorityThatIsAwayStopsNothing starts, answers, reloads and stops a server that gets no certificate. What
// comes of an authority that answers is tested with Pebble, in a module of its own.
func TestAnAuthorityThatIsAwayStopsNothing(t *testing.T) {
	log := &logBuffer{}
	s := jetontest.Start(t, easy+ordering, jetontest.Log(log, slog.LevelInfo))

	conn, err := tls.Dial("tcp", s.Addr("shop"), &tls.Config{ServerName: "shop.example.org", InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	leaf := conn.ConnectionState().PeerCertificates[0]
	if leaf.Subject.Organization[0] != "Jeton self-signed" || leaf.VerifyHostname("shop.example.org") != nil {
		t.Errorf("certificate of %v, want the self-signed one with the host name", leaf.Subject)
	}

	challenge := "http://" + redirectAddress(t, log) + "/.well-known/acme-challenge/x"
	a := s.Send(s.Client(), "GET", challenge, "", "Host", "shop.example.org")
	if a.Status != http.StatusPermanentRedirect {
		t.Errorf("a challenge without an order = %d, want 308 as for every path", a.Status)
	}

	wantMetric(t, s, `jeton_acme_missing_certificates{service="shop"} 1`)

	if err := s.Reload(easy + ordering); err != nil {
		t.Errorf("reload = %v, want nil", err)
	}

	s.Stop() // it waits for what has been ordered
	if n := len(log.lines("no certificate yet: clients refuse the self-signed one; ordering one")); n != 2 {
		t.Errorf("%d lines of the log say that there is no certificate, want one of the start and one of the reload", n)
	}
}

// wantMetric checks that there is a line of the metrics, and none of an expiry for the same service.
func wantMetric(t *testing.T, s *jetontest.Server, line string) {
	t.Helper()
	resp, err := http.Get(s.Admin() + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}

	if !regexp.MustCompile("(?m)^" + regexp.QuoteMeta(line) + "$").Match(text) {
		t.Errorf("no such line in /metrics, want %s", line)
	}
	if strings.Contains(string(text), "jeton_certificate_expiry_timestamp_seconds{") {
		t.Error("/metrics has the expiry of a certificate that clients refuse, want none")
	}
}

func TestTheFolderOfOrdersIsPrivate(t *testing.T) {
	dir := t.TempDir()
	folder := filepath.Join(dir, "acme")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(folder, 0o750); err != nil {
		t.Fatal(err)
	}

	_, err := jetontest.TryStart(t, easy+ordering, jetontest.DataDir(dir))
	want := "acme.storage: " + folder + " can be opened by other users (mode 0750): run chmod 700 " + folder
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("start = %v, want %q", err, want)
	}
}
