package server_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/jeton-auth/jeton/jetontest"
)

// makePair writes a certificate and key for localhost.
func makePair(t *testing.T, certFile, keyFile string, serial int64) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}

	cert := &x509.Certificate{
		SerialNumber:          big.NewInt(serial),
		Subject:               pkix.Name{CommonName: "localhost"},
		DNSNames:              []string{"localhost"},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(90 * 24 * time.Hour),
		BasicConstraintsValid: true,
	}

	der, err := x509.CreateCertificate(rand.Reader, cert, cert, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}

	secret, _ := x509.MarshalPKCS8PrivateKey(key)
	for file, block := range map[string]*pem.Block{
		certFile: {Type: "CERTIFICATE", Bytes: der},
		keyFile:  {Type: "PRIVATE KEY", Bytes: secret},
	} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestCertificateExchange(t *testing.T) {
	s := jetontest.Start(t, easy+shop())
	serial := func() int64 {
		conn, err := tls.Dial("tcp", s.Addr("shop"), &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()

		return conn.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
	}

	old := s.Client()
	s.Send(old, "GET", s.URL("shop")+"/open", "")
	cert, key := filepath.Join(s.Dir(), "pubkey.pem"), filepath.Join(s.Dir(), "private.pem")
	makePair(t, cert, key, 4711)

	if got := serial(); got == 4711 {
		t.Errorf("certificate before the reload = %d, want the one of the start", got)
	}
	if err := s.Reload(easy + shop()); err != nil {
		t.Fatal(err)
	}
	if got := serial(); got != 4711 {
		t.Errorf("certificate after the reload = %d, want 4711", got)
	}

	a := s.Send(old, "GET", s.URL("shop")+"/open", "")
	if a.Body != "open" {
		t.Errorf("response on a connection from before the reload = %d %q, want open", a.Status, a.Body)
	}

	for name, spoil := range map[string]func(){
		"a key that is of another certificate": func() { makePair(t, filepath.Join(s.Dir(), "x.pem"), key, 1) },
		"a key that others may read": func() {
			makePair(t, cert, key, 4712)
			_ = os.Chmod(key, 0o644)
		},
		"no key":         func() { _ = os.Remove(key) },
		"no certificate": func() { makePair(t, cert, key, 4713); _ = os.Remove(cert) },
		"garbage":        func() { makePair(t, cert, key, 4714); _ = os.WriteFile(cert, []byte("garbage"), 0o600) },
	} {
		if spoil(); s.Reload(easy+shop()) == nil {
			t.Errorf("%s: Reload = nil, want an error", name)
		}
		if got := serial(); got != 4711 {
			t.Errorf("%s: certificate = %d, want the old one", name, got)
		}
	}
}
