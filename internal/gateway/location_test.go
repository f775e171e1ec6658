package gateway_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/jeton-auth/jeton/jetontest"
)

const redirecting = `
services:
  - name: app
    listen: localhost:0
    hosts: [app.example]
    plain_http: true
    login: {paths: [/login]}
    routes:
      - {match: '/app/{rest...}', open: true, upstream: {url: '${UP}/base', strip_prefix: /app}}
      - {match: '/echo/{rest...}', open: true, upstream: {url: '${ECHO}'}}
      - {match: '/{rest...}', open: true, upstream: {url: '${UP}'}}
`

const redirects = `
services:
  - name: app
    listen: localhost:0
    routes:
      - {match: '/app/{rest...}', open: true, upstream: {url: '${UP}'}}
      - {match: '/scope/{name}/{rest...}', open: true, upstream: {url: '${UP}'}}
`

func TestURLsOfTheUpstreamBecomePublic(t *testing.T) {
	upstream, answer, _ := switcher(t)
	s := jetontest.Start(t, "trusted_proxies: [127.0.0.1]\n"+easy+redirecting,
		jetontest.Env("UP", upstream), jetontest.Env("ECHO", upstream))
	host := strings.TrimPrefix(upstream, "http://")

	for _, tc := range []struct{ name, path, location, want string }{
		{"absolute", "/x", "http://" + host + "/welcome?a=%2F&b#c%20d", "https://app.example/welcome?a=%2F&b#c%20d"},
		{"with the other scheme", "/x", "https://" + host + "/welcome", "https://app.example/welcome"},
		{"without a scheme", "/x", "//" + host + "/welcome", "https://app.example/welcome"},
		{"without a path", "/x", "http://" + host, "https://app.example/"},
		{"below the base", "/app/x", "http://" + host + "/base/in%2Fside", "https://app.example/app/in%2Fside"},
		{"relative", "/x", "/welcome", "/welcome"},
		{"at another host", "/x", "https://other.example/" + host, "https://other.example/" + host},
		{"at another port", "/x", "http://127.0.0.1:1/", "http://127.0.0.1:1/"},
		{"not a URL", "/x", "http://[", "http://["},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for _, header := range []string{"Location", "Content-Location", "Refresh"} {
				value, want := tc.location, tc.want
				if header == "Refresh" {
					value, want = "0; URL="+value, "0; URL="+want
				}
				answer("HTTP/1.1 201 Created\r\nContent-Length: 0\r\n" + header + ": " + value + "\r\n\r\n")

				a := s.Ask("GET", "app", tc.path, "X-Forwarded-Proto", "https", "X-Forwarded-Host", "app.example")
				if got := a.Header.Get(header); got != want {
					t.Errorf("%s %q became %q, want %q", header, value, got, want)
				}
			}
		})
	}
}

func TestOurOwnRedirectsKeepThePrefixOfAProxy(t *testing.T) {
	for _, tc := range []struct{ name, proxies, path, want string }{
		{"a slash at the end", "127.0.0.1", "/app?q=%20", "/shop/app/?q=%20"},
		{"the same of an encoded path", "127.0.0.1", "/scope/%40a?q=%20", "/shop/scope/%40a/?q=%20"},
		{"a prefix of another client", "192.0.2.1", "/app", "/app/"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := jetontest.Start(t, "trusted_proxies: ["+tc.proxies+"]\n"+redirects, jetontest.Env("UP", echo(t)))

			a := s.Ask("GET", "app", tc.path, "X-Forwarded-Prefix", "/shop")
			if a.Status != http.StatusTemporaryRedirect || a.Header.Get("Location") != tc.want {
				t.Errorf("GET %s = %d to %q, want 307 to %q", tc.path, a.Status, a.Header.Get("Location"), tc.want)
			}
		})
	}
}

func TestForwardingHeaders(t *testing.T) {
	upstream := echo(t)
	forwarded := []string{
		"X-Forwarded-Proto", "https",
		"X-Forwarded-Host", "App.example",
		"X-Forwarded-Prefix", "/shop",
	}

	for _, tc := range []struct {
		name, head string
		want       map[string]string // "" is none
		secure     bool
	}{
		{"of a trusted proxy", "trusted_proxies: [127.0.0.1]\n", map[string]string{
			"X-Forwarded-Proto":  "https",
			"X-Forwarded-Host":   "app.example",
			"X-Forwarded-Port":   "443",
			"X-Forwarded-Prefix": "/shop",
		}, true},
		{"of another client", "", map[string]string{
			"X-Forwarded-Proto":  "http",
			"X-Forwarded-Host":   "localhost:PORT",
			"X-Forwarded-Port":   "PORT",
			"X-Forwarded-Prefix": "",
		}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := jetontest.Start(t, tc.head+easy+redirecting,
				jetontest.Env("UP", upstream), jetontest.Env("ECHO", upstream))
			s.AddUser("diane", right)
			_, port, _ := strings.Cut(strings.TrimPrefix(s.URL("app"), "http://"), ":")

			a := s.Ask("GET", "app", "/echo/x", forwarded...)
			for name, want := range tc.want {
				want = strings.ReplaceAll(want, "PORT", port)
				if got, n := value(a.Body, name); got != want || want != "" && n != 1 {
					t.Errorf("upstream gets %s %q, %d times, want %q once", name, got, n, want)
				}
			}

			header := append([]string{"Content-Type", "application/x-www-form-urlencoded"}, forwarded...)
			a = s.Send(s.Client(), http.MethodPost, s.URL("app")+"/login", "username=diane&password="+right, header...)
			if got := strings.Contains(a.Header.Get("Set-Cookie"), "; Secure"); a.Status != 200 || got != tc.secure {
				t.Errorf("login is %d, cookie %q, want Secure: %t", a.Status, a.Header.Get("Set-Cookie"), tc.secure)
			}
		})
	}
}
