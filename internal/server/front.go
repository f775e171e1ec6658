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
	"github.com/jeton-auth/jeton/internal/acme"
	"github.com/jeton-auth/jeton/internal/forward"
	"github.com/jeton-auth/jeton/internal/secret"
	"github.com/jeton-auth/jeton/internal/trace"
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
	requests  string       // log.requests; "": off
	lines     *slog.Logger // of requests; nil: log
	pace      web.Pace
	now       func() time.Time
	log       *slog.Logger
	// untrusted is where peers are noticed that should perhaps be proxies; nil: nowhere.
	untrusted *untrustedPeers
	// forward answers all requests of the listener that decides for other proxies, by the routes of services; nil on
	// every other listener.
	forward  *forward.Forward
	services []forwarded
	// redirect answers all requests of the listener that sends browsers to https; nil on every other one.
	redirect *secureAddresses
	// ordered answers a certificate authority there; nil: none asks.
	ordered *acme.Certificates
	// tracer traces requests; nil: none is.
	tracer *trace.Tracer
	// refusals limits the lines about refusals with what to change; nil: there are none.
	refusals *logLimit
}

// site is what one host name of a listener serves: a service, the authorization server, or
// both, with the authorization server first on its own paths.
type site struct{ service, issuer *mux }

// mux returns the mux of a path: the authorization server's for its own paths, even where a
// route of the service would match them as well, and for / if the service has nothing there.
func (s *site) mux(path string) *mux {
	switch {
	case s.issuer == nil:
		return s.service
	case s.service == nil, s.issuer.owns(path), path == "/" && !s.service.serves(path):
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
	trusted := len(f.proxies) > 0 && f.proxies.Trusts(peer(r))
	w.Reset(hw, requestID(r, trusted), f.now(), netip.Addr{})
	w.ShowID()
	w.Trusted = trusted
	if trusted {
		w.TraceID = web.KeepTrace(r.Header)
	}
	f.beginSpan(w, r)
	r = w.Arrive(r, f.pace)
	defer w.Finish()
	defer f.recover(w, r)

	// It reads from other headers where the request arrived, and needs no HSTS.
	if f.forward != nil {
		judged, service := f.forward.ServeHTTP(w, r)
		f.logRequest(w, judged, service)
		f.endSpan(w, judged, service)

		return
	}

	w.Source = f.proxies.Source(r)
	w.Origin = f.proxies.Origin(r)
	if f.hsts != nil && f.overTLS(w, r) {
		w.HSTS = f.hsts
	}
	if f.untrusted != nil {
		f.untrusted.notice(r, f.proxies, f.log)
	}

	if f.redirect != nil {
		if f.ordered == nil || !f.ordered.Answer(w, r) {
			f.redirect.answer(w, r)
		}
		f.logRequest(w, r, "")

		return
	}

	d, err := f.mux(w, r)
	// Deferred: also after a panic, and when a client has gone.
	defer f.endSpan(w, r, nameOf(d))
	defer f.logRequest(w, r, nameOf(d))

	if err != nil {
		f.advise(w, r, err)
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
		return nil, advised{jeton.ErrForbidden, "add the address to admin.allow if it may read health and metrics"}
	}
	if err := web.CheckTarget(r); err != nil {
		return nil, err
	}
	if r.Method == http.MethodConnect || r.Method == http.MethodTrace {
		return nil, jeton.ErrMethod // not for services behind a gateway
	}

	return f.choose(web.Hostname(w.Origin.Host), web.Hostname(r.Host), r.URL.Path)
}

// choose returns the mux of a path at the host name that counts: that of X-Forwarded-Host from a trusted proxy, else
// the one that was sent in Host.
func (f *front) choose(name, sent, path string) (*mux, error) {
	s := f.site(name)
	if s == nil {
		return nil, misdirected("add the host name to hosts of the service if it is its own")
	}

	chosen := s.mux(path)
	if sent == name {
		return chosen, nil
	}

	// Many proxies pass the client's X-Forwarded-Host beside a Host that they have checked. The client must not
	// get from a service that the proxy lets it reach to another one.
	named := f.byHost[sent]
	if named != nil && named.mux(path) != chosen {
		const fix = "Host and X-Forwarded-Host name two services; let the proxy set or remove X-Forwarded-Host"
		return nil, misdirected(fix)
	}

	// A browser on a machine that is trusted as a proxy can send X-Forwarded-Host, too, from a page whose own host
	// name resolves to this machine (DNS rebinding). It cannot choose Host.
	if named == nil && !f.accepts(sent) && canBePublic(sent) {
		const fix = "let the proxy send as Host the client's, or an IP address, or a name in hosts of the service"
		return nil, misdirected(fix)
	}

	return chosen, nil
}

// misdirected is the refusal of a host name.
func misdirected(fix string) error { return advised{jeton.ErrMisdirected, fix} }

// site returns what a host name leads to, or nil.
func (f *front) site(name string) *site {
	s := f.byHost[name]
	if s == nil && f.accepts(name) {
		s = f.only
	}

	return s
}

// canBePublic reports whether an attacker can own a host name: one with a dot, and not below a domain that is kept
// for private networks (RFC 6762, RFC 8375, and .internal of ICANN).
func canBePublic(name string) bool {
	for _, private := range []string{".internal", ".local", ".home.arpa"} {
		if strings.HasSuffix(name, private) {
			return false
		}
	}

	return strings.Contains(name, ".")
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
func requestID(r *http.Request, trusted bool) string {
	// An id of any caller could point an operator to the log of another request.
	if trusted {
		id := r.Header.Get(jeton.HeaderRequestID)
		if web.ValidID(id) {
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
