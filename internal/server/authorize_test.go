package server_test

import (
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/jeton-auth/jeton/jetontest"
)

// authorization returns a valid authorization request of the shop, with parameters changed: names and values in turn.
// The value "" removes a parameter.
func authorization(s *jetontest.Server, changes ...string) string {
	return authorizationOf(s, "shop", s.URL("shop")+"/.jeton/finish", changes...)
}

// authorizationOf returns a valid authorization request of a service or a client, with parameters changed.
func authorizationOf(s *jetontest.Server, client, redirect string, changes ...string) string {
	query := url.Values{
		"response_type":         {"code"},
		"client_id":             {client},
		"redirect_uri":          {redirect},
		"state":                 {"xyz"},
		"code_challenge":        {"E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"}, // RFC 7636, appendix B
		"code_challenge_method": {"S256"},
	}
	for i := 0; i+1 < len(changes); i += 2 {
		query.Del(changes[i])
		if changes[i+1] != "" {
			query.Set(changes[i], changes[i+1])
		}
	}

	return s.Issuer() + "/oauth2/authorize?" + query.Encode()
}

// TestAnAuthorizationRequestOfAnUnknownServiceLeadsNowhere checks that the server redirects to no address but those of
// the configuration.
func TestAnAuthorizationRequestOfAnUnknownServiceLeadsNowhere(t *testing.T) {
	s := startSigningIn(t)
	b := newBrowser(t, s)
	b.signIn("diane")
	changed := func(old, replacement string) string {
		finish := s.URL("shop") + "/.jeton/finish"
		return authorization(s, "redirect_uri", strings.Replace(finish, old, replacement, 1))
	}

	for _, tc := range []struct {
		name    string
		address string
	}{
		{"no service", authorization(s, "client_id", "")},
		{"an unknown service", authorization(s, "client_id", "shop2")},
		{"no address", authorization(s, "redirect_uri", "")},
		{"another site", authorization(s, "redirect_uri", "https://evil.example/.jeton/finish")},
		{"a host that begins as ours", changed("shop.example", "shop.example.evil.example")},
		{"ours as the user name", changed("shop.example", "shop.example@evil.example")},
		{"another service", authorization(s, "redirect_uri", s.URL("blog")+"/.jeton/finish")},
		{"another port", authorization(s, "redirect_uri", "https://shop.example/.jeton/finish")},
		{"without TLS", changed("https:", "http:")},
		{"another path", changed("finish", "finish/../x")},
		{"a query", changed("finish", "finish?to=x")},
		{"a fragment", changed("finish", "finish#x")},
		{"another case of the host", changed("shop.", "SHOP.")},
		{"two addresses", authorization(s) + "&redirect_uri=https%3A%2F%2Fevil.example"},
		{"two services", authorization(s) + "&client_id=blog"},
		{"a malformed query", authorization(s) + "&a=%zz"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := b.get(tc.address)
			if a.Status != http.StatusBadRequest || a.Header.Get("Location") != "" {
				t.Errorf("got %d to %q, want 400 without a redirect", a.Status, a.Header.Get("Location"))
			}
			if !strings.HasPrefix(a.Header.Get("Content-Type"), "text/html") || strings.Contains(a.Body, "evil") {
				t.Errorf("got %q, want a page that repeats nothing", a.Body)
			}
		})
	}
}

func TestAnInvalidAuthorizationRequestGoesBackToTheService(t *testing.T) {
	s := startSigningIn(t)
	in, out := newBrowser(t, s), newBrowser(t, s)
	in.signIn("diane")

	for _, tc := range []struct {
		name    string
		by      *browser
		address string
		want    string // error, or "" for a code
	}{
		{"a valid request", in, authorization(s), ""},
		{"no state", in, authorization(s, "state", ""), "invalid_request"},
		{"no challenge", in, authorization(s, "code_challenge", ""), "invalid_request"},
		{"a challenge that is none", in, authorization(s, "code_challenge", "abc"), "invalid_request"},
		{"a challenge in the clear", in, authorization(s, "code_challenge_method", "plain"), "invalid_request"},
		{"no method, which would be plain", in, authorization(s, "code_challenge_method", ""), "invalid_request"},
		{"a token in the address", in, authorization(s, "response_type", "token"), "unsupported_response_type"},
		{"no response type", in, authorization(s, "response_type", ""), "unsupported_response_type"},
		{"prompt none with a session", in, authorization(s, "prompt", "none"), ""},
		{"prompt none without a session", out, authorization(s, "prompt", "none"), "login_required"},
		{"prompt none with another", in, authorization(s, "prompt", "none login"), "invalid_request"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := tc.by.get(tc.address)
			to, err := url.Parse(a.Header.Get("Location"))
			if err != nil || a.Status != http.StatusSeeOther || to.Host != "shop.example"+portOf(t, s.URL("shop")) {
				t.Fatalf("got %d to %q, want 303 to the service", a.Status, a.Header.Get("Location"))
			}

			query := to.Query()
			if got := query.Get("error"); got != tc.want || query.Has("code") != (tc.want == "") {
				t.Errorf("got %q, want error %q", to, tc.want)
			}
			// RFC 9207, section 2.
			if query.Get("iss") != s.Issuer() {
				t.Errorf("iss = %q, want %q", query.Get("iss"), s.Issuer())
			}
			if strings.Contains(tc.address, "state=xyz") && query.Get("state") != "xyz" {
				t.Errorf("state = %q, want xyz", query.Get("state"))
			}
		})
	}
}

// portOf returns the port of a URL, with its colon.
func portOf(t *testing.T, address string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}

	return ":" + u.Port()
}

func TestAnAuthorizationRequestAsksForASignIn(t *testing.T) {
	s := startSigningIn(t)
	in, out := newBrowser(t, s), newBrowser(t, s)
	in.signIn("diane")

	for _, tc := range []struct {
		name    string
		by      *browser
		address string
	}{
		{"without a session", out, authorization(s, "login_hint", "diane", "ui_locales", "de en")},
		{"with prompt login", in, authorization(s, "prompt", "login")},
		{"with prompt select_account", in, authorization(s, "prompt", "select_account")},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := tc.by.get(tc.address)
			want := strings.TrimPrefix(tc.address, s.Issuer()+"/oauth2/authorize?")

			to, err := url.Parse(a.Header.Get("Location"))
			if err != nil {
				t.Fatal(err)
			}
			query := to.Query()
			// When the page was asked for, sealed.
			if !query.Has("asked") {
				t.Errorf("got %s, want asked", to)
			}
			query.Del("asked")

			if a.Status != http.StatusSeeOther || to.Path != "/sign-in" || query.Encode() != want {
				t.Errorf("got %d to %s?%s, want 303 to /sign-in?%s", a.Status, to.Path, query.Encode(), want)
			}
		})
	}
}

// TestACodeIsForABrowserThatLoadsThePage keeps a prefetch from getting a code.
func TestACodeIsForABrowserThatLoadsThePage(t *testing.T) {
	s := startSigningIn(t)
	b := newBrowser(t, s)
	b.signIn("diane")

	for _, tc := range []struct {
		name, method string
		header       []string
	}{
		{"prerender", "GET", append([]string{"Sec-Purpose", "prefetch;prerender"}, loading...)},
		{"fetch", "GET", []string{"Sec-Fetch-Mode", "cors", "Sec-Fetch-Dest", "empty"}},
		{"curl", "GET", []string{"Accept", "*/*"}},
		{"HEAD", "HEAD", loading},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := s.Send(b.client, tc.method, authorization(s), "", tc.header...)
			if a.Status != http.StatusForbidden {
				t.Errorf("got %d to %q, want 403", a.Status, a.Header.Get("Location"))
			}
		})
	}
}

// TestASignInReturnsToTheAddressOfTheProxy checks which address a browser comes back to, and that the log has one line
// for each service at which that is not the one it came to.
func TestASignInReturnsToTheAddressOfTheProxy(t *testing.T) {
	const conf = easy + `
trusted_proxies: [127.0.0.1, "::1"]
issuer: {url: "https://localhost:${ISSUER_PORT}", listen: "localhost:${ISSUER_PORT}"}
services:
  - name: shop
    listen: localhost:0
    host: shop.example
    hosts: [www.shop.example]
    plain_http: true
    routes: [{match: GET /me, respond: {template: '{{.Name}}'}}]
  - name: blog
    listen: localhost:0
    url: https://www.example/blog
    routes: [{match: GET /me, respond: {template: '{{.Name}}'}}]
  - name: local
    listen: 127.0.0.1:0
    routes: [{match: GET /me, respond: {template: '{{.Name}}'}}]
`
	log := &logBuffer{}
	s := jetontest.Start(t, conf, jetontest.Log(log, slog.LevelWarn))
	port, local := portOf(t, s.URL("shop")), portOf(t, s.URL("local"))

	for _, tc := range []struct {
		name, service string
		header        []string
		want          string // without the path
	}{
		{"without a proxy", "shop", nil, "http://shop.example" + port},
		{"by another name", "shop", []string{"Host", "www.shop.example" + port}, "http://www.shop.example" + port},
		{"a proxy with TLS", "shop", []string{"X-Forwarded-Proto", "https"}, "http://shop.example" + port},
		{
			"a proxy with TLS and its name", "shop",
			[]string{"X-Forwarded-Proto", "https", "X-Forwarded-Host", "www.shop.example"},
			"https://www.shop.example",
		},
		{
			"a proxy with a port that is not declared", "shop",
			[]string{"X-Forwarded-Host", "shop.example:99"},
			"http://shop.example" + port,
		},
		{"a service with an address", "blog", nil, "https://www.example/blog"},
		{"a service on this machine", "local", []string{"Host", "localhost" + local}, "https://localhost" + local},
		{"a service on this machine, by address", "local", nil, "https://127.0.0.1" + local},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := s.Ask("GET", tc.service, "/me", append([]string{"Accept", "text/html"}, tc.header...)...)
			to, err := url.Parse(a.Header.Get("Location"))
			if err != nil || a.Status != http.StatusSeeOther {
				t.Fatalf("got %d %s to %q, want 303", a.Status, a.Body, a.Header.Get("Location"))
			}

			got := strings.TrimSuffix(to.Query().Get("redirect_uri"), "/.jeton/finish")
			if got != tc.want {
				t.Errorf("redirect_uri begins with %q, want %q", got, tc.want)
			}

			// The authorization server knows the address.
			answer := s.Send(s.Client(), "GET", to.String(), "", loading...)
			if !strings.HasPrefix(answer.Header.Get("Location"), "/sign-in?") {
				t.Errorf("authorize: got %d to %q, want the sign-in page", answer.Status, answer.Header.Get("Location"))
			}
		})
	}

	const warning = "sign-ins at an address that is not one of the service return to another one; " +
		"if it is right, name it in url, host or hosts of the service"
	got := strings.Join(log.lines(warning), "\n")
	for _, want := range []string{
		`"service":"shop","address":"https://shop.example` + port + `","returns_to":"http://shop.example` + port + `"`,
		`"service":"blog","address":"` + s.URL("blog") + `","returns_to":"https://www.example/blog"`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("warnings are\n%s\nwant one with %s", got, want)
		}
	}
	if n := len(log.lines(warning)); n != 2 {
		t.Errorf("%d warnings, want 2:\n%s", n, got)
	}
}
