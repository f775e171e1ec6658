package gateway

import (
	"net/http"
	"slices"
	"strings"
)

// The headers that give an upstream the identity of the caller. All of them are always set, empty where
// there is nothing to say, so that none can come from the client.
const (
	headerUser   = "Remote-User"
	headerGroups = "Remote-Groups" // separated by commas
	headerName   = "Remote-Name"
	headerEmail  = "Remote-Email"
)

// removedHeaders are headers that upstreams of this and of other gateways read an identity, an
// original address or the id of a request from. They are in lower case, with dashes.
var removedHeaders = []string{
	"remote-user", "remote-groups", "remote-name", "remote-email", "remote-sub",
	"x-remote-user", "x-remote-groups", "x-remote-name", "x-remote-email", "x-remote-group",
	"x-forwarded-user", "x-forwarded-groups", "x-forwarded-email",
	"x-forwarded-preferred-username", "x-forwarded-access-token",
	"x-webauth-user", "x-webauth-groups", "x-webauth-email", "x-webauth-name",
	"x-authenticated-user", "x-authenticated-userid", "x-user", "x-username",
	"x-real-ip", "x-client-ip", "client-ip", "true-client-ip", "cf-connecting-ip",
	"fastly-client-ip", "x-cluster-client-ip",
	"x-original-url", "x-original-uri", "x-original-method", "x-rewrite-url",
	"x-http-method-override", "x-http-method", "x-method-override",
	"forwarded", "authorization", "proxy-authorization", "x-request-id",
	"http2-settings", // of an upgrade to HTTP/2, which would carry requests that the gate does not judge
}

var removedPrefixes = []string{
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

// removes reports whether a client's header must not reach an upstream. Every character that is
// neither a letter nor a digit counts as a dash, because many servers treat them as the same.
func removes(name string) bool {
	// CGI and its successors map both - and _ to _, and some servers map dots, too: Remote_User from
	// a client would then be read as our Remote-User.
	name = strings.Map(func(r rune) rune {
		if 'a' <= r && r <= 'z' || '0' <= r && r <= '9' {
			return r
		}
		return '-'
	}, strings.ToLower(name))

	return slices.Contains(removedHeaders, name) ||
		slices.ContainsFunc(removedPrefixes, func(p string) bool { return strings.HasPrefix(name, p) })
}

// dropCookies removes our cookies from a request and leaves the others as they are.
func dropCookies(h http.Header, ours []string) {
	var kept []string
	for _, line := range h["Cookie"] {
		for pair := range strings.SplitSeq(line, ";") {
			pair = strings.Trim(pair, " \t")
			name, _, _ := strings.Cut(pair, "=")
			// An upstream that got the secret of a session could use it at every other route.
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

// cleanResponse removes from an upstream's response the headers and cookies that are ours.
func cleanResponse(h http.Header, ours []string) {
	for name := range h {
		lower := strings.ToLower(name)
		// Only Jeton may say how many uses are left or why a request was refused.
		if strings.HasPrefix(lower, "jeton-") || lower == "x-request-id" {
			delete(h, name)
		}
	}

	// An upstream could otherwise put another user's session into the browser (session fixation).
	kept := slices.DeleteFunc(slices.Clone(h["Set-Cookie"]), func(line string) bool {
		// Clients send a cookie without a name as its value alone, which can look like one
		// of ours: "=name=value" comes back as "name=value".
		line = strings.TrimLeft(line, "= \t")
		name, _, _ := strings.Cut(line, "=")
		return slices.Contains(ours, strings.TrimSpace(name))
	})
	if len(kept) == 0 {
		h.Del("Set-Cookie")
		return
	}

	h["Set-Cookie"] = kept
}
