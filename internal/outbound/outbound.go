// Package outbound makes the HTTP clients for requests to addresses that an operator, or a client, has named.
//
// Such a client reaches public addresses only, unless private ones are allowed; without TLS, this machine alone. It
// follows no redirect, asks no proxy, and trusts the named authority instead of those of the system. What is sent, how
// often, and what an answer means is for packages client and upstream.
package outbound

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"syscall"

	"github.com/jeton-auth/jeton/internal/jose"
)

// Target is what a request may reach.
type Target struct {
	CA      string // PEM file of the authority to trust instead of the system's; "": those
	Private bool   // private addresses are allowed
}

// Client returns a client that reaches the target and nothing else, for a scheme. A connection is for one request:
// requests are too rare to keep one open.
func (t Target) Client(scheme string) (*http.Client, error) {
	authorities, err := t.Authorities()
	if err != nil {
		return nil, err
	}

	dialer := net.Dialer{ControlContext: func(_ context.Context, _, address string, _ syscall.RawConn) error {
		return t.mayDial(address, scheme != "https")
	}}

	return &http.Client{
		Transport: &http.Transport{
			Proxy:                  nil, // one from the environment would be dialled instead of the target
			DialContext:            dialer.DialContext,
			TLSClientConfig:        &tls.Config{RootCAs: authorities, MinVersion: tls.VersionTLS12},
			DisableKeepAlives:      true,
			DisableCompression:     true,
			MaxResponseHeaderBytes: 16 << 10,
		},
		// A redirect is an address that the target chose, and not the configuration.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, nil
}

// ReadBody returns the body of a response of at most limit bytes. A body that ends as the time of its request does is
// an error: the server may only have ended it because the request was given up.
func ReadBody(resp *http.Response, limit int64) ([]byte, error) {
	// One byte more than allowed distinguishes a body at the limit from one that was cut.
	body, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if err != nil {
		return nil, fmt.Errorf("read the response: %w", err)
	}
	if int64(len(body)) > limit {
		return nil, fmt.Errorf("the response is larger than %d KiB", limit>>10)
	}

	err = resp.Request.Context().Err()
	if err != nil {
		return nil, fmt.Errorf("read the response: %w", err)
	}

	return body, nil
}

// Loopback reports whether a host is this machine, for which plain HTTP is accepted.
func Loopback(host string) bool {
	// Names are not resolved here: mayDial checks the address that is dialled.
	addr, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || err == nil && addr.Unmap().IsLoopback()
}

// Authorities returns the certificate authorities to trust; nil: those of the system.
func (t Target) Authorities() (*x509.CertPool, error) {
	if t.CA == "" {
		return nil, nil
	}

	text, err := os.ReadFile(t.CA)
	if err != nil {
		return nil, fmt.Errorf("certificate authority: %w", err)
	}

	// Only these: a public authority is not accepted beside a private one.
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(jose.TrimBOM(text)) {
		return nil, fmt.Errorf("certificate authority: no certificate in %s", t.CA)
	}

	return pool, nil
}

// mayDial returns an error for an address that a target must not lead to. It is called with the address that is
// dialled, after the name has been resolved, which defeats DNS rebinding.
func (t Target) mayDial(address string, plain bool) error {
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
	case t.Private || public(addr):
		return nil
	}

	return fmt.Errorf("%s is not a public address; allow private addresses for it, or change it", addr)
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
