// The race detector allocates memory of its own.
//go:build !race

package server_test

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/jeton-auth/jeton/jetontest"
)

// walked has a route for each walk of a request whose cost is measured.
const walked = easy + `
forward: {listen: "127.0.0.1:0", trusted_proxies: [127.0.0.1]}
issuer: {url: "https://localhost:${ISSUER_PORT}", listen: "localhost:${ISSUER_PORT}"}
services:
  - name: shop
    listen: 127.0.0.1:0
    plain_http: true
    login: {paths: [/login]}
    routes:
      - {match: GET /open, open: true, respond: {json: {n: 42}}}
      - {match: GET /check, respond: {json: {n: 42}}}
      - {match: GET /use, max_uses: 1000000000, respond: {json: {n: 42}}}
      - {match: GET /pass, upstream: {url: %q}}
  - name: wiki
    url: https://wiki.example
    login: {paths: [/login]}
    routes: [{match: "/{rest...}"}]
`

// walks sends requests of one user to a server, each kind over a connection of its own.
type walks struct {
	s    *jetontest.Server
	shop string // cookie of a session there
	wiki string
}

// startWalks starts a server with a user who has sessions.
func startWalks(t testing.TB) *walks {
	t.Helper()
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "delivered")
	}))
	t.Cleanup(upstream.Close)

	s := jetontest.Start(t, fmt.Sprintf(walked, upstream.URL))
	s.AddUser("diane", right)
	form := url.Values{"username": {"diane"}, "password": {right}}.Encode()
	a := s.Send(s.Client(), http.MethodPost, "http://"+s.Forward()+"/login", form,
		"Content-Type", "application/x-www-form-urlencoded",
		"X-Forwarded-Proto", "https",
		"X-Forwarded-Host", "wiki.example",
		"X-Forwarded-For", "192.0.2.1",
	)
	if a.Cookies() == "" {
		t.Fatalf("log in behind a proxy: got %d %s without a cookie", a.Status, a.Body)
	}

	return &walks{s, s.Enter("shop", "diane", right), a.Cookies()}
}

// walker sends one request again and again over a connection. It allocates nothing.
type walker struct {
	conn    net.Conn
	request []byte
	buf     [4096]byte
}

// open returns the walker of a path of the service, or of a decision.
func (w *walks) open(t testing.TB, path string) *walker {
	t.Helper()
	addr, head := w.s.Addr("shop"), "Cookie: "+w.shop
	if strings.HasPrefix(path, "/authz/") {
		addr = w.s.Forward()
		head = "X-Original-URL: https://wiki.example/report\r\nX-Original-Method: GET\r\n" +
			"X-Forwarded-For: 192.0.2.1\r\nX-Request-Id: walk-walk-walk\r\nCookie: " + w.wiki
	}

	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })

	return &walker{
		conn:    conn,
		request: []byte("GET " + path + " HTTP/1.1\r\nHost: " + addr + "\r\n" + head + "\r\n\r\n"),
	}
}

// send sends the request and reads its response, which must be 200.
func (w *walker) send() error {
	if _, err := w.conn.Write(w.request); err != nil {
		return err
	}

	for n := 0; ; {
		more, err := w.conn.Read(w.buf[n:])
		n += more
		if err != nil {
			return fmt.Errorf("read a response: %w after %q", err, w.buf[:n])
		}

		head, body, ok := bytes.Cut(w.buf[:n], []byte("\r\n\r\n"))
		switch {
		case !ok:
		case !bytes.HasPrefix(head, []byte("HTTP/1.1 200 ")):
			return fmt.Errorf("got %q, want 200", w.buf[:n])
		case len(body) >= bodyLength(head):
			return nil
		}
	}
}

// bodyLength returns the length of a body by the header before it.
func bodyLength(head []byte) int {
	_, length, _ := bytes.Cut(head, []byte("\r\nContent-Length: "))
	digits, _, _ := bytes.Cut(length, []byte("\r\n"))
	n, err := strconv.Atoi(string(digits)) // short: the compiler needs no memory for it
	if err != nil {
		return 0
	}

	return n
}

// TestARequestAllocatesLittle counts the allocations of all that the server does for a request, between the first byte
// that arrives and the last one that is sent. The limits have room for what the server does beside requests.
func TestARequestAllocatesLittle(t *testing.T) {
	all := startWalks(t)

	for _, tc := range []struct {
		name  string
		path  string
		runs  int
		limit float64
	}{
		{"an open route", "/open", 400, 11},
		{"a check of a session", "/check", 400, 14},
		{"a counted use, alone in its commit", "/use", 100, 40},
		{"a decision for nginx", "/authz/nginx", 400, 16},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := all.open(t, tc.path)

			var failed error
			got := testing.AllocsPerRun(tc.runs, func() { failed = cmp.Or(failed, w.send()) })
			if failed != nil {
				t.Fatal(failed)
			}
			if got > tc.limit {
				t.Errorf("%v allocations a request, want at most %v", got, tc.limit)
			}
		})
	}
}

// BenchmarkWalk sends requests over 64 connections, with all that the server does for each of them.
func BenchmarkWalk(b *testing.B) {
	all := startWalks(b)

	for _, path := range []string{"/open", "/check", "/use", "/pass", "/authz/nginx"} {
		b.Run(path[1:], func(b *testing.B) {
			b.ReportAllocs()
			b.SetParallelism(64 / runtime.GOMAXPROCS(0))
			b.RunParallel(func(pb *testing.PB) {
				w := all.open(b, path)
				for pb.Next() {
					if err := w.send(); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}
