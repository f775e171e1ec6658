package guard_test

import (
	"encoding/base64"
	"encoding/json"
	"testing"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/jetontest"
)

const userService = `
issuer: {url: "https://localhost:${ISSUER_PORT}", listen: "localhost:${ISSUER_PORT}"}
services:
  - name: app
    listen: localhost:0
    login: {paths: [/login], token: /token}
    accept: [session, token, basic]
    tokens: {format: "${FORMAT}"}
    routes:
      - {match: GET /who, respond: {text: who}}
`

// An issuer of opaque tokens publishes no key.
func TestThePrincipalOfAUsersTokenIsTheUser(t *testing.T) {
	for _, format := range []string{"jwt", "opaque"} {
		t.Run(format, func(t *testing.T) {
			s := jetontest.Start(t, userService, jetontest.Env("FORMAT", format))
			s.AddUser("diane", "correct horse battery")
			basic := "Basic " + base64.StdEncoding.EncodeToString([]byte("diane:correct horse battery"))
			a := s.Ask("GET", "app", "/token", "Authorization", basic)

			var out struct{ Token string }
			if json.Unmarshal([]byte(a.Body), &out) != nil || out.Token == "" {
				t.Fatalf("GET /token = %d %s, want a token", a.Status, a.Body)
			}

			g := newGuard(t, s, "app", introspecting(s, "app"))
			tok, err := g.Check(t.Context(), out.Token)
			if err != nil || tok.Principal.Kind != jeton.KindUser || tok.Principal.Name != "diane" || tok.Client != "" {
				t.Errorf("Check = %+v, %v; want the user diane", tok, err)
			}
		})
	}
}
