package browser

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// Hosts are the names under which servers of the tests can be reached, by browsers and with the
// certificate of the tests. Each is a site of its own, but near.login.example is of that of login.example; example and
// test have no other use (RFC 2606).
var Hosts = []string{
	"localhost", "shop.localhost", "login.example", "near.login.example", "shop.example", "books.test", "evil.test",
}

// Pair is a certificate with its key, which the browsers of the tests trust.
type Pair struct {
	cert, key []byte // PEM
	pin       string // SHA-256 of the public key, base64
}

var pair = sync.OnceValues(newPair)

// Certificate returns the certificate that all servers of a test binary use.
func Certificate(t testing.TB) Pair {
	t.Helper()
	p, err := pair()
	if err != nil {
		t.Fatal(err)
	}

	return p
}

// Write writes certificate and key to a data directory, under the names that the server reads.
func (p Pair) Write(dir string) error {
	return errors.Join(
		os.MkdirAll(dir, 0o700),
		os.WriteFile(filepath.Join(dir, "pubkey.pem"), p.cert, 0o600),
		os.WriteFile(filepath.Join(dir, "private.pem"), p.key, 0o600),
	)
}

func newPair() (Pair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Pair{}, err
	}

	// A name of our own: the server replaces certificates that it made itself when a name is missing.
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()),
		Subject:      pkix.Name{CommonName: "tests with browsers"},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(100 * 24 * time.Hour),
		DNSNames:     Hosts,
	}

	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return Pair{}, err
	}

	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return Pair{}, err
	}

	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return Pair{}, err
	}

	sum := sha256.Sum256(public)

	return Pair{
		cert: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		key:  pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}),
		pin:  base64.StdEncoding.EncodeToString(sum[:]),
	}, nil
}
