package gateway_test

import (
	"strings"
	"testing"

	"github.com/jeton-auth/jeton/jetontest"
)

func TestChallenge(t *testing.T) {
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

	const (
		basicOnly = `Basic realm="both", charset="UTF-8"`
		bearer    = `Bearer realm="both"`
		invalid   = `, error="invalid_token"`
	)

	for _, tc := range []struct{ name, service, path, authorization, want string }{
		{"no credential", "both", "/who", "", basicOnly + " | " + bearer},
		{"an invalid Bearer token", "both", "/who", "Bearer jtn_p_x", basicOnly + " | " + bearer + invalid},
		{"a registry client, which would take the realm for a URL", "both", "/v2/", "", basicOnly},
		{
			"a registry client with an invalid token as its password",
			"both",
			"/v2/app/manifests/1",
			basic("x", "jtn_p_x"),
			basicOnly,
		},
		{
			"a registry client with an invalid Bearer token",
			"both",
			"/v2/",
			"Bearer jtn_p_x",
			basicOnly + " | " + bearer + invalid,
		},
		{"a registry that accepts only Bearer", "tokens", "/v2/", "", `Bearer realm="tokens"`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var header []string
			if tc.authorization != "" {
				header = []string{"Authorization", tc.authorization}
			}

			a := s.Ask("GET", tc.service, tc.path, header...)
			got := strings.Join(a.Header["Www-Authenticate"], " | ")
			want := tc.want
			if strings.Contains(want, "Bearer") {
				path := "/.well-known/oauth-protected-resource" + strings.TrimSuffix(tc.path, "/")
				want += `, resource_metadata="` + s.URL(tc.service) + path + `"`
			}
			if a.Status != 401 || got != want {
				t.Errorf("refusal is %d with challenge %s, want 401 with %s", a.Status, got, want)
			}

			named := a.Header.Get("Docker-Distribution-Api-Version") != ""
			if named != (tc.want == basicOnly) {
				t.Errorf("the refusal names the registry API: %t, want %t", named, !named)
			}
		})
	}
}
