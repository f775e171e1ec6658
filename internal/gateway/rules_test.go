package gateway_test

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"

	"github.com/jeton-auth/jeton/jetontest"
)

const ruled = `
services:
  - name: app
    listen: localhost:0
    plain_http: true
    login: {paths: [/login]}
    routes:
      - match: '/echo/{rest...}'
        open: true
        upstream:
          url: '${ECHO}'
          request_headers:
            remove: [x-debug]
            set: [{name: X-Tenant, value: blue one}]
            add: [{name: Via, value: 1.1 jeton}]
          response_headers:
            remove: [content-type]
            set: [{name: X-Frame-Options, value: DENY}]
            add: [{name: Vary, value: Cookie}]
      - {match: '/traced/{rest...}', open: true, upstream: {url: '${ECHO}', pass_headers: [Traceparent, tracestate]}}
      - {match: '/upload', max_uses: 3, upstream: {url: '${DO}', max_body: 10}}
      - {match: '/slow', open: true, upstream: {url: '${DO}', total_timeout: 100ms}}
`

func newRuled(t *testing.T, head string, options ...jetontest.Option) *jetontest.Server {
	t.Helper()

	b := newBehaviours(t)
	options = append(options, jetontest.Env("ECHO", echo(t)), jetontest.Env("DO", b.URL))

	return jetontest.Start(t, head+easy+ruled, options...)
}

func TestHeaderRules(t *testing.T) {
	s := newRuled(t, "")
	a := s.Ask("GET", "app", "/echo/x", "X-Debug", "1", "X-Tenant", "red", "X-Tenant", "green", "Via", "1.1 client")

	for name, want := range map[string]string{"X-Debug": "", "X-Tenant": "blue one", "Remote-User": ""} {
		got, n := value(a.Body, name)
		if got != want || n > 1 {
			t.Errorf("upstream gets %s %q, %d times, want %q once at most", name, got, n, want)
		}
	}
	if got, n := value(a.Body, "Via"); got != "1.1 jeton" || n != 2 {
		t.Errorf("upstream gets Via %q, %d times, want 1.1 jeton after that of the client", got, n)
	}

	h := a.Header
	if h.Get("Content-Type") != "" || h.Get("X-Frame-Options") != "DENY" || h.Get("Vary") != "Cookie" {
		t.Errorf("response has headers %v, want those of the rules", h)
	}
}

// TestTraces has a trace that a client sends: it is passed on from a trusted proxy, or where the configuration passes
// that of everybody, and it is in the log if it is passed on.
func TestTraces(t *testing.T) {
	const id = "4bf92f3577b34da6a3ce929d0e0e4736"
	const parent = "00-" + id + "-00f067aa0ba902b7-01"

	for _, tc := range []struct {
		name, head, path, parent string
		passes                   bool
	}{
		{"from a client", "", "/echo/x", parent, false},
		{"from a trusted proxy", "trusted_proxies: [127.0.0.1]\n", "/echo/x", parent, true},
		{"from a client, where it may pass", "", "/traced/x", parent, true},
		{"that is invalid, from a trusted proxy", "trusted_proxies: [127.0.0.1]\n", "/echo/x", parent + "0", false},
		{"that is invalid, where it may pass", "", "/traced/x", parent + "0", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			log := make(logLines, 1000)
			s := newRuled(t, tc.head+"log: {requests: all}\n", jetontest.Log(log, slog.LevelInfo))
			a := s.Ask("GET", "app", tc.path, "Traceparent", tc.parent, "Tracestate", "congo=t61rcWkgMzE")

			want, state, traced := "", "", ""
			if tc.passes {
				want, state, traced = tc.parent, "congo=t61rcWkgMzE", id
			}

			got, _ := value(a.Body, "Traceparent")
			gotState, _ := value(a.Body, "Tracestate")
			if got != want || gotState != state {
				t.Errorf("upstream gets %q and %q, want %q and %q", got, gotState, want, state)
			}

			line := log.await(t, `"msg":"request"`)
			ids := fmt.Sprintf(`"request_id":%q,"trace_id":%q,"upstream":"127.0.0.1:`, a.Request(), traced)
			if !strings.Contains(line, ids) {
				t.Errorf("the line is %s, want %s", line, ids)
			}
		})
	}
}

func TestLimitsOfARoute(t *testing.T) {
	s := newRuled(t, "")
	s.AddUser("diane", right)
	c := s.Enter("app", "diane", right)

	for _, tc := range []struct {
		name, head, body string
		status           int
		left             string
	}{
		{"a body of the maximum length", "Content-Length: 10", "0123456789", 200, "2"},
		{"a longer one, which takes no use", "Content-Length: 11", "0123456789a", 413, ""},
		{"one of the maximum length in chunks", "Transfer-Encoding: chunked", "a\r\n0123456789\r\n0\r\n\r\n", 200, "1"},
		{"a longer one in chunks", "Transfer-Encoding: chunked", "b\r\n0123456789a\r\n0\r\n\r\n", 413, "0"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			text := "POST /upload HTTP/1.1\r\nHost: localhost\r\nCookie: " + c + "\r\n" + tc.head + "\r\n\r\n" + tc.body
			resp, body := dial(t, s, "app").ask(text)
			if left := resp.Header.Get("Jeton-Uses-Remaining"); resp.StatusCode != tc.status || left != tc.left {
				t.Errorf("response is %d with %s uses left, want %d with %s", resp.StatusCode, left, tc.status, tc.left)
			}

			var problem struct{ Detail string }
			if resp.StatusCode != 200 && (json.Unmarshal([]byte(body), &problem) != nil ||
				problem.Detail != "the body is over 10 bytes") {
				t.Errorf("response is %s, want the limit", body)
			}
		})
	}

	t.Run("a request that takes too long", func(t *testing.T) {
		if a := s.Ask("GET", "app", "/slow"); a.Status != 502 || a.Code() != "upstream_failed" {
			t.Errorf("response is %d %s, want 502 upstream_failed", a.Status, a.Code())
		}
	})
}

// TestADownloadThatTakesTooLongIsCut has a response that begins, and does not end.
func TestADownloadThatTakesTooLongIsCut(t *testing.T) {
	b := newBehaviours(t)
	conf := strings.Replace(watched, "strip_prefix: /do", "strip_prefix: /do, total_timeout: 100ms", 1)
	s := jetontest.Start(t, easy+conf, jetontest.Env("DO", b.URL))
	s.AddUser("diane", right)

	r := begin(t, s, s.Client(), "/do/stream", s.Enter("app", "diane", right))
	if rest, err := io.ReadAll(r.Body); err == nil {
		t.Errorf("end of the response after %q = nil, want an error: it was cut", rest)
	}
}
