package outbound

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
)

// TestABodyThatEndsWithTheTimeOfItsRequestIsAnError gets a body whose end the server sent because its client gave up.
func TestABodyThatEndsWithTheTimeOfItsRequestIsAnError(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	resp := &http.Response{
		Body:    io.NopCloser(strings.NewReader("half of")),
		Request: httptest.NewRequestWithContext(ctx, http.MethodGet, "/", nil),
	}
	cancel()

	body, err := ReadBody(resp, 1<<10)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("ReadBody = %q, %v, want %v", body, err, context.Canceled)
	}
}

// TestPublicAddresses stands for a name that leads into the network of the server, by an
// address in one of its many forms.
func TestPublicAddresses(t *testing.T) {
	for _, tc := range []struct {
		what string
		addr string
		want bool
	}{
		{"a public one", "8.8.8.8", true},
		{"a public one, IPv6", "2606:4700::1", true},
		{"a public one, as IPv6 writes IPv4", "::ffff:8.8.8.8", true},
		{"a public one behind NAT64", "64:ff9b::808:808", true},
		{"loopback", "127.0.0.1", false},
		{"all of loopback", "127.9.9.9", false},
		{"loopback, IPv6", "::1", false},
		{"loopback, as IPv6 writes IPv4", "::ffff:127.0.0.1", false},
		{"loopback behind NAT64", "64:ff9b::7f00:1", false},
		{"private 10", "10.0.0.1", false},
		{"private 172.16", "172.31.255.255", false},
		{"beside private 172.16", "172.32.0.1", true},
		{"private 192.168", "192.168.1.1", false},
		{"private, as IPv6 writes IPv4", "::ffff:10.0.0.1", false},
		{"private, IPv6", "fd00::1", false},
		{"site-local, IPv6", "fec0::1", false},
		{"shared by carriers", "100.64.0.1", false},
		{"the last that carriers share", "100.127.255.255", false},
		{"beside what carriers share", "100.128.0.1", true},
		{"link-local, where clouds keep their metadata", "169.254.169.254", false},
		{"link-local, IPv6", "fe80::1", false},
		{"with a zone", "fe80::1%lo", false},
		{"multicast", "224.0.0.1", false},
		{"multicast, IPv6", "ff0e::1", false},
		{"unspecified", "0.0.0.0", false},
		{"this network", "0.1.2.3", false},
		{"unspecified, IPv6", "::", false},
		{"broadcast", "255.255.255.255", false},
		{"reserved", "240.0.0.1", false},
		{"benchmarks", "198.19.0.1", false},
		{"documentation", "192.0.2.1", false},
		{"documentation, IPv6", "2001:db8::1", false},
		{"6to4, which wraps a private one", "2002:a00:1::", false},
		{"Teredo", "2001:0:1::", false},
		{"IPv4-compatible, which wraps loopback", "::127.0.0.1", false},
		{"NAT64 for a local network", "64:ff9b:1::a00:1", false},
	} {
		t.Run(tc.what, func(t *testing.T) {
			got := public(netip.MustParseAddr(tc.addr))
			if got != tc.want {
				t.Errorf("public(%s) = %t, want %t", tc.addr, got, tc.want)
			}
		})
	}
}

func TestWithoutTLSATargetIsThisMachine(t *testing.T) {
	for _, tc := range []struct {
		name, address string
		plain, ok     bool
	}{
		{"this machine, without TLS", "127.0.0.1:80", true, true},
		{"this machine by IPv6, without TLS", "[::1]:80", true, true},
		{"a private address, with TLS", "10.0.0.1:443", false, true},
		{"a private address that localhost was made to mean, without TLS", "10.0.0.1:80", true, false},
		{"a public one, without TLS", "8.8.8.8:80", true, false},
		{"no address", "localhost:80", false, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if err := (Target{Private: true}).mayDial(tc.address, tc.plain); (err == nil) != tc.ok {
				t.Errorf("mayDial(%s) = %v, want success: %t", tc.address, err, tc.ok)
			}
		})
	}
}
