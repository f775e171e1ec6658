package client

import (
	"crypto/x509"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"strings"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/jose"
)

// Source is where keys of a client are fetched from. Clients with equal sources share what
// was fetched.
type Source struct {
	URL     string   `json:"url"`
	Format  string   `json:"format"`            // FormatJWKS or FormatPEM
	Alg     jose.Alg `json:"alg,omitempty"`     // of a PEM key; "": the default for its type
	CA      string   `json:"ca,omitempty"`      // PEM file of the authority to trust instead of the system's
	Private bool     `json:"private,omitempty"` // private addresses are allowed
}

// The formats of a source. The kid of a PEM key is its thumbprint.
const (
	FormatJWKS = "jwks" // JWK Set (RFC 7517, section 5)
	FormatPEM  = "pem"  // one public key
)

// check returns jeton.ErrInvalid for what cannot be a source.
func (s Source) check() error {
	u, err := url.Parse(s.URL)
	if err != nil || u.Host == "" || u.Opaque != "" {
		return errSource("url", "a whole URL, https://host/path")
	}

	switch {
	case u.User != nil:
		return errSource("url", "one without a user name and a password")
	case u.Fragment != "":
		return errSource("url", "one without a fragment (#)")
	case u.Scheme == "http" && !(s.Private && loopback(u.Hostname())):
		// Without TLS, another host could answer with its own keys and act as the client.
		return errSource("url", "https://; http:// is only for localhost, with the option for private addresses")
	case u.Scheme != "https" && u.Scheme != "http":
		return errSource("url", "https://")
	case s.Format != FormatJWKS && s.Format != FormatPEM:
		return errSource("format", FormatJWKS+" or "+FormatPEM)
	case s.Alg != "" && s.Format != FormatPEM:
		return errSource("algorithm", "none for the format "+s.Format+", whose keys name their own")
	case s.Alg != "" && !s.Alg.Known():
		return errSource("algorithm "+fmt.Sprintf("%q", string(s.Alg)), "one of the supported ones")
	}

	if s.CA != "" {
		_, err = s.authorities()
	}

	return err
}

// errSource names the key of the configuration, and never the URL, which may hold a
// password by mistake.
func errSource(key, want string) error {
	return jeton.WithDetail(jeton.ErrInvalid, "invalid "+key+": want "+want)
}

// loopback reports whether a host is this machine, for which plain HTTP is accepted.
func loopback(host string) bool {
	// Names are not resolved here: mayDial checks the address that is dialled.
	addr, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || err == nil && addr.Unmap().IsLoopback()
}

// authorities returns the certificate authorities to trust; nil: those of the system.
func (s Source) authorities() (*x509.CertPool, error) {
	if s.CA == "" {
		return nil, nil
	}

	text, err := os.ReadFile(s.CA)
	if err != nil {
		return nil, fmt.Errorf("certificate authority: %w", err)
	}

	// Only these: a public authority is not accepted beside a private one.
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(jose.TrimBOM(text)) {
		return nil, fmt.Errorf("certificate authority: no certificate in %s", s.CA)
	}

	return pool, nil
}

// mayDial returns an error for an address that a source must not lead to. It is called with
// the address that is dialled, after the name has been resolved, which defeats DNS
// rebinding.
func (s Source) mayDial(address string, plain bool) error {
	// Without this check, a configured name could lead to internal services or the metadata
	// address of a cloud (server-side request forgery).
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("dial %s: %w", address, err)
	}

	addr, err := netip.ParseAddr(host)
	if err != nil {
		return fmt.Errorf("dial %s: %w", address, err)
	}

	switch {
	case plain && !addr.Unmap().IsLoopback():
		return fmt.Errorf("%s is not this machine; only loopback addresses are allowed without TLS", addr)
	case s.Private || public(addr):
		return nil
	}

	return fmt.Errorf("%s is not a public address; allow private addresses for the source, or change it", addr)
}

// special has addresses that netip calls global unicast and that are not on the Internet,
// or lead into another network (IANA special-purpose registries, RFC 6890).
var special = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),
	netip.MustParsePrefix("100.64.0.0/10"), // shared by carriers (RFC 6598)
	netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("192.0.2.0/24"),
	netip.MustParsePrefix("192.88.99.0/24"),
	netip.MustParsePrefix("198.18.0.0/15"),
	netip.MustParsePrefix("198.51.100.0/24"),
	netip.MustParsePrefix("203.0.113.0/24"),
	netip.MustParsePrefix("240.0.0.0/4"),
	netip.MustParsePrefix("2001::/23"), // includes Teredo, which wraps IPv4 addresses
	netip.MustParsePrefix("2001:db8::/32"),
	netip.MustParsePrefix("2002::/16"), // 6to4 wraps IPv4 addresses
	netip.MustParsePrefix("3fff::/20"),
}

var (
	// unicast is the part of IPv6 that is allocated; all else is special.
	unicast = netip.MustParsePrefix("2000::/3")
	// nat64 wraps the IPv4 address to which the packet goes (RFC 6052).
	nat64 = netip.MustParsePrefix("64:ff9b::/96")
)

// public reports whether an address is on the Internet.
func public(addr netip.Addr) bool {
	// ::ffff:10.0.0.1 reaches 10.0.0.1, so it is judged as that.
	addr = addr.Unmap()
	if nat64.Contains(addr) {
		b := addr.As16()
		return public(netip.AddrFrom4([4]byte(b[12:])))
	}

	// A zone belongs to a link-local address; the rest of IPv6 outside 2000::/3 is special.
	if addr.Zone() != "" || !addr.IsGlobalUnicast() || addr.IsPrivate() || addr.Is6() && !unicast.Contains(addr) {
		return false
	}

	for _, p := range special {
		if p.Contains(addr) {
			return false
		}
	}

	return true
}
