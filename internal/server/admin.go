package server

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"net/http"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/config"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/web"
)

// adminName names the admin listener.
const adminName = "admin"

// adminEndpoint returns where the admin listener listens.
func adminEndpoint(c config.Admin) endpoint {
	at := endpoint{listen: c.Listen, hosts: c.Hosts, plain: c.TLS == nil}
	if c.TLS != nil {
		at.tls = *c.TLS
	}

	return at
}

// planAdmin builds the admin listener.
func (s *Server) planAdmin(conf config.Admin) (*planned, error) {
	d, err := s.adminMux(conf)
	if err != nil {
		return nil, err
	}

	f := &front{
		only:      &site{service: d},
		thisAlone: true,
		now:       s.c.Now,
		log:       s.c.Log,
		refusals:  s.refusals,
	}
	for _, p := range conf.Allow {
		f.allow = append(f.allow, p.Prefix)
	}

	// Also on an address that others reach, it accepts no other names: a browser in an allowed network
	// is no health check.
	f.accept(conf.Listen)
	for _, name := range conf.Hosts {
		f.accept(name)
	}

	p := &planned{listen: conf.Listen, front: f}

	return p, s.secure(p, adminName, adminEndpoint(conf))
}

// adminMux builds the routes for health checks and metrics.
func (s *Server) adminMux(conf config.Admin) (*mux, error) {
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
		{
			Pattern: "GET /metrics",
			Access:  policy.Open,
			Handle:  behindToken(conf.Token(), s.metrics.handler()),
			Refuse:  noToken,
		},
	})
}

// behindToken returns a handler that requires a bearer token (RFC 6750); the zero value: none. Health
// needs none, since many load balancers cannot send one.
func behindToken(token jeton.Secret, h http.Handler) web.Handler {
	// Hashes have the same length, which ConstantTimeCompare needs.
	want := sha256.Sum256([]byte(token.Reveal()))

	return func(w *web.Reply, r *http.Request) error {
		if !token.IsZero() {
			text, found, err := web.Authorization(r.Header, "Bearer")
			if err != nil {
				return err
			}
			if !found {
				return jeton.ErrNoCredential
			}

			got := sha256.Sum256([]byte(text))
			if subtle.ConstantTimeCompare(got[:], want[:]) != 1 {
				return jeton.ErrBadCredential
			}
		}

		h.ServeHTTP(w, r)

		return nil
	}
}

// noToken refuses a request without the token.
func noToken(w *web.Reply, r *http.Request, err error) {
	w.Header().Set("WWW-Authenticate", `Bearer realm="metrics"`)
	web.Fail(w, r, err)
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
	if err := s.isReady(r.Context()); err != nil {
		return err
	}
	return ok(w, r)
}

// isStarted is isReady for the control socket, which is open before the listeners are.
func (s *Server) isStarted(ctx context.Context) error {
	if !s.up.Load() {
		return errStarting
	}
	return s.isReady(ctx)
}

// errStarting is why a server that has not opened its listeners yet is not ready.
var errStarting = errors.New("the server has not started yet")

// isReady returns why this server should get no requests, or nil.
func (s *Server) isReady(ctx context.Context) error {
	if s.draining.Load() {
		return errDraining
	}

	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()

	// Without its store a server can answer almost nothing: requests should go to another node.
	return s.core.db.Ping(ctx)
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
