package server

import (
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
	"slices"
	"sync/atomic"
	"time"

	"github.com/jeton-auth/jeton/internal/config"
	"github.com/jeton-auth/jeton/internal/secretfile"
	"github.com/jeton-auth/jeton/internal/web"
)

const (
	// certLife is the lifetime of a self-signed certificate.
	certLife = 397 * 24 * time.Hour
	// certMark is the organization in the subject of the certificates that the server makes. Any other
	// certificate under the same file name belongs to the operator, and is never replaced.
	certMark = "Jeton self-signed"
	// retryRenewal is how long after a failure the server tries to renew again.
	retryRenewal = time.Hour
)

// selfSigned is the certificate under the default names in the data directory, which the server makes
// and renews. All services that name no certificate share it. Server.mu guards its fields.
type selfSigned struct {
	pair  *tls.Certificate // nil before a service needs it
	hosts []string         // that the configuration wants in it
	// renewAt is when the next TLS handshake renews it, in Unix seconds; 0: never.
	renewAt atomic.Int64
}

// prepareSelfSigned loads or makes the self-signed certificate if an endpoint of conf needs it. The
// caller holds mu.
func (s *Server) prepareSelfSigned(conf *config.Config) error {
	hosts := selfSignedHosts(conf)
	if len(hosts) == 0 {
		return nil
	}

	own := &s.selfSigned
	certFile, keyFile := s.core.dir.file(defaultCert), s.core.dir.file(defaultKey)
	now := s.c.Now()

	missing, err := completePair(certFile, keyFile)
	if err != nil {
		return err
	}

	// An operator's certificate that has gone is missing, as one with a name of its own.
	if missing && own.pair != nil && !isMarked(own.pair.Leaf) {
		return fmt.Errorf("certificate %s has been removed; put it back, or restart for a self-signed one", certFile)
	}

	var pair *tls.Certificate
	if !missing {
		pair, err = certificate(certFile, keyFile)
		if err != nil {
			return err
		}
	}

	if missing || isMarked(pair.Leaf) && !serves(pair.Leaf, hosts, now) {
		pair, err = s.makeSelfSigned(certFile, keyFile, hosts)
		if err != nil {
			return err
		}
	}

	own.use(pair, hosts)

	return nil
}

// use makes pair the current certificate.
func (own *selfSigned) use(pair *tls.Certificate, hosts []string) {
	own.pair, own.hosts = pair, hosts

	own.renewAt.Store(0)
	if isMarked(pair.Leaf) {
		own.renewAt.Store(pair.Leaf.NotAfter.Add(-warnTime).Unix())
	}
}

// completePair reports whether certificate and key are both missing. It first completes what a crash in
// makeCertificate has left.
func completePair(certFile, keyFile string) (missing bool, err error) {
	// Lstat: a link whose target is missing is a file that the operator wants.
	_, certErr := os.Lstat(certFile)
	_, keyErr := os.Lstat(keyFile)
	noCert, noKey := errors.Is(certErr, fs.ErrNotExist), errors.Is(keyErr, fs.ErrNotExist)
	if !noCert || noKey {
		return noCert && noKey, nil
	}

	if _, err := tls.LoadX509KeyPair(certFile+fileNew, keyFile); err == nil {
		// A crash came between the renames of the key and of the certificate.
		return false, os.Rename(certFile+fileNew, certFile)
	}

	return false, nil
}

// isMarked reports whether the server has made a certificate.
func isMarked(leaf *x509.Certificate) bool {
	return slices.Contains(leaf.Subject.Organization, certMark)
}

// serves reports whether a certificate has all hosts, and is not due for renewal.
func serves(leaf *x509.Certificate, hosts []string, now time.Time) bool {
	if now.Before(leaf.NotBefore) || leaf.NotAfter.Sub(now) < warnTime {
		return false
	}

	return !slices.ContainsFunc(hosts, func(h string) bool { return leaf.VerifyHostname(h) != nil })
}

// makeSelfSigned makes and loads a certificate, and logs it: clients need the new file.
func (s *Server) makeSelfSigned(certFile, keyFile string, hosts []string) (*tls.Certificate, error) {
	if err := makeCertificate(certFile, keyFile, hosts, s.c.Now()); err != nil {
		return nil, fmt.Errorf("make self-signed certificate: %w", err)
	}

	pair, err := certificate(certFile, keyFile)
	if err != nil {
		return nil, err
	}

	s.c.Log.Info(
		"made a self-signed certificate",
		"file", certFile,
		"hosts", hosts,
		"expires", pair.Leaf.NotAfter,
	)

	return pair, nil
}

// renewSelfSigned makes a new self-signed certificate if the current one expires soon. Every handshake
// calls it, since the timer of watchCertificates depends on how long the machine sleeps.
func (s *Server) renewSelfSigned() {
	own := &s.selfSigned
	due := func() bool {
		at := own.renewAt.Load()
		return at != 0 && s.c.Now().Unix() > at
	}

	// A handshake does not wait for a reload: the next one renews.
	if !due() || !s.mu.TryLock() {
		return
	}
	defer s.mu.Unlock()

	if !due() {
		return
	}

	old := own.pair
	pair, err := s.makeSelfSigned(s.core.dir.file(defaultCert), s.core.dir.file(defaultKey), own.hosts)
	if err != nil {
		own.renewAt.Store(s.c.Now().Add(retryRenewal).Unix())
		s.c.Log.Error("the self-signed certificate was not renewed", "error", err)

		return
	}

	own.use(pair, own.hosts)
	s.certificates.replace(old, pair)

	for _, l := range s.listeners {
		l.replaceCertificate(old, pair)
	}
}

// replaceCertificate exchanges one certificate of a listener, if it has it.
func (l *listener) replaceCertificate(old, pair *tls.Certificate) {
	conf := l.tls.Load()
	if conf == nil {
		return
	}

	next := conf.Clone()
	next.Certificates = slices.Clone(conf.Certificates)

	for i := range next.Certificates {
		if next.Certificates[i].Leaf.Equal(old.Leaf) {
			next.Certificates[i] = *pair
		}
	}

	l.tls.Store(next)
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
		Subject:               pkix.Name{Organization: []string{certMark}, CommonName: commonName(hosts[0])},
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

	// After a crash between these two, completePair completes the second.
	if err := os.Rename(keyFile+fileNew, keyFile); err != nil {
		return err
	}

	return os.Rename(certFile+fileNew, certFile)
}

// writePEM writes a file and syncs it.
func writePEM(path, kind string, der []byte) error {
	if err := secretfile.CreateDir(filepath.Dir(path)); err != nil {
		return err
	}

	return replacePrivate(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

// commonName returns a host name as a common name, or "" for one that is too long (RFC 5280, appendix
// A.1). Clients look at the other names.
func commonName(host string) string {
	if len(host) > 64 {
		return ""
	}
	return host
}

// selfSignedHosts returns the names of the self-signed certificate: those of every endpoint that names no
// certificate, and of this machine. It returns none if no endpoint needs it.
func selfSignedHosts(conf *config.Config) []string {
	var hosts []string
	for _, at := range endpoints(conf) {
		if !at.plain && isDefault(at.tls) {
			hosts = append(hosts, at.names()...)
		}
	}

	if hosts == nil {
		return nil
	}

	return unique(hosts)
}

// names returns the names by which clients may call an endpoint.
func (at endpoint) names() []string {
	bound, _, _ := net.SplitHostPort(at.listen)
	list := append([]string{at.host}, at.hosts...)
	list = append(list, bound, "localhost", "127.0.0.1", "::1")

	for i, h := range list {
		list[i] = web.Hostname(h)
	}

	return slices.DeleteFunc(list, func(h string) bool {
		// "Every address of this machine" is an address to listen on, not one to connect to.
		addr, err := netip.ParseAddr(h)
		return h == "" || err == nil && addr.IsUnspecified()
	})
}

// unique returns a list without repetitions.
func unique(list []string) []string {
	var once []string
	for _, s := range list {
		if !slices.Contains(once, s) {
			once = append(once, s)
		}
	}

	return once
}
