package server

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/secret"
	"github.com/jeton-auth/jeton/internal/web"
)

// front is the handler of one listener: it gives the request an id and finds the mux.
type front struct {
	only    *site            // of a listener without host names
	byHost  map[string]*site // of a shared listener, by host name
	proxies web.Proxies
	now     func() time.Time
	log     *slog.Logger
	// untrusted is where peers are noticed that should perhaps be proxies; nil: nowhere.
	untrusted *untrustedPeers
	hosts     []string // if not empty: the only accepted host names, against DNS rebinding
}

// site is what one host name of a listener serves: a service, the authorization server, or
// both, with the authorization server first on its own paths.
type site struct{ service, issuer *mux }

// hostname returns a Host header without its port, in lower case.
func hostname(host string) string {
	name, _, err := net.SplitHostPort(host)
	if err == nil {
		host = name
	}
	return strings.ToLower(strings.TrimSuffix(strings.Trim(host, "[]"), "."))
}

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
		if f.byHost[hostname(host)] == nil {
			f.byHost[hostname(host)] = &site{}
		}

		named := f.byHost[hostname(host)]
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
	w.Header()[jeton.HeaderRequestID] = []string{w.ID}
	defer f.recover(w, r)

	if f.untrusted != nil {
		f.untrusted.notice(r, f.proxies, f.log)
	}

	d, err := f.mux(r)
	if err != nil {
		web.Fail(w, r, err)
		return
	}

	d.ServeHTTP(w, r)
}

// mux returns the mux of a request, or why there is none: jeton.ErrInvalid for a target or
// a path that can be read in two ways, jeton.ErrMethod, jeton.ErrForbidden or
// jeton.ErrNotFound for the host name.
func (f *front) mux(r *http.Request) (*mux, error) {
	if err := web.CheckTarget(r); err != nil {
		return nil, err
	}
	if r.Method == http.MethodConnect || r.Method == http.MethodTrace {
		return nil, jeton.ErrMethod // not for services behind a gateway
	}

	// A path with two readings could be one route here and another one at an upstream.

	// A page in a browser can make its own host name resolve to this machine.
	if len(f.hosts) > 0 && !slices.Contains(f.hosts, hostname(r.Host)) {
		return nil, jeton.WithDetail(jeton.ErrForbidden, "this listener does not serve that host name")
	}

	s := f.byHost[hostname(r.Host)]
	if s != nil {
		return s.mux(r.URL.Path), nil
	}
	if f.only != nil {
		return f.only.mux(r.URL.Path), nil
	}

	return nil, jeton.WithDetail(jeton.ErrNotFound, "no service has this host name")
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
