package config

import (
	"net/url"
	"strings"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/web"
)

// upstream checks where requests are forwarded to.
func (c checker) upstream(u *Upstream, paths web.Paths) {
	if u.StripPrefix != "" {
		c.stripPrefix(u, paths)
	}
	for i := range u.PassHeaders {
		c.passHeader(&u.PassHeaders[i])
	}

	switch {
	case c.Has(&u.URL) && c.Has(&u.URLs):
		c.Fault(&u.URLs, "conflicts with url; keep one")
	case c.Has(&u.URL):
		c.upstreamURL(u, &u.URL)
	case len(u.URLs) == 0 && c.Valid(&u.URLs):
		c.Fault(&u.URL, "missing; it is required: the http:// or https:// address of the server, or urls for several")
	}

	taken := make(map[string]*string)
	for i := range u.URLs {
		c.unique(taken, u.URLs[i], &u.URLs[i])
		c.upstreamURL(u, &u.URLs[i])
	}

	c.requestHeaders(u)
	c.responseHeaders(u)

	if u.Health != nil {
		c.health(u)
	}
	if u.Assertion {
		c.assertion(u)
	}
}

// assertion checks that assertions can be verified: their keys are published, and each is for one path.
func (c checker) assertion(u *Upstream) {
	if c.conf.Issuer == nil {
		c.Fault(&u.Assertion, "set without an issuer, which publishes the keys of assertions; add the section issuer")
	}

	for i := range u.URLs {
		v, err := url.Parse(u.URLs[i])
		first, firstErr := url.Parse(u.URLs[0])
		if err == nil && firstErr == nil && strings.TrimSuffix(v.Path, "/") != strings.TrimSuffix(first.Path, "/") {
			c.Fault(&u.URLs[i], "has another path than the first; an assertion is for one path: give all the same")
		}
	}
}

// upstreamURL checks the address of one server. An address that is private is permitted, unlike at a key source:
// upstreams are usually in the operator's own network.
func (c checker) upstreamURL(u *Upstream, address *string) {
	if !c.Valid(address) {
		return
	}

	// The URL may hold a password, by mistake; no fault shows it.
	v, err := url.Parse(*address)
	switch {
	case err != nil || v.Scheme != "http" && v.Scheme != "https" || v.Hostname() == "":
		c.Fault(address, "invalid URL: want one such as http://127.0.0.1:3000 or https://app.internal/base")
	case v.User != nil:
		c.Fault(address, "invalid URL: want one without a user name")
	case v.RawQuery != "" || v.ForceQuery || v.Fragment != "" || strings.Contains(*address, "#"):
		c.Fault(address, "invalid URL: want one without a query and a fragment")
	case v.Path != "" && !isClean(v.Path):
		c.Fault(address, "invalid URL: want one with a path without //, . and ..")
	case u.Protocol == "h2c" && v.Scheme != "http":
		c.Fault(&u.Protocol, "h2c is without TLS, and the url is https://; use auto")
	case u.CA != "" && v.Scheme != "https":
		c.Fault(&u.CA, "set for an http:// url; remove it, or use https://")
	}
}

// health checks how the health of servers is checked.
func (c checker) health(u *Upstream) {
	c.path(&u.Health.Path)

	// One server is used whatever its health: there is no other.
	if len(u.URLs) < 2 && c.Valid(&u.URLs) {
		c.Fault(u.Health, "set for one server, which gets all requests in any case; remove it, or list several in urls")
	}
}

// passHeader checks the name of a header that an upstream is to get as the client sent it.
func (c checker) passHeader(name *string) {
	switch {
	case !tokenPattern.MatchString(*name):
		c.Invalid(name, "header name", *name, "letters, digits and - (RFC 9110, section 5.1)")
	case web.IsReservedHeader(*name):
		c.Fault(name, "%s is set or removed by Jeton alone; remove it from this list", *name)
	case strings.EqualFold(*name, web.HeaderTraceParent), strings.EqualFold(*name, web.HeaderTraceState):
		// From a peer that is no trusted proxy, they pass only by this list.
	case !web.IsRemovedHeader(*name):
		c.Fault(name, "%s reaches every upstream; remove it from this list", *name)
	}
}

// stripPrefix checks that requests can have the prefix.
func (c checker) stripPrefix(u *Upstream, paths web.Paths) {
	_, err := paths.Canonical(u.StripPrefix)
	switch {
	case !strings.HasPrefix(u.StripPrefix, "/"):
		c.Invalid(&u.StripPrefix, "path", u.StripPrefix, "a path such as /app")
	case err != nil:
		c.Invalid(&u.StripPrefix, "path", u.StripPrefix, "one that requests can have; "+jeton.Detail(err))
	}
}
