package server_test

import (
	"bytes"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jeton-auth/jeton/internal/server"
	"github.com/jeton-auth/jeton/jetontest"
)

const limited = `
limits: {max_connections: LIMIT, max_connections_per_source: SOURCE}
services:
  - name: app
    listen: localhost:0
    plain_http: true
    routes: [{match: '/{rest...}', open: true, respond: {text: hello}}]
`

// logText is a log that a server writes while a test reads it.
type logText struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logText) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *logText) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.b.String(), text)
}

// TestListenersForOperatorsHaveLimitsOfTheirOwn opens as many connections as one client may have.
func TestListenersForOperatorsHaveLimitsOfTheirOwn(t *testing.T) {
	conf := strings.NewReplacer("LIMIT", "1", "SOURCE", "1").Replace(limited)

	for _, tc := range []struct {
		name string
		dial func(s *jetontest.Server) (net.Conn, error)
		most int
	}{
		{"the admin listener, from one source", func(s *jetontest.Server) (net.Conn, error) {
			return net.Dial("tcp", strings.TrimPrefix(s.Admin(), "http://"))
		}, 50},
		{"the control socket", func(s *jetontest.Server) (net.Conn, error) {
			return server.DialControl(t.Context(), s.Dir())
		}, 200},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := jetontest.Start(t, conf)
			if _, ok := greet(t, s); !ok {
				t.Fatal("the first connection is closed, want a response: the service may have one")
			}

			for i := range tc.most + 2 {
				conn, err := tc.dial(s)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = conn.Close() })

				got, want := answered(conn), i < tc.most
				if got != want {
					t.Fatalf("connection %d is served: %t, want %t", i+1, got, want)
				}
			}
		})
	}
}

// TestAReloadChangesTheLimitsOfConnections raises and lowers the limit while connections are open.
func TestAReloadChangesTheLimitsOfConnections(t *testing.T) {
	with := func(limit string) string {
		return strings.NewReplacer("LIMIT", limit, "SOURCE", "100").Replace(limited)
	}

	s := jetontest.Start(t, with("1"))
	for _, step := range []struct {
		limit string
		want  []bool // whether further connections are served
	}{{"1", []bool{true, false}}, {"3", []bool{true, true, false}}, {"2", []bool{false}}} {
		if err := s.Reload(with(step.limit)); err != nil {
			t.Fatal(err)
		}

		for i, want := range step.want {
			if _, ok := greet(t, s); ok != want {
				t.Errorf("limit %s: further connection %d is served: %t, want %t", step.limit, i+1, ok, want)
			}
		}
	}
}

func TestConnectionsAreLimited(t *testing.T) {
	for _, tc := range []struct{ name, head, limit, source, refusal string }{
		{"in total", "", "2", "100", `"limit":"total"`},
		{"from one source", "", "100", "2", `"limit":"source"`},
		{"not from a trusted proxy", "trusted_proxies: [127.0.0.1]\n", "100", "2", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var log logText
			conf := strings.NewReplacer("LIMIT", tc.limit, "SOURCE", tc.source).Replace(limited)
			s := jetontest.Start(t, tc.head+conf, jetontest.Log(&log, slog.LevelInfo))

			var open []net.Conn
			for range 2 {
				conn, ok := greet(t, s)
				if !ok {
					t.Fatal("a connection within the limit is closed, want a response")
				}
				open = append(open, conn)
			}

			for range 2 {
				_, ok := greet(t, s)
				if ok != (tc.refusal == "") {
					t.Errorf("a third connection is served: %t, want %t", ok, tc.refusal == "")
				}
			}
			if tc.refusal == "" {
				return
			}

			if n := log.count(tc.refusal); n != 1 {
				t.Errorf("the log has %d lines with %s, want 1", n, tc.refusal)
			}

			// The server notices the end when it reads, so a new connection may have to wait for it.
			_ = open[0].Close()
			deadline := time.Now().Add(time.Minute)
			for ok := false; !ok; {
				if time.Now().After(deadline) {
					t.Fatal("a connection after another one was closed is refused, want a response")
				}
				_, ok = greet(t, s)
			}
		})
	}
}

// greet opens a connection, makes a request on it, and reports whether it was answered.
func greet(t *testing.T, s *jetontest.Server) (net.Conn, bool) {
	t.Helper()

	conn, err := net.Dial("tcp", s.Addr("app"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })

	return conn, answered(conn)
}

// answered makes a request on a connection, and reports whether it was answered.
func answered(conn net.Conn) bool {
	_ = conn.SetDeadline(time.Now().Add(time.Minute))

	_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
	first := make([]byte, 8)
	_, err := io.ReadFull(conn, first)

	return err == nil && string(first) == "HTTP/1.1"
}
