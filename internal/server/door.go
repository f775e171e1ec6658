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
