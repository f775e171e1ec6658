package http1

import (
	"bufio"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"reflect"
	"strings"
	"testing"
)

// newTestConn returns a connection that answers every path, and is never read from.
func newTestConn(t *testing.T) *conn {
	t.Helper()
	c, other := net.Pipe()
	t.Cleanup(func() { _, _ = c.Close(), other.Close() })

	l := Listen(nil, Config{
		Answers: func(string) bool { return true },
		Log:     log.New(io.Discard, "", 0),
	})

	return newConn(l, c)
}

const asked = "GET /authz/nginx?service=app HTTP/1.1\r\nHost: 127.0.0.1:8083\r\n" +
	"X-Original-URL: https://app.example/a%20b?q=1\r\nX-Original-Method: POST\r\nx-request-id: 0123456789abcdef\r\n" +
	"Cookie: a=1; b=2\r\nCookie: c=3\r\nAccept: */*\r\nConnection: keep-alive\r\n\r\n"

// checkSame reads a header with the reader, and with net/http if it is plain, and reports whether it was.
func checkSame(t *testing.T, k *conn, head string) bool {
	t.Helper()
	if !k.parse(head) {
		return false
	}

	got := &k.in.request
	want, err := http.ReadRequest(bufio.NewReader(strings.NewReader(head)))
	if err != nil {
		t.Fatalf("%q is plain, and net/http refuses it: %v", head, err)
	}

	same := got.Method == want.Method && reflect.DeepEqual(got.URL, want.URL) && got.Host == want.Host &&
		reflect.DeepEqual(got.Header, want.Header) && got.RequestURI == want.RequestURI && got.Close == want.Close &&
		got.Proto == want.Proto && want.ContentLength == 0 && want.TransferEncoding == nil && want.Trailer == nil
	if !same {
		t.Errorf("%q is read as\n%+v, want as net/http does\n%+v", head, got, want)
	}

	return true
}

// TestPlainRequestsAreReadAsNetHTTPReadsThem changes a request of a proxy in many ways.
func TestPlainRequestsAreReadAsNetHTTPReadsThem(t *testing.T) {
	k := newTestConn(t)
	if !checkSame(t, k, asked) {
		t.Fatal("the request of a proxy is not plain")
	}

	parts := []string{
		"\r\n", "\n", "\r", " ", "\t", ":", ": ", "\x00", "\x7f", "é", "?", "%2f", "%", "//", "/../", "#", ";",
		",", "@", "Host: evil.example\r\n", "Content-Length: 0\r\n", "Content-Length: 5\r\n",
		"Transfer-Encoding: chunked\r\n", "Expect: 100-continue\r\n",
		"Upgrade: h2c\r\n", "Connection: close\r\n", "Connection: x-original-url\r\n",
		"Pragma: no-cache\r\n", "X_Original_URL: /\r\n", "x-original-url: /\r\n", "Trailer: a\r\n", " folded\r\n",
		"HTTP/1.0", "PRI", "Te: trailers\r\n", "Proxy-Connection: close\r\n", "Empty:\r\n", "Space :a\r\n",
		"POST", "get", "::1]", "[", "_", "-",
	}

	random := rand.New(rand.NewPCG(1, 2))
	plain := 0
	const many = 30_000
	for range many {
		head := asked
		for range 1 + random.IntN(3) {
			at, cut := random.IntN(len(head)), random.IntN(3)
			head = head[:at] + parts[random.IntN(len(parts))] + head[min(at+cut, len(head)):]
		}

		// As the connection does it: the header ends at the first empty line.
		end := strings.Index(head, "\r\n\r\n")
		if end >= 0 && checkSame(t, k, head[:end+4]) {
			plain++
		}
		if t.Failed() {
			return
		}
	}

	if plain < many/50 || plain > many*9/10 {
		t.Errorf("%d of %d requests are plain, want some and not nearly all", plain, many)
	}
}

// TestRequestsThatMayMeanMoreAreNotPlain are those that net/http has rules for.
func TestRequestsThatMayMeanMoreAreNotPlain(t *testing.T) {
	for _, tc := range []struct{ name, from, to string }{
		{"another method", "GET ", "POST "},
		{"HTTP/1.0", "HTTP/1.1", "HTTP/1.0"},
		{"an absolute target", "GET /", "GET http://app.example/"},
		{"an encoded path", "/authz/nginx", "/authz/%6eginx"},
		{"two slashes", "/authz", "//authz"},
		{"an encoded query", "service=app", "service=%61pp"},
		{"no Host", "Host: 127.0.0.1:8083\r\n", ""},
		{"two Hosts", "Host: ", "Host: a\r\nHost: "},
		{"an empty Host", "127.0.0.1:8083", ""},
		{"a Host with a path", "127.0.0.1:8083", "a/b"},
		{"a body", "Accept:", "Content-Length: 3\r\nAccept:"},
		{"no body, said", "Accept:", "Content-Length: 0\r\nAccept:"},
		{"chunks", "Accept:", "Transfer-Encoding: chunked\r\nAccept:"},
		{"an upgrade", "Accept:", "Upgrade: websocket\r\nAccept:"},
		{"a header of the connection", "keep-alive", "X-Original-URL"},
		{"an underscore", "X-Original-URL", "X_Original_URL"},
		{"a space before the colon", "Accept:", "Accept :"},
		{"a folded line", "Accept:", " Accept:"},
		{"a line without a colon", "Accept: */*", "Accept"},
		{"an empty name", "Accept:", ":"},
		{"a line feed alone", "b=2\r\n", "b=2\n"},
		{"a return alone", "a=1", "a\r1"},
		{"a character that is not ASCII", "a=1", "a=é"},
		{"a tabulator", "a=1", "a=\t1"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			head := strings.Replace(asked, tc.from, tc.to, 1)
			if head == asked || newTestConn(t).parse(head) {
				t.Errorf("%q is plain, want it left to net/http", head)
			}
		})
	}
}
