package server

import (
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/gate"
	"github.com/jeton-auth/jeton/internal/web"
)

// mux serves one service, the control socket or the admin listener: a route table with the
// gate in front of every route. There is no other way to add a handler.
type mux struct {
	name     string
	patterns *http.ServeMux
	service  *gate.Service
	owns     func(path string) bool // nil: owns its whole address
	gate     *gate.Gate
	operator bool // callers may open the data directory, and so are operators
	log      *slog.Logger
	metrics  *metrics
	routes   []web.Route
	throttle *logThrottle
}

// newMux compiles a route table. It refuses a route without an access rule.
func newMux(d mux, routes []web.Route) (*mux, error) {
	d.patterns = http.NewServeMux()
	d.routes = routes
	d.throttle = &logThrottle{}
	if d.service == nil {
		d.service = &gate.Service{Name: d.name}
	}

	for _, route := range routes {
		// The zero value of an access is closed: a rule that was forgotten opens nothing.
		if route.Access.IsClosed() {
			return nil, fmt.Errorf("%s: route %s has no access rule", d.name, route.Pattern)
		}
		if err := d.attach(route.Pattern, d.serve(route)); err != nil {
			return nil, err
		}
	}

	// This fails if a service has a route for every path: then it needs no fallback.
	_ = d.attach("/", d.fallback)

	return &d, nil
}

// attach adds a handler, or returns an error that names the service and the pattern.
func (d *mux) attach(pattern string, h http.HandlerFunc) (err error) {
	defer func() {
		// ServeMux panics for a pattern that is invalid, or in conflict with another one.
		p := recover()
		if p != nil {
			err = fmt.Errorf("%s: route %s: %v", d.name, pattern, p)
		}
	}()

	d.patterns.HandleFunc(pattern, h)
	return nil
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
		if !route.Access.Handles(r.Method) {
			d.options(w, r)
			return
		}

		err := d.admit(w, r, route)
		if err == nil {
			err = route.Handle(w, r)
		}

		if err != nil {
			if d.throttle.allows(err, time.Now(), d.log) {
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
		web.Fail(w, r, jeton.ErrNotFound)
	case r.Method == http.MethodOptions:
		d.options(w, r)
	default:
		w.Header().Set("Allow", strings.Join(allowed, ", "))
		web.Fail(w, r, jeton.ErrMethod)
	}
}

// options answers OPTIONS with the methods that the path has. It needs no credential:
// a 405 names the same methods.
func (d *mux) options(w *web.Reply, r *http.Request) {
	w.Header().Set("Allow", strings.Join(append(d.methods(r), http.MethodOptions), ", "))
	_ = web.NoContent(w)
}

// methods lists the methods that have a route for the path of r.
func (d *mux) methods(r *http.Request) []string {
	var allowed []string
	for _, m := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"} {
		_, pattern := d.patterns.Handler(&http.Request{Method: m, URL: r.URL, Host: r.Host})
		if pattern != "" && pattern != "/" {
			allowed = append(allowed, m)
		}
	}

	return allowed
}
