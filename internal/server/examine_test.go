package server_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/jeton-auth/jeton/internal/config"
	"github.com/jeton-auth/jeton/internal/doctor"
	"github.com/jeton-auth/jeton/internal/server"
	"github.com/jeton-auth/jeton/internal/store/sqlite"
	"github.com/jeton-auth/jeton/internal/test/pgtest"
	"github.com/jeton-auth/jeton/jetontest"
)

// examined is an installation that a test breaks.
type examined struct {
	t    *testing.T
	text string // of the configuration
	mode os.FileMode
	conf server.Config

	stopped string // data directory of a server that does not run, to be copied
}

// findings returns what Examine finds, with the configuration as it is now.
func (e *examined) findings() []doctor.Finding {
	e.t.Helper()
	path := filepath.Join(e.t.TempDir(), "jeton.yaml")
	err := os.WriteFile(path, []byte(e.text), 0o600)
	if err == nil && e.mode != 0 {
		err = os.Chmod(path, e.mode)
	}
	if err != nil {
		e.t.Fatal(err)
	}

	conf, err := config.Load(path, func(string) (string, bool) { return "", false })
	if err != nil {
		e.t.Fatal(err)
	}

	e.conf.File = conf
	return server.Examine(e.t.Context(), e.conf)
}

// in returns the path of a file of the data directory.
func (e *examined) in(name string) string { return filepath.Join(e.conf.DataDir, name) }

// chmod changes the mode of a file of the data directory, and changes it back at the end.
func (e *examined) chmod(name string, mode os.FileMode) {
	info, err := os.Stat(e.in(name))
	if err == nil {
		err = os.Chmod(e.in(name), mode)
	}
	if err != nil {
		e.t.Fatal(err)
	}

	e.t.Cleanup(func() { _ = os.Chmod(e.in(name), info.Mode().Perm()) })
}

// copied goes on with a copy of the stopped server's data directory. That of a running server could change between
// the copy of its database and that of the log beside it.
func (e *examined) copied() {
	to := e.t.TempDir()
	for _, name := range []string{"jeton.db", "jeton.db-wal", "keys.secret", "pubkey.pem", "private.pem"} {
		text, err := os.ReadFile(filepath.Join(e.stopped, name))
		if errors.Is(err, fs.ErrNotExist) && name == "jeton.db-wal" {
			continue // a server that stops writes its log into the database
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(to, name), text, 0o600)
		}
		if err != nil {
			e.t.Fatal(err)
		}
	}
	if err := os.Chmod(to, 0o700); err != nil {
		e.t.Fatal(err)
	}

	e.conf.DataDir = to
}

// write replaces a file of the data directory.
func (e *examined) write(name, text string) {
	if err := os.WriteFile(e.in(name), []byte(text), 0o600); err != nil {
		e.t.Fatal(err)
	}
}

// remove removes a file of the data directory.
func (e *examined) remove(name string) {
	if err := os.Remove(e.in(name)); err != nil {
		e.t.Fatal(err)
	}
}

// damage overwrites pages of the database, after what is in its log was written into it.
func (e *examined) damage(name string, from int) {
	db, err := sqlite.OpenSide(e.t.Context(), sqlite.Config{Path: e.in(name)})
	if err == nil {
		err = db.Close()
	}
	if err != nil {
		e.t.Fatal(err)
	}

	text, err := os.ReadFile(e.in(name))
	if err != nil || len(text) < from+8192 {
		e.t.Fatalf("database of %d bytes, %v, want more than %d", len(text), err, from+8192)
	}
	for i := range 8192 {
		text[from+i] = byte(i*7 + 1)
	}
	e.write(name, string(text))
}

// swap replaces a text of the configuration.
func (e *examined) swap(old, with string) {
	if !strings.Contains(e.text, old) {
		e.t.Fatalf("the configuration has no %q:\n%s", old, e.text)
	}
	e.text = strings.ReplaceAll(e.text, old, with)
}

// otherKey writes a key that belongs to no certificate.
func (e *examined) otherKey() {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		e.t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		e.t.Fatal(err)
	}

	text := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	if err := os.WriteFile(e.in("other.pem"), text, 0o600); err != nil {
		e.t.Fatal(err)
	}
}

func TestAnInstallationIsExamined(t *testing.T) {
	port, err := jetontest.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	conf := fmt.Sprintf(`
issuer: {url: "https://localhost:%[1]s", listen: "localhost:%[1]s"}
admin: {listen: "off"}
services:
  - {name: shop, listen: "localhost:0", tokens: {}, routes: [{match: GET /, open: true, respond: {text: shop}}]}
`, port)
	stopped := jetontest.Start(t, conf)
	stopped.Stop()
	s := jetontest.Start(t, conf)

	for _, tc := range []struct {
		name   string
		broken func(*examined)
		want   string // name of the finding
		fix    string // part of it
	}{
		{"nothing is wrong", func(*examined) {}, "", ""},
		{
			"every user can write into the directory",
			func(e *examined) { e.chmod(".", 0o777) },
			"directory-mode", "chmod 700",
		},
		{
			"every user can write the configuration",
			func(e *examined) { e.mode = 0o666 },
			"config-mode", "chmod o-w",
		},
		{
			"the database is damaged at its beginning",
			func(e *examined) { e.copied(); e.damage("jeton.db", 0) },
			"database", "jeton restore",
		},
		{
			"the database is damaged in its middle",
			func(e *examined) { e.copied(); e.damage("jeton.db", 8*4096) },
			"database", "jeton restore",
		},
		{
			"the secret of the signing keys is not one",
			func(e *examined) { e.copied(); e.write("keys.secret", "no secret") },
			"keys-secret", "from its backup",
		},
		{
			"the secret of the signing keys is that of another database",
			func(e *examined) { e.copied(); e.write("keys.secret", strings.Repeat("0123456789abcdef", 4)) },
			"keys-secret", "from its backup",
		},
		{
			"the secret of the signing keys is missing",
			func(e *examined) { e.copied(); e.remove("keys.secret") },
			"keys-secret", "from its backup",
		},
		{
			"every user can read the secret of the signing keys",
			func(e *examined) { e.copied(); e.chmod("keys.secret", 0o644) },
			"file-mode", "chmod 600",
		},
		{
			"every user can read the database",
			func(e *examined) { e.chmod("jeton.db", 0o644) },
			"file-mode", "chmod 600",
		},
		{
			"every user can read the key of the certificate",
			func(e *examined) { e.chmod("private.pem", 0o644) },
			"certificate", "tls.key",
		},
		{
			"the key is that of another certificate",
			func(e *examined) {
				e.swap("name: shop,", "name: shop, tls: {cert: pubkey.pem, key: other.pem},")
				e.otherKey()
			},
			"certificate", "tls.key",
		},
		{
			"the certificate has expired",
			func(e *examined) { e.conf.Now = func() time.Time { return time.Now().AddDate(100, 0, 0) } },
			"certificate-time", "renew",
		},
		{
			"the certificate is for another host",
			func(e *examined) { e.swap("name: shop,", "name: shop, host: shop.example,") },
			"certificate-name", "host",
		},
		{
			"the clock is an hour late",
			func(e *examined) { e.conf.Now = func() time.Time { return time.Now().Add(-time.Hour) } },
			"clock", "NTP",
		},
		{
			"there is no data directory",
			func(e *examined) { e.conf.DataDir = e.in("none") },
			"directory", "--data-dir",
		},
		{
			"there is no database",
			func(e *examined) { e.conf.DataDir = e.t.TempDir() },
			"database", "start the server",
		},
		{
			"the name of the issuer does not resolve",
			func(e *examined) { e.swap("https://localhost:", "https://issuer.invalid:") },
			"issuer-name", "DNS",
		},
		{
			"another server answers for the issuer",
			func(e *examined) { e.swap("https://localhost:"+port, s.URL("shop")) },
			"issuer", "issuer.url",
		},
		{
			"the mail server refuses connections",
			func(e *examined) { e.text += "mail: {from: a@example.org, smtp: {host: 127.0.0.1, port: 1}}\n" },
			"mail", "jeton mail test",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			e := &examined{
				t:       t,
				text:    conf,
				conf:    server.Config{DataDir: s.Dir()},
				stopped: stopped.Dir(),
			}
			tc.broken(e)
			wantFinding(t, e.findings(), tc.want, tc.fix)
		})
	}
}

// TestAnExpiredCertificateIsOneFinding has a server whose certificate has expired: that clients do not reach the issuer
// is no finding of its own.
func TestAnExpiredCertificateIsOneFinding(t *testing.T) {
	port, err := jetontest.FreePort()
	if err != nil {
		t.Fatal(err)
	}

	cert, key := writeExpired(t)
	conf := fmt.Sprintf(`
issuer: {url: "https://localhost:%[1]s", listen: "localhost:%[1]s", tls: {cert: '%[2]s', key: '%[3]s'}}
admin: {listen: "off"}
services:
  - name: shop
    listen: "localhost:0"
    tls: {cert: '%[2]s', key: '%[3]s'}
    routes: [{match: GET /, open: true, respond: {text: shop}}]
`, port, cert, key)
	s := jetontest.Start(t, conf)

	e := &examined{t: t, text: conf, conf: server.Config{DataDir: s.Dir()}}
	got := e.findings()
	wantFinding(t, got, "certificate-time", "renew")
	got = slices.DeleteFunc(got, func(f doctor.Finding) bool {
		return !strings.HasPrefix(f.Name, "certificate") && !strings.HasPrefix(f.Name, "issuer")
	})
	if len(got) != 1 {
		t.Errorf("got findings %+v of certificates and the issuer, want the certificate alone", got)
	}
}

// writeExpired writes a certificate for localhost that has expired, and its key.
func writeExpired(t *testing.T) (certFile, keyFile string) {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}

	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		DNSNames:     []string{"localhost"},
		NotBefore:    time.Now().AddDate(-1, 0, 0),
		NotAfter:     time.Now().AddDate(0, 0, -1),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}

	dir := t.TempDir()
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	err = errors.Join(
		os.WriteFile(certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600),
		os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}), 0o600),
	)
	if err != nil {
		t.Fatal(err)
	}

	return certFile, keyFile
}

// wantFinding fails the test without a finding of a name; "": with any finding. Each has a fix.
func wantFinding(t *testing.T, got []doctor.Finding, name, fix string) {
	t.Helper()
	if name == "" && len(got) > 0 {
		t.Errorf("got findings %+v, want none", got)
	}

	i := slices.IndexFunc(got, func(f doctor.Finding) bool { return f.Name == name })
	if name != "" && (i < 0 || !strings.Contains(got[i].Fix, fix)) {
		t.Errorf("got findings %+v, want %s with a fix that has %q", got, name, fix)
	}

	for _, f := range got {
		if f.Seen == "" || f.Fix == "" {
			t.Errorf("finding %+v has no text or no fix", f)
		}
	}
}

func TestASharedDatabaseIsExamined(t *testing.T) {
	address := shared.Database(t)
	conf := func(address string) string { return fmt.Sprintf("database: '%s'\n", address) + shop() }
	s := jetontest.Start(t, conf(address))

	absent, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	absent.Path += "_absent"

	revoked := func() {
		conn, err := pgx.Connect(t.Context(), address)
		if err == nil {
			_, err = conn.Exec(t.Context(), "REVOKE DELETE ON sessions FROM "+pgtest.Role)
			err = errors.Join(err, conn.Close(t.Context()))
		}
		if err != nil {
			t.Fatal(err)
		}
	}

	for _, tc := range []struct {
		name, address string
		late          time.Duration // of the clock of this machine
		broken        func()
		want, fix     string
	}{
		{"nothing is wrong", address, 0, func() {}, "", ""},
		{"there is no such database", absent.String(), 0, func() {}, "database", "database.url"},
		{"its clock is another", address, time.Hour, func() {}, "clock", "NTP"},
		{"its user may not delete", address, 0, revoked, "database-rights", "GRANT"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			e := &examined{t: t, text: conf(tc.address), conf: server.Config{
				DataDir: s.Dir(),
				Now:     func() time.Time { return time.Now().Add(-tc.late) },
			}}
			tc.broken()
			wantFinding(t, e.findings(), tc.want, tc.fix)
		})
	}
}
