package gateway_test

import (
	"strings"
	"testing"

	"github.com/jeton-auth/jeton/jetontest"
)

func TestWhatARefusalAsksFor(t *testing.T) {
	s := jetontest.Start(t, `
issuer: {url: "https://localhost:${ISSUER_PORT}", listen: "localhost:${ISSUER_PORT}"}
services:
  - name: both
    listen: localhost:0
    tokens: {}
    accept: [token, basic]
    routes: [{match: "/{rest...}", respond: {text: hello}}]
  - name: tokens
    listen: localhost:0
    tokens: {}
    routes: [{match: "/{rest...}", respond: {text: hello}}]
`)

	const basicly, bearer, bad = `Basic realm="both", charset="UTF-8"`, `Bearer realm="both"`, `, error="invalid_token"`
	for _, tc := range []struct{ name, service, path, shown, want string }{
		{"nothing was shown", "both", "/who", "", basicly + " | " + bearer},
		{"a Bearer token was refused", "both", "/who", "Bearer jtn_p_x", basicly + " | " + bearer + bad},
		{"a client of a registry asks, which would take the realm for a URL", "both", "/v2/", "", basicly},
		{"its token was refused as a password", "both", "/v2/app/manifests/1", basic("x", "jtn_p_x"), basicly},
		{"a Bearer token was refused at a registry", "both", "/v2/", "Bearer jtn_p_x", basicly + " | " + bearer + bad},
		{"a registry that takes Bearer alone", "tokens", "/v2/", "", `Bearer realm="tokens"`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var header []string
			if tc.shown != "" {
				header = []string{"Authorization", tc.shown}
			}

			a := s.Ask("GET", tc.service, tc.path, header...)
			got := strings.Join(a.Header["Www-Authenticate"], " | ")
			if a.Status != 401 || got != tc.want {
				t.Errorf("%d, asks for %s, want %s", a.Status, got, tc.want)
			}

			told := a.Header.Get("Docker-Distribution-Api-Version") != ""
			if told != (tc.want == basicly) {
				t.Errorf("it says that it is a registry: %v", told)
			}
		})
	}
}
