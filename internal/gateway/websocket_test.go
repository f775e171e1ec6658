package gateway_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jeton-auth/jeton/jetontest"
)

// handshake has the headers of an opening handshake, from RFC 6455, section 1.3.
const handshake = "Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" +
	"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"

// h2c has the headers of an upgrade to HTTP/2 (RFC 7540, section 3.2).
const h2c = "Connection: Upgrade\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"

// TestOnlyWebSocketsUpgrade stands for h2c smuggling: after an upgrade to another protocol,
// requests would pass that no gate sees.
func TestOnlyWebSocketsUpgrade(t *testing.T) {
	s, _ := newBehind(t, "")

	for _, tc := range []struct {
		name, line, headers string
		upgrade             string // what the upstream gets
	}{
		{"a handshake", "GET", handshake, "websocket"},
		{"in another case", "GET", strings.ReplaceAll(handshake, "websocket", "WebSocket"), "WebSocket"},
		{"HTTP/2 in the clear", "GET", strings.Replace(h2c, "Upgrade", "Upgrade, HTTP2-Settings", 1), ""},
		{"HTTP/2 settings that no option names", "GET", h2c, ""},
		{"HTTP/2 beside a WebSocket", "GET", strings.Replace(handshake, "websocket", "websocket, h2c", 1), ""},
		{"HTTP/2 in a second line", "GET", handshake + "Upgrade: h2c\r\n", ""},
		{"HTTP/2 in a first line", "GET", "Upgrade: h2c\r\n" + handshake, ""},
		{"TLS", "GET", "Connection: Upgrade\r\nUpgrade: TLS/1.3\r\n", ""},
		{"bytes that no protocol has", "GET", "Connection: Upgrade\r\nUpgrade: \xff\r\n", ""},
		{"no option Upgrade", "GET", strings.Replace(handshake, "Upgrade\r\n", "close\r\n", 1), ""},
		{"another version", "GET", strings.Replace(handshake, ": 13", ": 8", 1), ""},
		{"two versions", "GET", handshake + "Sec-WebSocket-Version: 13\r\n", ""},
		{"no key", "GET", strings.Replace(handshake, "-Key", "-Other", 1), ""},
		{"two keys", "GET", handshake + "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", ""},
		{"a key of 15 bytes", "GET", strings.Replace(handshake, "ZQ==", "", 1), ""},
		{"a key that is not base64", "GET", strings.Replace(handshake, "dGhl", "dG-l", 1), ""},
		{"POST", "POST", handshake, ""},
		{"a body", "GET", handshake + "Content-Length: 1\r\n", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			text := tc.line + " /open/x HTTP/1.1\r\nHost: localhost\r\n" + tc.headers + "\r\n"
			if strings.Contains(tc.headers, "Content-Length") {
				text += "x"
			}

			_, body := dial(t, s, "app").ask(text)
			if !strings.HasPrefix(body, tc.line+" /open/x HTTP/1.1\r\n") {
				t.Fatalf("response is %q, want the request that the upstream got", body)
			}

			for name, want := range map[string]string{"Upgrade": tc.upgrade, "HTTP2-Settings": ""} {
				if got, n := value(body, name); got != want || n > 1 {
					t.Errorf("upstream gets %s %q, %d times, want %q", name, got, n, want)
				}
			}
		})
	}

	t.Run("HTTP/1.0", func(t *testing.T) {
		_, body := dial(t, s, "app").ask("GET /open/x HTTP/1.0\r\nHost: localhost\r\n" + handshake + "\r\n")
		if got, _ := value(body, "Upgrade"); got != "" {
			t.Errorf("upstream gets Upgrade %q, want none", got)
		}
	})
}

// switcher starts an upstream that answers every request with a given head, and reports when the
// connection of the last one is closed.
func switcher(t *testing.T) (address string, answer func(head string), closed chan struct{}) {
	t.Helper()

	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}

	var mu sync.Mutex
	var head string

	closed = make(chan struct{}, 100)
	serve := func(conn net.Conn) {
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(time.Minute))

		r := bufio.NewReader(conn)
		if _, err := http.ReadRequest(r); err != nil {
			return
		}

		mu.Lock()
		text := head
		mu.Unlock()

		_, _ = io.WriteString(conn, text)
		_, err := r.ReadByte()
		if err != nil {
			closed <- struct{}{}
		}
	}

	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go serve(conn)
		}
	}()

	answer = func(text string) {
		mu.Lock()
		defer mu.Unlock()
		head = text
	}

	return "http://" + l.Addr().String(), answer, closed
}

// TestSwitchIsVerified has an upstream that answers 101 without having switched: what a
// client sends next would be requests to it, past the gate. The key and the accept value
// are those of RFC 6455, section 1.3.
func TestSwitchIsVerified(t *testing.T) {
	address, answer, closed := switcher(t)
	s := jetontest.Start(t, easy+behind, jetontest.Env("ECHO", address), jetontest.Env("DO", address))

	const (
		line    = "HTTP/1.1 101 Switching Protocols\r\n"
		upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\n"
		accept  = "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
	)

	for _, tc := range []struct {
		name, asked, answered string
		status                int
	}{
		{"the right answer", handshake, upgrade + accept, 101},
		{"no accept value", handshake, upgrade, 502},
		{"the accept value of another key", handshake, upgrade + strings.Replace(accept, "s3p", "s4p", 1), 502},
		{"two accept values", handshake, upgrade + accept + accept, 502},
		{"another protocol", handshake, strings.Replace(upgrade, "websocket", "h2c", 1) + accept, 502},
		{"two protocols", handshake, upgrade + "Upgrade: h2c\r\n" + accept, 502},
		{"no protocol", handshake, "Connection: Upgrade\r\n" + accept, 502},
		{"no option Upgrade", handshake, "Upgrade: websocket\r\n" + accept, 502},
		{"an answer to an ordinary request", "", upgrade + accept, 502},
		{"an empty answer to an ordinary request", "", "", 502},
		{"HTTP/2, which was asked for", h2c, "Connection: Upgrade\r\nUpgrade: h2c\r\n", 502},
	} {
		t.Run(tc.name, func(t *testing.T) {
			answer(line + tc.answered + "\r\n")
			conn := dial(t, s, "app")
			resp, _ := conn.ask(fmt.Sprintf("GET /open/x HTTP/1.1\r\nHost: localhost\r\n%s\r\n", tc.asked))
			if resp.StatusCode != tc.status {
				t.Errorf("response is %d, want %d", resp.StatusCode, tc.status)
			}

			if tc.status == http.StatusSwitchingProtocols {
				_ = conn.Close()
			}

			select {
			case <-closed:
			case <-time.After(time.Minute):
				t.Error("the connection to the upstream is open after a minute, want it closed")
			}
		})
	}
}
