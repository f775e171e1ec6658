package main

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"path"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/wallet"
)

// proxied is a listener on this machine that sends requests on to one service, with a token. Its address has a part
// that only the command knows: other users of the machine reach the port, too, and so do pages in a browser.
type proxied struct {
	base     string // address for the command
	host     string
	prefix   string
	origin   string
	server   *http.Server
	next     *httputil.ReverseProxy
	requests atomic.Int64
	refused  atomic.Int64
}

// listenFor starts a listener for a lease.
func listenFor(l *wallet.Lease) (*proxied, error) {
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}

	p := &proxied{
		host:   listener.Addr().String(),
		prefix: "/" + rand.Text(),
		origin: string(l.Origin()),
	}
	p.base = "http://" + p.host + p.prefix

	quiet := log.New(io.Discard, "", 0)
	p.next = &httputil.ReverseProxy{
		Rewrite:        p.rewrite,
		Transport:      l,
		ModifyResponse: p.answer,
		FlushInterval:  -1,
		ErrorLog:       quiet,
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) {
			http.Error(w, "jeton run: the service did not answer", http.StatusBadGateway)
		},
	}
	p.server = &http.Server{
		Handler:           p,
		ReadHeaderTimeout: 10 * time.Second,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          quiet,
	}
	go func() { _ = p.server.Serve(listener) }()

	return p, nil
}

// ServeHTTP sends a request on.
func (p *proxied) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	rest, ok := p.rest(r)
	decoded, err := url.PathUnescape(rest)
	switch {
	// A name that resolves to this machine is how a page of another site would come here.
	case r.Host != p.host, !ok, err != nil:
		http.Error(w, "jeton run: not found", http.StatusNotFound)
	// With the token, the command could make one for itself, or end this one.
	case ownPath(decoded):
		http.Error(w, "jeton run: paths below /.jeton/ are not sent on", http.StatusForbidden)
	default:
		p.requests.Add(1)
		p.next.ServeHTTP(w, r)
	}
}

// rest returns the path of a request at the service, and whether its sender knows the random part of the address. It is
// the first part of the path. For clients that drop that where they build an address, such as npm, it is a password.
func (p *proxied) rest(r *http.Request) (string, bool) {
	full := r.URL.EscapedPath()
	rest, ok := strings.CutPrefix(full, p.prefix)
	if ok && (rest == "" || strings.HasPrefix(rest, "/")) {
		return rest, true
	}

	return full, strings.HasPrefix(full, "/") && p.known(r)
}

// known reports whether a request has the random part as its password, or as its Bearer token.
func (p *proxied) known(r *http.Request) bool {
	_, shown, ok := r.BasicAuth()
	if !ok {
		shown, ok = strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	}

	return ok && subtle.ConstantTimeCompare([]byte(shown), []byte(p.prefix[1:])) == 1
}

// ownPath reports whether a path is one that Jeton itself answers.
func ownPath(rest string) bool {
	rest = path.Clean("/" + strings.ReplaceAll(rest, `\`, "/"))
	return rest == "/.jeton" || strings.HasPrefix(rest, "/.jeton/")
}

// rewrite makes a request to the listener one to the service. Credentials of the command are not sent beside the token.
func (p *proxied) rewrite(r *httputil.ProxyRequest) {
	rest, _ := p.rest(r.In)
	u, err := url.Parse(p.origin + rest)
	if err != nil {
		u = &url.URL{} // is refused by the lease: it is of no origin
	}
	u.RawQuery = r.In.URL.RawQuery
	r.Out.URL = u
	r.Out.Host = ""

	for _, name := range []string{"Authorization", "Proxy-Authorization", "Cookie", "Origin", "Referer"} {
		r.Out.Header.Del(name)
	}
}

// answer makes an answer of the service one of the listener: addresses of the service become its own, and no session
// begins.
func (p *proxied) answer(resp *http.Response) error {
	resp.Header.Del("Set-Cookie")
	if resp.StatusCode == http.StatusUnauthorized || resp.Header.Get(jeton.HeaderError) != "" {
		p.refused.Add(1)
	}

	to := resp.Header.Get("Location")
	rest, ok := strings.CutPrefix(to, p.origin)
	switch {
	case ok && (rest == "" || strings.HasPrefix(rest, "/")):
		resp.Header.Set("Location", p.base+rest)
	case strings.HasPrefix(to, "/") && !strings.HasPrefix(to, "//"):
		resp.Header.Set("Location", p.prefix+to)
	}

	return nil
}

// close ends the listener, with the requests in progress: the token ends as well.
func (p *proxied) close() { _ = p.server.Close() }
