package web

import (
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"github.com/jeton-auth/jeton"
)

// Origin is where a client sent a request, as the client sees it: behind a proxy that terminates TLS, the address of
// the proxy.
type Origin struct {
	Scheme string // http or https
	Host   string // in lower case, with the port unless it is the scheme's own
	Port   string // in decimal, always set
	Prefix string // the part of the path that a proxy has removed: "" or a path such as /app
}

// Origin returns where the client sent a request. X-Forwarded-Proto, -Host, -Port and -Prefix count from a trusted
// proxy only. An invalid value is ignored, and of several the last counts, which the nearest proxy has added.
func (p Proxies) Origin(r *http.Request) Origin {
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}

	host := r.Host
	port := ""
	prefix := ""

	if p.trustsPeer(r) {
		forwardedScheme := strings.ToLower(lastValue(r, "X-Forwarded-Proto"))
		if forwardedScheme == "http" || forwardedScheme == "https" {
			scheme = forwardedScheme
		}

		forwarded := lastValue(r, "X-Forwarded-Host")
		if isHost(forwarded) {
			host = forwarded
		}

		removed := strings.TrimSuffix(lastValue(r, "X-Forwarded-Prefix"), "/")
		if isPrefix(removed) {
			prefix = removed
		}

		port = lastValue(r, "X-Forwarded-Port")
	}

	o := OriginAt(scheme, host, port)
	o.Prefix = prefix

	return o
}

// trustsPeer reports whether the other end of the connection is a trusted proxy.
func (p Proxies) trustsPeer(r *http.Request) bool {
	if len(p) == 0 {
		return false
	}
	peer, err := netip.ParseAddrPort(r.RemoteAddr)

	return err == nil && p.Trusts(peer.Addr().WithZone(""))
}

// OriginAt returns the origin of a scheme and a host as a request has it, with or without a port. port is the one that
// counts if host has none: in decimal, or anything else for that of the scheme.
func OriginAt(scheme, host, port string) Origin {
	o := Origin{Scheme: scheme}
	o.Host, o.Port = splitPort(host, scheme)

	// A load balancer sends its port beside a Host that has none.
	_, _, named := splitHostPort(host)
	if !named && isPort(port) {
		o.Port = port
	}
	if o.Port != defaultPort(o.Scheme) {
		o.Host = withPort(host, o.Host, o.Port)
	}

	return o
}

// withPort returns a name with a port: host itself, as nearly every request sends it, or a new text.
func withPort(host, name, port string) string {
	n := len(name)
	if len(host) == n+1+len(port) && host[:n] == name && host[n] == ':' && host[n+1:] == port {
		return host
	}
	return name + ":" + port
}

// String returns the origin as the header Origin has it (RFC 6454, section 6.2).
func (o Origin) String() string { return o.Scheme + "://" + o.Host }

// OriginOf returns the origin of a host name or an IP address, as String does.
func OriginOf(scheme, name, port string) string {
	o := Origin{Scheme: scheme}
	o.Host, _ = splitPort(name, scheme)
	if port != defaultPort(scheme) {
		o.Host += ":" + port
	}

	return o.String()
}

// lastValue returns the last value of a header with a list.
func lastValue(r *http.Request, name string) string {
	lines := r.Header[name]
	if len(lines) == 0 {
		return ""
	}

	line := lines[len(lines)-1]

	return strings.Trim(line[strings.LastIndexByte(line, ',')+1:], " \t")
}

// isHost reports whether text is a host name or an IP address, with or without a port.
func isHost(text string) bool {
	name, port, ok := splitHostPort(text)
	if !ok {
		name, port = strings.TrimSuffix(strings.TrimPrefix(text, "["), "]"), "1"
	}
	if isAddress(name) {
		return isPort(port)
	}

	return len(name) <= 255 && isHostName(name) && isPort(port)
}

// isHostName reports whether text has the characters of host names alone. Every request has one: strings.Trim would
// take a fiftieth of a decision.
func isHostName(text string) bool {
	for i := range len(text) {
		c := text[i]
		switch {
		case 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9':
		case c == '.' || c == '-' || c == '_':
		default:
			return false
		}
	}

	return text != ""
}

// isAddress reports whether text is an IP address. A name that cannot be one makes no error of netip.
func isAddress(text string) bool {
	if !strings.Contains(text, ":") && !isDigitsAndDots(text) {
		return false
	}
	_, err := netip.ParseAddr(text)

	return err == nil
}

func isDigitsAndDots(text string) bool {
	for i := range len(text) {
		if text[i] != '.' && (text[i] < '0' || text[i] > '9') {
			return false
		}
	}
	return true
}

func isPort(text string) bool {
	if text == "" || len(text) > len("65535") || text[0] == '0' {
		return false
	}

	n := 0
	for i := range len(text) {
		if text[i] < '0' || text[i] > '9' {
			return false
		}
		n = 10*n + int(text[i]-'0')
	}

	return n <= 65535
}

// maxPrefix bounds the prefix that a proxy sends, in bytes.
const maxPrefix = 200

// isPrefix reports whether text is a path that cannot be read as anything else.
func isPrefix(text string) bool {
	u, err := url.Parse(text)
	return err == nil && strings.HasPrefix(text, "/") && u.Path == text && len(text) <= maxPrefix && isPlain(text)
}

// splitPort returns a host as Hostname does, but an IPv6 address with brackets, and the port, or the one of the scheme.
func splitPort(host, scheme string) (name, port string) {
	_, port, _ = splitHostPort(host)
	if port == "" {
		port = defaultPort(scheme)
	}

	name = Hostname(host)
	if strings.Contains(name, ":") {
		name = "[" + name + "]"
	}

	return name, port
}

func defaultPort(scheme string) string {
	if scheme == "https" {
		return "443"
	}
	return "80"
}

// SameAuthority reports whether the host and port of a URL are the given ones. A port that is missing is the one of
// the URL's scheme, and letters have no case (RFC 3986, section 6.2).
func SameAuthority(u *url.URL, host string) bool {
	name, port := splitPort(u.Host, u.Scheme)
	ourName, ourPort := splitPort(host, u.Scheme)

	return name == ourName && port == ourPort
}

// SameOrigin returns jeton.ErrForbidden for a request that a browser sends on behalf of another site.
// Such a request could log a user in under another name, log a user out, or change something with
// the user's cookie. GET, HEAD and OPTIONS pass, and so does a client that is not a browser.
func SameOrigin(w *Reply, r *http.Request) error {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		return nil
	}

	refused := jeton.WithDetail(jeton.ErrForbidden, "the request comes from another origin")

	switch r.Header.Get("Sec-Fetch-Site") {
	case "same-origin", "none":
		return nil
	case "":
	default:
		return refused
	}

	// An older browser, or a page without TLS, sends Origin alone.
	text := r.Header.Get("Origin")
	if text == "" {
		return nil
	}

	from, err := url.Parse(text)
	if err != nil || from.Host == "" || !SameAuthority(from, r.Host) && !SameAuthority(from, w.Origin.Host) {
		return refused
	}

	// An attacker on the network can make a page at http://. The other way round, a proxy that is not trusted may
	// terminate TLS.
	if from.Scheme == "http" && w.Origin.Scheme == "https" {
		return refused
	}

	return nil
}
