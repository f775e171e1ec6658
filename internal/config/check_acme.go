package config

import (
	"net"
	"net/netip"
	"net/url"
	"strings"

	"github.com/jeton-auth/jeton/internal/config/yamlread"
	"github.com/jeton-auth/jeton/internal/web"
)

// letsEncrypt is in the addresses of the certificate authority that is asked by default, and of its staging.
const letsEncrypt = ".api.letsencrypt.org/"

// acmeDefaults marks what gets its certificate from the certificate authority: all with TLS that name none.
func (c checker) acmeDefaults() {
	if c.conf.ACME == nil {
		return
	}

	issuer := c.conf.Issuer
	if issuer != nil {
		issuer.TLS.ACME = !issuer.PlainHTTP && !c.Has(&issuer.TLS)
	}

	for i := range c.conf.Services {
		s := &c.conf.Services[i]
		s.TLS.ACME = !s.PlainHTTP && !s.Forwarded() && !c.Has(&s.TLS)
	}
}

// acme checks the certificate authority, and that it can issue what is asked of it.
func (c checker) acme() {
	a := c.conf.ACME
	if a == nil {
		return
	}

	if c.Has(&a.AgreeToTerms) && !a.AgreeToTerms {
		c.Fault(&a.AgreeToTerms, "want true: without consent to its terms a certificate authority issues nothing")
	}
	c.acmeDirectory(a)
	c.acmeStorage(a)

	used := c.acmeIssuer()
	for i := range c.conf.Services {
		s := &c.conf.Services[i]
		if s.TLS.ACME {
			used = true
			c.acmeService(s)
		}
	}
	if !used {
		c.Fault(a, "set, and no service and no issuer takes a certificate from it; remove it, or their tls sections")
	}
}

// acmeDirectory checks the address of the certificate authority.
func (c checker) acmeDirectory(a *ACME) {
	u, err := url.Parse(a.Directory)
	if c.Valid(&a.Directory) && (err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil) {
		c.Invalid(&a.Directory, "URL", a.Directory, "one such as https://ca.example.org/acme/directory")
	}
	if c.Has(&a.CAFile) {
		c.notEmpty(&a.CAFile)
	}
	if c.Has(&a.Email) && !strings.Contains(a.Email, "@") {
		c.Invalid(&a.Email, "mail address", a.Email, "one such as ops@example.org, or remove the key")
	}
}

// acmeStorage checks where certificates are kept.
func (c checker) acmeStorage(a *ACME) {
	c.notEmpty(&a.Storage)
	if c.conf.Database != nil && !c.Has(&a.Storage) {
		const text = "missing; nodes of one database share their certificates: want a folder that all nodes can " +
			"write, or acme if there is one node"
		c.Fault(&a.Storage, text)
	}
}

// acmeIssuer checks the names of the authorization server. It reports whether it gets a certificate.
func (c checker) acmeIssuer() bool {
	issuer := c.conf.Issuer
	if issuer == nil || !issuer.TLS.ACME {
		return false
	}

	if issuer.Host != "" {
		c.certifiable(&issuer.Host, issuer.Host)
	}
	u, err := url.Parse(issuer.URL)
	if err == nil && c.Valid(&issuer.URL) {
		c.certifiable(&issuer.URL, u.Host)
	}
	c.acmePort(&issuer.Listen)

	return true
}

// acmeService checks the names of a service.
func (c checker) acmeService(s *Service) {
	if len(s.CertificateHosts()) == 0 {
		c.Fault(&s.Host, "missing; acme issues certificates for host names: add one, or tls with cert and key")
	}

	fields := []*string{&s.Host}
	for i := range s.Hosts {
		fields = append(fields, &s.Hosts[i])
	}
	for _, field := range fields {
		if *field != "" {
			c.certifiable(field, *field)
		}
	}

	u, err := url.Parse(s.URL)
	if s.URL != "" && err == nil {
		c.certifiable(&s.URL, u.Host)
	}
	c.acmePort(&s.Listen)
}

// certifiable reports a host name for which the certificate authority can issue nothing. It has to connect to the
// name: Let's Encrypt over the internet.
func (c checker) certifiable(field *string, host string) {
	host = web.Hostname(host)
	_, err := netip.ParseAddr(host)
	own := c.conf.ACME.Directory != "" && !strings.Contains(c.conf.ACME.Directory, letsEncrypt)

	switch {
	case err == nil || host == "localhost" || strings.HasSuffix(host, ".localhost"):
	case strings.Contains(host, "_") || strings.Contains(host, ".."):
	case !own && !isPublicName(host):
	default:
		return
	}

	c.Fault(
		field,
		"%s cannot get a certificate from acme: want a public host name, or tls with cert and key of its own",
		yamlread.Quote(host),
	)
}

// isPublicName reports whether a host name may be in the DNS of the internet: it has a dot, and does not end in a name
// that is reserved (RFC 2606, RFC 6761, RFC 6762, RFC 8375, and .internal of ICANN).
func isPublicName(host string) bool {
	reserved := []string{
		".alt", ".example", ".home.arpa", ".internal", ".invalid", ".lan", ".local", ".onion", ".test",
	}
	for _, end := range reserved {
		if strings.HasSuffix(host, end) {
			return false
		}
	}

	return strings.Contains(host, ".")
}

// acmePort warns of an address that a certificate authority does not connect to: it uses port 443 of the host name
// (RFC 8737, section 3), or port 80 (RFC 8555, section 8.3).
func (c checker) acmePort(listen *string) {
	redirect := c.conf.Redirect
	plain := redirect != nil && portOf(redirect.Listen) == "80"
	if plain || portOf(*listen) == "443" || !c.Valid(listen) {
		return
	}

	c.conf.Warnings = append(c.conf.Warnings, c.At(
		listen,
		"the certificate authority connects to port 443, or to port 80 if redirect is set: "+
			"forward one of them to this server, or listen there",
	))
}

// portOf returns the port of an address to listen on.
func portOf(listen string) string {
	_, port, _ := net.SplitHostPort(listen) // that it is valid is checked elsewhere
	return port
}
