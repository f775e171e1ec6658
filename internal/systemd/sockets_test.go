package systemd

import (
	"net"
	"net/netip"
	"testing"
)

func TestASocketIsFoundByItsAddress(t *testing.T) {
	tcp := func(text string) net.Addr { return net.TCPAddrFromAddrPort(netip.MustParseAddrPort(text)) }
	path := &net.UnixAddr{Name: "/run/jeton/app.sock", Net: "unix"}

	for _, tc := range []struct {
		name             string
		passed           net.Addr
		network, address string
		want             bool
	}{
		{"the same address", tcp("127.0.0.1:8443"), "tcp", "127.0.0.1:8443", true},
		{"another port", tcp("127.0.0.1:8443"), "tcp", "127.0.0.1:8444", false},
		{"another address", tcp("127.0.0.1:8443"), "tcp", "127.0.0.2:8443", false},
		{"every address, by the port alone", tcp("[::]:443"), "tcp", ":443", true},
		{"every address of IPv4", tcp("[::]:443"), "tcp", "0.0.0.0:443", true},
		{"every address is not one of them", tcp("[::]:443"), "tcp", "127.0.0.1:443", false},
		{"one address is not every one", tcp("127.0.0.1:443"), "tcp", ":443", false},
		{"IPv6", tcp("[::1]:443"), "tcp", "[::1]:443", true},
		{"no address", tcp("[::1]:443"), "tcp", "nonsense", false},
		{"the same path", path, "unix", "/run/jeton/app.sock", true},
		{"another path", path, "unix", "/run/jeton/other.sock", false},
		{"a path as an address of TCP", path, "tcp", "/run/jeton/app.sock", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := socket{addr: tc.passed}
			if got := s.has(tc.network, tc.address); got != tc.want {
				t.Errorf("has(%s, %s) of a socket at %s = %v, want %v", tc.network, tc.address, tc.passed, got, tc.want)
			}
		})
	}
}

func TestWithoutAServiceManagerThereAreNoSockets(t *testing.T) {
	var none *Sockets
	l, err := none.Listen("tcp", "127.0.0.1:8443")
	if l != nil || err != nil {
		t.Errorf("Listen = %v, %v, want nothing", l, err)
	}
	if err := none.Unused(); err != nil {
		t.Errorf("Unused() = %v, want no error", err)
	}
}
