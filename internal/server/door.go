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
	"github.com/jeton-auth/jeton/internal/gate"
	"github.com/jeton-auth/jeton/internal/web"
)

// Row is a line of the printed route table.
type Row struct {
	Listen  string `json:"listen"`
	Door    string `json:"door"`
	Pattern string `json:"pattern"`
	Access  string `json:"access"`
}

// door answers for one service, for the operators' API or for the admin listener: a
// route table with the gate in front of every row. There is no other way to attach a
// handler.
type door struct {
	name     string
	mux      *http.ServeMux
	service  *gate.Service
	owns     func(path string) bool // not nil: shares its address, and has these paths of it
	gate     *gate.Gate
	operator bool // whoever reaches this door may open the data folder
	log      *slog.Logger
	metrics  *metrics
	rows     []web.Route
	away     *away // how often it is said that the store is
}

// newDoor compiles a route table. A row without an access rule is refused.
func newDoor(d door, rows []web.Route) (*door, error) {
	d.mux, d.rows, d.away = http.NewServeMux(), rows, &away{}
	if d.service == nil {
		d.service = &gate.Service{Name: d.name}
	}

	for _, row := range rows {
		if row.Access.IsClosed() {
			return nil, fmt.Errorf("%s: route %s has no access rule", d.name, row.Pattern)
		}
		if err := d.attach(row.Pattern, d.serve(row)); err != nil {
			return nil, err
		}
	}

	// Where a service takes every path by itself there is nothing left to fall back from.
	_ = d.attach("/", d.fallback)

	return &d, nil
}

func (d *door) attach(pattern string, h http.HandlerFunc) (err error) {
	defer func() {
		p := recover()
		if p != nil {
			err = fmt.Errorf("%s: route %s: %v", d.name, pattern, p)
		}
	}()

	d.mux.HandleFunc(pattern, h)
	return nil
}

// serve puts the gate in front of a row.
func (d *door) serve(row web.Route) http.HandlerFunc {
	refuse := row.Refuse
	if refuse == nil {
		refuse = web.Fail
	}

	seen := d.metrics.row(d.name, row.Pattern)
	return func(hw http.ResponseWriter, r *http.Request) {
		w, ok := hw.(*web.Reply)
		if !ok {
			http.Error(hw, "internal error", http.StatusInternalServerError)
			return
		}

		if !row.Access.Handles(r.Method) {
			d.options(w, r)
			return
		}

		err := d.admit(w, r, row)
		if err == nil {
			err = row.Handle(w, r)
		}

		if err != nil {
			if d.away.tell(err, time.Now(), d.log) {
				web.Log(w, d.log, r, err)
			}
			if w.Status() == 0 {
				refuse(w, r, err)
			}
		}

		seen.observe(w, err)
	}
}

// admit asks the gate. A body that the route buffers is read first: a permission must not
// be given while the body is still on its way.
func (d *door) admit(w *web.Reply, r *http.Request, row web.Route) error {
	if row.BufferBody {
		if _, err := web.BufferBody(w, r); err != nil {
			return err
		}
	}

	if d.operator && row.Access.NeedsOperator() || row.Access.IsOpen() {
		return nil
	}

	return d.gate.AdmitHTTP(w, r, d.service, row.Access)
}

// fallback answers what no row does: 405 with the methods that there are, or 404.
func (d *door) fallback(hw http.ResponseWriter, r *http.Request) {
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

func (d *door) options(w *web.Reply, r *http.Request) {
	w.Header().Set("Allow", strings.Join(append(d.methods(r), http.MethodOptions), ", "))
	_ = web.NoContent(w)
}

// methods lists the methods that some row answers for the path of r.
func (d *door) methods(r *http.Request) []string {
	var allowed []string
	for _, m := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"} {
		_, pattern := d.mux.Handler(&http.Request{Method: m, URL: r.URL, Host: r.Host})
		if pattern != "" && pattern != "/" {
			allowed = append(allowed, m)
		}
	}

	return allowed
}

// front answers for one listener: it gives the request an id, refuses what could be read
// in two ways, and finds the door.
type front struct {
	only    *site            // of a listener with one
	byHost  map[string]*site // of a shared listener, by host name
	proxies web.Proxies
	now     func() time.Time
	log     *slog.Logger
	hosts   []string // when not empty: the only host names answered to, against DNS rebinding
}

// site is what answers under one name of a listener: a service, the authorization server,
// or both, of which the second comes first on its own paths.
type site struct{ service, issuer *door }

func (s *site) door(path string) *door {
	if s.issuer != nil && (s.service == nil || s.issuer.owns(path)) {
		return s.issuer
	}
	return s.service
}

// add puts a door on the listener, under a host name or, where it has none, under all.
func (f *front) add(host string, d *door) {
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

	d, err := f.door(r)
	if err != nil {
		web.Fail(w, r, err)
		return
	}

	d.mux.ServeHTTP(w, r)
}

func (f *front) door(r *http.Request) (*door, error) {
	if r.Method == http.MethodConnect || r.Method == http.MethodTrace {
		return nil, jeton.ErrMethod // not for services behind a gateway
	}
	if err := web.CheckPath(r.URL); err != nil {
		return nil, err
	}
	if len(f.hosts) > 0 && !slices.Contains(f.hosts, hostname(r.Host)) {
		return nil, jeton.WithDetail(jeton.ErrForbidden, "this listener does not answer to that host name")
	}

	s := f.byHost[hostname(r.Host)]
	if s != nil {
		return s.door(r.URL.Path), nil
	}
	if f.only != nil {
		return f.only.door(r.URL.Path), nil
	}

	return nil, jeton.WithDetail(jeton.ErrNotFound, "no service has this host name")
}

// hostname takes the port off a Host header.
func hostname(host string) string {
	name, _, err := net.SplitHostPort(host)
	if err == nil {
		host = name
	}
	return strings.ToLower(strings.TrimSuffix(strings.Trim(host, "[]"), "."))
}

// requestID takes a trusted proxy's id, and makes one otherwise.
func (f *front) requestID(r *http.Request) string {
	if len(f.proxies) > 0 {
		id := r.Header.Get(jeton.HeaderRequestID)
		if web.ValidID(id) && f.proxies.Trusts(peer(r)) {
			return id
		}
	}

	return web.NewID()
}

// recover turns a panic into a 500 that the operator finds by the request's id.
func (f *front) recover(w *web.Reply, r *http.Request) {
	p := recover()
	if p == nil {
		return
	}
	if p == http.ErrAbortHandler {
		panic(p)
	}

	f.log.Error(
		"request panicked",
		"request_id",
		w.ID,
		"method",
		r.Method,
		"path",
		web.RedactPath(r.URL.Path),
		"panic",
		fmt.Sprint(p),
		"stack",
		string(debug.Stack()),
	)
	if w.Status() >= http.StatusOK {
		panic(http.ErrAbortHandler) // half an answer must not look like a whole one
	}

	web.Fail(w, r, errors.New("panic"))
}
