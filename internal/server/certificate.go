package server

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"github.com/jeton-auth/jeton/internal/jose"
)

// certLife is the lifetime of a self-signed certificate.
const certLife = 397 * 24 * time.Hour

// certificate loads a certificate and its key, and makes a self-signed one if neither exists.
func certificate(certFile, keyFile string, hosts []string, now time.Time) (tls.Certificate, bool, error) {
	_, certErr := os.Stat(certFile)
	_, keyErr := os.Stat(keyFile)
	if errors.Is(certErr, fs.ErrNotExist) && keyErr == nil {
		if _, err := tls.LoadX509KeyPair(certFile+fileNew, keyFile); err == nil {
			// A crash came between the renames of the key and of the certificate.
			certErr = os.Rename(certFile+fileNew, certFile)
		}
	}

	made := errors.Is(certErr, fs.ErrNotExist) && errors.Is(keyErr, fs.ErrNotExist)
	if made {
		if err := makeCertificate(certFile, keyFile, hosts, now); err != nil {
			return tls.Certificate{}, false, fmt.Errorf("make self-signed certificate: %w", err)
		}
	}

	if err := private(keyFile); err != nil {
		return tls.Certificate{}, false, err
	}

	pair, err := loadPair(certFile, keyFile)
	if err != nil {
		return pair, made, fmt.Errorf("load certificate %s and key %s: %w", certFile, keyFile, err)
	}

	return pair, made, nil
}

// loadPair loads a certificate and its key.
func loadPair(certFile, keyFile string) (tls.Certificate, error) {
	cert, err := os.ReadFile(certFile)
	if err != nil {
		return tls.Certificate{}, err
	}

	key, err := os.ReadFile(keyFile)
	if err != nil {
		return tls.Certificate{}, err
	}

	return tls.X509KeyPair(jose.TrimBOM(cert), jose.TrimBOM(key))
}

// private refuses a key that other users can read.
func private(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("key: %w", err)
	}
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("key %s can be read by other users (mode %04o): chmod 600 %s", path, info.Mode().Perm(), path)
	}

	return nil
}

// makeCertificate makes a self-signed certificate for the hosts. It is a leaf certificate: a
// client that trusts it trusts only this server.
func makeCertificate(certFile, keyFile string, hosts []string, now time.Time) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}

	// At most 20 octets, and positive (RFC 5280, section 4.1.2.2).
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 126))
	if err != nil {
		return err
	}

	t := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: hosts[0]},
		NotBefore:             now.Add(-time.Hour),
		NotAfter:              now.Add(certLife),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}

	for _, h := range hosts {
		ip := net.ParseIP(h)
		if ip != nil {
			t.IPAddresses = append(t.IPAddresses, ip)
		} else {
			t.DNSNames = append(t.DNSNames, h)
		}
	}

	der, err := x509.CreateCertificate(rand.Reader, t, t, &key.PublicKey, key)
	if err != nil {
		return err
	}

	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}

	// Both files are complete before one of them gets its name.
	if err := writePEM(keyFile+fileNew, "PRIVATE KEY", secret); err != nil {
		return err
	}

	if err := writePEM(certFile+fileNew, "CERTIFICATE", der); err != nil {
		return err
	}

	// After a crash between these two, certificate completes the second.
	if err := os.Rename(keyFile+fileNew, keyFile); err != nil {
		return err
	}

	return os.Rename(certFile+fileNew, certFile)
}

// writePEM writes a file and syncs it.
func writePEM(path, kind string, der []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), folderMode); err != nil {
		return err
	}

	return replacePrivate(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

// secure adds the certificate of a service to its listener.
func (s *Server) secure(p *planned, name string, at endpoint) error {
	if at.plain {
		return nil
	}

	file := s.core.dir.file(at.tls.Cert)
	pair, made, err := certificate(file, s.core.dir.file(at.tls.Key), certHosts(at.host, at.listen), s.c.Now())
	if err != nil {
		return fmt.Errorf("service %s: %w", name, err)
	}

	if made {
		s.c.Log.Info("made a self-signed certificate", "service", name, "file", file)
	}

	// A browser that remembers HSTS does not let its user accept such a certificate.
	if bytes.Equal(pair.Leaf.RawIssuer, pair.Leaf.RawSubject) {
		p.front.weakTLS = true
	}

	left := pair.Leaf.NotAfter.Sub(s.c.Now())
	if left < 30*24*time.Hour {
		s.c.Log.Warn("the certificate expires soon", "service", name, "file", file, "expires", pair.Leaf.NotAfter)
	}
	if p.tls == nil {
		p.tls = tlsConfig()
	}

	// Services share an address. crypto/tls chooses by the server name of the client, and
	// takes the first if none fits.
	p.tls.Certificates = append(p.tls.Certificates, pair)

	return nil
}

// certHosts returns the names of a self-signed certificate.
func certHosts(host, listen string) []string {
	hosts := []string{"localhost", "127.0.0.1", "::1"}
	bound, _, _ := net.SplitHostPort(listen)
	for _, h := range []string{host, bound} {
		// "Every address of this machine" is an address to listen on, not one to connect to.
		if addr, err := netip.ParseAddr(h); err == nil && addr.IsUnspecified() {
			continue
		}
		if h != "" && !slices.Contains(hosts, h) {
			hosts = append([]string{h}, hosts...)
		}
	}

	return hosts
}
