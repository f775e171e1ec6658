package acme

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/certmagic"

	"github.com/jeton-auth/jeton/jetontest"
)

const configuration = `
acme: {agree_to_terms: true, directory: "DIRECTORY", ca_file: "CAFILE"}
issuer: {url: "https://id.example.org:${ISSUER_PORT}", listen: "127.0.0.1:${ISSUER_PORT}", host: id.example.org}
services:
  - name: app
    listen: "127.0.0.1:${ISSUER_PORT}"
    host: app.example.org
    routes: [{match: /hello, open: true, respond: {text: hello}}]
`

// patience is how long an event may take; only a fault takes that long.
const patience = 5 * time.Minute

// logLines passes on the messages of a server.
type logLines chan map[string]any

func (l logLines) Write(b []byte) (int, error) {
	var line map[string]any
	_ = json.Unmarshal(b, &line) // what is no JSON is an empty line
	l <- line

	return len(b), nil
}

// await returns the next line with a message.
func (l logLines) await(t *testing.T, msg string) map[string]any {
	t.Helper()
	late := time.After(patience)
	var before []any
	for {
		select {
		case line := <-l:
			if line["msg"] == msg {
				return line
			}
			before = append(before, line)
		case <-late:
			t.Fatalf("got log %v, want a line that says %q", before, msg)
		}
	}
}

// start starts a server that orders from an authority, and returns it with its log.
func (a *authority) start(t *testing.T, yaml, dir string) (*jetontest.Server, logLines) {
	t.Helper()
	lines := make(logLines, 10_000)

	return jetontest.Start(t, a.configure(yaml), jetontest.DataDir(dir), jetontest.Log(lines, slog.LevelInfo)), lines
}

// configure completes a configuration that orders from an authority.
func (a *authority) configure(yaml string) string {
	return strings.NewReplacer("DIRECTORY", a.directory, "CAFILE", a.file).Replace(yaml)
}

// portOf returns the port of an address.
func portOf(t *testing.T, address string) int {
	t.Helper()
	_, text, err := net.SplitHostPort(address)
	port, convErr := strconv.Atoi(text)
	if err != nil || convErr != nil {
		t.Fatalf("address %q, want one with a port", address)
	}

	return port
}

// leaf returns the certificate that a server shows for a host name, and whether the authority issued it.
func (a *authority) leaf(t *testing.T, s *jetontest.Server, name string) (*x509.Certificate, error) {
	t.Helper()
	conn, err := tls.Dial("tcp", s.Addr("app"), &tls.Config{ServerName: name, InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()

	chain := conn.ConnectionState().PeerCertificates
	between := x509.NewCertPool()
	for _, one := range chain[1:] {
		between.AddCert(one)
	}
	_, err = chain[0].Verify(x509.VerifyOptions{Roots: a.roots, Intermediates: between, DNSName: name})

	return chain[0], err
}

// TestCertificatesAreOrdered orders over each challenge, keeps what it got through a restart without the authority,
// and renews.
func TestCertificatesAreOrdered(t *testing.T) {
	for _, tc := range []struct{ name, section string }{
		{"in the TLS handshake", ""},
		{"over port 80", `redirect: "127.0.0.1:0"`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := newAuthority(t)
			dir := t.TempDir()
			s, lines := a.start(t, tc.section+configuration, dir)

			const closed = 1
			httpPort, tlsPort := closed, portOf(t, s.Addr("app"))
			if tc.section != "" {
				at, _ := lines.await(t, "redirects to https")["listen"].(string)
				httpPort, tlsPort = portOf(t, at), closed
			}

			_, err := a.leaf(t, s, "app.example.org")
			if err == nil {
				t.Error("got a certificate of the authority before it answered, want the self-signed one")
			}
			missing(t, s, 1)

			a.validate(t, httpPort, tlsPort)
			lines.await(t, "the certificate authority issued a certificate")
			lines.await(t, "the certificate authority issued a certificate")
			missing(t, s, 0)
			first := a.mustLeaf(t, s)
			checkModes(t, filepath.Join(dir, "acme"))
			s.Stop()

			a.server.Close()
			s, _ = a.start(t, tc.section+configuration, dir)
			again := a.mustLeaf(t, s)
			if !again.Equal(first) {
				t.Errorf("after a restart, certificate %v, want %v", again.SerialNumber, first.SerialNumber)
			}
		})
	}
}

// mustLeaf checks that both host names have certificates of the authority, and returns that of the service.
func (a *authority) mustLeaf(t *testing.T, s *jetontest.Server) *x509.Certificate {
	t.Helper()
	if _, err := a.leaf(t, s, "id.example.org"); err != nil {
		t.Errorf("certificate of the issuer: %v", err)
	}
	leaf, err := a.leaf(t, s, "APP.example.org")
	if err != nil {
		t.Errorf("certificate of the service: %v", err)
	}

	return leaf
}

// missing compares the metric of the service.
func missing(t *testing.T, s *jetontest.Server, want int) {
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

	line := fmt.Sprintf(`(?m)^jeton_acme_missing_certificates\{service="app"\} %d$`, want)
	if !regexp.MustCompile(line).Match(text) {
		t.Errorf("/metrics has no line %s", line)
	}
	expires := bytes.Contains(text, []byte(`jeton_certificate_expiry_timestamp_seconds{service="app"}`))
	if expires != (want == 0) {
		t.Errorf("with %d missing, /metrics has the expiry: %t", want, expires)
	}
}

// checkModes checks that only the server can open what it keeps.
func checkModes(t *testing.T, dir string) {
	t.Helper()
	keys := 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %04o, want nothing for other users", path, info.Mode().Perm())
		}
		if strings.HasSuffix(path, ".key") {
			keys++
		}

		return nil
	})
	if err != nil || keys < 3 {
		t.Errorf("got %d keys, %v, want those of two certificates and of the account", keys, err)
	}
}

// TestCertificatesAreRenewed puts a certificate that has expired in the place of the stored one. The server before had
// ended while it wrote its account.
func TestCertificatesAreRenewed(t *testing.T) {
	a := newAuthority(t)
	dir := t.TempDir()
	beginAccount(t, filepath.Join(dir, "acme"), a.directory)
	s, lines := a.start(t, configuration, dir)
	a.validate(t, 1, portOf(t, s.Addr("app")))
	lines.await(t, "the certificate authority issued a certificate")
	lines.await(t, "the certificate authority issued a certificate")
	s.Stop()

	files, _ := filepath.Glob(filepath.Join(dir, "acme/certificates/*/app.example.org/*.crt"))
	if len(files) != 1 {
		t.Fatalf("got files %v, want one certificate", files)
	}
	expire(t, files[0])

	a.gate.Lock()
	s, lines = a.start(t, configuration, dir)
	a.validate(t, 1, portOf(t, s.Addr("app")))
	lines.await(t, "a certificate was renewed")

	for {
		served, err := a.leaf(t, s, "app.example.org")
		if err == nil && served.NotAfter.After(time.Now()) {
			return
		}
		if t.Context().Err() != nil {
			t.Fatalf("got %v, %v after the renewal, want a valid certificate", served.NotAfter, err)
		}
	}
}

// TestAnotherAuthorityIsAsked reloads a server with the directory of another authority, as after a try with a staging
// directory. The certificates before are served until those of the other one are there.
func TestAnotherAuthorityIsAsked(t *testing.T) {
	first, second := newAuthority(t), newAuthority(t)
	s, lines := first.start(t, configuration, t.TempDir())
	first.validate(t, 1, portOf(t, s.Addr("app")))
	lines.await(t, "the certificate authority issued a certificate")
	lines.await(t, "the certificate authority issued a certificate")

	if err := s.Reload(second.configure(configuration)); err != nil {
		t.Fatal(err)
	}
	lines.await(t, "ordering a certificate; the one of the authority before is served until then")
	first.mustLeaf(t, s)

	second.validate(t, 1, portOf(t, s.Addr("app")))
	lines.await(t, "the certificate authority issued a certificate")
	lines.await(t, "the certificate authority issued a certificate")
	second.mustLeaf(t, s)
}

// beginAccount leaves what a crash leaves while an account without an address is written.
func beginAccount(t *testing.T, storage, directory string) {
	t.Helper()
	issuer := &certmagic.ACMEIssuer{CA: directory}
	account := filepath.Join(storage, "acme", certmagic.StorageKeys.Safe(issuer.IssuerKey()), "users", "default")
	if err := os.MkdirAll(account, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(account, "default.json"), []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
}

// expire replaces a certificate and its key by one that has expired, with the same name, number and issuer: that is
// what a renewal says that it replaces (RFC 9773).
func expire(t *testing.T, file string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	issued, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}

	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	parent := &x509.Certificate{Subject: issued.Issuer, SubjectKeyId: issued.AuthorityKeyId}
	template := &x509.Certificate{
		SerialNumber: issued.SerialNumber,
		DNSNames:     issued.DNSNames,
		NotBefore:    time.Now().Add(-48 * time.Hour),
		NotAfter:     time.Now().Add(-24 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}

	for name, block := range map[string]*pem.Block{
		file:                                    {Type: "CERTIFICATE", Bytes: der},
		strings.TrimSuffix(file, "crt") + "key": {Type: "EC PRIVATE KEY", Bytes: secret},
	} {
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
