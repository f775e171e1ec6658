package server

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/jeton-auth/jeton/internal/config"
	"github.com/jeton-auth/jeton/internal/jose"
	"github.com/jeton-auth/jeton/internal/secretfile"
)

// The names of certificate and key in the data directory that need not exist: the server makes them.
const (
	defaultCert = config.DefaultCertificate
	defaultKey  = "private.pem"
)

// isDefault reports whether a configuration leaves the certificate to the server.
func isDefault(c config.TLS) bool { return c.Cert == defaultCert && c.Key == defaultKey }

// certificate loads the certificate and key that a configuration names. Both must exist: a
// certificate in the place of a file that is missing would be another one than clients trust.
func certificate(certFile, keyFile string) (*tls.Certificate, error) {
	for _, f := range []struct{ key, file string }{{"tls.cert", certFile}, {"tls.key", keyFile}} {
		if _, err := os.Stat(f.file); errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf(
				"%s: %s does not exist; correct the path, or remove tls.cert and tls.key for a self-signed certificate",
				f.key, f.file,
			)
		}
	}

	if err := private(keyFile); err != nil {
		return nil, err
	}

	pair, err := loadPair(certFile, keyFile)
	if err != nil {
		return nil, fmt.Errorf("load certificate %s and key %s: %w", certFile, keyFile, err)
	}

	return &pair, nil
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
	if err := secretfile.Check(path, info); err != nil {
		return fmt.Errorf("key: %w", err)
	}

	return nil
}

// secure adds the certificate of a service to its listener.
func (s *Server) secure(p *planned, name string, at endpoint) error {
	if at.plain {
		return nil
	}

	pair, err := s.certificateOf(at.tls)
	if err != nil {
		return fmt.Errorf("service %s: %w", name, err)
	}

	// A browser that remembers HSTS does not let its user accept such a certificate.
	if bytes.Equal(pair.Leaf.RawIssuer, pair.Leaf.RawSubject) && len(at.orders) == 0 {
		p.front.weakTLS = true
	}
	if p.tls == nil {
		p.tls = tlsConfig()
	}

	served := servedCertificate{
		service: name,
		file:    s.core.dir.file(at.tls.Cert),
		pair:    pair,
	}
	if len(at.orders) > 0 {
		served.orders, served.ordered = at.orders, s.ordered
		p.order(s.ordered)
	} else {
		served.warn(s.c.Now(), s.c.Log)
	}
	p.certificates = append(p.certificates, served)

	// Services share an address. crypto/tls chooses by the server name of the client, and
	// takes the first if none fits.
	p.tls.Certificates = append(p.tls.Certificates, *pair)

	return nil
}

// certificateOf returns the certificate of an endpoint: the self-signed one that plan has loaded, or
// one from files.
func (s *Server) certificateOf(c config.TLS) (*tls.Certificate, error) {
	if isDefault(c) {
		return s.selfSigned.pair, nil
	}
	return certificate(s.core.dir.file(c.Cert), s.core.dir.file(c.Key))
}

// warnTime is how long before its end a certificate expires soon, if a third of its lifetime is not less.
const warnTime = 30 * 24 * time.Hour

// The warnings about the validity of a certificate.
const (
	certExpired = "the certificate has expired: clients refuse it"
	certEarly   = "the certificate is not valid yet: clients refuse it"
	certSoon    = "the certificate expires soon"
)

// validity returns a warning about the validity of a certificate at a time, and what to do; or "".
func validity(leaf *x509.Certificate, now time.Time) (warning, fix string) {
	const renew = "renew it and send SIGHUP"
	soon := min(warnTime, leaf.NotAfter.Sub(leaf.NotBefore)/3)

	switch {
	case now.After(leaf.NotAfter):
		return certExpired, renew
	case now.Before(leaf.NotBefore):
		return certEarly, "look at the clock of this machine"
	case leaf.NotAfter.Sub(now) < soon:
		return certSoon, renew
	}

	return "", ""
}
