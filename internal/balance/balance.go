// Package balance chooses among the servers of one upstream.
//
// It promises that a request goes to a server that answers, as long as one is known to: the
// healthy one with the fewest requests in progress. If none is healthy, all are tried, since
// a wrong health check must not take a service down.
//
// What may be sent twice is for package gateway to decide; this package never sees a request
// of a client.
package balance

import (
	"log/slog"
	"net/url"
	"sync/atomic"
	"time"
)

// resting is how long a server gets no requests, if another one can, after no connection to it could be opened. A
// health check that succeeds ends it.
const resting = 10 * time.Second

// Server is one server of an upstream. Its methods are safe for concurrent use.
type Server struct {
	URL *url.URL

	active  atomic.Int64 // requests in progress
	rest    atomic.Int64 // Unix time in nanoseconds until which it gets no requests; 0: none
	failing atomic.Bool  // by the health checks
}

// Pool has the servers of one upstream. Its methods are safe for concurrent use.
type Pool struct {
	Config
	next atomic.Uint64 // where the next search begins
}

// Config is what New needs.
type Config struct {
	Servers []*Server
	Check   *Check // nil: no health checks
	Now     func() time.Time
	Log     *slog.Logger
}

// New returns a pool. It starts nothing.
func New(c Config) *Pool { return &Pool{Config: c} }

// Many reports whether there is more than one server.
func (p *Pool) Many() bool { return len(p.Servers) > 1 }

// Pick returns the server for a request, which begins there, or nil if each is in tried. The caller calls Done when
// the response is complete.
func (p *Pool) Pick(tried []*Server) *Server {
	if !p.Many() && len(tried) == 0 {
		p.Servers[0].active.Add(1)
		return p.Servers[0]
	}

	now := p.Now().UnixNano()
	best := p.least(tried, func(s *Server) bool { return s.healthy(now) })
	if best == nil {
		best = p.least(tried, func(*Server) bool { return true })
	}
	if best != nil {
		best.active.Add(1)
	}

	return best
}

// least returns the server with the fewest requests in progress that is not in tried, of those that fit.
func (p *Pool) least(tried []*Server, fits func(*Server) bool) (best *Server) {
	var fewest int64

	// Each search begins one further, so that idle servers take turns.
	first := p.next.Add(1)
	for i := range p.Servers {
		s := p.Servers[(first+uint64(i))%uint64(len(p.Servers))]
		active := s.active.Load()
		if (best == nil || active < fewest) && fits(s) && !contains(tried, s) {
			best = s
			fewest = active
		}
	}

	return best
}

func contains(list []*Server, s *Server) bool {
	for _, other := range list {
		if other == s {
			return true
		}
	}

	return false
}

// Healthy reports whether requests go to a server now.
func (p *Pool) Healthy(s *Server) bool { return s.healthy(p.Now().UnixNano()) }

// healthy reports whether requests should go to the server.
func (s *Server) healthy(now int64) bool { return !s.failing.Load() && s.rest.Load() <= now }

// Done ends a request that Pick began.
func (s *Server) Done() { s.active.Add(-1) }

// Failed notes that no connection to a server could be opened. A connection that fails later is no reason to rest:
// a client can cause that by what it sends.
func (p *Pool) Failed(s *Server, err error) {
	if !p.Many() {
		return
	}

	now := p.Now()
	rested := s.rest.Swap(now.Add(resting).UnixNano()) <= now.UnixNano()
	if rested {
		p.Log.Warn("no connection to an upstream could be opened; it gets no requests for 10 seconds",
			"upstream", s.URL.Host, "error", err.Error())
	}
}
