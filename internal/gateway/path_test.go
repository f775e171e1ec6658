package gateway_test

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jeton-auth/jeton/jetontest"
)

const rules = `
services:
  - name: app
    listen: localhost:0
    plain_http: true
    login: {paths: [/login]}
    routes:
      - {match: '/public/{rest...}', open: true, upstream: {url: '${DO}'}}
      - {match: '/stripped/{rest...}', open: true, upstream: {url: '${DO}/public', strip_prefix: /stripped}}
      - {match: '/admin/{rest...}', allow: {groups: [admin]}, upstream: {url: '${DO}'}}
`

// pieces are the parts of paths that two programs may read differently.
var pieces = []string{
	"/", "/", "/", "/", "//", "///", "public", "admin", "admin/", "x", "stripped",
	".", "..", "...", "../", "./", "/../", "..;/", "..;a=b/", ".;/", ";", ";/", ";a=b", "%3b", "%3B..",
	"%2f", "%2F", "%5c", "%5C", `\`, `..\`, "%2e", "%2E", "%2e%2e", "%2e.", ".%2e", "%2e%2e%2f",
	"..%2f", "..%2fadmin", "%2fadmin", "..%5cadmin", "%252e%252e", "%252f", "%25%32%66", "%25",
	"%00", "..%00", "%0a", "%0d%0a", "%09", "%20", "..%20", "%7f", "+", "~", "*", "@", ":", "admin%20",
	"é", "%c3%a9", "%ff", "%c0%ae%c0%ae", "%c0%af", "%e0%80%af", "．．", "／",
	"%ef%bc%8f", "%ef%bc%8e", "%u002e", "%u2215", "%", "%2", "%zz",
	"?", "?/../admin/x", "%3f", "%3f/../admin", "#", "%23", "a:b@c", "http:", "&", "=", "'", "\"", "<",
	"|", "^", "`", "{", "}", "[", "]",
}

// target returns a random request target.
func target(r *rand.Rand) string {
	var b strings.Builder

	switch r.IntN(22) {
	case 0:
		b.WriteString("http://localhost/public/")
	case 1:
		b.WriteString("http://admin/")
	case 2:
		b.WriteString("/admin/../")
	case 3, 4, 5:
		b.WriteString("/stripped/")
	case 6:
		b.WriteString("/")
	case 7, 8:
		b.WriteString("/admin/")
	default:
		b.WriteString("/public/")
	}

	for range 1 + r.IntN(5) {
		b.WriteString(pieces[r.IntN(len(pieces))])
	}

	if r.IntN(2) == 0 {
		b.WriteString("/admin/secret")
	}

	return b.String()
}

// readings returns the paths that some backend could read a path as.
func readings(p string) []string {
	var list []string
	add := func(p string) {
		var segments []string
		for s := range strings.SplitSeq(p, "/") {
			s, _, _ = strings.Cut(s, ";")
			segments = append(segments, s)
		}

		for _, p := range []string{
			p,
			strings.Join(segments, "/"),
			strings.ReplaceAll(p, `\`, "/"),
			strings.TrimRight(p, " \x00"),
		} {
			list = append(list, path.Clean("/"+p))
			before, _, _ := strings.Cut(p, "\x00")
			list = append(list, path.Clean("/"+before))
		}
	}

	add(p)
	if once, err := url.PathUnescape(p); err == nil {
		add(once)
		if twice, err := url.PathUnescape(once); err == nil {
			add(twice)
		}
	}

	return list
}

// TestRulesAndBackendAgree sends many odd paths: the rule of /admin must judge every path that a
// backend could read as one below /admin.
func TestRulesAndBackendAgree(t *testing.T) {
	var reached, bad atomic.Int64
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		reached.Add(1)
		asked, _, _ := strings.Cut(r.RequestURI, "?")
		for _, p := range append(readings(asked), readings(r.URL.Path)...) {
			under := p == "/admin" || strings.HasPrefix(p, "/admin/")
			if under && r.Header.Get("Remote-User") != "boss" && bad.Add(1) < 10 {
				t.Errorf(
					"the backend got %q from %q, want none that it could read as %q",
					r.RequestURI, r.Header.Get("Remote-User"), p,
				)
			}
		}
	}))

	t.Cleanup(backend.Close)
	s := jetontest.Start(t, easy+rules, jetontest.Env("DO", backend.URL))
	s.AddUser("boss", right, "admin")
	s.AddUser("diane", right)
	boss, diane := s.Enter("app", "boss", right), s.Enter("app", "diane", right)

	t.Run("the rule works", func(t *testing.T) {
		for cookie, want := range map[string]int{"": 401, diane: 403, boss: 200} {
			before := reached.Load()
			a := s.Ask("GET", "app", "/admin/secret", "Cookie", cookie)
			if a.Status != want || (reached.Load() > before) != (want == 200) {
				t.Errorf(
					"request with cookie %q is %d and reaches the backend %d times, want %d",
					cookie, a.Status, reached.Load()-before, want,
				)
			}
		}
	})

	t.Run("20,000 paths", func(t *testing.T) {
		const workers = 4

		each := 5000
		if raceDetector {
			each = 1500 // this test is about paths, not about races
		}

		var wg sync.WaitGroup

		counts := make([]map[int]int, workers)
		for i := range workers {
			counts[i] = map[int]int{}
			wg.Go(func() {
				r := rand.New(rand.NewPCG(uint64(i), 4711))
				flood(t, s.Addr("app"), diane, counts[i], each, func() string { return target(r) })
			})
		}

		wg.Wait()
		total := map[int]int{}
		for _, c := range counts {
			for status, n := range c {
				total[status] += n
			}
		}

		t.Logf("responses by status: %v", total)
		if total[200] < 500 || total[400] < 500 || total[401]+total[403] < 50 {
			t.Errorf("responses by status = %v, want enough of each to prove something", total)
		}
	})
}

// flood requests n paths over a connection, and over a new one whenever the server closes it.
// Every second request has the cookie.
func flood(t *testing.T, address, cookie string, counts map[int]int, n int, next func() string) {
	var conn net.Conn
	var r *bufio.Reader
	for i := range n {
		if conn == nil {
			var err error
			conn, err = net.Dial("tcp", address)
			if err != nil {
				t.Error(err)
				return
			}

			_ = conn.SetDeadline(time.Now().Add(2 * time.Minute))
			r = bufio.NewReader(conn)
		}

		head := ""
		if i%2 == 0 {
			head = "Cookie: " + cookie + "\r\n"
		}

		_, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: localhost\r\n%s\r\n", next(), head)
		var resp *http.Response
		if err == nil {
			resp, err = http.ReadResponse(r, nil)
		}

		if err != nil {
			t.Errorf("request %d: %v", i, err)
			return
		}

		_, _ = io.Copy(io.Discard, resp.Body)
		counts[resp.StatusCode]++

		if resp.Close {
			_ = conn.Close()
			conn = nil
		}
	}

	if conn != nil {
		_ = conn.Close()
	}
}
