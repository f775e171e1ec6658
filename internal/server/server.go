// Package server puts the doors on listeners and everything behind them together.
//
// It promises one route table with the gate in front of every row; that a data folder is
// held by one process; that a reload takes over whole or not at all; and that a stop
// lets requests in flight end, and loses nothing. What is asked and answered is with
// the doors; what is judged, with internal/gate.
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
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jeton-auth/jeton/internal/api"
	"github.com/jeton-auth/jeton/internal/config"
	"github.com/jeton-auth/jeton/internal/gateway"
	"github.com/jeton-auth/jeton/internal/oauth"
	"github.com/jeton-auth/jeton/internal/password"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/teaching"
	"github.com/jeton-auth/jeton/internal/web"
)

// Config is what New needs.
type Config struct {
	File          *config.Config
	Load          func() (*config.Config, error) // reads the configuration anew, for Reload
	DataDir       string
	Log           *slog.Logger
	Now           func() time.Time
	HasherCommand []string // a process that hashes passwords; nil: this one does
	// HashParams is the cost of a new password hash; zero: password.Default. No
	// configuration key sets it: it is there for tests that log in many users.
	HashParams password.Params
	Version    string
	// Started is called once, when every listener answers.
	Started func(Started)
}

// Started tells where a server answers.
type Started struct {
	Services []Address
	Issuer   Address // the authorization server; zero when there is none
	Admin    string  // address of the admin listener, or ""
	DataDir  string
	Database string // that nodes share, without secrets; "": SQLite in DataDir
	NoUsers  bool   // nobody can log in yet
}

// Address is where a service answers.
type Address struct {
	Service string
	URL     string
	Listen  string // the address that was bound
	Cert    string // file of the certificate, or "" without TLS
}

// Server is a server that has been checked and not started.
type Server struct {
	c       Config
	core    *core
	metrics *metrics
	start   time.Time

	mu        sync.Mutex // held while a configuration takes over
	conf      *config.Config
	listeners map[string]*listener
	closed    sync.WaitGroup
	failed    chan error
	up        atomic.Bool // it has started and may take over another configuration
	draining  atomic.Bool
}

// New checks the configuration. Run starts what it says.
func New(c Config) (*Server, error) {
	c = c.withDefaults()
	if c.File == nil {
		return nil, errors.New("server: no configuration")
	}
	if _, err := declared(c.File); err != nil {
		return nil, err
	}

	return &Server{
		c:         c,
		conf:      c.File,
		listeners: map[string]*listener{},
		failed:    make(chan error, 1),
	}, nil
}

// Run serves until ctx ends, then lets what is in flight end and returns. An error
// says why it could not start or had to stop.
func (s *Server) Run(ctx context.Context) (err error) {
	s.start = s.c.Now()
	s.core, err = openCore(ctx, s.c, s.conf)
	if err != nil {
		return err
	}
	defer s.core.close()

	s.metrics = newMetrics(s.c.Version, s.core)
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.core.run(background, s.c.Log)
	}()

	defer func() {
		stop()
		<-ended
	}()

	if err := s.open(ctx); err != nil {
		s.closeListeners(ctx)
		return err
	}

	select {
	case <-ctx.Done():
	case err = <-s.failed:
	}

	s.drain(context.WithoutCancel(ctx))

	return err
}

// open makes every listener answer.
func (s *Server) open(ctx context.Context) error {
	if err := s.openControl(); err != nil {
		return err
	}
	if err := s.takeOver(ctx, s.conf); err != nil {
		return err
	}

	s.announce(ctx)
	s.up.Store(true)

	return nil
}

// drain stops in the order that loses nothing: readiness says no, listeners close,
// requests in flight end.
func (s *Server) drain(ctx context.Context) {
	s.draining.Store(true)
	s.c.Log.Info("stopping")
	s.mu.Lock()
	delay := s.conf.Shutdown.Delay.Std()
	s.mu.Unlock()

	time.Sleep(delay)
	s.closeListeners(ctx)
	s.c.Log.Info("stopped")
}

func (s *Server) closeListeners(ctx context.Context) {
	s.mu.Lock()

	for _, l := range s.listeners {
		s.close(ctx, l)
	}

	s.mu.Unlock() // a request in flight may want it to end
	s.closed.Wait()
}

// close lets the requests of a listener end, for as long as the configuration says.
// The caller holds mu.
func (s *Server) close(ctx context.Context, l *listener) {
	patience := s.conf.Shutdown.Timeout.Std()
	s.closed.Go(func() {
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()

		l.closing.Store(true)
		_ = l.net.Close()
		l.settle(ctx)

		if err := l.http.Shutdown(ctx); err != nil {
			s.c.Log.Warn("requests were cut off", "listen", l.listen, "error", err)
			_ = l.http.Close()
		}
	})
}

// Reload reads the configuration anew and takes it over whole; on an error the one that
// is running stays.
func (s *Server) Reload(ctx context.Context) error {
	if s.c.Load == nil {
		return errors.New("there is no configuration file to read again")
	}
	if !s.up.Load() {
		return errors.New("the server has not started yet")
	}

	conf, err := s.c.Load()
	if err != nil {
		return err
	}
	if err := s.takeOver(ctx, conf); err != nil {
		return err
	}

	s.c.Log.Info("configuration reloaded", "path", conf.Path)

	return nil
}

// takeOver makes conf what the server does: people, services, routes, listeners and
// certificates. Everything that can fail is done before anything changes.
func (s *Server) takeOver(ctx context.Context, conf *config.Config) error {
	s.mu.Lock()
	defer s.mu.Unlock()

	if s.draining.Load() {
		return errDraining
	}

	people, err := declared(conf)
	if err != nil {
		return err
	}

	clients, err := s.core.software(conf)
	if err != nil {
		return err
	}

	wanted, err := s.plan(ctx, conf)
	if err != nil {
		return err
	}
	if err := s.core.keys.Configure(ctx, needs(conf)); err != nil {
		return err
	}

	opened, err := s.bind(wanted)
	if err != nil {
		return err
	}

	err = s.core.accounts.Declare(ctx, people)
	if err == nil {
		err = s.takeIssuer(ctx, conf, clients)
	}
	if err == nil {
		err = s.endOfProcess(ctx, conf)
	}

	if err != nil {
		closeAll(opened)
		return err
	}

	for listen, l := range s.listeners {
		next, stays := wanted[listen]
		if stays {
			l.front.Store(next.front)
			l.tls.Store(next.tls)
		} else if listen != controlListen {
			delete(s.listeners, listen)
			s.close(context.WithoutCancel(ctx), l)
		}
	}

	for _, l := range opened {
		s.listeners[l.listen] = l
		s.serve(l)
	}

	if s.up.Load() {
		s.noteChanges(conf)
	}

	s.conf = conf

	return nil
}

// noteChanges tells the operator what a reload does not change, and what it has weakened.
func (s *Server) noteChanges(conf *config.Config) {
	for key, same := range map[string]bool{
		"hashing":          s.conf.Hashing == conf.Hashing,
		"throttle":         s.conf.Throttle == conf.Throttle,
		"audit":            s.conf.Audit == conf.Audit,
		"cache":            s.conf.Cache == conf.Cache,
		"log":              s.conf.Log == conf.Log,
		"data_dir":         s.conf.DataDir == conf.DataDir,
		"database":         s.conf.Database.Same(conf.Database),
		"keys_secret_file": s.conf.KeysSecretFile == conf.KeysSecretFile,
	} {
		if !same {
			s.c.Log.Warn("this part of the configuration changes with a restart only", "key", key)
		}
	}

	for _, service := range conf.Services {
		for _, weak := range weaknesses(service) {
			s.c.Log.Warn("service is weaker than the default", "service", service.Name, "option", weak)
		}
	}

	if conf.Issuer != nil {
		for _, weak := range oauth.Weaknesses(*conf.Issuer) {
			s.c.Log.Warn("the authorization server is weaker than the default", "option", weak)
		}
	}
}

// planned is what a listener is to be.
type planned struct {
	listen string // address
	front  *front
	tls    *tls.Config // nil without TLS
}

// adminName names the admin listener's door.
const adminName = "admin"

// listenKey names a listener. An address is one listener, which services may share; port
// 0 is another port for everybody.
func listenKey(listen, door string) string {
	_, port, err := net.SplitHostPort(listen)
	if err == nil && port == "0" {
		return listen + " " + door
	}
	return listen
}

// plan builds the doors of a configuration, by listen address.
func (s *Server) plan(ctx context.Context, conf *config.Config) (map[string]*planned, error) {
	wanted := map[string]*planned{}
	proxies := web.Proxies{}
	for _, p := range conf.TrustedProxies {
		proxies = append(proxies, p.Prefix)
	}

	at := func(listen, name string) *planned {
		key := listenKey(listen, name)
		if wanted[key] == nil {
			wanted[key] = &planned{listen: listen, front: &front{proxies: proxies, now: s.c.Now, log: s.c.Log}}
		}
		return wanted[key]
	}

	for _, service := range conf.Services {
		d, err := s.serviceDoor(ctx, conf, service)
		if err != nil {
			return nil, err
		}

		p := at(service.Listen, service.Name)
		p.front.add(service.Host, d)

		if err := s.secure(
			p,
			service.Name,
			service.PlainHTTP,
			service.TLS,
			certHosts(service.Host, service.Listen),
		); err != nil {
			return nil, err
		}
	}

	if c := conf.Issuer; c != nil {
		d, err := s.issuerDoor(conf)
		if err != nil {
			return nil, err
		}

		p := at(c.Listen, oauth.Name)
		p.front.add(c.Host, d)

		if err := s.secure(p, oauth.Name, c.PlainHTTP, c.TLS, certHosts(c.Host, c.Listen)); err != nil {
			return nil, err
		}
	}

	if conf.Admin.Listen != "off" {
		d, err := s.adminDoor()
		if err != nil {
			return nil, err
		}
		wanted[listenKey(conf.Admin.Listen, adminName)] = &planned{
			listen: conf.Admin.Listen,
			front: &front{
				only:  &site{service: d},
				now:   s.c.Now,
				log:   s.c.Log,
				hosts: []string{"localhost", "127.0.0.1", "::1"},
			},
		}
	}

	return wanted, nil
}

// serviceDoor builds the door of one service.
func (s *Server) serviceDoor(ctx context.Context, conf *config.Config, service config.Service) (*door, error) {
	issuer := ""
	if conf.Issuer != nil {
		issuer = conf.Issuer.URL
	}

	t, err := teaching.New(teaching.Config{
		Service:  service,
		Sessions: s.core.sessions,
		Tokens:   s.core.tokens,
		Accounts: s.core.accounts,
		Logins:   s.core.logins,
		Issuer:   issuer,
	})
	if err != nil {
		return nil, err
	}

	g, err := gateway.New(ctx, t.Configure(gateway.Config{
		Service:  service,
		DataDir:  s.c.DataDir,
		Gate:     s.core.gate,
		Sessions: s.core.sessions,
		Counts:   s.core.counts,
		Tokens:   s.core.tokens,
		Logins:   s.core.logins,
		Issuer:   issuer,
		Log:      s.c.Log,
	}))
	if err != nil {
		return nil, err
	}

	rows, err := s.usersAPIRoutes(conf, service, g)
	if err != nil {
		return nil, err
	}

	return newDoor(door{
		name:    service.Name,
		service: g.Service(),
		gate:    s.core.gate,
		log:     s.c.Log,
		metrics: s.metrics,
	}, append(t.Wrap(g.Routes()), rows...))
}

// secure gives a listener the certificate of one of its doors.
func (s *Server) secure(p *planned, name string, plain bool, files config.TLS, hosts []string) error {
	if plain {
		return nil
	}

	file := s.core.folder.file(files.Cert)
	pair, made, err := certificate(file, s.core.folder.file(files.Key), hosts, s.c.Now())
	if err != nil {
		return fmt.Errorf("service %s: %w", name, err)
	}

	if made {
		s.c.Log.Info("made a self-signed certificate", "service", name, "file", file)
	}

	left := pair.Leaf.NotAfter.Sub(s.c.Now())
	if left < 30*24*time.Hour {
		s.c.Log.Warn("the certificate ends soon", "service", name, "file", file, "ends", pair.Leaf.NotAfter)
	}
	if p.tls == nil {
		p.tls = tlsConfig()
	}

	p.tls.Certificates = append(p.tls.Certificates, pair)

	return nil
}

// certHosts are the names of a certificate of our own making.
func certHosts(host, listen string) []string {
	hosts := []string{"localhost", "127.0.0.1", "::1"}
	bound, _, _ := net.SplitHostPort(listen)
	for _, h := range []string{host, bound} {
		if addr, err := netip.ParseAddr(h); err == nil && addr.IsUnspecified() {
			continue
		}
		if h != "" && !slices.Contains(hosts, h) {
			hosts = append([]string{h}, hosts...)
		}
	}

	return hosts
}

// adminDoor answers operators' tools.
func (s *Server) adminDoor() (*door, error) {
	metrics := s.metrics.handler()
	return newDoor(door{
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

func ok(w *web.Reply, _ *http.Request) error {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write([]byte("ok\n"))
	return nil
}

// ready answers GET /readyz: whether requests should be sent here.
func (s *Server) ready(w *web.Reply, r *http.Request) error {
	if s.draining.Load() {
		return errDraining
	}

	ctx, cancel := context.WithTimeout(r.Context(), time.Second)
	defer cancel()

	if err := s.core.db.Ping(ctx); err != nil {
		return err
	}

	return ok(w, r)
}

var errDraining = errors.New("the server is stopping")

func notReady(w *web.Reply, _ *http.Request, err error) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Retry-After", "1")
	w.WriteHeader(http.StatusServiceUnavailable)
	text := "not ready: the store does not answer\n"
	if errors.Is(err, errDraining) {
		text = "not ready: the server is stopping\n"
	}

	_, _ = w.Write([]byte(text))
}

// current returns the configuration of now.
func (s *Server) current() *config.Config {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.conf
}

// openControl opens the operators' socket.
func (s *Server) openControl() error {
	status := func() api.Status {
		s.mu.Lock()
		defer s.mu.Unlock()

		st := api.Status{Version: s.c.Version, PID: os.Getpid(), Started: s.start}
		for _, service := range s.conf.Services {
			st.Services = append(st.Services, service.Name)
		}

		return st
	}

	routes, err := s.core.controlRoutes(s.c, status, s.current)
	if err != nil {
		return err
	}

	d, err := newDoor(door{
		name:     "control",
		gate:     s.core.gate,
		operator: true,
		log:      s.c.Log,
		metrics:  s.metrics,
	}, routes)
	if err != nil {
		return err
	}

	l, err := listenControl(s.c.DataDir)
	if err != nil {
		return err
	}

	control := newListener(controlListen, l, &planned{
		listen: controlListen,
		front:  &front{only: &site{service: d}, now: s.c.Now, log: s.c.Log},
	}, &s.draining, s.c.Log)
	s.listeners[controlListen] = control
	s.serve(control)

	return nil
}

// Table returns the rows of every door of a configuration, in its order.
func Table(ctx context.Context, conf *config.Config) ([]Row, error) {
	dir, err := os.MkdirTemp("", "jeton-routes-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)

	// What the doors are does not hang on what is stored.
	alone := *conf
	alone.Database, alone.KeysSecretFile = nil, ""
	conf = &alone
	s, err := New(Config{File: conf, DataDir: dir})
	if err != nil {
		return nil, err
	}

	s.core, err = openCore(ctx, s.c, conf)
	if err != nil {
		return nil, err
	}
	defer s.core.close()

	s.metrics = newMetrics(s.c.Version, s.core)
	var table []Row

	add := func(listen, name string, rows []web.Route) {
		for _, r := range rows {
			table = append(table, Row{listen, name, r.Pattern, r.Access.String()})
		}
	}

	for _, service := range conf.Services {
		d, err := s.serviceDoor(ctx, conf, service)
		if err != nil {
			return nil, err
		}
		add(strings.TrimSpace(service.Listen+" "+service.Host), service.Name, d.rows)
	}

	if c := conf.Issuer; c != nil {
		d, err := s.issuerDoor(conf)
		if err != nil {
			return nil, err
		}
		add(strings.TrimSpace(c.Listen+" "+c.Host), d.name, d.rows)
	}

	d, err := s.adminDoor()
	if err != nil {
		return nil, err
	}

	add(conf.Admin.Listen, d.name, d.rows)
	control, err := s.core.controlRoutes(s.c, nil, s.current)
	if err != nil {
		return nil, err
	}

	add(controlListen, "control", control)

	return table, nil
}
