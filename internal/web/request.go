package web

import (
	"math/rand/v2"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"github.com/jeton-auth/jeton"
)

// NewID makes the id of a request. It is a name, not a secret.
func NewID() string {
	const alphabet = "0123456789abcdefghjkmnpqrstvwxyz"
	var b [20]byte

	n := rand.Uint64()
	for i := range b {
		if i == 12 {
			n = rand.Uint64()
		}
		b[i] = alphabet[n&31]
		n >>= 5
	}

	return string(b[:])
}

// ValidID reports whether an id that a trusted proxy sent can be ours, too.
func ValidID(id string) bool {
	if len(id) < 8 || len(id) > 64 {
		return false
	}

	for i := range len(id) {
		c := id[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_' || c == '.') {
			return false
		}
	}

	return true
}

// CheckPath refuses what two programs could read as two different paths: our rules and
// the service behind them must not disagree about what was asked. Refused are
// dot segments, empty segments, encoded slashes, backslashes and dots, control
// characters, semicolon parameters in dot segments, and what is not UTF-8.
func CheckPath(u *url.URL) error {
	if u.Path == "" || u.Path[0] != '/' {
		return jeton.WithDetail(jeton.ErrInvalid, "the path must begin with a slash")
	}
	if plain(u.Path) && u.RawPath == "" {
		return nil
	}

	return checkOdd(u)
}

// plain reports whether a path has nothing in it that needs a second look.
func plain(path string) bool {
	var prev byte
	for i := range len(path) {
		c := path[i]
		switch {
		case c <= ' ' || c >= 0x7f || c == '\\' || c == '%' || c == ';':
			return false
		case prev == '/' && (c == '/' || c == '.'):
			return false
		}

		prev = c
	}

	return true
}

func checkOdd(u *url.URL) error {
	if strings.ToValidUTF8(u.Path, "") != u.Path {
		return jeton.WithDetail(jeton.ErrInvalid, "the path is not UTF-8")
	}
	if strings.ContainsFunc(u.Path, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\\' }) {
		return jeton.WithDetail(jeton.ErrInvalid, "the path has a control character or a backslash in it")
	}

	escaped := strings.ToLower(u.EscapedPath())
	for _, bad := range []string{"%2f", "%5c", "%2e", "%00", "%25"} {
		if strings.Contains(escaped, bad) {
			return jeton.WithDetail(
				jeton.ErrInvalid,
				"the path has an encoded slash, backslash, dot or percent sign in it",
			)
		}
	}

	segments := strings.Split(u.Path[1:], "/")
	for i, s := range segments {
		name, _, _ := strings.Cut(s, ";")
		if name == "." || name == ".." || name == "" && i != len(segments)-1 || name == "" && s != "" {
			return jeton.WithDetail(jeton.ErrInvalid, "the path has an empty or a dot segment in it")
		}
	}

	return nil
}

// ShownPath returns a path as logs and the record may show it: without a secret of ours
// that somebody has put there.
func ShownPath(path string) string {
	before, _, found := strings.Cut(path, "jtn_")
	if found {
		return before + "…"
	}
	return path
}

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
