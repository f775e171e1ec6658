package gateway_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/jeton-auth/jeton/jetontest"
)

// TestBrowsersKeepNoPageOfASession has pages that would be shown again after a sign-out elsewhere.
func TestBrowsersKeepNoPageOfASession(t *testing.T) {
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for name := range r.URL.Query() {
			w.Header().Set(name, r.URL.Query().Get(name))
		}
	}))
	t.Cleanup(app.Close)

	s := jetontest.Start(t, easy+`
issuer: {url: "https://localhost:${ISSUER_PORT}", listen: "localhost:${ISSUER_PORT}"}
services:
  - name: shop
    listen: localhost:0
    login: {paths: [/login]}
    tokens: {}
    routes:
      - {match: '/open', open: true, upstream: {url: '${APP}'}}
      - {match: '/{rest...}', upstream: {url: '${APP}'}}
      - match: '/kept'
        upstream: {url: '${APP}', response_headers: {remove: [Cache-Control]}}
`, jetontest.Env("APP", app.URL))
	s.AddUser("diane", right)
	cookie := s.Enter("shop", "diane", right)
	token := s.AddToken(jetontest.NewToken{User: "diane", Name: "job", Services: []string{"shop"}})

	page := []string{"Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document"}
	frame := []string{"Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "iframe"}
	image := []string{"Sec-Fetch-Mode", "no-cors", "Sec-Fetch-Dest", "image"}

	for _, tc := range []struct {
		name, method, path string
		header             []string
		want               string
	}{
		{"a page", "GET", "/", page, "no-store"},
		{"a page of a browser without Fetch Metadata", "GET", "/", []string{"Accept", "text/html"}, "no-store"},
		{"a page in a frame", "GET", "/", frame, "no-store"},
		{"the answer to a form", "POST", "/", page, "no-store"},
		{"an image", "GET", "/", image, ""},
		{"a request of a tool", "GET", "/", nil, ""},
		{"a page that the upstream lets be kept", "GET", "/?Cache-Control=max-age=60", page, "max-age=60"},
		{"a page with an age of HTTP/1.0", "GET", "/?Expires=0", page, ""},
		{"a page that shows no user", "GET", "/open", page, ""},
		{"a page that a rule lets be kept", "GET", "/kept", page, ""},
	} {
		a := s.Ask(tc.method, "shop", tc.path, append([]string{"Cookie", cookie}, tc.header...)...)
		if got := a.Header.Get("Cache-Control"); a.Status != 200 || got != tc.want {
			t.Errorf("%s: %d with Cache-Control %q, want %q", tc.name, a.Status, got, tc.want)
		}
	}

	a := s.Ask("GET", "shop", "/", append(page, "Authorization", "Bearer "+token.Secret)...)
	if got := a.Header.Get("Cache-Control"); a.Status != 200 || got != "" {
		t.Errorf("a page with a token: %d with Cache-Control %q, want none", a.Status, got)
	}
}
