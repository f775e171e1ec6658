package api

import (
	"fmt"
	"net/http"
	"strings"
	"sync"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/web"
)

// Table is what is served below a prefix, and its documentation. internal/teaching serves the API from a table whose
// operations it has replaced.
type Table struct {
	Title      string
	Prefix     string
	Operations []Operation
	Schemes    map[string]any // OpenAPI security schemes by name

	// Refuse answers the errors of all routes, with a body of the type of Refusal.
	Refuse      func(w *web.Reply, r *http.Request, err error)
	Refusal     any
	RefusalType string // media type
}

// Operation is a route and its documentation.
type Operation struct {
	Pattern string        // the path is below the prefix of the table
	Access  policy.Access // zero: it is documented, but not served here
	Handle  web.Handler
	For     string // whom it is for, in the documentation
	Doc
	exposure  exposure
	elsewhere []object // OpenAPI servers, if it is not served here
}

// changes reports whether requests change something.
func (op Operation) changes() bool { return !strings.HasPrefix(op.Pattern, "GET ") }

// Doc documents an operation.
type Doc struct {
	Summary string
	Query   []Param
	In, Out any // a value of the type of the body, or nil
	// InOptional lets a request have no body.
	InOptional bool
	Status     int    // of success; 0: it always refuses
	Fails      []int  // statuses of refusals, beside those of all operations of the exposure
	Media      string // type of the response body, if it is not JSON
}

// Param is a parameter of the query.
type Param struct{ Name, About string }

// Routes returns the routes of the operations, of the documentation, and of all other paths below the prefix.
func (t Table) Routes() []web.Route {
	// The documents describe themselves, too, so that they are rendered once the table is complete. Most servers are
	// never asked for them.
	var document, page func() ([]byte, error)
	t.Operations = append(t.Operations,
		documentation("GET /openapi.json", "application/json", func() ([]byte, error) { return document() }),
		documentation("GET /docs", "text/html; charset=utf-8", func() ([]byte, error) { return page() }),
	)
	document = sync.OnceValues(t.openAPI)
	page = sync.OnceValues(t.page)

	return append(t.served(), t.fallbacks()...)
}

// documentation returns the operation of a document, which describes itself, too.
func documentation(pattern, mediaType string, render func() ([]byte, error)) Operation {
	return Operation{
		Pattern: pattern,
		Access:  policy.Open,
		Handle: func(w *web.Reply, _ *http.Request) error {
			body, err := render()
			if err != nil {
				return fmt.Errorf("describe the API: %w", err)
			}

			w.Header().Set("Cache-Control", "no-cache")
			w.Header().Set("Content-Security-Policy", pagePolicy)
			w.Header().Set("Referrer-Policy", "no-referrer")
			write(w, http.StatusOK, mediaType, body)

			return nil
		},
		For:      everyone.String(),
		Doc:      docOf(pattern),
		exposure: everyone,
	}
}

// served returns the routes of the operations that are served here.
func (t Table) served() []web.Route {
	var routes []web.Route
	for _, op := range t.Operations {
		if op.Access.IsClosed() {
			continue
		}

		method, path, _ := strings.Cut(op.Pattern, " ")
		routes = append(routes, web.Route{
			Pattern: method + " " + t.Prefix + path,
			Access:  op.Access,
			Handle:  op.Handle,
			// A permission must not outlive the wait for a slow body.
			BufferBody: op.changes(),
			Refuse:     t.Refuse,
		})
	}

	return routes
}

// fallbacks are the routes of paths and methods below the prefix that are not served.
func (t Table) fallbacks() []web.Route {
	served := http.NewServeMux()
	for _, rt := range t.served() {
		served.HandleFunc(rt.Pattern, func(http.ResponseWriter, *http.Request) {})
	}

	var routes []web.Route
	// Each method by itself: a pattern without a method would conflict with routes of the service.
	for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"} {
		routes = append(routes, web.Route{
			Pattern: method + " " + t.Prefix + "/{rest...}",
			Access:  policy.Open,
			Handle:  func(w *web.Reply, r *http.Request) error { return fallback(served, w, r) },
			Refuse:  t.Refuse,
		})
	}

	return routes
}

// fallback answers 405 for a path that is served with other methods, and 404 for any other.
func fallback(served *http.ServeMux, w *web.Reply, r *http.Request) error {
	var allowed []string
	for _, method := range []string{"GET", "HEAD", "POST", "PUT", "DELETE"} {
		// Asked of the mux itself, so that Allow never differs from what is served.
		_, pattern := served.Handler(&http.Request{Method: method, URL: r.URL, Host: r.Host})
		if pattern != "" {
			allowed = append(allowed, method)
		}
	}

	if len(allowed) == 0 {
		return jeton.ErrNotFound
	}

	w.Header().Set("Allow", strings.Join(append(allowed, http.MethodOptions), ", "))
	if r.Method != http.MethodOptions {
		return jeton.ErrMethod
	}

	return web.NoContent(w)
}

// write writes a document. nosniff keeps a browser from reading JSON as HTML.
func write(w *web.Reply, status int, mediaType string, body []byte) {
	w.Header().Set("Content-Type", mediaType)
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(body)
}
