package gateway_test

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jeton-auth/jeton/jetontest"
)

func TestTargetArrivesAsItWasSent(t *testing.T) {
	s, _ := newBehind(t, "")

	for _, tc := range []struct{ name, sent, got string }{
		{"a semicolon in the query", "/open/x?filter=a;b", ""},
		{"a semicolon after a parameter", "/open/x?keep=1&ids=1;2;3", ""},
		{"an invalid escape in the query", "/open/x?a=%zz&b=%", ""},
		{"half an escape in the query", "/open/x?a=%4", ""},
		{"a query without a name", "/open/x?=&&=b&", ""},
		{"an empty query", "/open/x?", ""},
		{"two question marks", "/open/x??a", ""},
		{"an encoded newline in the query", "/open/x?a=%0d%0aX:1", ""},
		{"characters that browsers send as they are", `/open/a|b^c[d]"e{f}/x?a=|^[]"{}\`, ""},
		{"letters that need no encoding", "/open/%61%7E%2d?%61", ""},
		{"an escape in lower case", "/open/%c3%a9", ""},
		{"UTF-8", "/open/é?é", ""},
		{"bytes that are not UTF-8 in the query", "/open/x?\xff", ""},
		{"an absolute target", "http://localhost/open/a|b?a;b", "/open/a|b?a;b"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			want := tc.got
			if want == "" {
				want = tc.sent
			}

			for _, upgrade := range []string{"", handshake} {
				head := "GET " + tc.sent + " HTTP/1.1\r\nHost: localhost\r\n" + upgrade
				_, body := dial(t, s, "app").ask(head + "\r\n")
				line, _, _ := strings.Cut(body, "\r\n")
				if line != "GET "+want+" HTTP/1.1" {
					t.Errorf("sent %q, upgrade %t: upstream gets %q, want %q", tc.sent, upgrade != "", line, want)
				}
			}
		})
	}

	for _, tc := range []struct{ name, sent string }{
		{"a fragment in the path", "/open/x#/public"},
		{"a fragment in the query", "/open/x?a#b"},
	} {
		t.Run(tc.name+" is refused", func(t *testing.T) {
			resp, body := dial(t, s, "app").ask("GET " + tc.sent + " HTTP/1.1\r\nHost: localhost\r\n\r\n")
			if resp.StatusCode != 400 {
				t.Errorf("response is %d %q, want 400", resp.StatusCode, body)
			}
		})
	}
}

// TestHTTP2Target sends over HTTP/2 what no HTTP/1.1 request line can hold.
func TestHTTP2Target(t *testing.T) {
	var log lockedBuffer

	b := newBehaviours(t)
	s := jetontest.Start(
		t, easy+behind, jetontest.Env("ECHO", b.URL), jetontest.Env("DO", b.URL),
		jetontest.Log(&log, slog.LevelDebug),
	)

	for _, tc := range []struct {
		name, method, path string
		status             int
	}{
		{"an ordinary request", "GET", "/open/cookies", 404}, // of the upstream
		{"a method of its own", "PURGE", "/open/x", 404},
		{"a space in the method", "GET /admin", "/open/x", 400},
		{"a method of another alphabet", "GÉT", "/open/x", 400},
		{"a colon in the method", "GET:", "/open/x", 400},
		{"a space in the path", "GET", "/open/x HTTP/1.1", 400},
		{"a space in the query", "GET", "/open/x?a b", 400},
		{"a fragment", "GET", "/open/x#y", 400},
	} {
		t.Run(tc.name, func(t *testing.T) {
			before := b.reached.Load()
			status := askHTTP2(t, s, tc.method, tc.path)
			reached := b.reached.Load() - before

			if status != tc.status || (reached == 1) != (tc.status == 404) {
				t.Errorf(
					"%q %q is %d and reaches the upstream %d times, want %d",
					tc.method, tc.path, status, reached, tc.status,
				)
			}
			if tc.status == 400 && tc.method != "GET" && strings.Contains(log.String(), tc.method) {
				t.Errorf("log = %s, want it without the method", log.String())
			}
		})
	}
}

// lockedBuffer is a log that a test reads while it is written.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lockedBuffer) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// askHTTP2 sends one request over HTTP/2 (RFC 9113) and returns its status. No client sends such
// requests, so it writes the frames itself.
func askHTTP2(t *testing.T, s *jetontest.Server, method, path string) int {
	t.Helper()

	conf := s.TLS()
	conf.ServerName = "localhost"
	conf.NextProtos = []string{"h2"}
	conn, err := tls.Dial("tcp", s.Addr("app"), conf)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(time.Minute))

	var block []byte
	for _, field := range [][2]string{
		{":method", method},
		{":scheme", "https"},
		{":authority", "localhost"},
		{":path", path},
	} {
		// A literal without indexing and without Huffman encoding (RFC 7541, section 6.2.2).
		block = append(block, 0, byte(len(field[0])))
		block = append(block, field[0]...)
		block = append(block, byte(len(field[1])))
		block = append(block, field[1]...)
	}

	const settings, headers, endStreamAndHeaders = 4, 1, 5
	out := []byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
	out = appendFrame(out, settings, 0, 0, nil)
	out = appendFrame(out, headers, endStreamAndHeaders, 1, block)
	if _, err := conn.Write(out); err != nil {
		t.Fatal(err)
	}

	for {
		head := make([]byte, 9)
		if _, err := io.ReadFull(conn, head); err != nil {
			t.Fatalf("no response to %q %q: %v", method, path, err)
		}

		payload := make([]byte, int(head[0])<<16|int(head[1])<<8|int(head[2]))
		if _, err := io.ReadFull(conn, payload); err != nil {
			t.Fatal(err)
		}

		if head[3] == headers {
			return statusOf(t, payload)
		}
	}
}

func appendFrame(to []byte, kind, flags byte, stream uint32, payload []byte) []byte {
	to = append(to, byte(len(payload)>>16), byte(len(payload)>>8), byte(len(payload)), kind, flags)
	to = binary.BigEndian.AppendUint32(to, stream)
	return append(to, payload...)
}

// statusOf returns the status of a response whose first field is in the static table (RFC 7541,
// appendix A).
func statusOf(t *testing.T, block []byte) int {
	t.Helper()

	switch block[0] {
	case 0x88:
		return 200
	case 0x8c:
		return 400
	case 0x8d:
		return 404
	}
	t.Fatalf("the header block begins with %#x, want one of the statuses 200, 400 and 404", block[0])

	return 0
}
