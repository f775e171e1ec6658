package acme

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/certmagic"
	"github.com/mholt/acmez/v3"

	"github.com/jeton-auth/jeton/internal/web"
)

// Protocol is what a certificate authority asks for in the TLS handshake of a challenge (RFC 8737). A listener
// that answers challenges offers it.
const Protocol = acmez.ACMETLS1Protocol

// orderAgain is how long after the last of a series of orders the next series begins.
const orderAgain = time.Hour

// Certificates are those of one configuration. Its methods are safe for concurrent use.
type Certificates struct {
	client *Client
	cache  *certmagic.Cache
	config *certmagic.Config
	issuer *certmagic.ACMEIssuer
	names  []string // in lower case

	missing []string // names of which the folder had no certificate of this authority
	before  []string // keys of the authorities of earlier configurations
}

// Ports are where the challenges of a certificate authority arrive, perhaps through other ports of a firewall.
// 0: nowhere.
type Ports struct {
	HTTP int
	TLS  int
}

// Run orders what is missing and renews what expires, until ctx ends and its orders have ended.
func (c *Certificates) Run(ctx context.Context, ports Ports) {
	// The listeners are open already; with these ports certmagic finds that, and opens none.
	c.issuer.AltHTTPPort = ports.HTTP
	c.issuer.AltTLSALPNPort = ports.TLS
	c.client.use(c)

	var orders sync.WaitGroup
	for _, name := range c.names {
		switch {
		case !slices.Contains(c.missing, name):
			c.dropBefore(name)
			continue
		case c.Leaf(name) == nil:
			c.client.log.Warn("no certificate yet: clients refuse the self-signed one; ordering one", "host", name)
		default:
			c.client.log.Info("ordering a certificate; the one of the authority before is served until then",
				"host", name)
		}
		orders.Go(func() { c.order(ctx, name) })
	}

	// What has expired while no server ran; later ones are found by the cache.
	err := c.cache.RenewManagedCertificates(ctx)
	if err != nil {
		c.client.log.Warn("certificates were not renewed", "error", err)
	}

	<-ctx.Done()
	orders.Wait()
}

// use makes the certificates those of the current configuration, and forgets others.
func (c *Client) use(next *Certificates) {
	before := c.current.Swap(next)
	if before == nil {
		return
	}
	next.before = append(slices.Clone(before.before), before.issuer.IssuerKey())
	slices.Sort(next.before)
	next.before = slices.Compact(next.before)

	var gone []certmagic.SubjectIssuer
	for _, name := range before.names {
		if !slices.Contains(next.names, name) {
			gone = append(gone, certmagic.SubjectIssuer{Subject: name})
		}
	}
	next.cache.RemoveManaged(gone)
}

// Forget drops the certificates of the current configuration: the next one has no authority, and nothing is renewed.
func (c *Client) Forget() {
	before := c.current.Swap(nil)
	if before == nil {
		return
	}

	var gone []certmagic.SubjectIssuer
	for _, name := range before.names {
		gone = append(gone, certmagic.SubjectIssuer{Subject: name})
	}
	before.cache.RemoveManaged(gone)
}

// dropBefore drops the certificates of other authorities than that of this configuration, which has one for the name.
func (c *Certificates) dropBefore(name string) {
	for _, key := range c.before {
		if key != c.issuer.IssuerKey() {
			c.cache.RemoveManaged([]certmagic.SubjectIssuer{{Subject: name, IssuerKey: key}})
		}
	}
}

// order gets a certificate, however long it takes.
func (c *Certificates) order(ctx context.Context, name string) {
	for {
		// It tries again by itself, for a month, after a minute first and after six hours at last.
		err := c.config.ObtainCertAsync(ctx, name)
		if err == nil {
			_, err = c.config.CacheManagedCertificate(ctx, name)
		}
		if err == nil {
			c.dropBefore(name)
			c.client.log.Info("the certificate authority issued a certificate", "host", name)
			return
		}
		if ctx.Err() != nil {
			return
		}

		c.client.log.Warn("no certificate; ordering it again later", "host", name,
			"after", orderAgain.String(), "error", err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(orderAgain):
		}
	}
}

// Certificate returns the certificate of a TLS handshake, or nil if it is for another name or there is none yet.
func (c *Certificates) Certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	if isChallenge(hello) {
		return c.config.GetCertificate(hello)
	}
	if c.Leaf(strings.ToLower(hello.ServerName)) == nil {
		return nil, nil
	}

	return c.config.GetCertificate(hello)
}

// isChallenge reports whether a certificate authority checks a host name (RFC 8737, section 3).
func isChallenge(hello *tls.ClientHelloInfo) bool {
	return len(hello.SupportedProtos) == 1 && hello.SupportedProtos[0] == Protocol
}

// Answer answers a request of a certificate authority that checks a host name (RFC 8555, section 8.3). It reports
// whether the request was one, and writes nothing otherwise.
func (c *Certificates) Answer(w http.ResponseWriter, r *http.Request) bool {
	if !certmagic.LooksLikeHTTPChallenge(r) || !slices.Contains(c.names, web.Hostname(r.Host)) {
		return false
	}

	return c.issuer.HandleHTTPChallenge(w, r)
}

// Names returns the host names that need certificates.
func (c *Certificates) Names() []string { return c.names }

// Leaf returns the certificate of a host name, perhaps expired, or nil if there is none.
func (c *Certificates) Leaf(name string) *x509.Certificate {
	if !slices.Contains(c.names, name) {
		return nil
	}

	var latest *x509.Certificate
	for _, one := range c.cache.AllMatchingCertificates(name) {
		leaf := one.Leaf
		if latest == nil || leaf.NotAfter.After(latest.NotAfter) {
			latest = leaf
		}
	}

	return latest
}
