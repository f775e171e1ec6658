package gateway_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/jeton-auth/jeton/internal/test/need"
	"github.com/jeton-auth/jeton/jetontest"
)

const idleSockets = `
limits: {max_connections_per_source: 5000}
services:
  - name: app
    listen: localhost:0
    plain_http: true
    login: {paths: [/login]}
    logout: /logout
    routes:
      - {match: '/{rest...}', upstream: {url: '${WS}'}}
`

// idler starts a server that switches to WebSockets and then says nothing.
func idler(t *testing.T) string {
	t.Helper()

	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })

	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}

			go func() {
				defer conn.Close()
				r := bufio.NewReader(conn)
				if _, err := http.ReadRequest(r); err != nil {
					return
				}

				_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n"+
					"Upgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n")
				_, _ = r.ReadByte() // until it is closed
			}()
		}
	}()

	return "http://" + l.Addr().String()
}

// TestIdleWebSocketsEndWithTheirSession opens WebSockets that nothing is sent over, and ends their session. Under 'make
// soak' there are 1,000 of them.
func TestIdleWebSocketsEndWithTheirSession(t *testing.T) {
	sockets := 30
	if need.Soaking() {
		sockets = 1000
	}

	s := jetontest.Start(t, easy+idleSockets, jetontest.Env("WS", idler(t)))
	s.AddUser("diane", right)
	s.AddUser("eshana", right)
	cookie := s.Enter("app", "diane", right)
	other := openSocket(t, s, s.Enter("app", "eshana", right))

	before := memory()
	var list []*raw
	for range sockets {
		list = append(list, openSocket(t, s, cookie))
	}
	t.Logf("%d idle WebSockets take %d KiB each, of gateway, client and server together",
		sockets, (memory()-before)/int64(sockets)>>10)

	began := time.Now()
	s.Ask("POST", "app", "/logout", "Cookie", cookie)
	answered := time.Now()

	for _, conn := range list {
		_, err := conn.r.ReadByte()
		if err == nil || strings.Contains(err.Error(), "timeout") {
			t.Fatalf("reading a WebSocket of the session: %v, want it closed", err)
		}
	}
	t.Logf("all ended %v after the logout was answered, which took %v", time.Since(answered), answered.Sub(began))

	// Another session's is not touched.
	if err := other.SetReadDeadline(time.Now()); err != nil {
		t.Fatal(err)
	}
	if _, err := other.r.ReadByte(); err == nil || !strings.Contains(err.Error(), "timeout") {
		t.Errorf("reading the WebSocket of another session: %v, want it open", err)
	}
}

// openSocket opens a WebSocket.
func openSocket(t *testing.T, s *jetontest.Server, cookie string) *raw {
	t.Helper()

	conn := dial(t, s, "app")
	resp, _ := conn.ask("GET /ws HTTP/1.1\r\nHost: localhost\r\n" + handshake + "Cookie: " + cookie + "\r\n\r\n")
	if resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("the handshake is answered %d, want 101", resp.StatusCode)
	}

	return conn
}

// memory returns the bytes of the heap and of stacks that are in use.
func memory() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)

	return int64(m.HeapInuse + m.StackInuse)
}
