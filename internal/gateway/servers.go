package gateway

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jeton-auth/jeton/internal/balance"
	"github.com/jeton-auth/jeton/internal/config"
	"github.com/jeton-auth/jeton/internal/web"
)

// Run checks the health of upstreams until ctx ends.
func (g *Gateway) Run(ctx context.Context) {
	var wg sync.WaitGroup
	for _, p := range g.pools {
		wg.Go(func() { p.Run(ctx) })
	}

	wg.Wait()
}

// Upstream is the state of one of several servers.
type Upstream struct {
	Host string
	Up   bool // it gets requests
}

// Upstreams returns the state of all servers that others can stand in for.
func (g *Gateway) Upstreams() []Upstream {
	var list []Upstream
	for _, p := range g.pools {
		if !p.Many() {
			continue
		}
		for _, s := range p.Servers {
			list = append(list, Upstream{s.URL.Host, p.Healthy(s)})
		}
	}

	return list
}

// pool returns the servers of an upstream. Routes with the same servers share them, with their health.
func (g *Gateway) pool(c config.Upstream, dataDir string) (*balance.Pool, error) {
	key := fmt.Sprintf("%q %q %s", c.Servers(), c.CA, c.Protocol)
	if c.Health != nil {
		key += fmt.Sprintf(" %+v", *c.Health)
	}
	if g.pools[key] != nil {
		return g.pools[key], nil
	}

	var servers []*balance.Server
	for _, address := range c.Servers() {
		u, err := url.Parse(address)
		if err != nil {
			return nil, fmt.Errorf("upstream.url: %w", err)
		}
		servers = append(servers, &balance.Server{URL: u})
	}

	check, err := healthCheck(c, dataDir)
	if err != nil {
		return nil, err
	}

	p := balance.New(balance.Config{
		Servers: servers,
		Check:   check,
		Now:     time.Now,
		Log:     g.log.With("service", g.conf.Name),
	})
	g.pools[key] = p

	return p, nil
}

// healthCheck returns how the health of the servers is checked, or nil if it is not.
func healthCheck(c config.Upstream, dataDir string) (*balance.Check, error) {
	if c.Health == nil {
		return nil, nil
	}

	to, err := transport(c, dataDir)
	if err != nil {
		return nil, err
	}

	return &balance.Check{
		Transport: to,
		Path:      c.Health.Path,
		Interval:  c.Health.Interval.Std(),
		Timeout:   c.Health.Timeout.Std(),
		Failures:  c.Health.Failures,
	}, nil
}

// sender sends a request to a server of an upstream, and to another one if that is safe and may help.
//
// It keeps the informational responses (1xx) of an upstream from the client: the proxy forwards their headers as they
// are, and drops ours after each. It takes them from a trace in the context that it gives the request, so the
// transport gets the request's own context.
type sender struct {
	to       http.RoundTripper
	upgrades http.RoundTripper // for WebSockets
	pool     *balance.Pool
	attempts int
}

// newSender returns a sender without its servers.
func newSender(c config.Upstream, dataDir string) (*sender, error) {
	to, err := transport(c, dataDir)
	if err != nil {
		return nil, err
	}

	s := &sender{to: to, upgrades: to, attempts: c.Attempts}
	if c.Protocol == "h2c" {
		// Connections of HTTP/2 have no Upgrade (RFC 9113, section 8.6).
		c.Protocol = "http1"
		s.upgrades, err = transport(c, dataDir)
	}

	return s, err
}

// RoundTrip implements http.RoundTripper.
func (s *sender) RoundTrip(r *http.Request) (*http.Response, error) {
	in := forwardedOf(r.Context())
	if in == nil {
		return nil, errors.New("the request did not come by serve")
	}

	transport := s.to
	if r.Header.Get("Upgrade") != "" {
		transport = s.upgrades
	}

	if !s.pool.Many() {
		in.choose(s.pool.Pick(nil))
		return transport.RoundTrip(addressed(in, r, in.server.URL, in.path))
	}

	var tried []*balance.Server
	for {
		in.choose(s.pool.Pick(tried))
		tried = append(tried, in.server)

		p := &progress{}
		resp, err := transport.RoundTrip(addressed(p.trace(in), r, in.server.URL, in.path))
		if err == nil || in.Err() != nil {
			return resp, err
		}

		if p.step.Load() == opening {
			s.pool.Failed(in.server, err)
		}
		if !repeatable(r) || !p.noAnswer(err) || len(tried) == min(s.attempts, len(s.pool.Servers)) {
			return nil, err
		}
		in.done()
	}
}

// addressed returns a request with the address of a server. The path has the bytes that were judged: net/http would
// encode some characters again.
func addressed(ctx context.Context, r *http.Request, server *url.URL, path string) *http.Request {
	r = r.WithContext(ctx)
	r.URL = &url.URL{
		Scheme: server.Scheme,
		Host:   server.Host,
		// Opaque is sent as it is. It never begins with two slashes, which would make it a host: neither the path of
		// a request nor that of a configured URL may.
		Opaque:     strings.TrimSuffix(web.RawPath(server), "/") + path,
		RawQuery:   r.URL.RawQuery,
		ForceQuery: r.URL.ForceQuery,
	}

	return r
}

// repeatable reports whether a request may be sent again when it is not known if an upstream has acted on it (RFC
// 9110, section 9.2.2). A body may have been read already.
func repeatable(r *http.Request) bool {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodPut, http.MethodDelete:
		return r.Body == nil || r.Body == http.NoBody
	}

	return false
}

// The steps of a request to a server.
const (
	opening  = iota + 1 // the connection
	sent                // over a connection
	answered            // the first byte of the response is here
)

// progress is how far a request to a server has come.
type progress struct{ step atomic.Int32 }

// trace returns a context with which a transport notes the progress.
func (p *progress) trace(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GetConn:              func(string) { p.step.Store(opening) },
		GotConn:              func(httptrace.GotConnInfo) { p.step.Store(sent) },
		GotFirstResponseByte: func() { p.step.Store(answered) },
	})
}

// noAnswer reports whether a request failed because no connection could be opened, or because the connection ended
// before there was an answer. A server that is slow is no such failure: a second one would only get the load, too.
func (p *progress) noAnswer(err error) bool {
	switch p.step.Load() {
	case opening:
		return true
	case sent:
		var timeout net.Error
		return !errors.As(err, &timeout) || !timeout.Timeout()
	}

	return false
}
