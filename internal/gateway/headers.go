package gateway

import (
	"net/http"
	"slices"
	"strings"
)

// The headers by which an upstream hears who asks. All of them are always set, so
// that none can come from the client: empty where there is nothing to say.
const (
	headerUser   = "Remote-User"
	headerGroups = "Remote-Groups" // separated by commas
	headerName   = "Remote-Name"
	headerEmail  = "Remote-Email"
)

// identity are the headers, in lower case with dashes, that upstreams of this and other
// gateways read an identity, an original address or the name of a request from. None of
// them passes.
var identity = []string{
	"remote-user", "remote-groups", "remote-name", "remote-email", "remote-sub",
	"x-remote-user", "x-remote-groups", "x-remote-name", "x-remote-email", "x-remote-group",
	"x-forwarded-user", "x-forwarded-groups", "x-forwarded-email", "x-forwarded-preferred-username", "x-forwarded-access-token",
	"x-webauth-user", "x-webauth-groups", "x-webauth-email", "x-webauth-name",
	"x-authenticated-user", "x-authenticated-userid", "x-user", "x-username", "x-real-ip", "x-client-ip", "client-ip", "true-client-ip", "cf-connecting-ip", "fastly-client-ip", "x-cluster-client-ip",
	"x-original-url", "x-original-uri", "x-original-method", "x-rewrite-url", "x-http-method-override", "x-http-method", "x-method-override",
	"forwarded", "authorization", "proxy-authorization", "x-request-id",
}

var identityPrefixes = []string{
	"x-auth-request-",
	"x-authentik-",
	"x-authelia-",
	"x-pomerium-",
	"x-jeton-",
	"jeton-",
	"x-forwarded-",
	"x-remote-extra-",
	"x-ssl-",
	"ssl-client-",
}

// hides reports whether a client's header must not reach an upstream. Whatever is neither
// letter nor digit counts as a dash: many servers make one of the other.
func hides(name string) bool {
	name = strings.Map(func(r rune) rune {
		if 'a' <= r && r <= 'z' || '0' <= r && r <= '9' {
			return r
		}
		return '-'
	}, strings.ToLower(name))
	if slices.Contains(identity, name) {
		return true
	}

	return slices.ContainsFunc(identityPrefixes, func(p string) bool { return strings.HasPrefix(name, p) })
}

// dropCookies takes our cookies out of a request and leaves the others as they were.
func dropCookies(h http.Header, ours []string) {
	var kept []string
	for _, line := range h["Cookie"] {
		for pair := range strings.SplitSeq(line, ";") {
			pair = strings.Trim(pair, " \t")
			name, _, _ := strings.Cut(pair, "=")
			if pair != "" && !slices.Contains(ours, strings.TrimSpace(name)) {
				kept = append(kept, pair)
			}
		}
	}

	if len(kept) == 0 {
		h.Del("Cookie")
		return
	}

	h["Cookie"] = []string{strings.Join(kept, "; ")}
}

// clean takes out of an upstream's answer what only we may say.
func clean(r *http.Response, ours []string) {
	for name := range r.Header {
		n := strings.ToLower(name)
		if strings.HasPrefix(n, "jeton-") || n == "x-request-id" {
			delete(r.Header, name)
		}
	}

	set := r.Header["Set-Cookie"]
	kept := slices.DeleteFunc(slices.Clone(set), func(line string) bool {
		// A cookie without a name comes back as its value alone, and that may look like
		// one of ours: "=name=value" is sent as "name=value".
		name, _, _ := strings.Cut(strings.TrimLeft(line, "= \t"), "=")
		return slices.Contains(ours, strings.TrimSpace(name))
	})
	if len(kept) == 0 {
		r.Header.Del("Set-Cookie")
	} else {
		r.Header["Set-Cookie"] = kept
	}
}
