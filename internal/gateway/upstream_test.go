package gateway_test

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/jetontest"
)

const behind = `
services:
  - name: app
    listen: localhost:0
    login: {paths: [/login]}
    routes:
      - {match: '/echo/{rest...}', upstream: {url: '${ECHO}'}}
      - {match: '/open/{rest...}', open: true, upstream: {url: '${ECHO}'}}
      - {match: '/app/{rest...}', upstream: {url: '${ECHO}', strip_prefix: /app}}
      - {match: '/based/{rest...}', upstream: {url: '${ECHO}/base', strip_prefix: /based, pass_host: true}}
      - {match: '/do/{rest...}', upstream: {url: '${DO}', strip_prefix: /do}}
      - {match: '/paid/{rest...}', max_uses: 10, upstream: {url: '${DO}', strip_prefix: /paid, timeout: 300ms}}
      - {match: '/down/{rest...}', max_uses: 3, upstream: {url: 'http://127.0.0.1:1'}}
  - name: other
    listen: localhost:0
    login: {paths: [/login]}
    session: {cookie: other_session}
`

func newBehind(t *testing.T, head string) (*jetontest.Server, *behaviours) {
	t.Helper()
	b := newBehaviours(t)
	s := jetontest.Start(t, head+easy+behind, jetontest.Env("ECHO", echo(t)), jetontest.Env("DO", b.URL))
	s.AddUser("diane", right, "staff", "admin")
	return s, b
}

// value returns a header of an echoed request, and how many lines there are of it.
func value(echoed, name string) (v string, n int) {
	head, _, _ := strings.Cut(echoed, "\r\n\r\n")
	for line := range strings.SplitSeq(head, "\r\n") {
		key, text, ok := strings.Cut(line, ":")
		if ok && strings.EqualFold(key, name) {
			v = strings.TrimSpace(text)
			n++
		}
	}

	return v, n
}

func TestUpstreamGetsTheCaller(t *testing.T) {
	s, _ := newBehind(t, "")
	c := s.Enter("app", "diane", right)
	_, port, _ := strings.Cut(strings.TrimPrefix(s.URL("app"), "https://"), ":")
	for _, tc := range []struct {
		name, path string
		want       map[string]string
	}{
		{
			"a session",
			"/echo/x?q=1",
			map[string]string{
				"Remote-User":   "diane",
				"Remote-Groups": "admin,staff",
			},
		},
		{
			"an open route, with a session",
			"/open/x",
			map[string]string{
				"Remote-User":   "",
				"Remote-Groups": "",
			},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := s.Ask("GET", "app", tc.path, "Cookie", c)
			tc.want["X-Forwarded-For"] = "127.0.0.1"
			tc.want["X-Forwarded-Proto"] = "https"
			tc.want["X-Forwarded-Host"] = "localhost:" + port
			tc.want["X-Request-Id"] = a.Request()

			for name, want := range tc.want {
				if got, n := value(a.Body, name); got != want || n != 1 {
					t.Errorf("upstream gets %s %q, %d times, want %q once", name, got, n, want)
				}
			}
		})
	}

	for _, tc := range []struct{ name, path, line, host string }{
		{"as it is", "/echo/a%20b/c?x=%2F&y=%20", "GET /echo/a%20b/c?x=%2F&y=%20 HTTP/1.1", ""},
		{"a prefix removed", "/app/a%20b?x=1", "GET /a%20b?x=1 HTTP/1.1", ""},
		{"a path that is the prefix", "/app/", "GET / HTTP/1.1", ""},
		{"a base added", "/based/x/", "GET /base/x/ HTTP/1.1", "localhost:" + port},
		{"UTF-8", "/echo/%C3%A9", "GET /echo/%C3%A9 HTTP/1.1", ""},
	} {
		t.Run("the path, "+tc.name, func(t *testing.T) {
			a := s.Ask("GET", "app", tc.path, "Cookie", c)
			if line, _, _ := strings.Cut(a.Body, "\r\n"); line != tc.line {
				t.Errorf("upstream gets %q, want %q", line, tc.line)
			}

			got, _ := value(a.Body, "Host")
			if tc.host != "" && got != tc.host || tc.host == "" && !strings.HasPrefix(got, "127.0.0.1:") {
				t.Errorf("upstream gets Host %q, want %q", got, tc.host)
			}
		})
	}

	t.Run("cookies that are not ours pass as they are", func(t *testing.T) {
		a := s.Ask("GET", "app", "/echo/x", "Authorization", "Bearer abc", "Proxy-Authorization", "Basic abc",
			"Cookie", `a=1; `+c+`; jeton-x=1; other_session=2; b="x y"; c=d=e; x__Host-jeton=2; lone`,
			"Cookie", "second=line")

		const want = `a=1; b="x y"; c=d=e; x__Host-jeton=2; lone; second=line`
		if got, n := value(a.Body, "Cookie"); got != want || n != 1 {
			t.Errorf("upstream gets Cookie %q, %d times, want %q once", got, n, want)
		}

		_, secret, _ := strings.Cut(c, "=")
		if strings.Contains(a.Body, secret) || strings.Contains(strings.ToLower(a.Body), "authorization") {
			t.Errorf("upstream gets a credential, want none:\n%s", a.Body)
		}
	})

	t.Run("our cookie alone leaves no Cookie header", func(t *testing.T) {
		if _, n := value(s.Ask("GET", "app", "/echo/x", "Cookie", c).Body, "Cookie"); n != 0 {
			t.Error("upstream gets a Cookie header, want none")
		}
	})
}

// spoofed are headers that must not reach an upstream as a client sends them.
var spoofed = []string{
	"Remote-User", "Remote-Groups", "Remote-Name", "Remote-Email",
	"X-Remote-User", "X-Forwarded-User", "X-Forwarded-Groups",
	"X-Auth-Request-User", "X-Auth-Request-Email", "X-WebAuth-User",
	"X-Authentik-Username", "X-Authelia-Groups", "X-Pomerium-Jwt-Assertion",
	"X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Prefix",
	"X-Forwarded-Port", "X-Forwarded-Uri", "X-Forwarded-Client-Cert",
	"Forwarded", "X-Real-IP", "X-Original-URL", "X-Rewrite-URL", "X-HTTP-Method-Override",
	"X-Jeton-User", "Jeton-User", "X-Request-Id",
}

func TestClientsCannotSetIdentityHeaders(t *testing.T) {
	s, _ := newBehind(t, "")
	c := s.Enter("app", "diane", right)
	const canary = "spoofed-4711"

	h1 := dial(t, s, "app")
	for _, name := range spoofed {
		lines := map[string]string{
			"as it is":            name + ": " + canary,
			"in lower case":       strings.ToLower(name) + ": " + canary,
			"in upper case":       strings.ToUpper(name) + ": " + canary,
			"with underscores":    strings.ReplaceAll(name, "-", "_") + ": " + canary,
			"with one underscore": strings.Replace(name, "-", "_", 1) + ": " + canary,
			"with dots":           strings.ReplaceAll(name, "-", ".") + ": " + canary,
			"with tildes":         strings.ReplaceAll(name, "-", "~") + ": " + canary,
			"twice":               name + ": " + canary + "\r\n" + name + ": " + canary,
			"in two spellings":    name + ": " + canary + "\r\n" + strings.ReplaceAll(name, "-", "_") + ": " + canary,
			"empty, then not":     name + ":\r\n" + name + ": " + canary,
			"named by Connection": "Connection: keep-alive, " + name + ", Remote-User, X-Forwarded-For\r\n" + name +
				": " +
				canary,
			"in a trailer":          "Transfer-Encoding: chunked\r\nTrailer: " + name,
			"in an unnamed trailer": "Transfer-Encoding: chunked",
		}

		for _, path := range []string{"/echo/x", "/open/x"} {
			for variant, head := range lines {
				text := "GET " + path + " HTTP/1.1\r\nHost: localhost\r\nCookie: " + c + "\r\n" + head + "\r\n\r\n"
				if strings.Contains(variant, "trailer") {
					text = "POST" + text[3:] + "1\r\nx\r\n0\r\n" + name + ": " + canary + "\r\n\r\n"
				}

				_, body := h1.ask(text)
				checkIdentity(t, "HTTP/1.1, "+name+" "+variant+" at "+path, path, body, canary)
			}

			if name == "X-Forwarded-Host" || name == "X-Request-Id" {
				continue
			}

			for _, variant := range []string{
				name,
				strings.ReplaceAll(name, "-", "_"),
				strings.ReplaceAll(name, "-", "."),
			} {
				a := s.Ask("GET", "app", path, "Cookie", c, variant, canary, variant, canary)
				checkIdentity(t, "HTTP/2, "+variant+" at "+path, path, a.Body, canary)
			}
		}
	}
}

// checkIdentity checks the identity headers that a backend received.
func checkIdentity(t *testing.T, what, path, body, canary string) {
	t.Helper()
	if body == "" || strings.Contains(body, canary) {
		t.Errorf("%s: upstream gets this, want nothing that the client sent:\n%s", what, body)
	}

	user := map[string]string{"/echo/x": "diane", "/open/x": ""}[path]
	if got, n := value(body, "Remote-User"); got != user || n != 1 {
		t.Errorf("%s: upstream gets Remote-User %q, %d times, want %q once", what, got, n, user)
	}
	for _, name := range []string{"Remote-Name", "Remote-Email"} {
		if got, n := value(body, name); n != 0 {
			t.Errorf("%s: upstream gets %s %q, want none: the account has none", what, name, got)
		}
	}

	if got, n := value(body, "X-Forwarded-For"); got != "127.0.0.1" || n != 1 {
		t.Errorf("%s: upstream gets X-Forwarded-For %q, %d times, want 127.0.0.1 once", what, got, n)
	}

	if strings.Contains(strings.ToLower(body), "\r\ntrailer:") {
		t.Errorf("%s: upstream gets this, want no header Trailer:\n%s", what, body)
	}
}

func TestTrustedProxies(t *testing.T) {
	s, _ := newBehind(t, "trusted_proxies: [127.0.0.1, 192.0.2.0/24]\n")
	c := s.Enter("app", "diane", right)
	for _, tc := range []struct {
		name   string
		header []string
		want   string
	}{
		{"no header", nil, "127.0.0.1"},
		{"one hop", []string{"X-Forwarded-For", "198.51.100.7"}, "198.51.100.7"},
		{
			"the nearest that is not a proxy",
			[]string{"X-Forwarded-For", "1.1.1.1, 198.51.100.7, 192.0.2.3"},
			"198.51.100.7",
		},
		{"over two lines", []string{"X-Forwarded-For", "198.51.100.7", "X-Forwarded-For", "192.0.2.3"}, "198.51.100.7"},
		{"proxies all the way", []string{"X-Forwarded-For", "192.0.2.4, 192.0.2.3"}, "192.0.2.4"},
		{"nonsense behind a proxy", []string{"X-Forwarded-For", "nonsense, 192.0.2.3"}, ""},
		{"IPv6", []string{"X-Forwarded-For", "2001:db8::1"}, "2001:db8::1"},
		{
			"other headers",
			[]string{"Forwarded", "for=1.1.1.1", "X-Real-IP", "1.1.1.1", "X-Client-IP", "1.1.1.1"},
			"127.0.0.1",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := s.Ask("GET", "app", "/echo/x", append(tc.header, "Cookie", c)...)
			got, n := value(a.Body, "X-Forwarded-For")
			if got != tc.want || (n == 1) != (tc.want != "") {
				t.Errorf("upstream gets X-Forwarded-For %q, %d times, want %q once, or none", got, n, tc.want)
			}
		})
	}

	t.Run("a valid request id of a proxy is kept", func(t *testing.T) {
		for id, kept := range map[string]bool{
			"proxy-made-1234":       true,
			"short":                 false,
			"with space 1":          false,
			strings.Repeat("x", 65): false,
		} {
			a := s.Ask("GET", "app", "/echo/x", "Cookie", c, "X-Request-Id", id)
			if got, _ := value(a.Body, "X-Request-Id"); (a.Request() == id) != kept || got != a.Request() {
				t.Errorf("request id %q became %q, at the upstream %q, want it kept: %t", id, a.Request(), got, kept)
			}
		}
	})
}

func TestUpstreamResponses(t *testing.T) {
	s, b := newBehind(t, "")
	c := s.Enter("app", "diane", right)
	t.Run("an upstream cannot set our cookies and headers", func(t *testing.T) {
		a := s.Ask("GET", "app", "/do/cookies", "Cookie", c)
		want := []string{"before=1", "theirs__Host-jeton=1; Path=/x", "after=__Host-jeton=1", "jetonic=1"}

		harmless := func(line string) bool { return line == "__Host-jeton" } // it has no name
		got := slices.DeleteFunc(a.Header["Set-Cookie"], harmless)
		if !slices.Equal(got, want) {
			t.Errorf("Set-Cookie is %q, want %q", got, want)
		}

		if a.Left() != "" || a.Code() != "" || a.Request() == "theirs" || len(a.Header["X-Request-Id"]) != 1 ||
			a.Header.Get("X-Theirs") != "kept" {
			t.Errorf("response has headers %v, want ours and X-Theirs", a.Header)
		}
	})

	t.Run("an informational response is dropped", func(t *testing.T) {
		for _, client := range []*http.Client{s.Client(), s.Client(jetontest.HTTP1())} {
			a := s.Send(client, "GET", s.URL("app")+"/paid/early", "", "Cookie", c)
			if a.Status != 200 || a.Body != "late" || a.Left() == "" || a.Request() == "" || len(a.Early) != 0 ||
				a.Header.Get("Set-Cookie") != "" {
				t.Errorf(
					"response is %d %q after %v, with headers %v, want 200 late after nothing",
					a.Status, a.Body, a.Early, a.Header,
				)
			}
		}
	})

	t.Run("an upstream that is down", func(t *testing.T) {
		for _, want := range []string{"2", "1"} {
			a := s.Ask("GET", "app", "/down/x", "Cookie", c)
			if a.Status != 502 || a.Code() != "upstream_failed" || a.Left() != want ||
				a.Header.Get("Content-Type") != "application/problem+json" {
				t.Errorf(
					"response is %d %s, %s uses left, want 502 upstream_failed, %s",
					a.Status, a.Code(), a.Left(), want,
				)
			}

			internal := strings.Contains(a.Body, "127.0.0.1") || strings.Contains(a.Body, "refused")
			if internal || !strings.Contains(a.Body, a.Request()) {
				t.Errorf("response is %s, want the request id and nothing internal", a.Body)
			}
		}

		if a := s.Ask("HEAD", "app", "/down/x", "Cookie", c); a.Left() != "1" || a.Status != 200 {
			t.Errorf("HEAD is %d, %s uses left, want 200 and 1", a.Status, a.Left())
		}
	})

	t.Run("an upstream that is slow", func(t *testing.T) {
		a := s.Ask("GET", "app", "/paid/slow", "Cookie", c)
		if a.Status != 502 || a.Code() != "upstream_failed" {
			t.Errorf("response is %d %s, want 502 upstream_failed", a.Status, a.Code())
		}
	})

	t.Run("a response that is cut off does not look complete", func(t *testing.T) {
		for _, client := range []*http.Client{s.Client(), s.Client(jetontest.HTTP1())} {
			r, _ := http.NewRequestWithContext(t.Context(), "GET", s.URL("app")+"/do/cut", nil)
			r.Header.Set("Cookie", c)
			resp, err := client.Do(r)
			if err != nil {
				continue
			}

			if body, err := io.ReadAll(resp.Body); err == nil {
				t.Errorf("%s: end of %q = nil, want an error: the response was cut", resp.Proto, body)
			}

			_ = resp.Body.Close()
		}
	})

	t.Run("HEAD on a counted route never reaches the backend", func(t *testing.T) {
		before := b.reached.Load()
		a := s.Ask("HEAD", "app", "/paid/cookies", "Cookie", c)
		reached := b.reached.Load() - before
		if a.Status != 200 || len(a.Header["Set-Cookie"]) != 0 || reached != 0 {
			t.Errorf(
				"HEAD is %d with headers %v, reaches upstream %d times, want 200 and 0",
				a.Status, a.Header, reached,
			)
		}
	})

	t.Run("a response streams", func(t *testing.T) {
		defer b.release()

		r, _ := http.NewRequestWithContext(t.Context(), "GET", s.URL("app")+"/do/stream", nil)
		r.Header.Set("Cookie", c)
		resp, err := s.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()

		first := make([]byte, 6)
		if _, err := io.ReadFull(resp.Body, first); err != nil || string(first) != "first," {
			t.Fatalf("read %q, %v, want \"first,\" while the backend waits", first, err)
		}

		b.release()
		if rest, err := io.ReadAll(resp.Body); err != nil || string(rest) != "last" {
			t.Errorf("read %q, %v, want last", rest, err)
		}
	})
}

func TestBigBodiesStream(t *testing.T) {
	s, b := newBehind(t, "")
	c := s.Enter("app", "diane", right)
	for _, client := range []*http.Client{s.Client(), s.Client(jetontest.HTTP1())} {
		r, w := io.Pipe()
		req, _ := http.NewRequestWithContext(t.Context(), "POST", s.URL("app")+"/do/upload", r)
		req.Header.Set("Cookie", c)
		const piece, pieces = 1 << 20, 24
		go func() {
			for i := range pieces {
				_, _ = w.Write(make([]byte, piece))
				if i == 0 {
					<-b.seen // the backend has a part before the client has sent the rest
				}
			}

			_ = w.Close()
		}()

		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}

		body, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()

		if string(body) != fmt.Sprint(piece*pieces) {
			t.Errorf("%s: the backend read %s bytes, want %d", resp.Proto, body, piece*pieces)
		}

		for len(b.seen) > 0 {
			<-b.seen
		}
	}
}

func TestUpgrade(t *testing.T) {
	s, _ := newBehind(t, "")
	c := s.Enter("app", "diane", right)

	head := "GET /do/ws HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"

	t.Run("with a session", func(t *testing.T) {
		conn := dial(t, s, "app")
		resp, _ := conn.ask(head + "Cookie: " + c + "\r\n\r\n")
		if resp.StatusCode != 101 {
			t.Fatalf("upgrade is %d, want 101", resp.StatusCode)
		}

		hello, _ := conn.r.ReadString('\n')
		_, _ = io.WriteString(conn, "hi\n")
		said, _ := conn.r.ReadString('\n')
		if hello != "hello diane\n" || said != "you said hi\n" {
			t.Errorf("the connection answers %q and %q, want hello diane and you said hi", hello, said)
		}
	})

	t.Run("a counted route does not upgrade", func(t *testing.T) {
		counted := strings.Replace(head, "/do/ws", "/paid/ws", 1)
		resp, _ := dial(t, s, "app").ask(counted + "Cookie: " + c + "\r\n\r\n")
		if resp.StatusCode == 101 {
			t.Error("upgrade = 101, want a refusal: one use would pay for a connection")
		}
	})

	t.Run("without a session", func(t *testing.T) {
		resp, _ := dial(t, s, "app").ask(head + "\r\n")
		code := resp.Header.Get(jeton.HeaderError)
		if resp.StatusCode != 401 || code != "no_credential" {
			t.Errorf("upgrade is %d %s, want 401 no_credential", resp.StatusCode, code)
		}
	})
}
