package guard_test

import (
	"encoding/base64"
	"encoding/json"
	"testing"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/jetontest"
)

const ofPeople = `
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

// A person's token says that it is a person's, signed or looked up, and an issuer of
// opaque tokens alone publishes no key.
func TestAPersonsTokenIsAPersons(t *testing.T) {
	for _, format := range []string{"jwt", "opaque"} {
		t.Run(format, func(t *testing.T) {
			s := jetontest.Start(t, ofPeople, jetontest.Env("FORMAT", format))
			s.AddUser("diane", "correct horse battery")
			a := s.Ask(
				"GET",
				"app",
				"/token",
				"Authorization",
				"Basic "+base64.StdEncoding.EncodeToString([]byte("diane:correct horse battery")),
			)
			var out struct{ Token string }
			if json.Unmarshal([]byte(a.Body), &out) != nil || out.Token == "" {
				t.Fatalf("%d %s", a.Status, a.Body)
			}

			g := guardOf(t, s, "app", countedBy(s, "app"))
			tok, err := g.Check(t.Context(), out.Token)
			if err != nil || tok.Principal.Kind != jeton.KindUser || tok.Principal.Name != "diane" || tok.Client != "" {
				t.Errorf("Check = %+v, %v, want the user diane", tok, err)
			}
		})
	}
}
