package gateway_test

import (
	"strings"
	"testing"

	"github.com/jeton-auth/jeton/jetontest"
)

const namedByDefault = `
services:
  - name: app
    listen: localhost:0
    login: {paths: [/login]}
    logout: /logout
    routes: [{match: GET /me, respond: {text: me}}]
  - name: plain
    listen: localhost:0
    plain_http: true
    login: {paths: [/login]}
    logout: /logout
    routes: [{match: GET /me, respond: {text: me}}]
  - name: named
    listen: localhost:0
    login: {paths: [/login]}
    logout: /logout
    session: {cookie: sid}
    routes: [{match: GET /me, respond: {text: me}}]
`

func TestCookiesAreNamedAfterTheService(t *testing.T) {
	s := jetontest.Start(t, easy+namedByDefault)
	s.AddUser("diane", right)

	for _, tc := range []struct {
		service, name, former string
		status                int // of a request with the cookie under its former name
	}{
		{"app", "__Host-jeton-app", "__Host-jeton", 200},
		{"plain", "jeton-plain", "jeton", 200},
		{"named", "sid", "__Host-jeton", 401},
	} {
		t.Run(tc.service, func(t *testing.T) {
			c := s.Enter(tc.service, "diane", right)
			name, secret, _ := strings.Cut(c, "=")
			if name != tc.name {
				t.Errorf("login sets %s, want %s", name, tc.name)
			}

			former := tc.former + "=" + secret
			for cookies, want := range map[string]int{
				c:                           200,
				former:                      tc.status,
				c + "; " + tc.former + "=x": 200,
				tc.name + "=x; " + former:   401,
			} {
				if a := s.Ask("GET", tc.service, "/me", "Cookie", cookies); a.Status != want {
					t.Errorf("GET /me with the cookies %s is %d, want %d", cookies, a.Status, want)
				}
			}

			a := s.Ask("POST", tc.service, "/logout", "Cookie", former)
			cleared := strings.Contains(strings.Join(a.Header["Set-Cookie"], "\n"), tc.former+"=;")
			if want := tc.status == 200; cleared != want {
				t.Errorf("logout clears %s: %t, want %t", tc.former, cleared, want)
			}
			if a := s.Ask("GET", tc.service, "/me", "Cookie", c); (a.Status == 401) != (tc.status == 200) {
				t.Errorf("GET /me after a logout with the former cookie = %d, want 401: %t", a.Status, tc.status == 200)
			}
		})
	}
}
