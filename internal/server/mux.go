package server

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/gate"
	"github.com/jeton-auth/jeton/internal/gateway"
	"github.com/jeton-auth/jeton/internal/web"
)

// mux serves one service, the control socket or the admin listener: a route table with the
// gate in front of every route. There is no other way to add a handler.
type mux struct {
	name     string
	patterns *http.ServeMux
	paths    web.Paths      // how the upstreams of the service read them
	read     *http.ServeMux // patterns of the configuration as paths reads them; nil if they are in patterns
	service  *gate.Service
	owns     func(path string) bool // nil: owns its whole address
	gate     *gate.Gate
	operator bool // callers may open the data directory, and so are operators
	log      *slog.Logger
	metrics  *metrics
	work     func(context.Context) // runs while the mux is in use; nil: none
	// upstreams returns the servers behind the service; nil: it has none.
	upstreams func() []gateway.Upstream
	routes    []web.Route
	refuse    web.Refuser // of requests without a route
	throttle  *logLimit
	// patternsOf has the routes of patterns and of read by their patterns there.
	patternsOf map[*http.ServeMux]map[string]web.Route
}

// newMux compiles a route table. It refuses a route without an access rule.
func newMux(d mux, routes []web.Route) (*mux, error) {
	d.patterns = http.NewServeMux()
	if d.paths != (web.Paths{}) {
		d.read = http.NewServeMux()
	}

	d.routes = routes
	d.throttle = storeFailures()
	d.patternsOf = map[*http.ServeMux]map[string]web.Route{d.patterns: {}, d.read: {}}
	if d.service == nil {
		d.service = &gate.Service{Name: d.name}
	}

	if d.refuse == nil {
		d.refuse = web.Fail
	}

	for _, route := range routes {
		// The zero value of an access is closed: a rule that was forgotten opens nothing.
		if route.Access.IsClosed() {
			return nil, fmt.Errorf("%s: route %s has no access rule", d.name, route.Pattern)
		}
		if err := d.add(route); err != nil {
			return nil, err
		}
	}

	// This fails if a service has a route for every path: then it needs no fallback.
	_ = d.attach(d.patterns, fallbackPattern, d.fallback)
	if d.read != nil {
		_ = d.attach(d.read, fallbackPattern, d.fallback)
	}

	return &d, nil
}

// fallbackPattern is the pattern of the handler for requests without a route.
const fallbackPattern = "/"

// add adds a route.
func (d *mux) add(route web.Route) error {
	if d.read == nil || !route.Configured {
		d.patternsOf[d.patterns][route.Pattern] = route
		return d.attach(d.patterns, route.Pattern, d.serve(route))
	}

	pattern, err := d.paths.Pattern(route.Pattern)
	if err != nil {
		return fmt.Errorf("%s: route %s: %w", d.name, route.Pattern, err)
	}

	d.patternsOf[d.read][pattern] = route

	return d.attach(d.read, pattern, d.serve(route))
}

// attach adds a handler, or returns an error that names the service and the pattern.
func (d *mux) attach(to *http.ServeMux, pattern string, h http.HandlerFunc) (err error) {
	defer func() {
		// ServeMux panics for a pattern that is invalid, or in conflict with another one.
		p := recover()
		if p != nil {
			err = fmt.Errorf("%s: route %s: %v", d.name, pattern, p)
		}
	}()

	to.HandleFunc(pattern, h)
	return nil
}

// ServeHTTP answers a request by the rule for its path as the upstream reads it.
func (d *mux) ServeHTTP(w *web.Reply, r *http.Request) {
	if d.paths.Plain(r.URL) {
		d.servePlain(w, r)
		return
	}

	forms, err := d.paths.Canonical(web.RawPath(r.URL))
	if err != nil {
		web.Fail(w, r, err)
		return
	}

	h, pattern := d.find(r.Method, r, forms[0])
	for _, other := range forms[1:] {
		_, same := d.find(r.Method, r, other)
		if same != pattern {
			err = jeton.WithDetail(jeton.ErrInvalid, "the path has a semicolon that changes which rule judges it")
			web.Fail(w, r, err)

			return
		}
	}

	switch {
	case redirects(pattern, forms[0]):
		redirect(w, r)
	case h == nil:
		d.patterns.ServeHTTP(w, r) // which sets the path values
	default:
		h.ServeHTTP(w, r)
	}
}

// servePlain answers a request whose path has one reading.
func (d *mux) servePlain(w *web.Reply, r *http.Request) {
	// A redirect of http.ServeMux would leave the prefix that a proxy has removed.
	if w.Origin.Prefix != "" {
		_, pattern := d.patterns.Handler(r)
		if redirects(pattern, r.URL.Path) {
			redirect(w, r)
			return
		}
	}

	d.patterns.ServeHTTP(w, r)
}

// find returns the handler for a method and a canonical form of the path of r, and its pattern.
// The handler is nil if d.patterns has it.
func (d *mux) find(method string, r *http.Request, form string) (http.Handler, string) {
	request := &http.Request{Method: method, URL: r.URL, Host: r.Host}
	if d.read != nil {
		// The service's own paths do not pass an upstream, so they are compared as they are.
		_, pattern := d.patterns.Handler(request)
		if pattern != "" && pattern != fallbackPattern {
			return nil, pattern
		}
	}

	decoded, err := url.PathUnescape(form)
	if err != nil {
		return http.NotFoundHandler(), ""
	}

	request.URL = &url.URL{Path: decoded, RawPath: form}
	if d.read != nil {
		return d.read.Handler(request)
	}
	_, pattern := d.patterns.Handler(request)

	return nil, pattern
}

// redirects reports whether http.ServeMux redirects a path to the same path with a slash at its
// end: the pattern matches only that.
func redirects(pattern, form string) bool {
	open := strings.HasSuffix(pattern, "/") || strings.HasSuffix(pattern, "...}")
	return open && !strings.HasSuffix(form, "/") && strings.Count(form, "/") < strings.Count(pattern, "/")
}

// redirect sends a client to the same path with a slash at its end, as the client sees it.
// http.ServeMux would send it to the canonical form.
func redirect(w *web.Reply, r *http.Request) {
	to := w.Origin.Prefix + web.RawPath(r.URL) + "/"
	if r.URL.RawQuery != "" {
		to += "?" + r.URL.RawQuery
	}

	w.Header().Set("Location", to)
	w.WriteHeader(http.StatusTemporaryRedirect)
}

// serve puts the gate in front of a route.
func (d *mux) serve(route web.Route) http.HandlerFunc {
	refuse := route.Refuse
	if refuse == nil {
		refuse = web.Fail
	}

	observed := d.metrics.route(d.name, route.Pattern)
	return func(hw http.ResponseWriter, r *http.Request) {
		w, ok := hw.(*web.Reply)
		if !ok {
			http.Error(hw, "internal error", http.StatusInternalServerError)
			return
		}

		// OPTIONS asks about a counted route: it needs no credential, and takes no use.
		r.Pattern = route.Pattern // as configured
		w.Route = route.Pattern
		w.Scopes = route.Access.Scopes

		if !route.Access.Handles(r.Method) {
			d.options(w, r)
			return
		}

		err := d.admit(w, r, route)
		if err == nil {
			err = route.Handle(w, r)
		}

		if err != nil {
			w.Refused = jeton.Code(err)
			if d.throttle.allowsError(err, time.Now(), d.log) {
				web.Log(w, d.log, r, err)
			}

			// A response that has begun cannot become a refusal.
			if w.Status() == 0 {
				refuse(w, r, err)
			}
		}

		observed.observe(w, err)
	}
}

// admit asks the gate. It first reads a body that the route buffers: a permission must not be
// given while the body is still arriving.
func (d *mux) admit(w *web.Reply, r *http.Request, route web.Route) error {
	if route.MaxBody > 0 && r.ContentLength > route.MaxBody {
		return web.TooLarge(route.MaxBody)
	}

	if route.BufferBody {
		if _, err := web.BufferBody(w, r); err != nil {
			return err
		}
	}

	// The control socket needs no credential: only the owner of the data directory can open it.
	if d.operator && route.Access.NeedsOperator() || route.Access.IsOpen() {
		return nil
	}

	return d.gate.AdmitHTTP(w, r, d.service, route.Access)
}

// fallback answers requests without a route: 405 with the allowed methods, or 404.
func (d *mux) fallback(hw http.ResponseWriter, r *http.Request) {
	w, ok := hw.(*web.Reply)
	if !ok {
		http.NotFound(hw, r)
		return
	}

	allowed := d.methods(r)
	switch {
	case len(allowed) == 0:
		d.refuse(w, r, jeton.ErrNotFound)
	case r.Method == http.MethodOptions:
		d.options(w, r)
	default:
		w.Header().Set("Allow", strings.Join(allowed, ", "))
		d.refuse(w, r, jeton.ErrMethod)
	}
}

// options answers OPTIONS with the methods that the path has. It needs no credential:
// a 405 names the same methods.
func (d *mux) options(w *web.Reply, r *http.Request) {
	w.Header().Set("Allow", strings.Join(append(d.methods(r), http.MethodOptions), ", "))
	_ = web.NoContent(w)
}

// serves reports whether a path has a route.
func (d *mux) serves(path string) bool {
	return len(d.methods(&http.Request{URL: &url.URL{Path: path}})) > 0
}

// methods lists the methods that have a route for the path of r.
func (d *mux) methods(r *http.Request) []string {
	forms, err := d.paths.Canonical(web.RawPath(r.URL))
	if err != nil {
		return nil
	}

	var allowed []string
	for _, m := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"} {
		_, pattern := d.find(m, r, forms[0])
		if pattern != "" && pattern != fallbackPattern {
			allowed = append(allowed, m)
		}
	}

	return allowed
}
