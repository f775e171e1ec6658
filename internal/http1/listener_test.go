package http1_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jeton-auth/jeton/internal/http1"
)

// patience is how long an answer may take on a busy machine.
const patience = 2 * time.Minute

// server is a listener before net/http. Its plain requests below /plain/ are answered with "plain" and their target,
// and all others with "other".
type server struct {
	*http1.Listener
	http     *http.Server
	draining atomic.Bool
	log      strings.Builder

	entered chan struct{} // a request for /plain/slow has arrived
	release chan struct{} // and is answered
}

func start(t *testing.T) *server {
	t.Helper()
	return startWith(t, nil)
}

// startWith is start with a handler for all requests; nil: they are answered as said.
func startWith(t *testing.T, all http.HandlerFunc) *server {
	t.Helper()
	n, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}

	s := &server{entered: make(chan struct{}), release: make(chan struct{})}
	plain, other := http.HandlerFunc(s.plain), http.HandlerFunc(s.other)
	if all != nil {
		plain, other = all, all
	}
	s.Listener = http1.Listen(n, http1.Config{
		Handler:  plain,
		Keep:     all != nil,
		Answers:  func(path string) bool { return strings.HasPrefix(path, "/plain/") },
		Draining: s.draining.Load,
		Head:     patience,
		Idle:     patience,
		Log:      log.New(&s.log, "", 0),
	})

	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	s.http = &http.Server{
		Handler:   other,
		ErrorLog:  log.New(io.Discard, "", 0),
		Protocols: &protocols,
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = s.http.Serve(s.Listener)
	}()
	t.Cleanup(func() {
		_ = s.http.Close()
		<-ended
	})

	return s
}

func (s *server) other(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	fmt.Fprintf(w, "other %s", r.RequestURI)
}

func (s *server) plain(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/plain/panic":
		panic("oops")
	case "/plain/last":
		w.Header().Set("Connection", "close")
	case "/plain/slow":
		s.entered <- struct{}{}
		<-s.release
	}
	fmt.Fprintf(w, "plain %s", r.RequestURI)
}

// dial opens a connection.
func (s *server) dial(t *testing.T) (net.Conn, *bufio.Reader) {
	t.Helper()
	c, err := net.Dial("tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(patience))

	return c, bufio.NewReader(c)
}

// answer reads a response, and returns its body; "" if the connection ended.
func answer(t *testing.T, r *bufio.Reader) string {
	t.Helper()
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		return ""
	}
	defer resp.Body.Close()

	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}

	return string(b)
}

// long returns a request with a header of some length.
func long(length int) string {
	return strings.TrimSuffix(get("/plain/a"), "\r\n") + "A: " + strings.Repeat("a", length) + "\r\n\r\n"
}

func get(path string) string { return "GET " + path + " HTTP/1.1\r\nHost: a\r\n\r\n" }

func TestARequestIsAnsweredByThisReaderOrByNetHTTP(t *testing.T) {
	s := start(t)
	const post = "POST /plain/a HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi"

	for _, tc := range []struct {
		name  string
		sends []string
		wants string // the bodies of the responses; "-" is the end of the connection
	}{
		{"a plain request", []string{get("/plain/a")}, "plain /plain/a"},
		{"two after each other", []string{get("/plain/a"), get("/plain/b?c=d")}, "plain /plain/a,plain /plain/b?c=d"},
		{"two at once", []string{get("/plain/a") + get("/plain/b")}, "plain /plain/a,plain /plain/b"},
		{"another path", []string{get("/a")}, "other /a"},
		{"another path after a plain request", []string{get("/plain/a"), get("/a")}, "plain /plain/a,other /a"},
		{"both at once", []string{get("/plain/a") + get("/a") + get("/plain/b")},
			"plain /plain/a,other /a,other /plain/b"},
		{"a body", []string{post}, "other /plain/a"},
		{"a body at once with a plain request", []string{get("/plain/a") + post + get("/plain/b")},
			"plain /plain/a,other /plain/a,other /plain/b"},
		{"a long header", []string{long(20 << 10)}, "other /plain/a"},
		{"a header of some kilobytes", []string{long(9 << 10)}, "plain /plain/a"},
		{"the last request", []string{get("/plain/last") + get("/plain/b")}, "plain /plain/last,-"},
		{"a request that wants to be the last",
			[]string{"GET /plain/a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"}, "plain /plain/a,-"},
		{"a panic", []string{get("/plain/panic")}, "-"},
		{"what is no HTTP", []string{"\x16\x03\x01"}, "-"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, r := s.dial(t)
			wants := strings.Split(tc.wants, ",")
			for i, text := range tc.sends {
				if _, err := io.WriteString(c, text); err != nil {
					t.Fatal(err)
				}
				if tc.name == "what is no HTTP" {
					_ = c.(*net.TCPConn).CloseWrite()
				}

				// All that a write asks for, but for the last one.
				for len(wants) >= len(tc.sends)-i && len(wants) > 0 {
					want := strings.TrimPrefix(wants[0], "-")
					wants = wants[1:]
					got := answer(t, r)
					if got != want && !(want == "" && strings.HasPrefix(got, "400 Bad Request")) {
						t.Fatalf("got %q, want %q", got, want)
					}
				}
			}
		})
	}
}

// TestARequestMayArriveInPieces sends each byte in a segment of its own.
func TestARequestMayArriveInPieces(t *testing.T) {
	s := start(t)
	for _, path := range []string{"/plain/a", "/a"} {
		c, r := s.dial(t)
		for i := range len(get(path)) {
			if _, err := io.WriteString(c, get(path)[i:i+1]); err != nil {
				t.Fatal(err)
			}
		}
		if got := answer(t, r); !strings.HasSuffix(got, " "+path) {
			t.Errorf("got %q, want the answer to %s", got, path)
		}
	}
}

// TestShutdownLosesNoRequest stops while a request is being answered and another connection waits for one.
func TestShutdownLosesNoRequest(t *testing.T) {
	s := start(t)
	idle, fromIdle := s.dial(t)
	_, _ = io.WriteString(idle, get("/plain/a"))
	answer(t, fromIdle)

	busy, fromBusy := s.dial(t)
	_, _ = io.WriteString(busy, get("/plain/slow"))
	<-s.entered

	stopped := make(chan error)
	go func() { stopped <- s.Shutdown(t.Context()) }()

	if got := answer(t, fromIdle); got != "" {
		t.Errorf("the idle connection got %q, want its end", got)
	}
	select {
	case err := <-stopped:
		t.Errorf("Shutdown = %v while a request is being answered", err)
	default:
	}

	close(s.release)
	if got := answer(t, fromBusy); got != "plain /plain/slow" {
		t.Errorf("got %q, want the response to the request in progress", got)
	}
	if err := <-stopped; err != nil {
		t.Errorf("Shutdown = %v", err)
	}
}

// TestShutdownEndsWithItsContext stops a server whose request is never answered.
func TestShutdownEndsWithItsContext(t *testing.T) {
	s := start(t)
	busy, from := s.dial(t)
	_, _ = io.WriteString(busy, get("/plain/slow"))
	<-s.entered
	defer close(s.release)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Shutdown(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Shutdown = %v, want context.Canceled", err)
	}
	if got := answer(t, from); got != "" {
		t.Errorf("got %q, want the end of the connection", got)
	}
}

// TestNewConnectionsAreOfNetHTTPWhileTheServerStops: it knows which of them still need an answer.
func TestNewConnectionsAreOfNetHTTPWhileTheServerStops(t *testing.T) {
	s := start(t)
	s.draining.Store(true)
	c, r := s.dial(t)
	_, _ = io.WriteString(c, get("/plain/a"))
	if got := answer(t, r); got != "other /plain/a" {
		t.Errorf("got %q, want the answer of net/http", got)
	}
}

// TestSlowClientsAreCut opens connections that do not go on.
func TestSlowClientsAreCut(t *testing.T) {
	n, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := http1.Listen(n, http1.Config{
		Handler:  http.NotFoundHandler(),
		Answers:  func(string) bool { return true },
		Draining: func() bool { return false },
		Head:     time.Millisecond,
		Idle:     time.Millisecond,
		Log:      log.New(io.Discard, "", 0),
	})
	t.Cleanup(func() { _ = l.Close() })
	go func() { _, _ = l.Accept() }()

	s := &server{Listener: l}
	for name, text := range map[string]string{
		"before a request":    "",
		"within a header":     "GET /a HTTP/1.1\r\nHost: ",
		"after a request":     get("/a"),
		"in the next request": get("/a") + "GET /",
	} {
		t.Run(name, func(t *testing.T) {
			c, r := s.dial(t)
			_, _ = io.WriteString(c, text)
			if _, err := io.Copy(io.Discard, r); errors.Is(err, context.DeadlineExceeded) || isTimeout(err) {
				t.Errorf("the connection is open after %v, want it closed after 1 ms", patience)
			}
		})
	}
}

// isTimeout reports whether a read ended by its deadline.
func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

// TestAConnectionStaysInHTTP1 begins HTTP/2 on a connection that had a request before, in parts.
func TestAConnectionStaysInHTTP1(t *testing.T) {
	for _, tc := range []struct {
		name  string
		parts []string
		want  int // 0: the connection ends
	}{
		{"HTTP/2", []string{"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"}, 0},
		{"HTTP/2 in parts", []string{"P", "R", "I", " * HTTP/2.0\r\n\r\nSM\r\n\r\n"}, 0},
		{"a method that begins alike", []string{"PR", "OPFIND /a HTTP/1.1\r\nHost: a\r\n\r\n"}, http.StatusOK},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := startWith(t, func(http.ResponseWriter, *http.Request) {})
			c, r := s.dial(t)
			_, _ = io.WriteString(c, get("/plain/a"))
			if got := readStatus(r); got != http.StatusOK {
				t.Fatalf("the first request: got %d, want 200", got)
			}

			for _, part := range tc.parts {
				_, _ = io.WriteString(c, part)
			}
			if tc.want == 0 {
				if b, err := r.ReadByte(); !errors.Is(err, io.EOF) {
					t.Errorf("got byte %#x, %v, want the end of the connection", b, err)
				}
				return
			}
			if got := readStatus(r); got != tc.want {
				t.Errorf("got %d, want %d", got, tc.want)
			}
		})
	}
}
