// Package server opens listeners and wires everything behind them together.
//
// Every route has the gate in front of it. One process holds a data directory. A reload
// applies a configuration completely or not at all. A stop lets requests in flight finish
// and loses nothing. Endpoints (packages api, gateway and oauth) read requests and write
// responses; package gate decides.
//
// # Files
//
//	core.go, store.go, datadir.go    what is open: the data directory, the store, all that uses it
//	failedstart.go                   a first start that fails leaves no data directory
//	patience.go                      a start while the database is slow
//	plan.go, issuer.go, users_api.go from a configuration to routes, by listener
//	pages.go, issuer_api.go          the pages of the authorization server, and their API
//	api_caller.go                    how pages call the API, in this process
//	approval.go, managers.go         requests for tokens, and who manages others
//	upstream.go, workload.go         other issuers: of users, and of software
//	exchange.go                      the rules of token exchange
//	routes.go, find_route.go         the printed route table, and the route of a request
//	shown_services.go, overview.go   what administrators see of services and the server
//	signin.go                        the addresses that browsers use for the services
//	listen.go, front.go              from a connection to a handler
//	connections.go, frontrefusal.go  the limit on connections, and refusals of a listener
//	tracing.go, servers_metric.go    spans of requests, and the state of upstreams
//	mux.go                           from a path to its route and access rule
//	forward.go                       the listener that decides for other proxies
//	admin.go, metrics.go             health; metrics: every route by outcome, logins included
//	mail.go                          from a configuration to how mail is sent
//	redirect.go                      the listener that sends browsers to https
//	requestlog.go, requestfile.go    the lines of requests
//	control.go                       the control socket, and the API without a server
//	work.go                          what runs for a configuration, until the next one
//	reload.go                        SIGHUP: all of a new configuration, or nothing
//	certificate.go, selfsigned.go    certificates from files, and the one that the server makes
//	certificates.go                  which certificate is served, and for how long
//	ordered.go                       certificates from a certificate authority
//	backup.go, copy.go, migrate.go   commands on a database without a server
//	undo.go, undo_postgres.go        going back to the version before an upgrade
//	preflight.go                     what an upgrade of the schema would do
//	examine*.go, inventory.go        what doctor and preflight look at
//	adopt.go, differences.go         the configuration file and the database, compared
//	running.go                       which servers are running on this machine
//	factors.go                       factors of users, and failed attempts on accounts
//	forwarded.go, logthrottle.go     warnings that must not fill the log
package server

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jeton-auth/jeton/internal/acme"
	"github.com/jeton-auth/jeton/internal/config"
	"github.com/jeton-auth/jeton/internal/jose"
	"github.com/jeton-auth/jeton/internal/password"
	"github.com/jeton-auth/jeton/internal/secret"
	"github.com/jeton-auth/jeton/internal/systemd"
	"github.com/jeton-auth/jeton/internal/web"
)

// Config is what New needs.
type Config struct {
	File    *config.Config
	Load    func() (*config.Config, error) // reads the configuration again, for Reload
	DataDir string
	// Create lets a command make the database in DataDir; a server always may.
	Create        bool
	Log           *slog.Logger
	LogLost       func() int64 // log lines that could not be written, since the start; nil: not counted
	Now           func() time.Time
	HasherCommand []string // command of the hasher process; nil: hash in this process
	// HashParams is the cost of a new password hash; zero: password.Default. No
	// configuration key sets it: it is there for tests that log in many users.
	HashParams password.Params
	// GenerateKey makes the signing keys; nil: jose.Generate. No configuration key sets it: it is there for
	// tests of many servers, as an RSA key takes long.
	GenerateKey func(jose.Alg) (*jose.Signer, error)
	// CommitPatience is how long a request waits for a commit on SQLite; 0: two seconds. No configuration
	// key sets it: it is there for tests on busy machines.
	CommitPatience time.Duration
	Version        string
	// Sockets are listening sockets that this process was started with; nil: none.
	Sockets *systemd.Sockets
	// Started is called once, when every listener answers.
	Started func(Started)
	upgrade bool // bring the schema of an older database up to date
}

// Started is where a server listens.
type Started struct {
	Services []Address
	Issuer   Address // the authorization server; zero when there is none
	Pages    bool    // it has pages for browsers
	Forward  string  // address of the listener that decides for other proxies, or ""
	Admin    string  // URL of the admin listener, or ""
	DataDir  string
	Database string // shared by nodes, without secrets; "": SQLite in DataDir
	NoUsers  bool   // there are no users yet
	Setup    string // URL of the page that adds the first one, valid for an hour and once; "": none
}

// Address is where a service listens.
type Address struct {
	Service string
	URL     string
	Listen  string // the bound address
	Cert    string // file of the certificate, or "" without TLS
}

// Server is a server that has been checked and not started.
type Server struct {
	c       Config
	core    *core
	metrics *metrics

	connections *connections
	start       time.Time

	mu        sync.Mutex // held while a configuration is applied
	conf      *config.Config
	listeners map[string]*listener
	closed    sync.WaitGroup
	failed    chan error
	up        atomic.Bool // it has started and may reload
	draining  atomic.Bool
	untrusted untrustedPeers
	origins   publicOrigins
	addresses secureAddresses
	refusals  *logLimit // of all listeners

	acme         *acme.Client
	certificates certificates
	// These are guarded by mu.
	selfSigned selfSigned
	ordered    *acme.Certificates // of the configuration that was planned last; nil: it has none
	builtPages builtPages
	work       planWork

	requestFile  requestFile
	instance     string // in spans; another at each start
	spansDropped atomic.Int64
}

// New checks the configuration and starts nothing.
func New(c Config) (*Server, error) {
	c = c.withDefaults()
	if c.File == nil {
		return nil, errors.New("server: no configuration")
	}

	// A mistake in the file is reported before anything is opened.
	if _, err := declared(c.File); err != nil {
		return nil, err
	}

	return &Server{
		c:           c,
		refusals:    frontRefusals(),
		conf:        c.File,
		connections: newConnections(c.Log),
		listeners:   map[string]*listener{},
		failed:      make(chan error, 1),
		acme:        acme.New(c.Log),
		instance:    web.NewID(),
	}, nil
}

// Run serves until ctx ends, then lets requests in flight finish and returns. Its error is why
// it could not start or had to stop.
func (s *Server) Run(ctx context.Context) (err error) {
	s.start = s.c.Now()
	dir, err := s.holdDataDir()
	if err != nil {
		return err
	}

	c := s.c
	c.upgrade = true // only here and in Migrate: other commands leave the schema as it is
	s.core, err = openCore(ctx, c, s.conf, dir)
	if err != nil {
		return err
	}
	defer s.core.close()

	s.metrics = newMetrics(s.c.Version, s.core)
	s.connections.register(s.metrics.registry)
	s.metrics.registry.MustRegister(&s.certificates, upstreams{s.servedUpstreams})
	s.metrics.countFailedOrders(s.acme.Failed)
	s.metrics.countLost(s.c.LogLost, s.requestFile.lostLines)
	s.metrics.countSpans(s.spansDropped.Load)

	// It outlives ctx: the last requests need it while the listeners close.
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	s.work.begin(background)
	ended := make(chan struct{})
	go func() {
		defer close(ended)

		var wg sync.WaitGroup
		wg.Go(func() { s.watchCertificates(background) })
		s.core.run(background, s.c.Log)
		wg.Wait()
	}()

	// Before the store is closed, to which the work writes when it ends.
	defer func() {
		stop()
		<-ended
		s.mu.Lock()
		s.work.stop()
		s.mu.Unlock()
		s.acme.Close()
		s.requestFile.exchange(nil)
	}()

	if err := s.open(ctx); err != nil {
		s.closeListeners(ctx)
		return err
	}

	select {
	case <-ctx.Done():
	// A listener failed: the others stop as if ctx had ended.
	case err = <-s.failed:
	}

	s.drain(context.WithoutCancel(ctx))

	return err
}

// open opens every listener.
func (s *Server) open(ctx context.Context) error {
	if err := s.openControl(); err != nil {
		return err
	}
	err := patiently(ctx, s.c.Log, func() error { return s.apply(ctx, s.conf) })
	if err != nil {
		return err
	}

	// From now on, the listeners answer.
	s.core.dir.keep()

	// Only at the start. After a reload, a socket of an address that is gone keeps its clients waiting until a restart.
	if err := s.c.Sockets.Unused(); err != nil {
		return err
	}

	s.core.dir.note()
	// Before the announcement: a client that reads it may reload.
	s.up.Store(true)
	s.announce(ctx)

	return nil
}

// Up reports whether the server has started: it may reload then.
func (s *Server) Up() bool { return s.up.Load() }

// Alive returns when the server has looked up a session, as decisions do. There is none: an unknown secret and a
// database that is away both end it. A watchdog calls it to notice a server that hangs. It waits for no reload, which
// may wait for the database.
func (s *Server) Alive(ctx context.Context) {
	unknown, err := secret.NewSession(rand.Reader)
	if err == nil {
		_, _ = s.core.sessions.Find(ctx, unknown.Reveal(), "", s.c.Now())
	}
}

// drain stops in the order that loses no request: readiness fails, listeners close, requests in
// flight finish.
func (s *Server) drain(ctx context.Context) {
	s.draining.Store(true)
	s.c.Log.Info("stopping")

	// Meanwhile load balancers find /readyz failing, and send requests elsewhere.
	time.Sleep(s.current().Shutdown.Delay.Std())
	s.closeListeners(ctx)
	s.c.Log.Info("stopped")
}

// closeListeners closes all listeners and waits for their requests, each for at most
// shutdown.timeout.
func (s *Server) closeListeners(ctx context.Context) {
	s.mu.Lock()
	for _, l := range s.listeners {
		s.close(ctx, l)
	}
	s.mu.Unlock() // a request in flight may need the lock

	s.closed.Wait()
}

// close closes a listener and lets its requests finish, for at most shutdown.timeout. The
// caller holds mu.
func (s *Server) close(ctx context.Context, l *listener) {
	// Read here, since the goroutine below does not hold mu.
	patience := s.conf.Shutdown.Timeout.Std()
	s.closed.Go(func() {
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()

		// First, so that serve does not take the end of the listener for a failure.
		l.closing.Store(true)
		_ = l.net.Close()
		l.settle(ctx)

		err := l.http.Shutdown(ctx)
		if l.plain != nil {
			err = errors.Join(err, l.plain.Shutdown(ctx))
		}
		if err != nil {
			s.c.Log.Warn("requests were aborted at the end of shutdown.timeout", "listen", l.listen, "error", err)
			_ = l.http.Close()
		}
	})
}

// current returns the current configuration.
func (s *Server) current() *config.Config {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.conf
}
