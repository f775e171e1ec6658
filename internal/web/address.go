package web

import (
	"net/http"
	"net/netip"
	"strings"
)

// Proxies are the addresses whose word about a request is believed.
type Proxies []netip.Prefix

// Trusts reports whether a peer's forwarding headers are believed.
func (p Proxies) Trusts(peer netip.Addr) bool {
	for _, prefix := range p {
		if prefix.Contains(peer.Unmap()) {
			return true
		}
	}

	return false
}

// Source returns who sent a request: the peer, or behind trusted proxies the nearest
// address in X-Forwarded-For that is not one of them. The address is invalid for a
// peer without one, as on a Unix socket.
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
