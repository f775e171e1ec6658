package server_test

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/jeton-auth/jeton/jetontest"
)

const wired = easy + `
services:
  - name: shop
    listen: localhost:0
    login: {paths: [/login]}
    logout: /logout
    routes:
      - {match: GET /me, respond: {template: '{{.Name}}'}}
      - {match: GET /three, max_uses: 3, respond: {text: three}}
      - {match: GET /open, open: true, respond: {text: open}}
      - {match: GET /teapot, open: true, respond: {status: 418, json: {a: 1}}}
      - {match: '/every/{rest...}', respond: {text: every}}
  - name: clear
    listen: localhost:0
    plain_http: true
    login: {paths: [/login]}
    routes: [{match: GET /me, respond: {template: '{{.Name}}'}}]
`

// say sends text to a service, with TLS or in the clear, and returns the response.
func say(t *testing.T, s *jetontest.Server, service, text string, clear bool) string {
	t.Helper()
	var conn net.Conn
	var err error
	if clear {
		conn, err = net.Dial("tcp", s.Addr(service))
	} else {
		conf := s.TLS()
		conf.ServerName = "localhost"
		conn, err = tls.Dial("tcp", s.Addr(service), conf)
	}

	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()

	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	_, _ = io.WriteString(conn, text)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return "no answer: " + err.Error()
	}
	defer resp.Body.Close()

	body, _ := io.ReadAll(resp.Body)
	return resp.Status + " " + resp.Header.Get("Jeton-Error") + " " + string(body)
}

// TestWhatFollowsARequestOfHTTP10IsNoRequest sends as the body of a request what is one to a server that does not know
// where the body ends.
func TestWhatFollowsARequestOfHTTP10IsNoRequest(t *testing.T) {
	s := jetontest.Start(t, wired)
	conn, err := net.Dial("tcp", s.Addr("clear"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()

	_, err = io.WriteString(conn, "GET /me HTTP/1.0\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n"+
		"GET /me HTTP/1.0\r\n\r\n")
	if err != nil {
		t.Fatal(err)
	}

	answers, _ := io.ReadAll(conn) // a reset at the end is no matter
	n := strings.Count(string(answers), "HTTP/1.0 ")
	if n != 1 {
		t.Errorf("got %d responses, want one:\n%s", n, answers)
	}
}

func TestOddRequests(t *testing.T) {
	s := jetontest.Start(t, wired)
	s.AddUser("diane", right)
	cookie := "Cookie: " + s.Enter("shop", "diane", right) + "\r\n"
	const host = "Host: localhost\r\n"
	for _, tc := range []struct{ name, text, want string }{
		{"a good one", "GET /me HTTP/1.1\r\n" + host + cookie + "\r\n", "200 OK  diane"},
		{"HTTP/1.0", "GET /open HTTP/1.0\r\n\r\n", "200 OK  open"},
		{
			// With 200, the server would pass for an open proxy.
			"CONNECT",
			"CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example:443\r\n" + cookie + "\r\n",
			"405 Method Not Allowed method_not_allowed",
		},
		{
			"CONNECT to a path",
			"CONNECT /every/x HTTP/1.1\r\n" + host + cookie + "\r\n",
			"405 Method Not Allowed method_not_allowed",
		},
		// TRACE returns the headers, and so cookies that no script may read.
		{"TRACE", "TRACE /every/x HTTP/1.1\r\n" + host + cookie + "\r\n", "405 Method Not Allowed method_not_allowed"},
		{
			"an unknown method",
			"BREW /me HTTP/1.1\r\n" + host + cookie + "\r\n",
			"405 Method Not Allowed method_not_allowed",
		},
		{
			"an unknown method where every one may ask",
			"BREW /every/x HTTP/1.1\r\n" + host + cookie + "\r\n",
			"200 OK  every",
		},
		{
			"an unknown method without a login",
			"BREW /every/x HTTP/1.1\r\n" + host + "\r\n",
			"401 Unauthorized no_credential",
		},
		{"a method in lower case", "get /me HTTP/1.1\r\n" + host + cookie + "\r\n", "405 Method Not Allowed"},
		{"a method that is none", "G(T /me HTTP/1.1\r\n" + host + "\r\n", "400 Bad Request"},
		{"OPTIONS of the server", "OPTIONS * HTTP/1.1\r\n" + host + "\r\n", "200 OK  "},
		{"OPTIONS of a counted route", "OPTIONS /three HTTP/1.1\r\n" + host + "\r\n", "204 No Content  "},
		{"GET of the server", "GET * HTTP/1.1\r\n" + host + "\r\n", "400 Bad Request invalid_request"},
		{"no path there", "GET /nothing HTTP/1.1\r\n" + host + cookie + "\r\n", "404 Not Found not_found"},
		{"a whole address", "GET http://localhost/me HTTP/1.1\r\n" + host + "\r\n", "401 Unauthorized no_credential"},
		// RFC 9112, section 3.2, for this case and the next two.
		{"no host", "GET /open HTTP/1.1\r\n\r\n", "400 Bad Request"},
		{"two hosts", "GET /open HTTP/1.1\r\n" + host + host + "\r\n", "400 Bad Request"},
		{"a host that is none", "GET /open HTTP/1.1\r\nHost: a b\r\n\r\n", "400 Bad Request"},
		{"a NUL in a header", "GET /me HTTP/1.1\r\n" + host + "X: a\x00b\r\n" + cookie + "\r\n", "400 Bad Request"},
		{
			"a carriage return in a header",
			"GET /me HTTP/1.1\r\n" + host + "X: a\rb\r\n" + cookie + "\r\n",
			"400 Bad Request",
		},
		{
			// Some readers take it for Content-Length, and others ignore it (RFC 9112,
			// section 5.1).
			"a space before a colon",
			"GET /me HTTP/1.1\r\n" + host + "Content-Length : 4\r\n" + cookie + "\r\n",
			"400 Bad Request",
		},
		// The fold is replaced by a space (RFC 9112, section 5.2).
		{"a folded header", "GET /me HTTP/1.1\r\n" + host + "X: a\r\n b\r\n\r\n", "401 Unauthorized no_credential"},
		{
			"40 KiB of headers",
			"GET /me HTTP/1.1\r\n" + host + "X: " + strings.Repeat("x", 40<<10) + "\r\n" + cookie + "\r\n",
			"431 Request Header Fields Too Large",
		},
		{
			"a long address",
			"GET /" + strings.Repeat("x", 40<<10) + " HTTP/1.1\r\n" + host + "\r\n",
			"431 Request Header Fields Too Large",
		},
		{
			// Request smuggling: a proxy in front could take the other length (RFC 9112,
			// section 6.3).
			"two lengths",
			"POST /login HTTP/1.1\r\n" + host + "Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcde",
			"400 Bad Request",
		},
		{"a negative length", "POST /login HTTP/1.1\r\n" + host + "Content-Length: -1\r\n\r\n", "400 Bad Request"},
		{
			"a length with a sign",
			"POST /login HTTP/1.1\r\n" + host + "Content-Length: +4\r\n\r\nabcd",
			"400 Bad Request",
		},
		{
			"an unknown encoding",
			"POST /login HTTP/1.1\r\n" + host + "Transfer-Encoding: cow\r\n\r\n",
			"501 Not Implemented",
		},
		{
			"two encodings",
			"POST /login HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked, identity\r\n\r\n",
			"501 Not Implemented",
		},
		{
			"a chunk that is none",
			"POST /login HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\nzz\r\n",
			"400 Bad Request invalid_request",
		},
		{"no request at all", "GARBAGE\r\n\r\n", "400 Bad Request"},
		{"HTTP/2 without asking for it", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "400 Bad Request"},
		{"an unknown version", "GET /open HTTP/9.9\r\n" + host + "\r\n", "505 HTTP Version Not Supported"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := say(t, s, "shop", tc.text, false); !strings.HasPrefix(got, tc.want) {
				t.Errorf("response = %.200q, want %q", got, tc.want)
			}
		})
	}

	t.Run("a length and chunks: the body is not read as the next request", func(t *testing.T) {
		inner := "GET /open HTTP/1.1\r\n" + host + "\r\n"
		text := "POST /login HTTP/1.1\r\n" + host + "Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" +
			inner
		if got := say(t, s, "shop", text, false); strings.Contains(got, "open") {
			t.Errorf("response = %q, want none of GET /open", got)
		}
	})

	t.Run("plain HTTP to a TLS port", func(t *testing.T) {
		if got := say(
			t, s, "shop", "GET /open HTTP/1.1\r\n"+host+"\r\n", true,
		); !strings.HasPrefix(got, "400 Bad Request") || strings.HasSuffix(got, "open") {
			t.Errorf("response = %q, want 400 and none of GET /open", got)
		}
	})

	t.Run("HTTP/2 in the clear", func(t *testing.T) {
		if got := say(t, s, "clear", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", true); !strings.HasPrefix(got, "400") {
			t.Errorf("response = %q, want 400", got)
		}
	})

	t.Run("none of these requests took a use", func(t *testing.T) {
		a := s.Ask("HEAD", "shop", "/three", "Cookie", strings.TrimSpace(cookie[8:]))
		if a.Left() != "3" {
			t.Errorf("%s left, want 3", a.Left())
		}
	})
}

func TestTLS(t *testing.T) {
	s := jetontest.Start(t, wired)
	for _, tc := range []struct {
		name string
		set  func(*tls.Config)
		ok   bool
	}{
		{"TLS 1.3", func(c *tls.Config) { c.MinVersion = tls.VersionTLS13 }, true},
		{"TLS 1.2", func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }, true},
		{"TLS 1.1", func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 }, false},
		{"TLS 1.0", func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS10 }, false},
		{"CBC", func(c *tls.Config) {
			c.MaxVersion, c.CipherSuites = tls.VersionTLS12, []uint16{
				tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA,
				tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256,
			}
		}, false},
		{"HTTP/2", func(c *tls.Config) { c.NextProtos = []string{"h2"} }, true},
		{"a protocol that is not spoken", func(c *tls.Config) { c.NextProtos = []string{"smtp"} }, false},
		{"a name that the certificate has not", func(c *tls.Config) { c.ServerName = "evil.example" }, false},
		{"its address", func(c *tls.Config) { c.ServerName = "127.0.0.1" }, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			conf := s.TLS()
			conf.ServerName = "localhost"
			tc.set(conf)
			conn, err := tls.Dial("tcp", s.Addr("shop"), conf)
			if (err == nil) != tc.ok {
				t.Errorf("handshake = %v, want success = %t", err, tc.ok)
			}

			if err == nil {
				_ = conn.Close()
			}
		})
	}
}

// TestHeadOnEverything checks that HEAD is GET without a body.
func TestHeadOnEverything(t *testing.T) {
	s := jetontest.Start(t, wired)
	s.AddUser("diane", right)
	c := s.Enter("shop", "diane", right)
	for _, path := range []string{
		"/me",
		"/three",
		"/open",
		"/teapot",
		"/every/x",
		"/.well-known/jeton",
		"/nothing",
		"/login",
		"/a//b",
	} {
		for _, cookie := range []string{"", c} {
			head, get := s.Ask("HEAD", "shop", path, "Cookie", cookie), s.Ask("GET", "shop", path, "Cookie", cookie)
			if head.Status != get.Status || head.Body != "" || head.Code() != get.Code() || head.Request() == "" ||
				head.Header.Get("Content-Type") != get.Header.Get("Content-Type") {
				t.Errorf(
					"%s, logged in %t: HEAD = %d %s %q, want what GET has: %d %s, without its body",
					path, cookie != "", head.Status, head.Code(), head.Body, get.Status, get.Code(),
				)
			}
		}
	}
}

func TestAdminListener(t *testing.T) {
	s := jetontest.Start(t, wired)
	for _, tc := range []struct {
		name, method, path, host string
		status                   int
	}{
		{"health", "GET", "/healthz", "", 200},
		{"liveness", "GET", "/livez", "", 200},
		{"readiness", "GET", "/readyz", "", 200},
		{"metrics", "GET", "/metrics", "", 200},
		{"by name", "GET", "/metrics", "localhost:9180", 200},
		{"by another loopback name", "GET", "/healthz", "[::1]:9180", 200},
		{"a name that was rebound", "GET", "/metrics", "evil.example:9180", 421},
		{"a name that ends like ours", "GET", "/metrics", "localhost.evil.example", 421},
		{"a name that begins like ours", "GET", "/metrics", "127.0.0.1.evil.example", 421},
		{"another address, which cannot be rebound", "GET", "/metrics", "192.0.2.1", 200},
		{"POST", "POST", "/metrics", "", 405},
		{"the operators' API is not here", "GET", "/api/v1/users", "", 404},
		{"nothing else is", "GET", "/debug/pprof/", "", 404},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var header []string
			if tc.host != "" {
				header = []string{"Host", tc.host}
			}
			if a := s.Send(
				http.DefaultClient, tc.method, s.Admin()+tc.path, "", header...,
			); a.Status != tc.status || a.Request() == "" {
				t.Errorf("%d %.80q, want %d", a.Status, a.Body, tc.status)
			}
		})
	}

	t.Run("no service serves the operators' API", func(t *testing.T) {
		for _, path := range []string{"/api/v1/status", "/api/v1/users", "/api/v1/sessions", "/metrics", "/readyz"} {
			if a := s.Ask("GET", "shop", path); a.Status != 404 {
				t.Errorf("%s: %d, want 404", path, a.Status)
			}
		}
	})
}
