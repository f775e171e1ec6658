package web

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/jeton-auth/jeton/internal/policy"
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
// address, as on a Unix socket, and policy.UnknownSource when the nearest entry is not an address.
func (p Proxies) Source(r *http.Request) netip.Addr {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}

	source := peer.Addr().Unmap().WithZone("")
	// Any client can send X-Forwarded-For; only a trusted proxy's is believed.
	if len(p) == 0 || !p.Trusts(source) {
		return source
	}

	nearest := p.Nearest(r.Header.Values("X-Forwarded-For"))
	if nearest.IsValid() {
		return nearest
	}

	return source
}

// Nearest returns the nearest address in the lines of X-Forwarded-For of a trusted proxy that is not itself one, or the
// farthest if all are. It is policy.UnknownSource when the nearest entry is not an address, and the zero Addr when
// there is no entry.
func (p Proxies) Nearest(lines []string) netip.Addr {
	var source netip.Addr

	// Each proxy appends the peer that it saw, so the list is trustworthy only from its end, as far
	// as the hops are our own proxies. What stands before them, the client may have made up.
	for _, line := range slices.Backward(lines) {
		for more := true; more; {
			comma := strings.LastIndexByte(line, ',')
			more = comma >= 0
			text := strings.Trim(line[comma+1:], " \t")
			line = line[:max(comma, 0)]
			if text == "" {
				continue // an empty element of a list does not count (RFC 9110, section 5.6.1.2)
			}

			// Not the proxy's address: it would open what is limited to inside, and all clients would share
			// the throttle of the proxy.
			hop, ok := parseHop(text)
			if !ok {
				return policy.UnknownSource
			}

			source = hop
			if !p.Trusts(source) {
				return source
			}
		}
	}

	return source
}

// parseHop reads an entry of X-Forwarded-For. The header has no standard; proxies write the forms of RFC 7239,
// section 6: an address, an IPv6 address in brackets, either with a port, and all of that in quotes.
func parseHop(text string) (netip.Addr, bool) {
	if inner, ok := strings.CutPrefix(text, `"`); ok {
		text, ok = strings.CutSuffix(inner, `"`)
		if !ok {
			return netip.Addr{}, false
		}
	}

	// An IPv4 address in IPv6 form is the same client, and the zone of another machine
	// means nothing here.
	addr, err := netip.ParseAddr(text)
	if err == nil {
		return addr.Unmap().WithZone(""), true
	}

	if inner, ok := strings.CutPrefix(text, "["); ok {
		inner, ok = strings.CutSuffix(inner, "]")
		if ok {
			addr, err = netip.ParseAddr(inner)
			return addr.Unmap().WithZone(""), err == nil && addr.Is6()
		}
	}

	withPort, err := netip.ParseAddrPort(text)

	return withPort.Addr().Unmap().WithZone(""), err == nil
}

// AddressText returns a client's address as the audit log and responses show it. A client on a
// Unix socket has none and is "local"; policy.UnknownSource is "unknown".
func AddressText(a netip.Addr) string {
	switch {
	case !a.IsValid():
		return "local"
	case a == policy.UnknownSource:
		return "unknown"
	}

	return a.Unmap().String()
}
