package server_test

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jeton-auth/jeton/jetontest"
)

// served returns the certificate that a service shows.
func served(t *testing.T, s *jetontest.Server, service string) *x509.Certificate {
	t.Helper()

	conn, err := tls.Dial("tcp", s.Addr(service), &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()

	return conn.ConnectionState().PeerCertificates[0]
}

// withFiles returns a configuration whose service has the certificate and key in dir.
func withFiles(dir string) string {
	return strings.Replace(shop(), "login:", "tls: {cert: '"+dir+"/tls.pem', key: '"+dir+"/tls.key'}\n    login:", 1)
}

// namesIn returns the names of what a folder contains.
func namesIn(t *testing.T, dir string) (names []string) {
	t.Helper()

	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}

	for _, e := range list {
		names = append(names, e.Name())
	}

	return names
}

func TestAMissingCertificateStopsTheStart(t *testing.T) {
	for _, tc := range []struct {
		name    string
		missing []string
		want    string
	}{
		{"certificate and key", []string{"tls.pem", "tls.key"}, "tls.cert: "},
		{"the certificate", []string{"tls.pem"}, "tls.cert: "},
		{"the key", []string{"tls.key"}, "tls.key: "},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := t.TempDir()
			makePair(t, filepath.Join(dir, "tls.pem"), filepath.Join(dir, "tls.key"), 1)
			for _, name := range tc.missing {
				if err := os.Remove(filepath.Join(dir, name)); err != nil {
					t.Fatal(err)
				}
			}

			_, err := jetontest.TryStart(t, easy+withFiles(dir))
			if err == nil || !strings.Contains(err.Error(), tc.want+filepath.Join(dir, tc.missing[0])) {
				t.Errorf("start = %v, want an error with %q and the file", err, tc.want)
			}
			if got := namesIn(t, dir); len(got) != 2-len(tc.missing) {
				t.Errorf("files = %v, want none that the server has made", got)
			}
		})
	}
}

func TestAReloadKeepsTheCertificateWhoseFilesAreMissing(t *testing.T) {
	named := t.TempDir()
	data := t.TempDir()

	for _, tc := range []struct{ name, dir, conf, cert, key string }{
		{"files that the configuration names", named, easy + withFiles(named), "tls.pem", "tls.key"},
		{"an operator's files under the default names", data, easy + shop(), "pubkey.pem", "private.pem"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cert, key := filepath.Join(tc.dir, tc.cert), filepath.Join(tc.dir, tc.key)
			makePair(t, cert, key, 4711)
			s := jetontest.Start(t, tc.conf, jetontest.DataDir(data))

			for _, file := range []string{cert, key} {
				if err := os.Remove(file); err != nil {
					t.Fatal(err)
				}
			}

			err := s.Reload(tc.conf)
			if err == nil || !strings.Contains(err.Error(), cert) {
				t.Errorf("Reload = %v, want an error with %s", err, cert)
			}
			if got := served(t, s, "shop").SerialNumber.Int64(); got != 4711 {
				t.Errorf("certificate = %d, want 4711, which was there before", got)
			}
			if slices.Contains(namesIn(t, tc.dir), tc.cert) {
				t.Errorf("%s was made, want no file", cert)
			}
		})
	}
}

const twoNames = easy + `
services:
  - name: shop
    listen: localhost:0
    host: shop.example.org
    hosts: [www.example.org]
    routes: [{match: GET /open, open: true, respond: {text: open}}]
  - name: desk
    listen: localhost:0
    host: desk.example.org
    routes: [{match: GET /open, open: true, respond: {text: open}}]
`

func TestTheSelfSignedCertificateHasEveryName(t *testing.T) {
	s := jetontest.Start(t, twoNames)

	first := served(t, s, "desk")
	for _, name := range []string{
		"shop.example.org", "www.example.org", "desk.example.org", "localhost", "127.0.0.1", "::1",
	} {
		if err := first.VerifyHostname(name); err != nil {
			t.Errorf("VerifyHostname(%s): %v", name, err)
		}
	}

	if err := s.Reload(twoNames); err != nil {
		t.Fatal(err)
	}
	if !served(t, s, "shop").Equal(first) {
		t.Error("a reload without a new name made another certificate, want the same")
	}

	if err := s.Reload(strings.Replace(twoNames, "[www.", "[new.example.org, www.", 1)); err != nil {
		t.Fatal(err)
	}
	for _, service := range []string{"shop", "desk"} {
		if err := served(t, s, service).VerifyHostname("new.example.org"); err != nil {
			t.Errorf("%s after a name was added: %v", service, err)
		}
	}

	if err := s.Reload(twoNames); err != nil {
		t.Fatal(err)
	}
	if err := served(t, s, "shop").VerifyHostname("new.example.org"); err != nil {
		t.Errorf("after the name was removed: %v, want the same certificate", err)
	}
}

func TestTheSelfSignedCertificateRenewsItself(t *testing.T) {
	var passed atomic.Int64
	now := func() time.Time { return time.Now().Add(time.Duration(passed.Load())) }
	s := jetontest.Start(t, easy+shop(), jetontest.Clock(now))

	const day = 24 * time.Hour
	first := served(t, s, "shop")
	for _, tc := range []struct {
		name string
		at   time.Duration
		same bool
	}{
		{"31 days before its end", 366 * day, true},
		{"29 days before its end", 368 * day, false},
	} {
		passed.Store(int64(tc.at))
		if got := served(t, s, "shop").Equal(first); got != tc.same {
			t.Errorf("%s: the same certificate = %t, want %t", tc.name, got, tc.same)
		}
	}

	file, err := tls.LoadX509KeyPair(filepath.Join(s.Dir(), "pubkey.pem"), filepath.Join(s.Dir(), "private.pem"))
	if err != nil {
		t.Fatal(err)
	}

	second := served(t, s, "shop")
	if !file.Leaf.Equal(second) {
		t.Error("the file has another certificate, want the one that is served")
	}

	if got, want := certificateEnd(t, s, "shop"), second.NotAfter.Unix(); got != want {
		t.Errorf("the metric has the end %d, want %d", got, want)
	}

	// A start finds it expired.
	s.Stop()
	passed.Store(int64(1000 * day))
	s = jetontest.Start(t, easy+shop(), jetontest.Clock(now), jetontest.DataDir(s.Dir()))

	if served(t, s, "shop").Equal(second) {
		t.Error("the server started with an expired certificate, want a new one")
	}
}

// certificateEnd returns the metric of when the certificate of a service expires, or 0.
func certificateEnd(t *testing.T, s *jetontest.Server, service string) int64 {
	t.Helper()

	text := s.Send(http.DefaultClient, "GET", s.Admin()+"/metrics", "").Body
	_, after, _ := strings.Cut(text, "\njeton_certificate_expiry_timestamp_seconds{service=\""+service+"\"} ")
	value, _, _ := strings.Cut(after, "\n")

	end, err := strconv.ParseFloat(value, 64)
	if err != nil {
		t.Logf("no metric for %s:\n%s", service, text)
	}

	return int64(end)
}

func TestAnOperatorsCertificateIsNeverReplaced(t *testing.T) {
	dir := t.TempDir()
	makePair(t, filepath.Join(dir, "pubkey.pem"), filepath.Join(dir, "private.pem"), 4711)

	// It has neither the names nor the time.
	late := func() time.Time { return time.Now().Add(1000 * 24 * time.Hour) }
	s := jetontest.Start(t, twoNames, jetontest.DataDir(dir), jetontest.Clock(late))

	if got := served(t, s, "shop").SerialNumber.Int64(); got != 4711 {
		t.Errorf("certificate = %d, want the operator's", got)
	}
}
