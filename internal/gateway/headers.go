package gateway

import (
	"net/http"
	"slices"
	"strings"

	"github.com/jeton-auth/jeton/internal/web"
)

// The headers that give an upstream the identity of the caller. None comes from the client: those of the user and
// the groups are always set, empty for a caller that is not authenticated, and the others are removed where Jeton
// does not know them.
const (
	headerUser   = web.HeaderUser
	headerGroups = web.HeaderGroups
	headerName   = web.HeaderName
	headerEmail  = web.HeaderEmail
)

// headerSetter sets headers that have one value each. Their values share one allocation, which every request needs.
type headerSetter struct {
	header http.Header
	values []string
}

// newHeaderSetter returns a setter for up to eleven headers; more cost another allocation.
func newHeaderSetter(h http.Header) *headerSetter { return &headerSetter{h, make([]string, 0, 11)} }

// to sets a header. The name is canonical.
func (s *headerSetter) to(name, value string) {
	s.values = append(s.values, value)
	n := len(s.values)
	// Without room to grow into the next one.
	s.header[name] = s.values[n-1 : n : n]
}

// orDelete sets a header, or removes it where there is no value. The name is canonical.
func (s *headerSetter) orDelete(name, value string) {
	if value == "" {
		delete(s.header, name)
		return
	}
	s.to(name, value)
}

// dropHeaders removes the headers of a client that say who or where it is, except those of the allow list. Only the
// exact name passes: another spelling of it may be what a server reads, too.
func dropHeaders(h http.Header, pass []string) {
	for name := range h {
		if web.IsRemovedHeader(name) && !slices.Contains(pass, name) {
			delete(h, name)
		}
	}
}

// isOurs reports whether a cookie is of a service of this or another server of ours on the same host.
func isOurs(name string, ours []string) bool {
	return slices.Contains(ours, name) || web.IsDefaultCookie(name)
}

// dropCookies removes our cookies from a request and leaves the others as they are.
func dropCookies(h http.Header, ours []string) {
	kept := otherCookies(h["Cookie"], ours)
	if kept == "" {
		delete(h, "Cookie")
		return
	}

	h["Cookie"] = []string{kept}
}

// otherCookies returns the cookies in the lines of a header that are not ours, or "".
func otherCookies(lines, ours []string) string {
	var kept []string
	for _, line := range lines {
		for pair := range strings.SplitSeq(line, ";") {
			pair = strings.Trim(pair, " \t")
			name, _, _ := strings.Cut(pair, "=")
			// An upstream that got the secret of a session could use it at every other route.
			if pair != "" && !isOurs(strings.TrimSpace(name), ours) {
				kept = append(kept, pair)
			}
		}
	}

	return strings.Join(kept, "; ")
}

// hasPrefixFold reports whether a name begins with a prefix, in any case.
func hasPrefixFold(name, prefix string) bool {
	return len(name) >= len(prefix) && strings.EqualFold(name[:len(prefix)], prefix)
}

// cleanResponse removes from an upstream's response the headers and cookies that are ours, and unless clear is set
// what clears them.
func cleanResponse(h http.Header, ours []string, clear bool) {
	// Browsers clear the cookies of the whole domain, and those of every port.
	if !clear {
		h.Del("Clear-Site-Data")
	}

	for name := range h {
		// Only Jeton may say how many uses are left or why a request was refused.
		if hasPrefixFold(name, "jeton-") || strings.EqualFold(name, "x-request-id") {
			delete(h, name)
		}
	}

	// An upstream could otherwise put another user's session into the browser (session fixation).
	kept := slices.DeleteFunc(slices.Clone(h["Set-Cookie"]), func(line string) bool {
		// Clients send a cookie without a name as its value alone, which can look like one
		// of ours: "=name=value" comes back as "name=value".
		line = strings.TrimLeft(line, "= \t")
		name, _, _ := strings.Cut(line, "=")
		return isOurs(strings.TrimSpace(name), ours)
	})
	if len(kept) == 0 {
		h.Del("Set-Cookie")
		return
	}

	h["Set-Cookie"] = kept
}
