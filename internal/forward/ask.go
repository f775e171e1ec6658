package forward

import (
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/web"
)

// The headers in which proxies send the request to judge.
const (
	headerOriginalURL    = "X-Original-Url"
	headerOriginalMethod = "X-Original-Method"
	headerMethod         = "X-Forwarded-Method"
	headerProto          = "X-Forwarded-Proto"
	headerHost           = "X-Forwarded-Host"
	headerURI            = "X-Forwarded-Uri"
	headerFor            = "X-Forwarded-For"
)

// deciding are all headers that some proxy sends and that decide what is judged. An endpoint refuses those of another
// proxy: they come from the client, past a proxy that does not remove them.
var deciding = []string{
	headerOriginalURL, headerOriginalMethod, headerMethod, headerProto, headerHost, headerURI, headerFor,
}

// asked is the request that a proxy asks about.
type asked struct {
	method string
	scheme string
	host   string
	target string // path and query, as the client sent them
	id     string // of the request, given by the proxy; "": none that no client can choose

	service Service
	origin  web.Origin
	source  netip.Addr
	request *http.Request
}

// ask returns what a proxy asks about. On an error it returns what is known so far.
func (f *Forward) ask(c *contract, r *http.Request) (asked, error) {
	var a asked
	if err := f.trusts(r); err != nil {
		return a, err
	}
	if r.ContentLength != 0 {
		return a, jeton.WithDetail(jeton.ErrInvalid, "the proxy sends the body of the request, which is not for Jeton")
	}
	if err := exactly(r.Header, c.headers, c.optional...); err != nil {
		return a, err
	}
	if err := checkUpgrade(r.Header); err != nil {
		return a, err
	}
	if c.id != "" {
		a.id = r.Header.Get(c.id)
		if !web.ValidID(a.id) {
			return a, jeton.WithDetail(jeton.ErrInvalid, c.id+" is not 8 to 64 letters, digits and - _ .")
		}
	}
	if err := c.read(r, &a); err != nil {
		return a, err
	}

	// As net/http reads the target of a request that arrives.
	u, err := url.ParseRequestURI(a.target)
	if err != nil || !strings.HasPrefix(a.target, "/") {
		return a, jeton.WithDetail(jeton.ErrInvalid, "the target of the request is not a path")
	}

	// One allocation: WithContext copies the request, and the compiler keeps the first one on the stack.
	a.request = (&http.Request{
		Method:     a.method,
		URL:        u,
		Proto:      "HTTP/1.1",
		ProtoMajor: 1,
		ProtoMinor: 1,
		Header:     r.Header, // of the client, once what decided is removed
		Body:       http.NoBody,
		Host:       a.host,
		RemoteAddr: r.RemoteAddr,
		RequestURI: a.target,
	}).WithContext(r.Context())
	if err := checkRequest(a.request); err != nil {
		return a, err
	}

	if err := f.place(r, &a); err != nil {
		return a, err
	}

	for _, name := range deciding {
		delete(a.request.Header, name)
	}

	return a, pinned(c.query, r.URL.RawQuery, a.service.Name)
}

// repeatParts is how many texts repeat returns.
const repeatParts = 6

// repeat returns what is the same for a request and its repetitions by one proxy, or nil for a proxy that gives
// requests no id. It is written to parts.
func (a *asked) repeat(r *http.Request, parts *[repeatParts]string) []string {
	if a.id == "" {
		return nil
	}

	proxy := r.RemoteAddr
	port := strings.LastIndexByte(proxy, ':')
	if port >= 0 {
		proxy = proxy[:port] // each connection has another one
	}

	*parts = [repeatParts]string{proxy, a.id, a.method, a.origin.Scheme, a.origin.Host, a.target}

	return parts[:]
}

// isPlainName reports whether a name has letters of ASCII, digits and dashes alone.
func isPlainName(name string) bool {
	for i := range len(name) {
		c := name[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-') {
			return false
		}
	}
	return true
}

// checkRequest makes the checks that a request passes before a service is chosen for it.
func checkRequest(r *http.Request) error {
	if r.Host == "" {
		return jeton.WithDetail(jeton.ErrInvalid, "the request has no host")
	}
	if err := web.CheckTarget(r); err != nil {
		return err
	}
	if r.Method == http.MethodConnect || r.Method == http.MethodTrace {
		return jeton.ErrMethod
	}

	return nil
}

// checkUpgrade returns jeton.ErrInvalid for a switch to another protocol than WebSocket, if the proxy sends it: in
// HTTP/2 the client could have requests that no proxy sees.
func checkUpgrade(h http.Header) error {
	for _, protocol := range h["Upgrade"] {
		if !strings.EqualFold(protocol, "websocket") {
			return jeton.WithDetail(jeton.ErrInvalid, "the request has an Upgrade to another protocol than websocket")
		}
	}

	return nil
}

// place finds the service of a request, and the address of its client.
func (f *Forward) place(r *http.Request, a *asked) error {
	schemes := []string{a.scheme}
	switch a.scheme {
	case "http", "https":
	case "":
		schemes = []string{"http", "https"} // the proxy does not send it
	default:
		return jeton.WithDetail(jeton.ErrInvalid, "the scheme is neither http nor https")
	}

	found := Service{}
	for _, scheme := range schemes {
		origin := web.OriginAt(scheme, a.host, "")
		service, ok := f.services[origin.String()]
		switch {
		case ok && found.Name != "":
			return jeton.WithDetail(jeton.ErrMisdirected, "two services have this host, and the proxy sends no scheme")
		case ok:
			found, a.origin = service, origin
		}
	}
	if found.Name == "" {
		return jeton.WithDetail(jeton.ErrMisdirected, "no service has this url")
	}

	a.service = found

	if !a.source.IsValid() {
		a.source = f.proxies.Nearest(r.Header[headerFor])
	}
	if !a.source.IsValid() {
		a.source = policy.UnknownSource // the zero address would be that of a client on this machine
	}

	return nil
}

// pinned returns an error unless the query with which a proxy asks names the service that was found by the host, or is
// empty where it may be: the host comes from the client, and the query from the configuration of the proxy.
func pinned(q query, text, service string) error {
	name, ok := strings.CutPrefix(text, "service=")
	switch {
	case q == judged, q == mayPin && text == "", name == service:
		return nil
	case !ok || strings.ContainsAny(name, "&;%+="):
		return jeton.WithDetail(jeton.ErrInvalid, "the query of the decision is not service and its name alone")
	}

	return jeton.WithDetail(jeton.ErrMisdirected, "the host is that of another service than the proxy names")
}

// exactly returns jeton.ErrInvalid unless the deciding headers are the given ones, each once, and at most once the
// optional ones, and no header is spelled so that a server could take it for one with a meaning.
func exactly(h http.Header, names []string, optional ...string) error {
	for _, name := range names {
		n := len(h[name])
		if n != 1 {
			return jeton.WithDetail(jeton.ErrInvalid, fmt.Sprintf("%s is sent %d times, and must be once", name, n))
		}
	}
	for _, name := range optional {
		if len(h[name]) > 1 {
			return jeton.WithDetail(jeton.ErrInvalid, name+" is sent more than once")
		}
	}

	for name := range h {
		if slices.Contains(deciding, name) && !slices.Contains(names, name) && !slices.Contains(optional, name) {
			return jeton.WithDetail(jeton.ErrInvalid, name+" is not of this proxy, which must remove it")
		}

		// Many servers read Remote_User as Remote-User (CGI).
		if !isPlainName(name) && web.IsRemovedHeader(name) {
			return jeton.WithDetail(jeton.ErrInvalid, "a header looks like one of a proxy, in another spelling")
		}
	}

	return nil
}
