package gateway_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/jeton-auth/jeton/jetontest"
)

func TestHeadersOfOtherProductsPassOnlyByName(t *testing.T) {
	s := jetontest.Start(t, easy+`
services:
  - name: app
    listen: localhost:0
    routes:
      - {match: '/open/{rest...}', open: true, upstream: {url: '${ECHO}'}}
      - match: '/named/{rest...}'
        open: true
        upstream: {url: '${ECHO}', pass_headers: [x-webauth-user, X-Forwarded-Client-Cert]}
`, jetontest.Env("ECHO", echo(t)))

	for _, tc := range []struct {
		name, path, header string
		want               bool
	}{
		{"a header of Grafana", "/open/x", "X-WEBAUTH-USER", false},
		{"a header of Google", "/open/x", "X-Goog-Authenticated-User-Email", false},
		{"a header of Amazon", "/open/x", "X-Amzn-Oidc-Data", false},
		{"a header of Microsoft", "/open/x", "X-Ms-Client-Principal-Name", false},
		{"the header of httpoxy", "/open/x", "Proxy", false},
		{"a spelling that WSGI folds", "/open/x", "X_Webauth_User", false},
		{"the browser's name", "/open/x", "User-Agent", true},
		{"a header that is allowed by name", "/named/x", "X-Webauth-User", true},
		{"another one, in lower case", "/named/x", "x-forwarded-client-cert", true},
		{"another spelling of it", "/named/x", "X_Webauth_User", false},
		{"a header that is not in the list", "/named/x", "X-Webauth-Email", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := s.Ask("GET", "app", tc.path, tc.header, "eve")
			if got := strings.Contains(a.Body, ": eve\r\n"); a.Status != 200 || got != tc.want {
				t.Errorf("upstream gets %s: %t, want %t, in\n%s", tc.header, got, tc.want, a.Body)
			}
		})
	}
}

func TestNoContentTypeIsInvented(t *testing.T) {
	upstream, answer, _ := switcher(t)
	s := jetontest.Start(t, easy+`
services:
  - name: app
    listen: localhost:0
    routes: [{match: '/{rest...}', open: true, upstream: {url: '${UP}'}}]
`, jetontest.Env("UP", upstream))

	for _, tc := range []struct {
		name, head string
		want       []string
	}{
		{"none", "X-Content-Type-Options: nosniff\r\n", nil},
		{"one", "Content-Type: text/css\r\n", []string{"text/css"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			const page = "<html><script>alert(1)</script></html>"
			answer(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n%s\r\n%s", len(page), tc.head, page))

			for _, client := range []*http.Client{s.Client(), s.Client(jetontest.HTTP1())} {
				a := s.Send(client, "GET", s.URL("app")+"/x", "")
				got := a.Header["Content-Type"]
				if strings.Join(got, "|") != strings.Join(tc.want, "|") || a.Body != page {
					t.Errorf("response has Content-Type %q and body %q, want %q and %q", got, a.Body, tc.want, page)
				}
			}
		})
	}
}

func TestOnlyANamedUpstreamClearsSiteData(t *testing.T) {
	upstream, answer, _ := switcher(t)
	s := jetontest.Start(t, easy+`
services:
  - name: app
    listen: localhost:0
    routes:
      - {match: /named, open: true, upstream: {url: '${UP}', clear_site_data: true}}
      - {match: '/{rest...}', open: true, upstream: {url: '${UP}'}}
`, jetontest.Env("UP", upstream))
	answer("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nclear-site-data: \"cache\"\r\nClear-Site-Data: \"cookies\"\r\n\r\n")

	for _, tc := range []struct{ name, path, want string }{
		{"an upstream with clear_site_data", "/named", `"cache" "cookies"`},
		{"another upstream", "/x", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := strings.Join(s.Ask("GET", "app", tc.path).Header["Clear-Site-Data"], " ")
			if got != tc.want {
				t.Errorf("response has Clear-Site-Data %s, want %s", got, tc.want)
			}
		})
	}
}

// TestBodyIsAskedForByTheUpstream checks that a client with Expect: 100-continue sends no
// body for a request that is refused (RFC 9110, section 10.1.1).
func TestBodyIsAskedForByTheUpstream(t *testing.T) {
	upstream, answer, _ := switcher(t)
	s := jetontest.Start(t, easy+`
services:
  - name: app
    listen: localhost:0
    login: {paths: [/login]}
    routes:
      - {match: '/open/{rest...}', open: true, upstream: {url: '${UP}'}}
      - {match: '/{rest...}', upstream: {url: '${UP}'}}
`, jetontest.Env("UP", upstream))

	for _, tc := range []struct {
		name, path, answer string
		want               int
	}{
		{"the gate refuses", "/x", "", 401},
		{"the upstream refuses", "/open/x", "HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n", 413},
		{"the upstream asks", "/open/x", "HTTP/1.1 100 Continue\r\n\r\n", 100},
	} {
		t.Run(tc.name, func(t *testing.T) {
			answer(tc.answer)
			conn := dial(t, s, "app")
			_, _ = io.WriteString(conn, "PUT "+tc.path+" HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n"+
				"Content-Length: 5\r\n\r\n")

			resp, err := http.ReadResponse(conn.r, nil)
			if err != nil {
				t.Fatal(err)
			}
			if resp.StatusCode != tc.want {
				t.Errorf("first response is %d, want %d", resp.StatusCode, tc.want)
			}
		})
	}
}
