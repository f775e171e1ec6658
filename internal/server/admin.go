package server

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/web"
)

// adminName names the admin listener.
const adminName = "admin"

// adminMux builds the routes for health checks and metrics.
func (s *Server) adminMux() (*mux, error) {
	metrics := s.metrics.handler()
	return newMux(mux{
		name:    adminName,
		gate:    s.core.gate,
		log:     s.c.Log,
		metrics: s.metrics,
	}, []web.Route{
		{Pattern: "GET /healthz", Access: policy.Open, Handle: ok},
		{Pattern: "GET /livez", Access: policy.Open, Handle: ok},
		{
			Pattern: "GET /readyz",
			Access:  policy.Open,
			Handle:  s.ready,
			Refuse:  notReady,
		},
		{Pattern: "GET /metrics", Access: policy.Open, Handle: func(w *web.Reply, r *http.Request) error {
			metrics.ServeHTTP(w, r)
			return nil
		}},
	})
}

// ok answers GET /healthz and /livez: the process runs and answers. It does not look at the store: a
// restart, which a supervisor does after failures here, would not bring a database back.
func ok(w *web.Reply, _ *http.Request) error {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write([]byte("ok\n"))
	return nil
}

// ready answers GET /readyz: whether this server should get requests.
func (s *Server) ready(w *web.Reply, r *http.Request) error {
	if s.draining.Load() {
		return errDraining
	}

	ctx, cancel := context.WithTimeout(r.Context(), time.Second)
	defer cancel()

	// Without its store a server can answer almost nothing: requests should go to another node.
	if err := s.core.db.Ping(ctx); err != nil {
		return err
	}

	return ok(w, r)
}

// errDraining is why a server that is stopping is not ready. Load balancers then choose
// another one, before its listeners close.
var errDraining = errors.New("the server is stopping")

// notReady answers 503. The reason is one of two fixed texts: details of the store are in
// the log, as the admin listener has no authentication.
func notReady(w *web.Reply, _ *http.Request, err error) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Retry-After", "1")
	w.WriteHeader(http.StatusServiceUnavailable)
	text := "not ready: the store cannot be read and written\n"
	if errors.Is(err, errDraining) {
		text = "not ready: the server is stopping\n"
	}

	_, _ = w.Write([]byte(text))
}
