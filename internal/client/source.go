package client

import (
	"crypto/x509"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"strings"

	"github.com/jeton-auth/jeton/internal/jose"
)

// Source is where keys of a client are fetched from. It is compared as a whole: two
// clients with the same source share what was fetched.
type Source struct {
	URL     string   `json:"url"`
	Format  string   `json:"format"`            // FormatJWKS or FormatPEM
	Alg     jose.Alg `json:"alg,omitempty"`     // of a PEM key; "": the usual one of its kind
	CA      string   `json:"ca,omitempty"`      // PEM file of the authority to trust in place of the system's
	Private bool     `json:"private,omitempty"` // it may be on a private address
}

// The formats of a source. A PEM key is named by its thumbprint.
const (
	FormatJWKS = "jwks" // JWK Set (RFC 7517, section 5)
	FormatPEM  = "pem"  // one public key
)

// check returns what is wrong with a source that the configuration names.
func (s Source) check() error {
	u, err := url.Parse(s.URL)
	if err != nil || u.Host == "" || u.Opaque != "" {
		return errSource("the address is a whole URL, https://host/path")
	}

	switch {
	case u.User != nil:
		return errSource("the address has no name and password in it")
	case u.Fragment != "":
		return errSource("the address has no fragment (#)")
	case u.Scheme == "http" && !(s.Private && thisMachine(u.Hostname())):
		// Whoever could answer in its place would own the client.
		return errSource("the address begins with https://; http:// is for this machine (localhost) alone, with the option for private addresses")
	case u.Scheme != "https" && u.Scheme != "http":
		return errSource("the address begins with https://")
	case s.Format != FormatJWKS && s.Format != FormatPEM:
		return errSource("the format is " + FormatJWKS + " or " + FormatPEM)
	case s.Alg != "" && s.Format != FormatPEM:
		return errSource("an algorithm is named for the format " + FormatPEM + " only: a JWK Set names its own")
	case s.Alg != "" && !s.Alg.Known():
		return errSource(fmt.Sprintf("there is no algorithm %q", string(s.Alg)))
	}

	if s.CA != "" {
		_, err = s.authorities()
	}

	return err
}

func thisMachine(host string) bool {
	addr, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || err == nil && addr.Unmap().IsLoopback()
}

// authorities returns who may vouch for the source; nil: whom the system trusts.
func (s Source) authorities() (*x509.CertPool, error) {
	if s.CA == "" {
		return nil, nil
	}

	text, err := os.ReadFile(s.CA)
	if err != nil {
		return nil, fmt.Errorf("certificate authority: %w", err)
	}

	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("certificate authority: no certificate in %s", s.CA)
	}

	return pool, nil
}

// mayDial returns an error for an address that a source must not lead to. It sees the
// address that is really dialled, after every name has been resolved, so that a name
// which means another address by now does not help (DNS rebinding).
func (s Source) mayDial(address string, plain bool) error {
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
		return fmt.Errorf("%s is not this machine, and without TLS anybody could answer in its place", addr)
	case s.Private || public(addr):
		return nil
	}

	return fmt.Errorf(
		"%s is not a public address, and the source is not named as one that may be on a private one",
		addr,
	)
}

// Addresses that netip takes for global unicast and that are not the Internet, or lead
// into a network from there (IANA special-purpose registries, RFC 6890).
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
	netip.MustParsePrefix("2001::/23"), // with Teredo, which wraps IPv4 addresses
	netip.MustParsePrefix("2001:db8::/32"),
	netip.MustParsePrefix("2002::/16"), // 6to4 wraps them, too
	netip.MustParsePrefix("3fff::/20"),
}

var (
	// unicast is the part of IPv6 that is given out; all else is something special.
	unicast = netip.MustParsePrefix("2000::/3")
	// nat64 wraps an IPv4 address, which is where the packet goes (RFC 6052).
	nat64 = netip.MustParsePrefix("64:ff9b::/96")
)

// public reports whether an address is on the Internet.
func public(addr netip.Addr) bool {
	addr = addr.Unmap()
	if nat64.Contains(addr) {
		b := addr.As16()
		return public(netip.AddrFrom4([4]byte(b[12:])))
	}

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
