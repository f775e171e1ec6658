package web

import (
	"net/http"
	"net/netip"
	"strings"
)

// Proxies are the networks of trusted proxies.
type Proxies []netip.Prefix

// Trusts reports whether the forwarding headers of a peer are trusted.
func (p Proxies) Trusts(peer netip.Addr) bool {
	for _, prefix := range p {
		if prefix.Contains(peer.Unmap()) {
			return true
		}
	}

	return false
}

// Source returns the address of the client: of the peer, or behind trusted proxies the nearest
// address in X-Forwarded-For that is not one of them. It is the zero Addr for a peer without an
// address, as on a Unix socket.
func (p Proxies) Source(r *http.Request) netip.Addr {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}

	source := peer.Addr().Unmap().WithZone("")
	if len(p) == 0 || !p.Trusts(source) {
		return source
	}

	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(hops) - 1; i >= 0; i-- {
		hop, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			return source
		}

		source = hop.Unmap().WithZone("")
		if !p.Trusts(source) {
			return source
		}
	}

	return source
}

// AddressText returns a client's address as the audit log and responses show it. A client on a
// Unix socket has none and is "local".
func AddressText(a netip.Addr) string {
	if !a.IsValid() {
		return "local"
	}
	return a.Unmap().String()
}
