package server_test

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jeton-auth/jeton/jetontest"
)

// collector is a receiver of spans.
type collector struct {
	*httptest.Server
	bodies chan string
}

func newCollector(t *testing.T) *collector {
	t.Helper()
	c := &collector{bodies: make(chan string, 1000)}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v1/traces" || r.Header.Get("Authorization") != "Bearer of-the-collector" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}

		body, _ := io.ReadAll(r.Body)
		c.bodies <- string(body)
	}))
	t.Cleanup(c.Close)

	return c
}

// exported is a span, with the names of OTLP in JSON.
type exported struct {
	TraceID      string `json:"traceId"`
	SpanID       string `json:"spanId"`
	ParentSpanID string `json:"parentSpanId"`
	Name         string `json:"name"`
	body         string // of the export
}

// await returns the next n spans.
func (c *collector) await(t *testing.T, n int) (list []exported) {
	t.Helper()
	for len(list) < n {
		select {
		case body := <-c.bodies:
			var got struct {
				ResourceSpans []struct {
					ScopeSpans []struct{ Spans []exported }
				}
			}
			if err := json.Unmarshal([]byte(body), &got); err != nil {
				t.Fatal(err)
			}
			for _, s := range got.ResourceSpans[0].ScopeSpans[0].Spans {
				s.body = body
				list = append(list, s)
			}
		case <-time.After(time.Minute):
			t.Fatalf("spans = %v, want %d", list, n)
		}
	}

	return list
}

const (
	tracedID     = "4bf92f3577b34da6a3ce929d0e0e4736"
	tracedParent = "00f067aa0ba902b7"
)

// startTraced starts a server that traces, in front of an upstream that answers with the Traceparent that it gets, and
// of a listener for decisions.
func startTraced(t *testing.T, c *collector, sample int) *jetontest.Server {
	t.Helper()
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.Header.Get("Traceparent"))
	}))
	t.Cleanup(upstream.Close)

	headers := filepath.Join(t.TempDir(), "headers")
	if err := os.WriteFile(headers, []byte("Authorization: Bearer of-the-collector\n"), 0o600); err != nil {
		t.Fatal(err)
	}

	s := jetontest.Start(t, fmt.Sprintf(`
trusted_proxies: [127.0.0.1]
tracing: {endpoint: '%s/v1/traces', headers_file: '%s', sample: %d}
services:
  - name: shop
    listen: localhost:0
    login: {paths: [/login]}
    routes:
      - match: GET /orders/{id}
        upstream: {url: '%s'}
      - match: /open
        open: true
        upstream: {url: '%s'}
`, c.URL, headers, sample, upstream.URL, upstream.URL), jetontest.Log(io.Discard, slog.LevelError))
	s.AddUser("diane", right)

	return s
}

// cookieOf returns the session cookie of a login, as a request sends it.
func cookieOf(login *http.Response) string {
	for _, c := range login.Cookies() {
		if c.Value != "" {
			return c.Name + "=" + c.Value
		}
	}

	return ""
}

func TestASpanContinuesTheTraceOfTheProxyAndNamesNoSecret(t *testing.T) {
	c := newCollector(t)
	s := startTraced(t, c, 0)
	cookie := cookieOf(s.Login(s.Client(), "shop", "diane", right))

	sampled := "00-" + tracedID + "-" + tracedParent + "-01"
	a := s.Ask("GET", "shop", "/orders/s3cret-in-path?key=s3cret-in-query", "Cookie", cookie, "Traceparent", sampled,
		"X-Key", "s3cret-in-header")
	got := c.await(t, 1)[0]

	if got.TraceID != tracedID || got.ParentSpanID != tracedParent || got.Name != "GET /orders/{id}" {
		t.Errorf("span = %+v, want GET /orders/{id} in the trace, below the span of the proxy", got)
	}
	if want := "00-" + tracedID + "-" + got.SpanID + "-01"; a.Body != want {
		t.Errorf("upstream gets Traceparent %q, want %q: the span of the gateway", a.Body, want)
	}

	_, secretOf, _ := strings.Cut(cookie, "=")
	for _, secret := range []string{"s3cret", "diane", right, secretOf, "of-the-collector"} {
		if strings.Contains(got.body, secret) {
			t.Errorf("the export has %q in it:\n%s", secret, got.body)
		}
	}
	if !strings.Contains(got.body, a.Request()) {
		t.Errorf("the export = %s, want the id of the request %s", got.body, a.Request())
	}
}

func TestWhichRequestsHaveASpan(t *testing.T) {
	c := newCollector(t)
	none := startTraced(t, c, 0)
	notSampled := "00-" + tracedID + "-" + tracedParent + "-00"
	if a := none.Ask("GET", "shop", "/open", "Traceparent", notSampled); a.Body != notSampled {
		t.Errorf("upstream gets %q, want the trace that is not sampled as it came", a.Body)
	}
	if a := none.Ask("GET", "shop", "/open"); a.Body != "" {
		t.Errorf("upstream gets %q, want no trace: none of the requests without one has a span", a.Body)
	}

	all := startTraced(t, c, 100)
	a := all.Ask("GET", "shop", "/open")
	got := c.await(t, 1)[0]
	if want := "00-" + got.TraceID + "-" + got.SpanID + "-01"; got.ParentSpanID != "" || a.Body != want {
		t.Errorf("the first span = %+v, upstream gets %q, want a trace of its own, passed on", got, a.Body)
	}
}
