package server

import (
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/jeton-auth/jeton/internal/config"
	"github.com/jeton-auth/jeton/internal/web"

	"github.com/prometheus/client_golang/prometheus"
)

// connections counts the open connections of all service listeners and of the authorization server. It is safe for
// concurrent use.
type connections struct {
	limits  atomic.Pointer[connectionLimits]
	refused *prometheus.CounterVec
	log     *slog.Logger

	mu      sync.Mutex
	open    int
	sources map[netip.Prefix]int
	logged  time.Time // when a refusal was logged last
}

// connectionLimits are what a configuration sets.
type connectionLimits struct {
	config.Limits
	proxies web.Proxies
}

// The limits by which connections are refused, as the metric names them.
const (
	limitTotal  = "total"
	limitSource = "source"
)

func newConnections(log *slog.Logger) *connections {
	c := &connections{
		log:     log,
		sources: map[netip.Prefix]int{},
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "jeton_connections_refused_total",
			Help: "Connections closed at once, by the limit: total or source.",
		}, []string{"limit"}),
	}
	// From the start: a rate cannot see the first one otherwise.
	for _, limit := range []string{limitTotal, limitSource} {
		c.refused.WithLabelValues(limit)
	}
	c.limits.Store(&connectionLimits{})

	return c
}

// The limits of the admin listener and of the control socket, each by itself: an operator can use them while those of
// the services are reached, and a fault of a client there does not take all file descriptors.
const (
	maxOperatorConnections = 200
	maxOperatorPerSource   = 50
)

// newOperatorConnections counts the connections of one listener for operators.
func newOperatorConnections(log *slog.Logger) *connections {
	c := newConnections(log)
	c.limits.Store(&connectionLimits{Limits: config.Limits{
		MaxConnections: maxOperatorConnections,
		MaxPerSource:   maxOperatorPerSource,
	}})

	return c
}

// register adds the metrics of connections to a registry.
func (c *connections) register(r *prometheus.Registry) {
	r.MustRegister(c.refused, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "jeton_connections",
		Help: "Open connections of services and of the authorization server.",
	}, c.count))
}

// count returns the number of open connections.
func (c *connections) count() float64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return float64(c.open)
}

// sourceOf returns the network that a peer counts for: the address of IPv4, a /64 of IPv6.
func sourceOf(a netip.Addr) netip.Prefix {
	bits := 32
	if a.Is6() {
		bits = 64
	}
	p, _ := a.WithZone("").Prefix(bits)

	return p
}

// refusalLogged is how often a refused connection is logged at most.
const refusalLogged = time.Minute

// enter counts a connection, or returns false when a limit is reached. A trusted proxy has the connections of all its
// clients, so the limit of one source does not hold for it.
func (c *connections) enter(addr net.Addr) (leave func(), ok bool) {
	limits := c.limits.Load()

	var source netip.Prefix
	peer, err := netip.ParseAddrPort(addr.String())
	if err == nil && !limits.proxies.Trusts(peer.Addr()) {
		source = sourceOf(peer.Addr().Unmap())
	}

	c.mu.Lock()
	defer c.mu.Unlock()

	full := ""
	switch {
	case limits.MaxConnections > 0 && c.open >= limits.MaxConnections:
		full = limitTotal
	case source.IsValid() && limits.MaxPerSource > 0 && c.sources[source] >= limits.MaxPerSource:
		full = limitSource
	}

	if full != "" {
		c.refused.WithLabelValues(full).Inc()
		if time.Since(c.logged) >= refusalLogged {
			c.logged = time.Now()
			c.log.Warn("connection refused: too many are open", "limit", full, "source", addr.String())
		}
		return nil, false
	}

	c.open++
	if source.IsValid() {
		c.sources[source]++
	}

	return sync.OnceFunc(func() { c.leave(source) }), true
}

func (c *connections) leave(source netip.Prefix) {
	c.mu.Lock()
	defer c.mu.Unlock()

	c.open--
	if !source.IsValid() {
		return
	}

	c.sources[source]--
	if c.sources[source] == 0 {
		delete(c.sources, source)
	}
}

// countingListener accepts connections within the limits, and writes to clients that keep up.
type countingListener struct {
	net.Listener
	all *connections
}

// Accept implements net.Listener.
func (l countingListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}

		leave, ok := l.all.enter(conn.RemoteAddr())
		if ok {
			return &pacedConn{Conn: conn, all: l.all, leave: leave}, nil
		}

		_ = conn.Close()
	}
}

// pacedConn is a connection whose writes fail when the client reads more slowly than the lowest rate.
type pacedConn struct {
	net.Conn
	all   *connections
	leave func()

	mu        sync.Mutex
	allowance web.Allowance
	deadline  time.Time // of writes
}

// rearm is how much later than at its time a write may fail: to move the deadline for each of many short responses
// would cost a tenth of a request.
const rearm = time.Second

// Write implements net.Conn.
func (c *pacedConn) Write(b []byte) (int, error) {
	pace := c.all.limits.Load().Pace()
	if pace.Rate == 0 {
		return c.Conn.Write(b)
	}

	c.mu.Lock()
	defer c.mu.Unlock()

	// The deadline moves with every write, so a stream that is idle for long is not cut.
	start := time.Now()
	until := start.Add(c.allowance.For(pace, len(b)))
	if until.After(c.deadline) || c.deadline.Sub(until) > rearm {
		c.deadline = until.Add(rearm)
		_ = c.Conn.SetWriteDeadline(c.deadline)
	}

	n, err := c.Conn.Write(b)
	c.allowance.Took(pace, time.Since(start), n)

	return n, err
}

// SetWriteDeadline implements net.Conn. Write has deadlines of its own, which move: that of net/http would end a long
// download.
func (c *pacedConn) SetWriteDeadline(time.Time) error { return nil }

// SyscallConn lets package http1 look whether the client has gone.
func (c *pacedConn) SyscallConn() (syscall.RawConn, error) {
	socket, ok := c.Conn.(syscall.Conn)
	if !ok {
		return nil, errors.ErrUnsupported
	}
	return socket.SyscallConn()
}

// Close implements net.Conn.
func (c *pacedConn) Close() error {
	c.leave()
	return c.Conn.Close()
}

// CloseWrite lets net/http end a response before the client has sent its whole request.
func (c *pacedConn) CloseWrite() error {
	half, ok := c.Conn.(interface{ CloseWrite() error })
	if !ok {
		return nil
	}
	return half.CloseWrite()
}
