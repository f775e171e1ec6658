package server_test

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"testing"

	"github.com/jeton-auth/jeton/jetontest"
)

const redirected = `
redirect: localhost:0
log: {requests: all}
services:
  - name: shop
    listen: localhost:0
    host: shop.example.org
    routes: [{match: '/{rest...}', open: true, respond: {text: shop}}]
  - name: wiki
    listen: localhost:0
    host: wiki.example.org
    url: https://wiki.example.net
    routes: [{match: '/{rest...}', open: true, respond: {text: wiki}}]
  - name: plain
    listen: localhost:0
    host: plain.example.org
    plain_http: true
    routes: [{match: '/{rest...}', open: true, respond: {text: plain}}]
`

// redirectAddress returns the address of the listener that redirects, from the log.
func redirectAddress(t *testing.T, log *logBuffer) string {
	t.Helper()

	var line struct{ Listen string }
	lines := log.lines("redirects to https")
	if len(lines) != 1 || json.Unmarshal([]byte(lines[0]), &line) != nil {
		t.Fatalf("lines about the listener: %q, want one", lines)
	}

	return line.Listen
}

func TestRedirectsToTLS(t *testing.T) {
	log := &logBuffer{}
	s := jetontest.Start(t, easy+redirected, jetontest.Log(log, slog.LevelInfo))
	address := redirectAddress(t, log)
	shop := "https://shop.example.org" + port(t, s.URL("shop"))

	for _, tc := range []struct {
		name, method, host, path string
		status                   int
		location                 string
	}{
		{"a page", "GET", "shop.example.org", "/a%2Fb//c?q=%2F;x", 308, shop + "/a%2Fb//c?q=%2F;x"},
		{"with the port of http", "GET", "SHOP.example.org:80", "/", 308, shop + "/"},
		{"HEAD", "HEAD", "shop.example.org", "/", 308, shop + "/"},
		{"a path that looks like a host", "GET", "shop.example.org", "//evil.example/", 308, shop + "//evil.example/"},
		{"a service with a url", "GET", "wiki.example.net", "/", 308, "https://wiki.example.net/"},
		{"a form", "POST", "shop.example.org", "/login", 403, ""},
		{"another host name", "GET", "evil.example", "/", 421, ""},
		{"a service without TLS", "GET", "plain.example.org", "/", 421, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r, err := http.NewRequestWithContext(t.Context(), tc.method, "http://"+address+tc.path, nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Host = tc.host

			resp, err := http.DefaultTransport.RoundTrip(r)
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()

			location := resp.Header.Get("Location")
			if resp.StatusCode != tc.status || location != tc.location {
				t.Errorf("response is %d to %q, want %d to %q", resp.StatusCode, location, tc.status, tc.location)
			}
			// RFC 6797, section 7.2: not over plain HTTP.
			if resp.Header.Get("Strict-Transport-Security") != "" {
				t.Error("response has Strict-Transport-Security, want none")
			}
		})
	}
}

// port returns the port of a URL with its colon.
func port(t *testing.T, address string) string {
	t.Helper()

	r, err := http.NewRequestWithContext(t.Context(), "GET", address, nil)
	if err != nil {
		t.Fatal(err)
	}

	return ":" + r.URL.Port()
}
