package web

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/jeton-auth/jeton"
)

// CheckPath returns jeton.ErrInvalid for a path that two programs could read as two different paths: our rules and
// the upstream must not disagree about which path was requested. It refuses dot segments, empty
// segments, encoded slashes, backslashes and dots, control characters, semicolon parameters in
// dot segments, and paths that are not UTF-8.
func CheckPath(u *url.URL) error {
	if u.Path == "" || u.Path[0] != '/' {
		return jeton.WithDetail(jeton.ErrInvalid, "the path must begin with a slash")
	}

	// The common case allocates no memory. RawPath is set only if the encoding is not the usual one.
	if isPlain(u.Path) && u.RawPath == "" {
		return nil
	}

	return checkSpecial(u)
}

// isPlain reports whether a path has no character that needs a closer look.
func isPlain(path string) bool {
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

// checkSpecial checks a path that has something special in it. Most have not, and are not
// split here.
func checkSpecial(u *url.URL) error {
	if strings.ToValidUTF8(u.Path, "") != u.Path {
		return jeton.WithDetail(jeton.ErrInvalid, "the path is not UTF-8")
	}
	if strings.ContainsFunc(u.Path, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\\' }) {
		return jeton.WithDetail(jeton.ErrInvalid, "the path has a control character or a backslash in it")
	}

	// Path is decoded already, so only the escaped form still shows that a slash was not a separator.
	// %25 hides a second encoding, which an upstream that decodes twice would undo.
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
		// Some servers drop ";x" before they resolve dots: /a/..;x/b becomes /b.
		name, _, _ := strings.Cut(s, ";")
		if name == "." || name == ".." || name == "" && i != len(segments)-1 || name == "" && s != "" {
			return jeton.WithDetail(jeton.ErrInvalid, "the path has an empty or a dot segment in it")
		}
	}

	return nil
}

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
// HTTP/2 lets them pass, and they would reach logs and a request line of HTTP/1.1. It does not
// check the path any further.
func CheckTarget(r *http.Request) error {
	if !isToken(r.Method) {
		return jeton.WithDetail(jeton.ErrInvalid, "the method is not a token")
	}
	if hasBreak(r.URL.RawPath) || hasBreak(r.URL.RawQuery) {
		return jeton.WithDetail(jeton.ErrInvalid, "the request target has a space, a control character or # in it")
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
