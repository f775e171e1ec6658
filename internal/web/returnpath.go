package web

import (
	"net/url"
	"strings"
)

// maxReturnPath bounds the path and query that a browser is sent back to, in bytes: the address of a sign-in page has
// them, encoded, and proxies limit its length.
const maxReturnPath = 2 << 10

// ReturnPath returns a path and query of the same origin in the one form in which every browser reads it as that, and
// "/" for a text that is anything else. It is for addresses that come from a request and end in a redirect.
//
// Browsers repair what they read: they drop tabs and spaces, read a backslash as a slash, and take what follows two
// slashes for a host (WHATWG URL, section 4.4). What they could repair is refused here, not repaired a second time.
func ReturnPath(text string) string {
	if !isReturnPath(text) {
		return "/"
	}

	u, err := url.ParseRequestURI(text)
	if err != nil || u.Scheme != "" || u.Host != "" || u.User != nil || u.Opaque != "" {
		return "/"
	}

	// Written again from the parts, so that what was checked is what is sent.
	path := RawPath(u)
	if u.RawQuery != "" || u.ForceQuery {
		path += "?" + u.RawQuery
	}
	if !isReturnPath(path) {
		return "/"
	}

	return path
}

// isReturnPath reports whether a text begins with one slash, is ASCII, and has no character that a browser repairs.
func isReturnPath(text string) bool {
	if len(text) > maxReturnPath || !strings.HasPrefix(text, "/") {
		return false
	}

	path, _, _ := strings.Cut(text, "?")
	// Also further on: a server that resolves /.// would leave two slashes at the begin.
	if strings.Contains(path, "//") || hasDotSegment(path) {
		return false
	}

	for i := range len(text) {
		c := text[i]
		if c <= ' ' || c >= 0x7f || c == '\\' || c == '#' {
			return false
		}
	}

	return true
}

// hasDotSegment reports whether a path has a segment "." or "..", also encoded.
func hasDotSegment(path string) bool {
	for segment := range strings.SplitSeq(path, "/") {
		plain := strings.ReplaceAll(strings.ToLower(segment), "%2e", ".")
		if plain == "." || plain == ".." {
			return true
		}
	}
	return false
}
