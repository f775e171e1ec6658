package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/jeton-auth/jeton/internal/config"
	"github.com/jeton-auth/jeton/internal/forward"
	"github.com/jeton-auth/jeton/internal/http1"
	"github.com/jeton-auth/jeton/internal/oauth"
	"github.com/jeton-auth/jeton/internal/web"
)

// controlListen names the control socket among the listeners.
const controlListen = "control"

// The limits of every listener. A client that sends its headers slowly holds one connection, and
// not for longer than headerPatience. A whole request
// has no limit here, since an upload or a stream of events may take hours; package web limits the
// bodies that the server reads itself.
const (
	headerPatience = 10 * time.Second
	idlePatience   = 2 * time.Minute
	// answerPatience bounds the answers of net/http itself on streams of HTTP/2, such as 431. Package web bounds the
	// others.
	answerPatience = 30 * time.Second
	latePatience   = time.Second // for a request on a connection opened while the server was stopping
	maxHeader      = 32 << 10
)

// listener is an open address. Its routes and certificates can be exchanged while it is open.
type listener struct {
	listen string
	net    net.Listener
	http   *http.Server
	plain  *http1.Listener // answers plain requests; nil, with TLS: net/http answers all
	front  atomic.Pointer[front]
	tls    atomic.Pointer[tls.Config]

	closing atomic.Bool // it accepts no more connections
	mu      sync.Mutex
	late    map[net.Conn]struct{} // opened while the server was stopping, and not answered yet
}

// newListener returns a listener for an address that is open already. Handler and
// certificates come from front and tls, so that a reload exchanges them under open
// connections.
func newListener(listen string, n net.Listener, p *planned, draining *atomic.Bool, log *slog.Logger) *listener {
	l := &listener{listen: listen, net: n, late: map[net.Conn]struct{}{}}
	l.front.Store(p.front)
	l.tls.Store(p.tls)

	l.http = &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			// Make proxies open their next connection elsewhere. Closing an idle
			// connection instead could hit a request that is just arriving.
			drains := draining.Load() && r.Header.Get("Upgrade") == ""
			// net/http ignores Transfer-Encoding in HTTP/1.0. What it reads after such a request could be the
			// body of it for the client, or for a proxy, and must be no request (RFC 9112, section 6.1).
			old := !r.ProtoAtLeast(1, 1)
			if drains || old {
				w.Header().Set("Connection", "close")
			}

			l.front.Load().ServeHTTP(w, r)
		}),
		ReadHeaderTimeout: headerPatience,
		WriteTimeout:      answerPatience,
		IdleTimeout:       idlePatience,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          web.ErrorLog(log.With("listen", listen)),
		ConnState: func(c net.Conn, state http.ConnState) {
			if draining.Load() {
				l.note(c, state)
			}
		},
	}

	// Envoy asks over gRPC, which is HTTP/2 also without TLS.
	if p.front.forward != nil {
		l.http.Protocols = &http.Protocols{}
		l.http.Protocols.SetHTTP1(true)
		l.http.Protocols.SetUnencryptedHTTP2(true)
	}
	if p.tls == nil {
		l.plain = http1.Listen(n, l.plainConfig(p, draining))
	}

	return l
}

// plainConfig returns how the plain requests of a listener without TLS are answered.
func (l *listener) plainConfig(p *planned, draining *atomic.Bool) http1.Config {
	c := http1.Config{
		Handler:  l.http.Handler,
		Keep:     true,
		Draining: draining.Load,
		Head:     headerPatience,
		Idle:     idlePatience,
		Log:      l.http.ErrorLog,
	}

	// Nothing that answers a decision keeps its request, so it needs no memory of its own.
	if p.front.forward != nil {
		c.Answers, c.Keep = forward.Answers, false
	}

	return c
}

// note tracks connections that are opened while the server is stopping.
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

// settle waits, for a short time, until late connections are answered: net/http drops a request
// that it reads after Shutdown has begun.
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

// bind opens the listeners that are not open yet, all of them or none.
func (s *Server) bind(conf *config.Config, wanted map[string]*planned) ([]*listener, error) {
	var opened []*listener
	for key, p := range wanted {
		old := s.listeners[key]
		if old != nil {
			// The bound listener has a TLS layer or none, which an exchange of certificates
			// cannot change.
			if (old.tls.Load() == nil) != (p.tls == nil) {
				closeAll(opened)
				return nil, fmt.Errorf(
					"listen %s: TLS cannot be switched on or off while the server runs; restart it",
					p.listen,
				)
			}
			continue
		}

		n, err := s.listen(p.listen)
		if err != nil {
			closeAll(opened)
			return nil, listenFault(conf, p.listen, err)
		}

		counted := s.connections
		if key == listenKey(conf.Admin.Listen, adminName) {
			counted = newOperatorConnections(s.c.Log)
		}
		n = countingListener{n, counted}

		opened = append(opened, newListener(key, n, p, &s.draining, s.c.Log))
	}

	return opened, nil
}

// listen opens an address of the configuration, or takes the socket that the service manager has opened for it.
func (s *Server) listen(address string) (net.Listener, error) {
	path, ok := config.Socket(address)
	if !ok {
		passed, err := s.c.Sockets.Listen("tcp", address)
		if passed != nil || err != nil {
			return passed, err
		}

		return net.Listen("tcp", address)
	}

	if !filepath.IsAbs(path) {
		path = filepath.Join(s.c.DataDir, path)
	}
	passed, err := s.c.Sockets.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	if passed == nil {
		return listenSocket(path)
	}

	// Every peer of a socket is trusted, and systemd opens one for all users.
	info, err := os.Stat(path)
	if err == nil && info.Mode().Perm()&0o007 != 0 {
		err = fmt.Errorf("every user may connect to %s (mode %04o): set SocketMode=0660", path, info.Mode().Perm())
	}
	if err != nil {
		_ = passed.Close()
		return nil, err
	}

	return passed, nil
}

// listenFault returns the error of an address that cannot be listened on. If another process uses
// it, the error names the setting to change.
func listenFault(conf *config.Config, listen string, err error) error {
	if !errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("listen on %s: %w", listen, err)
	}

	var settings []string
	if conf.Admin.Listen == listen {
		settings = append(settings, "admin.listen (or set JETON_ADMIN_LISTEN)")
	}
	if conf.Redirect != nil && conf.Redirect.Listen == listen {
		settings = append(settings, "redirect.listen")
	}
	if conf.Forward != nil && conf.Forward.Listen == listen {
		settings = append(settings, "forward.listen")
	}
	if conf.Issuer != nil && conf.Issuer.Listen == listen {
		settings = append(settings, "issuer.listen")
	}
	for i, s := range conf.Services {
		if s.Listen == listen {
			settings = append(settings, fmt.Sprintf("services[%d].listen", i))
		}
	}

	change := strings.Join(settings, " and ")
	switch {
	case conf.Path != "":
	case conf.Admin.Listen == listen:
		change = "the ports with 'jeton serve --port', or this one with JETON_ADMIN_LISTEN"
	default:
		change = "the ports with 'jeton serve --port'"
	}

	return fmt.Errorf("listen on %s: %w; stop the process that uses it, or change %s", listen, err, change)
}

// closeAll closes listeners that bind has opened before one of them failed.
func closeAll(opened []*listener) {
	for _, l := range opened {
		_ = l.net.Close()
	}
}

// serve serves a listener until it is closed.
func (s *Server) serve(l *listener) {
	n := l.net
	if l.tls.Load() != nil {
		// The certificate is looked up at each handshake, so that a reload changes it.
		conf := tlsConfig()
		conf.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
			s.renewSelfSigned()
			return l.tls.Load(), nil
		}
		n = tls.NewListener(n, conf)
	}
	if l.plain != nil {
		n = l.plain
	}

	go func() {
		if err := l.http.Serve(n); !errors.Is(err, http.ErrServerClosed) && !l.closing.Load() {
			select {
			// The first failure stops the server; the channel has no place for others, which
			// need none.
			case s.failed <- fmt.Errorf("listen %s: %w", l.listen, err):
			default:
			}
		}
	}()
}

// announce logs where the server listens and calls Config.Started.
func (s *Server) announce(ctx context.Context) {
	s.mu.Lock()
	started := s.started()
	s.warnOfWeaknesses(s.conf)
	conf := s.conf
	s.mu.Unlock()

	pages := conf.Issuer != nil && conf.Issuer.Pages
	takesPasswords := pages || slices.ContainsFunc(conf.Services, func(service config.Service) bool {
		return len(service.Login.Paths) > 0
	})

	// Without the lock, since the store may take long. It is a hint only: an error is not
	// reported.
	users, err := s.core.accounts.Count(ctx, "")
	started.NoUsers = err == nil && users == 0 && takesPasswords
	if started.NoUsers {
		started.Setup = s.setupLink(ctx, conf)
	}

	if s.c.Started != nil {
		s.c.Started(started)
	}
}

// started returns where the server listens, and logs it. The caller holds mu.
func (s *Server) started() Started {
	started := Started{DataDir: s.c.DataDir}
	if s.conf.Database != nil {
		started.Database = s.conf.Database.Where()
		s.c.Log.Info("data is in a shared database", "database", started.Database)
	}

	for _, service := range s.conf.Services {
		if service.Forwarded() {
			continue // another proxy serves it
		}

		l := s.listeners[listenKey(service.Listen, service.Name)]
		a := Address{Service: service.Name, Listen: l.net.Addr().String()}
		// With port 0, only the listener knows the port.
		a.URL = address(service.PlainHTTP, service.Listen, service.Host, a.Listen)
		if !service.PlainHTTP && !service.TLS.ACME {
			a.Cert = s.core.dir.file(service.TLS.Cert)
		}

		started.Services = append(started.Services, a)
		s.c.Log.Info("service listens", "service", service.Name, "url", a.URL, "certificate", a.Cert)
	}

	issuer := s.conf.Issuer
	if issuer != nil {
		l := s.listeners[listenKey(issuer.Listen, oauth.Name)]
		started.Issuer = Address{Service: oauth.Name, URL: issuer.URL, Listen: l.net.Addr().String()}
		started.Pages = issuer.Pages
		if !issuer.PlainHTTP && !issuer.TLS.ACME {
			started.Issuer.Cert = s.core.dir.file(issuer.TLS.Cert)
		}
		s.c.Log.Info("authorization server listens", "issuer", issuer.URL, "listen", started.Issuer.Listen)
	}

	if s.conf.Forward != nil {
		l := s.listeners[listenKey(s.conf.Forward.Listen, forward.Name)]
		started.Forward = l.net.Addr().String()
		s.c.Log.Info("decisions for other proxies", "listen", started.Forward)
	}

	if s.conf.Redirect != nil {
		l := s.listeners[listenKey(s.conf.Redirect.Listen, redirectName)]
		s.c.Log.Info("redirects to https", "listen", l.net.Addr().String())
	}

	admin := s.listeners[listenKey(s.conf.Admin.Listen, adminName)]
	if admin != nil {
		started.Admin = "http://" + admin.net.Addr().String()
		if s.conf.Admin.TLS != nil {
			started.Admin = "https://" + admin.net.Addr().String()
		}
		s.c.Log.Info("admin listener listens", "address", started.Admin)
	}

	return started
}

// address returns the URL of a service, with its configured host.
func address(plain bool, listen, host, bound string) string {
	scheme := "https://"
	if plain {
		scheme = "http://"
	}

	name, port, _ := net.SplitHostPort(listen)
	_, boundPort, err := net.SplitHostPort(bound)
	if err == nil {
		// The configured port may be 0, and then the system has chosen one.
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

// peer returns the address of the other end of the connection, IPv4 in its plain form, or
// the zero address for one that is none.
func peer(r *http.Request) netip.Addr {
	a, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return a.Addr().Unmap()
}
