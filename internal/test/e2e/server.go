package e2e

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/jeton-auth/jeton/internal/test/loglines"
	"github.com/jeton-auth/jeton/jetontest"
)

// Options say how a server is started.
type Options struct {
	Program string // file; "": the program as it is shipped
	Config  string // file; "": none
	DataDir string // "": a new one
	Port    string // of the service; "": any
	// IssuerPort is the port of an authorization server of its own. The issuer's URL
	// contains it, so it cannot be 0: "" is a free one.
	IssuerPort string
	Env        []string   // beside what Run gives
	Under      []string   // a program that runs the server, and its flags
	Files      []*os.File // open in the server from descriptor 3 on
}

// Server is a server that runs as a process of its own.
type Server struct {
	*Process
	Options
	URL    string // of the first service
	Issuer string // name of the authorization server, or ""
	Admin  string // URL of the admin listener
	Cert   string // file of the first service's certificate
	PID    int    // of the server itself, also when it runs under another program
}

// Start starts a server and waits until it answers. The test fails when
// the server exits.
func Start(tb testing.TB, o Options) *Server {
	tb.Helper()
	s := Launch(tb, o)
	if !s.Up(tb) {
		tb.Fatalf("the server exited, want it to answer:\n%s%s", s.Out, s.Err)
	}

	return s
}

// Launch starts a server and does not wait.
func Launch(tb testing.TB, o Options) *Server {
	tb.Helper()
	if o.DataDir == "" {
		o.DataDir = filepath.Join(tb.TempDir(), "data")
	}
	if o.IssuerPort == "" {
		o.IssuerPort = FreePort(tb)
	}

	args := append(slices.Clone(o.Under), o.program(tb), "serve")
	c := Command{
		Args:  append(args, o.place()...),
		Env:   o.env(),
		Files: o.Files,
	}

	s := &Server{Process: Run(tb, c), Options: o}
	if o.Program == "" { // an older program has other lines
		tb.Cleanup(func() { s.checkLog(tb) })
	}

	return s
}

// checkLog fails the test if the server has logged a line that is not documented.
func (s *Server) checkLog(tb testing.TB) {
	tb.Helper()
	s.Kill()

	err := loglines.CheckAll(s.Err.String())
	if err != nil {
		tb.Error(err)
	}
}

// FreePort returns a free port.
func FreePort(tb testing.TB) string {
	tb.Helper()
	port, err := jetontest.FreePort()
	if err != nil {
		tb.Fatal(err)
	}

	return port
}

// program returns the program of the options, or builds it.
func (o Options) program(tb testing.TB) string {
	tb.Helper()
	if o.Program != "" {
		return o.Program
	}
	return Program(tb)
}

// place is where the server's configuration and data are, as flags.
func (o Options) place() []string {
	flags := []string{"--data-dir", o.DataDir}
	if o.Config != "" {
		flags = append(flags, "--config", o.Config)
	}
	return flags
}

// env lets the system choose the ports that the options leave open: tests run side by side.
func (o Options) env() []string {
	port := o.Port
	if port == "" {
		port = "0"
	}
	return append([]string{"PORT=" + port, "ADMIN_PORT=0", "ISSUER_PORT=" + o.IssuerPort}, o.Env...)
}

var (
	serviceLine = regexp.MustCompile(`(?m)^  \S+ +(https?://\S+)(?:   certificate (.+))?$`)
	issuerLine  = regexp.MustCompile(`(?m)^  issuer +(https?://\S+)/\.well-known/oauth-authorization-server\b`)
	adminLine   = regexp.MustCompile(`(?m)^  admin +(https?://\S+)/healthz`)
)

// Up waits until the server answers, and reports false when it has ended instead.
func (s *Server) Up(tb testing.TB) bool {
	tb.Helper()
	up := false
	Wait(tb, "the server to answer or to end", func() bool {
		select {
		case <-s.Ended():
			return true
		default:
			up = strings.Contains(s.Out.String(), "  admin ")
			return up
		}
	})

	if !up {
		return false
	}

	out := s.Out.String()
	at := serviceLine.FindStringSubmatch(out)
	admin := adminLine.FindStringSubmatch(out)
	if at == nil || admin == nil {
		tb.Fatalf("output of the server, want its addresses:\n%s", out)
	}

	s.URL = at[1]
	s.Cert = at[2]
	s.Admin = admin[1]
	issuer := issuerLine.FindStringSubmatch(out)
	if issuer != nil {
		s.Issuer = issuer[1]
	}

	b, err := os.ReadFile(filepath.Join(s.DataDir, "jeton.pid"))
	if err != nil {
		tb.Fatal(err)
	}

	s.PID, err = strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		tb.Fatal(err)
	}

	return true
}

// Stop terminates the server as an operator does, and waits.
func (s *Server) Stop(tb testing.TB) {
	tb.Helper()
	s.Signal(tb, os.Interrupt)
	code := s.Code(tb)
	if code != 0 {
		tb.Errorf("the server exited with %d, want 0:\n%s", code, s.Err)
	}
}

// Restart kills the server if it is up, and starts another on the same data directory.
func (s *Server) Restart(tb testing.TB) *Server {
	tb.Helper()
	s.Kill()
	o := s.Options
	o.Under = nil
	return Start(tb, o)
}

// Result is the exit code and output of a command.
type Result struct {
	Code     int
	Out, Err string
}

// Jeton runs a command of the program on a place and waits for its end. stdin may be "".
func (o Options) Jeton(tb testing.TB, stdin string, args ...string) Result {
	tb.Helper()
	p := Run(tb, Command{
		Args:  append(append([]string{o.program(tb)}, args...), o.place()...),
		Env:   o.env(),
		Stdin: strings.NewReader(stdin),
	})
	code := p.Code(tb)
	return Result{code, p.Out.String(), p.Err.String()}
}

// Must is Jeton, and fails the test when the command fails. It returns what the command printed.
func (o Options) Must(tb testing.TB, stdin string, args ...string) string {
	tb.Helper()
	r := o.Jeton(tb, stdin, args...)
	if r.Code != 0 {
		tb.Fatalf("jeton %s exited with %d, want 0:\n%s%s", strings.Join(args, " "), r.Code, r.Out, r.Err)
	}

	return r.Out
}
