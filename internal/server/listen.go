package server

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jeton-auth/jeton/internal/oauth"
)

// controlListen names the control socket among the listeners.
const controlListen = "control"

// Limits of every listener.
const (
	headerPatience = 10 * time.Second
	idlePatience   = 2 * time.Minute
	latePatience   = time.Second // for a request on a connection that came while the server was stopping
	maxHeader      = 32 << 10
)

// listener is an address that the server answers on. What it answers can be exchanged
// while it is open.
type listener struct {
	listen string
	net    net.Listener
	http   *http.Server
	front  atomic.Pointer[front]
	tls    atomic.Pointer[tls.Config]

	closing atomic.Bool // it takes no connection any more
	mu      sync.Mutex
	late    map[net.Conn]struct{} // taken while the server was stopping, and not answered yet
}

func newListener(listen string, n net.Listener, p *planned, draining *atomic.Bool, log *slog.Logger) *listener {
	l := &listener{listen: listen, net: n, late: map[net.Conn]struct{}{}}
	l.front.Store(p.front)
	l.tls.Store(p.tls)

	l.http = &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			// A proxy that keeps connections opens its next one elsewhere. One that is closed
			// while nobody asks on it could be closed under a request.
			if draining.Load() && r.Header.Get("Upgrade") == "" {
				w.Header().Set("Connection", "close")
			}

			l.front.Load().ServeHTTP(w, r)
		}),
		ReadHeaderTimeout: headerPatience,
		IdleTimeout:       idlePatience,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          noise(log, listen),
		ConnState: func(c net.Conn, state http.ConnState) {
			if draining.Load() {
				l.note(c, state)
			}
		},
	}

	return l
}

// note keeps account of the connections that come while the server is stopping.
func (l *listener) note(c net.Conn, state http.ConnState) {
	l.mu.Lock()
	defer l.mu.Unlock()

	switch state {
	case http.StateNew:
		l.late[c] = struct{}{}
	case http.StateIdle, http.StateClosed, http.StateHijacked:
		delete(l.late, c)
	}
}

// settle lets whoever came last be answered: net/http drops a request that it reads after
// its Shutdown has begun. Who says nothing for long is not waited for.
func (l *listener) settle(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, latePatience)
	defer cancel()

	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()

	for {
		l.mu.Lock()
		left := len(l.late)
		l.mu.Unlock()

		if left == 0 {
			return
		}

		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// tlsConfig is TLS 1.2 and 1.3 with authenticated encryption only.
func tlsConfig() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		CipherSuites: []uint16{
			tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
			tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
			tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
		},
		NextProtos: []string{"h2", "http/1.1"},
	}
}

// bind opens the addresses that are not open yet, all of them or none.
func (s *Server) bind(wanted map[string]*planned) ([]*listener, error) {
	var opened []*listener
	for key, p := range wanted {
		old := s.listeners[key]
		if old != nil {
			if (old.tls.Load() == nil) != (p.tls == nil) {
				closeAll(opened)
				return nil, fmt.Errorf(
					"listen %s: TLS cannot be switched on or off while the server runs; restart it",
					p.listen,
				)
			}
			continue
		}

		n, err := net.Listen("tcp", p.listen)
		if err != nil {
			closeAll(opened)
			return nil, fmt.Errorf("listen on %s: %w", p.listen, err)
		}

		opened = append(opened, newListener(key, n, p, &s.draining, s.c.Log))
	}

	return opened, nil
}

func closeAll(opened []*listener) {
	for _, l := range opened {
		_ = l.net.Close()
	}
}

// serve answers on a listener until it is closed.
func (s *Server) serve(l *listener) {
	n := l.net
	if l.tls.Load() != nil {
		// The certificate is looked up at each handshake, so that a reload changes it.
		conf := tlsConfig()
		conf.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return l.tls.Load(), nil }
		n = tls.NewListener(n, conf)
	}

	go func() {
		if err := l.http.Serve(n); !errors.Is(err, http.ErrServerClosed) && !l.closing.Load() {
			select {
			case s.failed <- fmt.Errorf("listen %s: %w", l.listen, err):
			default:
			}
		}
	}()
}

// announce logs what is on and tells the caller where the server answers.
func (s *Server) announce(ctx context.Context) {
	s.mu.Lock()
	started := Started{DataDir: s.c.DataDir}
	d := s.conf.Database
	if d != nil {
		started.Database = d.Where()
		s.c.Log.Info("what is kept is in a database that nodes share", "database", started.Database)
		for _, weak := range d.Weaknesses() {
			s.c.Log.Warn("the way to the database is weaker than the default", "option", weak)
		}
	}

	takesPasswords := false
	for _, service := range s.conf.Services {
		takesPasswords = takesPasswords || len(service.Login.Paths) > 0
		l := s.listeners[listenKey(service.Listen, service.Name)]
		a := Address{Service: service.Name, Listen: l.net.Addr().String()}
		if !service.PlainHTTP {
			a.Cert = s.core.folder.file(service.TLS.Cert)
		}

		a.URL = address(service.PlainHTTP, service.Listen, service.Host, a.Listen)
		started.Services = append(started.Services, a)
		s.c.Log.Info("service answers", "service", service.Name, "url", a.URL, "certificate", a.Cert)

		for _, weak := range weaknesses(service) {
			s.c.Log.Warn("service is weaker than the default", "service", service.Name, "option", weak)
		}
	}

	if c := s.conf.Issuer; c != nil {
		l := s.listeners[listenKey(c.Listen, oauth.Name)]
		started.Issuer = Address{Service: oauth.Name, URL: c.URL, Listen: l.net.Addr().String()}
		if !c.PlainHTTP {
			started.Issuer.Cert = s.core.folder.file(c.TLS.Cert)
		}

		s.c.Log.Info("authorization server answers", "issuer", c.URL, "listen", started.Issuer.Listen)

		for _, weak := range oauth.Weaknesses(*c) {
			s.c.Log.Warn("the authorization server is weaker than the default", "option", weak)
		}
	}

	if l := s.listeners[listenKey(s.conf.Admin.Listen, adminName)]; l != nil {
		started.Admin = l.net.Addr().String()
		s.c.Log.Info("admin listener answers", "address", started.Admin)
	}

	s.mu.Unlock()
	users, err := s.core.accounts.Count(ctx)
	started.NoUsers = err == nil && users == 0 && takesPasswords

	if s.c.Started != nil {
		s.c.Started(started)
	}
}

// address prints where a service answers, with the name that the configuration gives.
func address(plain bool, listen, host, bound string) string {
	scheme := "https://"
	if plain {
		scheme = "http://"
	}

	name, port, _ := net.SplitHostPort(listen)
	_, boundPort, err := net.SplitHostPort(bound)
	if err == nil {
		port = boundPort
	}

	if host != "" {
		name = host
	}
	if addr, err := netip.ParseAddr(name); name == "" || err == nil && addr.IsUnspecified() {
		name = "localhost"
	}

	return scheme + net.JoinHostPort(name, port)
}

func peer(r *http.Request) netip.Addr {
	a, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return a.Addr().Unmap()
}

// noise takes what net/http says of broken connections: strangers can cause any amount
// of it, so it is there for who looks for it.
func noise(to *slog.Logger, listen string) *log.Logger {
	return log.New(noiseWriter{to, listen}, "", 0)
}

type noiseWriter struct {
	log    *slog.Logger
	listen string
}

func (n noiseWriter) Write(b []byte) (int, error) {
	n.log.Debug("connection", "listen", n.listen, "said", strings.TrimSpace(string(bytes.ToValidUTF8(b, []byte("?")))))
	return len(b), nil
}
