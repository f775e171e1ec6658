package server

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"runtime/debug"
	"strings"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/secret"
	"github.com/jeton-auth/jeton/internal/web"
)

// front is the handler of one listener: it gives the request an id and finds the mux.
type front struct {
	only    *site            // of a service without a host name
	byHost  map[string]*site // of services with host names
	names   map[string]bool  // host names that only accepts, beside those of loopback
	anyHost bool             // only accepts every host name
	// thisAlone refuses the requests of other machines that are not in allow.
	thisAlone bool
	allow     web.Proxies
	hsts      []string // Strict-Transport-Security; nil: not sent
	weakTLS   bool     // a certificate of the listener is self-signed
	proxies   web.Proxies
	requests  string // log.requests; "": off
	pace      web.Pace
	now       func() time.Time
	log       *slog.Logger
	// untrusted is where peers are noticed that should perhaps be proxies; nil: nowhere.
	untrusted *untrustedPeers
}

// site is what one host name of a listener serves: a service, the authorization server, or
// both, with the authorization server first on its own paths.
type site struct{ service, issuer *mux }

// mux returns the mux of a path: the authorization server's for its own paths, even where a
// route of the service would match them as well.
func (s *site) mux(path string) *mux {
	if s.issuer != nil && (s.service == nil || s.issuer.owns(path)) {
		return s.issuer
	}
	return s.service
}

// add adds a mux under a host name, or under all if it has none.
func (f *front) add(host string, d *mux) {
	s := &f.only
	if host != "" {
		if f.byHost == nil {
			f.byHost = map[string]*site{}
		}
		if f.byHost[web.Hostname(host)] == nil {
			f.byHost[web.Hostname(host)] = &site{}
		}

		named := f.byHost[web.Hostname(host)]
		s = &named
	}

	if *s == nil {
		*s = &site{}
	}

	if d.owns != nil {
		(*s).issuer = d
	} else {
		(*s).service = d
	}
}

// ServeHTTP implements http.Handler.
func (f *front) ServeHTTP(hw http.ResponseWriter, r *http.Request) {
	w := &web.Reply{}
	w.Reset(hw, f.requestID(r), f.now(), f.proxies.Source(r))
	w.Origin = f.proxies.Origin(r)
	w.Header()[jeton.HeaderRequestID] = []string{w.ID}
	r = w.Arrive(r, f.pace)
	defer w.Finish()
	defer f.recover(w, r)

	if f.hsts != nil && f.overTLS(w, r) {
		w.HSTS = f.hsts
	}
	if f.untrusted != nil {
		f.untrusted.notice(r, f.proxies, f.log)
	}

	d, err := f.mux(w, r)
	// Deferred: also after a panic, and when a client has gone.
	defer f.logRequest(w, r, d)

	if err != nil {
		web.Fail(w, r, err)
		return
	}

	d.ServeHTTP(w, r)
}

// overTLS reports whether the client has a connection with TLS whose certificate it can check, to
// this listener or to a trusted proxy.
func (f *front) overTLS(w *web.Reply, r *http.Request) bool {
	if w.Origin.Scheme != "https" {
		return false
	}

	// The self-signed certificate is no matter of the client if a proxy is between.
	return r.TLS == nil || !f.weakTLS || f.proxies.Trusts(peer(r))
}

// mux returns the mux of a request, or why there is none: jeton.ErrInvalid for a target or
// a path that can be read in two ways, jeton.ErrMethod, or jeton.ErrMisdirected
// for the host name.
func (f *front) mux(w *web.Reply, r *http.Request) (*mux, error) {
	if f.thisAlone && !peer(r).IsLoopback() && !f.allow.Trusts(peer(r)) {
		return nil, jeton.WithDetail(jeton.ErrForbidden, "admin.allow does not have this address")
	}
	if err := web.CheckTarget(r); err != nil {
		return nil, err
	}
	if r.Method == http.MethodConnect || r.Method == http.MethodTrace {
		return nil, jeton.ErrMethod // not for services behind a gateway
	}

	name := web.Hostname(w.Origin.Host)
	s := f.byHost[name]
	if s == nil && f.accepts(name) {
		s = f.only
	}
	if s == nil {
		const fix = "add the host name to hosts of the service if it is its own"
		return nil, jeton.WithDetail(jeton.ErrMisdirected, fix)
	}

	// Many proxies pass the client's X-Forwarded-Host beside a Host that they have checked. The client must not
	// get from a service that the proxy lets it reach to another one.
	chosen := s.mux(r.URL.Path)
	sent := f.byHost[web.Hostname(r.Host)]
	if sent != nil && sent.mux(r.URL.Path) != chosen {
		const fix = "Host and X-Forwarded-Host name two services; let the proxy set or remove X-Forwarded-Host"
		return nil, jeton.WithDetail(jeton.ErrMisdirected, fix)
	}

	return chosen, nil
}

// accepts reports whether requests with a host name are for the service without one. A page in a
// browser can make a host name of its own resolve to this machine (DNS rebinding), but not an
// IP address or a name below localhost (RFC 6761, section 6.3). A client without the header
// Host is no browser.
func (f *front) accepts(name string) bool {
	if f.anyHost || f.names[name] || name == "" || name == "localhost" || strings.HasSuffix(name, ".localhost") {
		return true
	}
	_, err := netip.ParseAddr(name)

	return err == nil
}

// accept adds a host name of the service without one.
func (f *front) accept(name string) {
	if f.names == nil {
		f.names = map[string]bool{}
	}
	f.names[web.Hostname(name)] = true
}

// requestID returns the id of a trusted proxy, else a new one.
func (f *front) requestID(r *http.Request) string {
	if len(f.proxies) > 0 {
		id := r.Header.Get(jeton.HeaderRequestID)
		// An id of any caller could point an operator to the log of another request.
		if web.ValidID(id) && f.proxies.Trusts(peer(r)) {
			return id
		}
	}

	return web.NewID()
}

// recover answers a panic with 500, and logs it with the request's id.
func (f *front) recover(w *web.Reply, r *http.Request) {
	p := recover()
	if p == nil {
		return
	}

	// With this a handler aborts a response on purpose (net/http); it is not logged.
	if p == http.ErrAbortHandler {
		panic(p)
	}

	f.log.Error(
		"request panicked",
		"request_id", w.ID,
		"method", r.Method,
		"path", secret.RedactPath(r.URL.Path),
		"panic", fmt.Sprint(p),
		"stack", string(debug.Stack()),
	)
	if w.Status() >= http.StatusOK {
		panic(http.ErrAbortHandler) // an incomplete response must not look complete
	}

	web.Fail(w, r, errors.New("panic"))
}
