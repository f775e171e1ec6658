// Package acme keeps certificates that a certificate authority issues and renews (RFC 8555).
//
// An authority that cannot be reached stops nothing: what is stored is served, and orders are tried again, more
// rarely each time. Certificates, their keys and the key of the account are in a folder that only the server can
// open; several nodes may share it, and one of them orders.
//
// The protocol, its challenges and the times of renewal are certmagic's. What a server without a certificate shows,
// and the listeners that answer challenges, are for package server.
package acme

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/caddyserver/certmagic"

	"github.com/jeton-auth/jeton/internal/secretfile"
)

// Settings say which certificate authority is asked, and for what.
type Settings struct {
	Directory string // URL
	Email     string // "": none
	CAFile    string // PEM certificates that prove the server of the directory; "": those of the system
	Storage   string // folder
	Names     []string
	HTTP      bool // there is a listener without TLS that calls Answer
}

// Client keeps certificates in memory, from one configuration to the next. Its methods are safe for concurrent use.
type Client struct {
	log    *slog.Logger
	failed atomic.Int64

	// current is what Run orders. It has no lock: the cache asks for it while it holds its own.
	current atomic.Pointer[Certificates]

	mu    sync.Mutex
	cache *certmagic.Cache // nil before a configuration needs it
}

// New returns a client that has nothing and does nothing.
func New(log *slog.Logger) *Client { return &Client{log: log} }

// Failed returns how many orders have failed since the start.
func (c *Client) Failed() int64 { return c.failed.Load() }

// Close ends the renewals. Run has ended before, for every configuration.
func (c *Client) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()

	if c.cache != nil {
		c.cache.Stop()
		c.cache = nil
	}
}

// Prepare returns the certificates of a configuration, with those in the folder. It sends no request: that is for Run.
// Its errors name the keys of the configuration.
func (c *Client) Prepare(ctx context.Context, set Settings) (*Certificates, error) {
	if err := makeStorage(set.Storage); err != nil {
		return nil, fmt.Errorf("acme.storage: %w", err)
	}

	roots, err := readRoots(set.CAFile)
	if err != nil {
		return nil, fmt.Errorf("acme.ca_file: %w", err)
	}

	certs := c.certificates(set, roots)
	for _, name := range set.Names {
		_, err := certs.config.CacheManagedCertificate(ctx, name)
		if err != nil {
			certs.missing = append(certs.missing, name)
		}
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			c.log.Warn("the stored certificate cannot be used", "host", name, "error", err)
		}
	}

	return certs, nil
}

// certificates returns the certificates of a configuration, none of them loaded.
func (c *Client) certificates(set Settings, roots *x509.CertPool) *Certificates {
	c.mu.Lock()
	defer c.mu.Unlock()

	log := logger(c.log)
	if c.cache == nil {
		c.cache = certmagic.NewCache(certmagic.CacheOptions{GetConfigForCert: c.configFor, Logger: log})
	}

	config := certmagic.New(c.cache, certmagic.Config{
		Storage: storage{&certmagic.FileStorage{Path: set.Storage}},
		Logger:  log,
		OnEvent: c.note,
		// Let's Encrypt has ended OCSP, and a request to a responder would delay a start.
		OCSP: certmagic.OCSPConfig{DisableStapling: true},
	})
	issuer := certmagic.NewACMEIssuer(config, certmagic.ACMEIssuer{
		CA:                   set.Directory,
		Email:                set.Email,
		Agreed:               true, // package config refuses a file that says otherwise
		DisableHTTPChallenge: !set.HTTP,
		TrustedRoots:         roots,
		Logger:               log,
	})
	config.Issuers = []certmagic.Issuer{issuer}

	return &Certificates{
		client: c,
		cache:  c.cache,
		config: config,
		issuer: issuer,
		names:  slices.Clone(set.Names),
	}
}

// configFor returns the configuration that renews a certificate: the current one.
func (c *Client) configFor(certmagic.Certificate) (*certmagic.Config, error) {
	current := c.current.Load()
	if current == nil {
		return nil, errors.New("no configuration runs")
	}

	return current.config, nil
}

// note counts and logs what comes of orders. Certmagic logs why one failed.
func (c *Client) note(_ context.Context, event string, data map[string]any) error {
	switch {
	case event == "cert_failed":
		c.failed.Add(1)
	case event == "cert_obtained" && data["renewal"] == true:
		c.log.Info("a certificate was renewed", "host", data["identifier"])
	}

	return nil
}

// makeStorage creates the folder if it does not exist. It refuses one that other users can open: keys are in it.
func makeStorage(path string) error {
	if err := secretfile.CreateDir(path); err != nil {
		return err
	}

	info, err := os.Stat(path)
	if err != nil {
		return err
	}

	perm := info.Mode().Perm()
	if runtime.GOOS != "windows" && perm&0o077 != 0 {
		return fmt.Errorf("%s can be opened by other users (mode %04o): run chmod 700 %s", path, perm, path)
	}

	return nil
}

// readRoots reads the certificates that prove the server of the directory. It returns nil for those of the system.
func readRoots(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}

	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}

	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s has no PEM certificate", file)
	}

	return pool, nil
}
