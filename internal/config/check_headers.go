package config

import (
	"slices"
	"strings"

	"github.com/jeton-auth/jeton/internal/web"
)

// ofTheConnection are the headers that belong to one connection or frame the message (RFC 9110, section 7.6.1; RFC
// 9112, section 6), those of a handshake that is checked, and those with cookies. No rule may touch them.
var ofTheConnection = []string{
	"connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "content-length", "host", "expect",
	"sec-websocket-accept", "sec-websocket-key", "sec-websocket-version", "sec-websocket-protocol",
	"sec-websocket-extensions", "cookie", "set-cookie", "clear-site-data",
}

// maxHeaderValue bounds the value of one header.
const maxHeaderValue = 4096

// headerRules checks changes to the headers of requests or responses.
func (c checker) headerRules(rules *HeaderRules, forbidden func(name string) bool) {
	changed := make(map[string]*string)
	for i := range rules.Remove {
		c.headerName(&rules.Remove[i], forbidden)
		c.unique(changed, strings.ToLower(rules.Remove[i]), &rules.Remove[i])
	}

	for i := range rules.Set {
		h := &rules.Set[i]
		c.header(h, forbidden)
		c.unique(changed, strings.ToLower(h.Name), &h.Name)
	}

	for i := range rules.Add {
		c.header(&rules.Add[i], forbidden)
	}
}

// header checks one header that a rule sets or adds.
func (c checker) header(h *Header, forbidden func(name string) bool) {
	c.headerName(&h.Name, forbidden)

	visible := func(r rune) bool { return r >= ' ' && r <= '~' }
	for _, r := range h.Value {
		if !visible(r) {
			c.Fault(&h.Value, "invalid value: want visible ASCII characters and spaces")
			return
		}
	}

	switch {
	case h.Value != strings.TrimSpace(h.Value):
		c.Fault(&h.Value, "invalid value: want one without a space at its beginning and its end")
	case len(h.Value) > maxHeaderValue:
		c.Fault(&h.Value, "invalid value: %d bytes long; want at most %d", len(h.Value), maxHeaderValue)
	}
}

// headerName checks the name in a rule.
func (c checker) headerName(name *string, forbidden func(name string) bool) {
	switch {
	case !c.Valid(name):
	case !tokenPattern.MatchString(*name):
		c.Invalid(name, "header name", *name, "letters, digits and - (RFC 9110, section 5.1)")
	case slices.Contains(ofTheConnection, strings.ToLower(*name)) || forbidden(*name):
		c.Fault(name, "%s is a header that no rule may touch; remove it", *name)
	}
}

// requestHeaders checks changes to the headers that an upstream gets: none may look like an identity or an address.
func (c checker) requestHeaders(u *Upstream) { c.headerRules(&u.Request, web.IsRemovedHeader) }

// responseHeaders checks changes to the headers that a client gets: none may look like one of Jeton.
func (c checker) responseHeaders(u *Upstream) { c.headerRules(&u.Response, web.IsReservedHeader) }
