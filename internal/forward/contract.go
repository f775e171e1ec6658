package forward

import (
	"net/http"
	"slices"
	"strings"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/web"
)

// contract is how one kind of proxy asks at its endpoint, and what it can make of the answer.
type contract struct {
	path     string   // every path below it, if it ends in a slash
	headers  []string // the deciding headers that the proxy sends, each once
	optional []string // those that it sends if it is configured to
	id       string   // of headers, the one with the proxy's own id of the request; "": it has none
	query    query
	read     func(r *http.Request, a *asked) error
	answer   func(w, inner *web.Reply, v *verdict)
}

// query is what the query of the request for a decision is.
type query int

const (
	mayPin  query = iota // empty, or the name of the service
	mustPin              // the name of the service
	judged               // that of the request to judge
)

// forwardedHeaders are what most proxies send.
var forwardedHeaders = []string{headerMethod, headerProto, headerHost, headerURI, headerFor}

// identifiedHeaders are what those of them send that give each request an id, in place of the client's.
var identifiedHeaders = append(slices.Clone(forwardedHeaders), jeton.HeaderRequestID)

// contracts are the kinds of proxies.
var contracts = []contract{
	{
		path:    Prefix + "nginx",
		headers: []string{headerOriginalURL, headerOriginalMethod, headerFor, jeton.HeaderRequestID},
		id:      jeton.HeaderRequestID,
		read:    readNginx,
		answer:  answerNginx,
	},
	{
		// nginx that asked oauth2-proxy before, and takes the caller from the headers of its answer.
		path:    oauth2Path,
		headers: []string{headerOriginalURL, headerOriginalMethod, headerFor, jeton.HeaderRequestID},
		id:      jeton.HeaderRequestID,
		read:    readNginx,
		answer:  answerOAuth2,
	},
	{
		path:    Prefix + "caddy",
		headers: identifiedHeaders,
		id:      jeton.HeaderRequestID,
		// Caddy appends the query of the client where its configuration has none.
		query:  mustPin,
		read:   readForwarded,
		answer: answerWhole,
	},
	{
		path:    Prefix + "traefik",
		headers: forwardedHeaders,
		// It passes the id of the client on, with which one use would pay for many requests.
		read:   readForwarded,
		answer: answerTraefik,
	},
	{
		// What the Lua action of its configuration sends.
		path:    Prefix + "haproxy",
		headers: identifiedHeaders,
		id:      jeton.HeaderRequestID,
		read:    readForwarded,
		answer:  answerWhole,
	},
	{
		// ext_authz over HTTP, and the filter ExternalAuth of the Gateway API.
		path:     envoyPrefix + "/",
		optional: []string{headerProto, headerFor},
		query:    judged,
		read:     readEnvoy,
		answer:   answerEnvoy,
	},
}

// oauth2Path is the path at which nginx asks oauth2-proxy.
const oauth2Path = "/oauth2/auth"

// unknown is the contract of a proxy that has none.
var unknown = contract{read: readUnknown, answer: answerWhole}

// contractAt returns the contract of a path below Prefix. That of an unknown proxy admits nothing.
func contractAt(path string) *contract {
	for i := range contracts {
		c := &contracts[i]
		if c.path == path || strings.HasSuffix(c.path, "/") && strings.HasPrefix(path, c.path) {
			return c
		}
	}
	return &unknown
}

// readUnknown refuses a proxy that has no contract.
func readUnknown(*http.Request, *asked) error {
	return jeton.WithDetail(jeton.ErrNotFound, "no proxy asks at this path; want one such as "+Prefix+"nginx")
}

// readNginx reads the request that auth_request of nginx asks about: X-Original-URL has its scheme, host and target.
func readNginx(r *http.Request, a *asked) error {
	a.method = r.Header.Get(headerOriginalMethod)

	scheme, rest, ok := strings.Cut(r.Header.Get(headerOriginalURL), "://")
	slash := strings.IndexByte(rest, '/')
	if !ok || slash < 0 || scheme == "" {
		return jeton.WithDetail(jeton.ErrInvalid, "X-Original-URL is not scheme://host/path")
	}

	a.scheme = scheme
	a.host, a.target = rest[:slash], rest[slash:]

	return nil
}

// readForwarded reads the request that a proxy asks about in X-Forwarded headers.
func readForwarded(r *http.Request, a *asked) error {
	a.method = r.Header.Get(headerMethod)
	a.scheme = r.Header.Get(headerProto)
	a.host = r.Header.Get(headerHost)
	a.target = r.Header.Get(headerURI)
	if a.scheme == "" {
		return jeton.WithDetail(jeton.ErrInvalid, headerProto+" is empty")
	}

	return nil
}

// envoyPrefix is what Envoy puts before the path of the request (path_prefix).
const envoyPrefix = Prefix + "envoy"

// readEnvoy reads the request that Envoy asks about: it is the request for the decision itself, with a prefix before
// its path. Envoy sends the scheme only if it is configured to.
func readEnvoy(r *http.Request, a *asked) error {
	target, ok := strings.CutPrefix(r.RequestURI, envoyPrefix)
	if !ok {
		return jeton.WithDetail(jeton.ErrInvalid, "the target is not a path below "+envoyPrefix)
	}

	a.method = r.Method
	a.host, a.target = r.Host, target
	a.scheme = r.Header.Get(headerProto)

	return nil
}
