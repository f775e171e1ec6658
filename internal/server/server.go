// Package server puts the doors on listeners and everything behind them together.
//
// It promises one route table with the gate in front of every row; that a data folder is
// held by one process; that a reload takes over whole or not at all; and that a stop
// lets requests in flight end, and loses nothing. What is asked and answered is with
// the doors; what is judged, with internal/gate.
package server

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jeton-auth/jeton/internal/config"
	"github.com/jeton-auth/jeton/internal/password"
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

// current returns the configuration of now.
func (s *Server) current() *config.Config {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.conf
}
