package web

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/jeton-auth/jeton"
)

// RawPath returns the path of a URL that was parsed, byte for byte as it was sent.
func RawPath(u *url.URL) string {
	// url.Parse sets RawPath unless encoding Path again gives the same bytes.
	if u.RawPath != "" {
		return u.RawPath
	}
	return u.EscapedPath()
}

// CheckTarget returns jeton.ErrInvalid for a request whose method is not a token (RFC 9110,
// section 9.1), or whose target has a character that two programs could take for its end:
// HTTP/2 lets them pass, and they would reach logs and a request line of HTTP/1.1. It also does for
// a Host that is neither a name nor an address, with a port or without: net/http accepts more, and
// upstreams make links of it. An absolute target must name the same host as the request, and HTTP/2 has none
// (RFC 9113, section 8.3.1). It does not check the path any further.
func CheckTarget(r *http.Request) error {
	if !isToken(r.Method) {
		return jeton.WithDetail(jeton.ErrInvalid, "the method is not a token")
	}
	if hasBreak(r.URL.RawPath) || hasBreak(r.URL.RawQuery) {
		return jeton.WithDetail(jeton.ErrInvalid, "the request target has a space, a control character or # in it")
	}

	if r.URL.IsAbs() && (r.ProtoMajor > 1 || r.URL.Host != r.Host) {
		return jeton.WithDetail(jeton.ErrInvalid, "the request target names another host than the request")
	}

	// The port may be empty (RFC 3986, section 3.2.3). A client without the header is an old one of HTTP/1.0.
	if r.Host != "" && !isHost(strings.TrimSuffix(r.Host, ":")) {
		return jeton.WithDetail(jeton.ErrInvalid, "the host is not a name or an address")
	}

	return nil
}

// hasBreak reports whether part of a request target, as it was sent, has a character that ends
// a target or a URL elsewhere.
func hasBreak(text string) bool {
	for i := range len(text) {
		c := text[i]
		if c <= ' ' || c == 0x7f || c == '#' {
			return true
		}
	}

	return false
}

// isToken reports whether text is a token (RFC 9110, section 5.6.2).
func isToken(text string) bool {
	for i := range len(text) {
		c := text[i]
		switch {
		case 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9':
		case strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0:
		default:
			return false
		}
	}

	return text != ""
}
