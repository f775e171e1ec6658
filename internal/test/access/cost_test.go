package access_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jeton-auth/jeton/internal/api"
	"github.com/jeton-auth/jeton/jetontest"
)

const counted = noThrottle + `
services:
  - name: shop
    listen: localhost:0
    login: {paths: [/login]}
    logout: /logout
    session: {max_sessions: 1}
    routes:
      - {match: GET /three, max_uses: 3, respond: {json: {"{{.Name}} got": {pick: [one]}}}}
      - {match: GET /vip, max_uses: 2, allow: {groups: [vip]}, respond: {text: vip}}
      - {match: GET /free, respond: {text: free}}
      - {match: '/paid/{rest...}', max_uses: 3, upstream: {url: '${BACKEND}'}}
      - {match: GET /many, max_uses: 100, upstream: {url: '${BACKEND}'}}
  - name: both
    listen: localhost:0
    login: {paths: [/login]}
    session: {max_uses: 5}
    routes:
      - {match: GET /a, max_uses: 3, respond: {text: a}}
      - {match: GET /b, max_uses: 4, respond: {text: b}}
      - {match: GET /c, respond: {text: c}}
`

// left returns how many uses are left at a route. It takes none.
func (f *fixture) left(service, path, cookie string) string {
	return f.Ask(http.MethodHead, service, path, "Cookie", cookie).Left()
}

func TestWhatTakesAUse(t *testing.T) {
	f := newFixture(t, counted)
	f.add("diane", "eshana")
	shop := f.URL("shop")

	t.Run("three uses, each with the whole answer, then none", func(t *testing.T) {
		c := f.enter("shop", "diane")
		for i, want := range []string{"2", "1", "0"} {
			a := f.Ask("GET", "shop", "/three", "Cookie", c)
			if a.Status != 200 || a.Left() != want || a.Body != "{\"diane got\": \"one\"}\n" || a.Code() != "" {
				t.Errorf("use %d: %d %q, left %s, want 200 and %s left", i+1, a.Status, a.Body, a.Left(), want)
			}
		}

		for range 3 {
			a := f.Ask("GET", "shop", "/three", "Cookie", c)
			if a.Status != 403 || a.Code() != "spent" || a.Left() != "0" || strings.Contains(a.Body, "got") {
				t.Errorf("after the last: %d %s %q, want 403 spent", a.Status, a.Code(), a.Body)
			}
		}

		if a := f.Ask("HEAD", "shop", "/three", "Cookie", c); a.Status != 403 || a.Code() != "spent" {
			t.Errorf("HEAD after the last: %d %s, want 403 spent", a.Status, a.Code())
		}
		if a := f.Ask("GET", "shop", "/free", "Cookie", c); a.Status != 200 || a.Left() != "" {
			t.Errorf("another route: %d, left %q, want 200 and no count", a.Status, a.Left())
		}

		fresh := f.enter("shop", "diane")
		if a := f.Ask("GET", "shop", "/three", "Cookie", c); a.Code() != "bad_credential" {
			t.Errorf("the old token after a new login: %s, want bad_credential", a.Code())
		}
		if got := f.left("shop", "/three", fresh); got != "3" {
			t.Errorf("a new login has %s left, want 3", got)
		}
	})

	t.Run("a refusal by scope takes no use", func(t *testing.T) {
		c := f.enter("shop", "diane")
		for range 5 {
			a := f.Ask("GET", "shop", "/vip", "Cookie", c)
			if a.Status != 403 || a.Code() != "forbidden" || a.Left() != "" {
				t.Fatalf("%d %s, left %q, want 403 forbidden", a.Status, a.Code(), a.Left())
			}
		}

		f.MustControl("PUT", "/api/v1/users/diane/groups", api.Groups{Groups: []string{"vip"}}, nil)

		for _, want := range []string{"1", "0"} {
			if a := f.Ask("GET", "shop", "/vip", "Cookie", c); a.Status != 200 || a.Left() != want {
				t.Errorf("%d, left %s, want 200 and %s", a.Status, a.Left(), want)
			}
		}

		f.MustControl("PUT", "/api/v1/users/diane/groups", api.Groups{Groups: []string{}}, nil)
		if a := f.Ask("GET", "shop", "/vip", "Cookie", c); a.Code() != "forbidden" {
			t.Errorf("spent and not allowed: %s, want forbidden, which is checked first", a.Code())
		}
	})

	t.Run("what the router refuses takes no use", func(t *testing.T) {
		c := f.enter("shop", "diane")
		for _, path := range []string{
			// A router or an upstream could take each of these for /three.
			"/three/",
			"//three",
			"/./three",
			"/x/../three",
			"/%74hree%00",
			"/three%2f",
			"/paid/..%2fthree",
			"/three;x/..",
			"/Three",
		} {
			if a := f.Ask("GET", "shop", path, "Cookie", c); a.Status < 400 || a.Left() != "" {
				t.Errorf("%s: %d, left %q, want a refusal and no count", path, a.Status, a.Left())
			}
		}

		for _, method := range []string{"POST", "PUT", "DELETE", "PATCH", "TRACE", "BREW"} {
			if a := f.Ask(method, "shop", "/three", "Cookie", c); a.Status != 405 || a.Code() != "method_not_allowed" {
				t.Errorf("%s: %d %s, want 405", method, a.Status, a.Code())
			}
		}

		if got := f.left("shop", "/three", c); got != "3" {
			t.Errorf("%s left, want 3", got)
		}
	})

	t.Run("HEAD and OPTIONS take no use and get no content", func(t *testing.T) {
		c := f.enter("shop", "diane")
		before := f.reached.Load()

		for range 5 {
			for _, path := range []string{"/three", "/paid/x"} {
				if a := f.Ask("HEAD", "shop", path, "Cookie", c); a.Status != 200 || a.Left() != "3" || a.Body != "" {
					t.Errorf("HEAD %s: %d %q, left %s, want 200, no body and 3", path, a.Status, a.Body, a.Left())
				}

				a := f.Ask("OPTIONS", "shop", path, "Cookie", c)
				allow := a.Header.Get("Allow")
				if a.Status != 204 || a.Left() != "" || allow == "" {
					t.Errorf(
						"OPTIONS %s: %d, left %q, Allow %q, want 204, no count and methods",
						path, a.Status, a.Left(), allow,
					)
				}
			}
		}

		n := f.reached.Load() - before
		if n != 0 {
			t.Errorf("HEAD and OPTIONS reached the backend %d times, want 0", n)
		}
		if a := f.Ask("HEAD", "shop", "/paid/x"); a.Status != 401 {
			t.Errorf("HEAD without a login: %d, want 401", a.Status)
		}
	})

	t.Run("no header makes two answers take one use", func(t *testing.T) {
		for _, tc := range []struct {
			name, path string
			header     []string
		}{
			{
				"an override to HEAD",
				"/three",
				[]string{"X-HTTP-Method-Override", "HEAD", "X-Http-Method", "HEAD", "X-Method-Override", "OPTIONS"},
			},
			{"an override in the query", "/three?_method=HEAD", nil},
			{"one request id", "/three", []string{"X-Request-Id", "the-same-request-id"}},
			{"one idempotency key", "/three", []string{"Idempotency-Key", "k-1"}},
			{
				"a cached copy",
				"/three",
				[]string{"If-None-Match", "*", "If-Modified-Since", "Fri, 31 Dec 2100 23:59:59 GMT"},
			},
			{"a range", "/three", []string{"Range", "bytes=0-0"}},
			{"a claimed count", "/three", []string{"Jeton-Uses-Remaining", "99"}},
			{"an override to HEAD upstream", "/paid/x", []string{"X-HTTP-Method-Override", "HEAD"}},
			{"a range upstream", "/paid/x", []string{"Range", "bytes=0-0", "If-Range", "x"}},
		} {
			t.Run(tc.name, func(t *testing.T) {
				c := f.enter("shop", "diane")
				for _, want := range []string{"2", "1"} {
					a := f.Ask("GET", "shop", tc.path, append(tc.header, "Cookie", c)...)
					if a.Status != 200 || a.Left() != want {
						t.Errorf("%d, left %s, want 200 and %s left", a.Status, a.Left(), want)
					}
				}
			})
		}
	})

	t.Run("a page that is fetched ahead is refused and takes no use", func(t *testing.T) {
		c := f.enter("shop", "diane")
		before := f.reached.Load()

		for _, name := range []string{"Sec-Purpose", "Purpose", "X-Moz"} {
			for _, path := range []string{"/three", "/paid/x"} {
				a := f.Ask("GET", "shop", path, "Cookie", c, name, "prefetch")
				if a.Status != 403 {
					t.Errorf("GET %s with %s = %d, want 403", path, name, a.Status)
				}
			}
		}

		if n := f.reached.Load() - before; n != 0 {
			t.Errorf("pages fetched ahead reached the backend %d times, want 0", n)
		}
		if got := f.left("shop", "/three", c); got != "3" {
			t.Errorf("left %s, want 3", got)
		}
	})

	t.Run("unknown methods and spellings take a use upstream", func(t *testing.T) {
		c := f.enter("shop", "diane")
		h1 := f.Client(jetontest.HTTP1())
		for i, method := range []string{"head", "Options", "PURGE"} {
			if a := f.Send(h1, method, shop+"/paid/x", "", "Cookie", c); a.Left() != fmt.Sprint(2-i) {
				t.Errorf("%s: %d, left %s, want %d", method, a.Status, a.Left(), 2-i)
			}
		}
	})

	t.Run("each user has a separate count", func(t *testing.T) {
		d, e := f.enter("shop", "diane"), f.enter("shop", "eshana")
		f.Ask("GET", "shop", "/three", "Cookie", d)
		if got := f.left("shop", "/three", e); got != "3" {
			t.Errorf("eshana has %s left after diane's use, want 3", got)
		}
	})
}

func TestARequestTakesAUseOfTheLoginAndOfTheRouteOrNone(t *testing.T) {
	f := newFixture(t, counted)
	f.add("diane")
	c := f.enter("both", "diane")
	for i, step := range []struct{ path, left, code string }{
		{"/a", "2", ""}, {"/a", "1", ""}, {"/a", "0", ""}, // login: 2
		{"/a", "0", "spent"}, {"/a", "0", "spent"},
		{"/b", "1", ""}, {"/c", "0", ""}, // login: 0
		{"/b", "0", "spent"}, {"/c", "0", "spent"}, {"/a", "0", "spent"},
	} {
		if a := f.Ask("GET", "both", step.path, "Cookie", c); a.Left() != step.left || a.Code() != step.code {
			t.Errorf(
				"step %d, %s: left %s, code %q, want %s, %q",
				i, step.path, a.Left(), a.Code(), step.left, step.code,
			)
		}
	}

	t.Run("in parallel", func(t *testing.T) {
		c := f.enter("both", "diane")
		var won [2]atomic.Int64
		var wg sync.WaitGroup
		for i := range 40 {
			wg.Go(func() {
				if a := f.Ask("GET", "both", []string{"/a", "/b"}[i%2], "Cookie", c); a.Status == 200 {
					won[i%2].Add(1)
				}
			})
		}

		wg.Wait()
		if a, b := won[0].Load(), won[1].Load(); a+b != 5 || a > 3 || b > 4 {
			t.Errorf("%d and %d admitted, want 5 in total, at most 3 and 4", a, b)
		}
	})
}

func TestConcurrentRequestsTakeAtMostThreeUses(t *testing.T) {
	f := newFixture(t, counted)
	f.add("diane")

	for _, tc := range []struct {
		name, path string
		client     *http.Client
	}{
		{"HTTP/2, built in", "/three", f.Client()},
		{"HTTP/1.1, built in", "/three", f.Client(jetontest.HTTP1())},
		{"HTTP/2, upstream", "/paid/x", f.Client()},
		{"HTTP/1.1, upstream", "/paid/x", f.Client(jetontest.HTTP1())},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := f.enter("shop", "diane")
			before := f.reached.Load()
			var admitted, spent atomic.Int64
			var wg sync.WaitGroup
			for range 64 {
				wg.Go(func() {
					a := f.Send(tc.client, "GET", f.URL("shop")+tc.path, "", "Cookie", c)
					switch {
					case a.Status == 200:
						admitted.Add(1)
					case a.Code() == "spent":
						spent.Add(1)
					}
				})
			}

			wg.Wait()
			if admitted.Load() != 3 || spent.Load() != 61 {
				t.Errorf("%d admitted and %d spent, want 3 and 61", admitted.Load(), spent.Load())
			}

			n := f.reached.Load() - before
			if tc.path == "/paid/x" && n != 3 {
				t.Errorf("the backend was reached %d times, want 3", n)
			}
		})
	}
}

// TestPipelinedRequestsTakeAUseEach sends requests on one connection without waiting for
// responses.
func TestPipelinedRequestsTakeAUseEach(t *testing.T) {
	f := newFixture(t, counted)
	f.add("diane")

	for _, tc := range []struct{ name, head string }{
		{"plain", ""},
		{"expecting 100-continue", "Expect: 100-continue\r\nContent-Length: 0\r\n"},
		{"naming the cookie as a header of the connection", "Connection: keep-alive, Cookie, Jeton-Uses-Remaining\r\n"},
		{"with a body", "Content-Length: 4\r\n"},
		{"with a chunked body", "Transfer-Encoding: chunked\r\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := f.enter("shop", "diane")
			conf := f.TLS()
			conf.ServerName = "localhost"
			conn, err := tls.Dial("tcp", f.Addr("shop"), conf)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()

			body := ""
			switch {
			case strings.Contains(tc.head, "4"):
				body = "body"
			case strings.Contains(tc.head, "chunked"):
				body = "4\r\nbody\r\n0\r\n\r\n"
			}

			const n = 8

			one := "GET /paid/x HTTP/1.1\r\nHost: localhost\r\nCookie: " + c + "\r\n" + tc.head + "\r\n" + body
			if _, err := io.WriteString(conn, strings.Repeat(one, n)); err != nil {
				t.Fatal(err)
			}

			r := bufio.NewReader(conn)
			var got []int
			for range n {
				resp, err := http.ReadResponse(r, &http.Request{Method: "GET"})
				for err == nil && resp.StatusCode == http.StatusContinue {
					resp, err = http.ReadResponse(r, &http.Request{Method: "GET"})
				}

				if err != nil {
					t.Fatalf("response %d: %v", len(got), err)
				}

				_, _ = io.Copy(io.Discard, resp.Body)
				got = append(got, resp.StatusCode)
			}

			want := fmt.Sprint([]int{200, 200, 200, 403, 403, 403, 403, 403})
			if fmt.Sprint(got) != want {
				t.Errorf("statuses %v, want %v", got, want)
			}
		})
	}
}
