package web

import (
	"net/http"
	"net/netip"
	"strings"
)

// Proxies are the networks of trusted proxies. The zero value trusts none. It is safe for concurrent use.
type Proxies []netip.Prefix

// Trusts reports whether the forwarding headers of a peer are trusted.
func (p Proxies) Trusts(peer netip.Addr) bool {
	for _, prefix := range p {
		// A dual-stack listener reports an IPv4 peer as ::ffff:a.b.c.d, which no IPv4 prefix contains.
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
	// Anybody can send X-Forwarded-For; only a trusted proxy's is believed.
	if len(p) == 0 || !p.Trusts(source) {
		return source
	}

	// Each proxy appends the peer that it saw, so the list is trustworthy only from its end, as far
	// as the hops are our own proxies. What stands before them, the client may have made up.
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(hops) - 1; i >= 0; i-- {
		hop, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		// Not an address: what stands before it cannot be trusted either, and the last proxy is the source.
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
