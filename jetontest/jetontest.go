// Package jetontest starts a real Jeton server in one line, for tests of programs that talk to
// one.
//
// It is the server itself, in the process of the test: real TLS with a certificate of
// its own, real SQLite in a temporary folder, real HTTP on free ports. Only the clock can
// be replaced. It promises that a server has stopped, with all its goroutines, when its
// test ends. It checks nothing about the server; that is for the test.
package jetontest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/api"
	"github.com/jeton-auth/jeton/internal/config"
	"github.com/jeton-auth/jeton/internal/password"
	"github.com/jeton-auth/jeton/internal/server"
	"github.com/jeton-auth/jeton/internal/test/loglines"
	"github.com/jeton-auth/jeton/internal/test/testkey"
)

// patience is how long a server may take to start, to stop and to commit.
const patience = time.Minute

// cheapHash is the cost of a password hash, so that tests are fast.
var cheapHash = password.Params{MemoryKiB: 64, Passes: 1, Lanes: 1}

// Server is a running server. Its methods are for the goroutine of the test, except
// Ask, Send and Control, which are safe for concurrent use.
type Server struct {
	t       testing.TB
	file    string
	dir     string
	env     map[string]string
	now     func() time.Time
	level   slog.Leveler
	log     io.Writer
	lines   loglines.Checked
	hash    password.Params
	server  *server.Server
	started server.Started
	cancel  context.CancelFunc
	ended   chan struct{}
	err     error // of Run, once ended is closed
	plain   *http.Client
}

// Option changes how Start starts a server.
type Option func(*Server)

// Clock makes the server take the time from now, and the clients that it makes judge
// its certificate by it.
func Clock(now func() time.Time) Option { return func(s *Server) { s.now = now } }

// DataDir keeps the data of the server in dir, where another server may use it.
func DataDir(dir string) Option { return func(s *Server) { s.dir = dir } }

// Env sets a variable that the configuration may name. The environment of the test is
// not looked at; PORT and ADMIN_PORT are 0 unless they are set, so that the examples
// take free ports, and ISSUER_PORT is a free port.
func Env(name, value string) Option { return func(s *Server) { s.env[name] = value } }

// FullHash makes password hashes as costly as outside tests.
func FullHash() Option { return func(s *Server) { s.hash = password.Default } }

// Log writes the server's log to w, from level on. It must be safe for concurrent use.
func Log(w io.Writer, level slog.Level) Option {
	return func(s *Server) { s.log, s.level = w, level }
}

// Start starts a server with the configuration and stops it when the test ends. Write
// "listen: localhost:0" for a free port. The admin listener uses a free port unless
// the configuration names an address. A server that does not start fails the test.
func Start(t testing.TB, yaml string, options ...Option) *Server {
	t.Helper()
	s, err := start(t, yaml, options)
	if err != nil {
		t.Fatalf("start a server: %v", err)
	}

	return s
}

// TryStart is Start for a server that may refuse to.
func TryStart(t testing.TB, yaml string, options ...Option) (*Server, error) {
	t.Helper()
	return start(t, yaml, options)
}

func start(t testing.TB, yaml string, options []Option) (*Server, error) {
	s := &Server{
		t:     t,
		now:   time.Now,
		log:   io.Discard,
		level: slog.LevelInfo,
		env:   map[string]string{"PORT": "0", "ADMIN_PORT": "0"},
		ended: make(chan struct{}),
		hash:  cheapHash,
	}
	port, err := FreePort()
	if err != nil {
		return nil, err
	}

	s.env["ISSUER_PORT"] = port

	for _, o := range options {
		o(s)
	}

	folder := t.TempDir()
	ownDir := s.dir == ""
	if ownDir {
		s.dir = filepath.Join(folder, "data")
	}

	s.file = filepath.Join(folder, "jeton.yaml")
	s.Write(yaml)
	conf, err := s.load()
	if err != nil {
		return nil, err
	}

	if ownDir && conf.Database == nil {
		err := addSchema(s.dir)
		if err != nil {
			return nil, err
		}
	}

	up := make(chan server.Started, 1)
	s.server, err = server.New(server.Config{
		File:    conf,
		Load:    s.load,
		DataDir: s.dir,
		Now:     s.now,
		Version: "test",
		Log:     s.logger(),
		Started: func(st server.Started) { up <- st },

		HashParams:     s.hash,
		GenerateKey:    testkey.Generate,
		CommitPatience: patience,
	})
	if err != nil {
		return nil, err
	}

	var ctx context.Context
	// The test's context ends before its cleanups, and Stop is to find the server as it was.
	ctx, s.cancel = context.WithCancel(context.WithoutCancel(t.Context()))
	go func() {
		defer close(s.ended)
		s.err = s.server.Run(ctx)
	}()

	select {
	case s.started = <-up:
	// The server ended before it was up. s.err is safe to read: ended is closed after it was set.
	case <-s.ended:
		s.cancel()
		return nil, s.err
	case <-time.After(patience):
		s.cancel()
		return nil, errors.New("it does not answer")
	}

	t.Cleanup(s.Stop)
	s.plain = s.Client()

	return s, nil
}

// logger returns the log of the server, whose lines are checked at every level.
func (s *Server) logger() *slog.Logger {
	return slog.New(slog.NewMultiHandler(
		slog.NewJSONHandler(s.log, &slog.HandlerOptions{Level: s.level}),
		slog.NewJSONHandler(&s.lines, &slog.HandlerOptions{Level: slog.LevelDebug}),
	))
}

// load reads the configuration. Two servers of two tests must not meet at the default
// address of the admin listener.
func (s *Server) load() (*config.Config, error) {
	conf, err := config.Load(s.file, s.lookup)
	// Loaded twice because the default depends on whether the file names an address.
	if err != nil || conf.Admin.Listen != defaultAdmin {
		return conf, err
	}

	return config.Load(s.file, func(name string) (string, bool) {
		if name == "JETON_ADMIN_LISTEN" {
			return "127.0.0.1:0", true
		}
		return s.lookup(name)
	})
}

const defaultAdmin = "127.0.0.1:9180"

func (s *Server) lookup(name string) (string, bool) {
	value, ok := s.env[name]
	return value, ok
}

// URL returns where a service answers, as in https://localhost:40123. A service that
// the server did not start with fails the test.
func (s *Server) URL(service string) string {
	s.t.Helper()

	for _, a := range s.started.Services {
		if a.Service == service {
			return a.URL
		}
	}

	s.t.Fatalf("no service %s answers; there are %v", service, s.started.Services)
	return ""
}

// Addr returns the address that a service is bound to, for tests with their own connections.
func (s *Server) Addr(service string) string {
	s.t.Helper()

	for _, a := range s.started.Services {
		if a.Service == service {
			return a.Listen
		}
	}

	s.t.Fatalf("no service %s answers; there are %v", service, s.started.Services)
	return ""
}

// Forward returns the address of the listener that decides for other proxies.
func (s *Server) Forward() string { return s.started.Forward }

// Admin returns where the admin listener answers, as in http://127.0.0.1:40124.
func (s *Server) Admin() string { return s.started.Admin }

// Dir returns the data directory.
func (s *Server) Dir() string { return s.dir }

// Write replaces the configuration file. Nothing happens until Reload.
func (s *Server) Write(yaml string) {
	s.t.Helper()
	if err := os.WriteFile(s.file, []byte(yaml), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// Reload makes yaml the configuration. When it is refused the running one stays.
func (s *Server) Reload(yaml string) error {
	s.t.Helper()
	s.Write(yaml)
	return s.server.Reload(s.t.Context())
}

// Stop waits for requests in flight and stops the server. It may be called again.
func (s *Server) Stop() {
	s.t.Helper()
	s.cancel()

	select {
	case <-s.ended:
	case <-time.After(patience):
		s.t.Fatal("the server does not stop")
	}

	// Only after ended: until then the other goroutine may write it.
	if s.err != nil {
		s.t.Errorf("the server ended with: %v", s.err)
	}

	err := s.lines.Err()
	if err != nil {
		s.t.Error(err)
	}
}

// Interrupt begins to stop the server and does not wait.
func (s *Server) Interrupt() { s.cancel() }

// AddUser makes a user, as an operator would.
func (s *Server) AddUser(name, password string, groups ...string) {
	s.t.Helper()
	s.MustControl("POST", "/api/v1/users", api.NewUser{Name: name, Password: password, Groups: groups}, nil)
}

// Control sends a request to the control API and decodes the answer into out, which may be nil.
// in may be nil, text that is sent as it stands, or a value that is sent as JSON. A
// refusal is the outcome of package jeton that it is.
func (s *Server) Control(method, path string, in, out any) error {
	body, err := encode(in)
	if err != nil {
		return err
	}

	r, err := http.NewRequestWithContext(s.t.Context(), method, "http://control"+path, body)
	if err != nil {
		return err
	}
	if in != nil {
		r.Header.Set("Content-Type", "application/json")
	}

	resp, err := s.ControlClient().Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()

	return decode(resp, out)
}

func encode(in any) (io.Reader, error) {
	switch in := in.(type) {
	case nil:
		return nil, nil
	case string:
		return strings.NewReader(in), nil
	}

	b, err := json.Marshal(in)
	return bytes.NewReader(b), err
}

func decode(resp *http.Response, out any) error {
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}

	if resp.StatusCode >= 400 {
		// So that a test can use errors.Is, as it would with a call in the same process.
		kind := jeton.FromCode(resp.Header.Get(jeton.HeaderError))
		if kind != nil {
			return jeton.WithDetail(kind, string(b))
		}
		return fmt.Errorf("%s: %s", resp.Status, b)
	}

	if out == nil {
		return nil
	}

	return json.Unmarshal(b, out)
}

// MustControl is Control that fails the test on a refusal.
func (s *Server) MustControl(method, path string, in, out any) {
	s.t.Helper()
	if err := s.Control(method, path, in, out); err != nil {
		s.t.Fatalf("%s %s: %v", method, path, err)
	}
}

// Events returns the newest events of the audit log, oldest first: at most 1000.
func (s *Server) Events() []jeton.Event {
	s.t.Helper()
	var events []jeton.Event
	s.MustControl("GET", "/api/v1/audit?last=1000", nil, &events)
	return events
}

// Explain returns the decisions on one request.
func (s *Server) Explain(request string) ([]jeton.Event, error) {
	var events []jeton.Event
	err := s.Control("GET", "/api/v1/explain/"+url.PathEscape(request), nil, &events)
	return events, err
}

// ControlClient returns a client of the control API, whatever host its requests name.
func (s *Server) ControlClient() *http.Client {
	return &http.Client{Timeout: patience, Transport: &http.Transport{
		// A connection in reserve would keep the server from stopping.
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return server.DialControl(ctx, s.dir)
		},
	}}
}
