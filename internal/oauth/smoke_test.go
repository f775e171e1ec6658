package oauth_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/jeton-auth/jeton/jetontest"
)

const conf = `
issuer:
  url: https://localhost:${ISSUER_PORT}
  listen: localhost:${ISSUER_PORT}
services:
  - name: reports
    listen: localhost:0
    tokens: {}
    routes:
      - match: GET /who
        respond: {json: {name: "{{.Name}}"}}
      - match: GET /three
        max_uses: 3
        respond: {text: three}
  - name: counted
    listen: localhost:0
    tokens: {format: opaque, max_uses: 2}
    routes:
      - match: GET /who
        respond: {json: {name: "{{.Name}}"}}
`

func TestTokensAreValidForTheirServiceAlone(t *testing.T) {
	s := jetontest.Start(t, conf)
	ci := s.AddClient("ci", "reports", "counted")
	jwt, opaque := s.Token(ci, "audience", "reports"), s.Token(ci, "audience", "counted")
	if a := s.Ask(
		"GET", "reports", "/who", "Authorization", "Bearer "+jwt,
	); a.Status != 200 || a.Body != "{\"name\": \"ci\"}\n" {
		t.Errorf("with its own token: got %d %s, want 200 and ci", a.Status, a.Body)
	}

	if a := s.Ask(
		"GET", "counted", "/who", "Authorization", "Bearer "+jwt,
	); a.Status != 401 || !strings.Contains(a.Header.Get("WWW-Authenticate"), "invalid_token") {
		t.Errorf("with another service's token: got %d %v, want 401 invalid_token", a.Status, a.Header)
	}

	for _, want := range []string{"1", "0", ""} {
		if a := s.Ask(
			"GET", "counted", "/who", "Authorization", "bearer "+opaque,
		); want != "" && a.Left() != want || want == "" && a.Code() != "spent" {
			t.Errorf("%d, left %q, want %q", a.Status, a.Left(), want)
		}
	}

	for _, want := range []string{"2", "1", "0"} {
		if a := s.Ask("GET", "reports", "/three", "Authorization", "Bearer "+jwt); a.Left() != want {
			t.Errorf("%d, left %q, want %q: %s", a.Status, a.Left(), want, a.Body)
		}
	}

	var keys struct{ Keys []map[string]any }
	if a := s.Send(
		s.Client(), "GET", s.Issuer()+"/.well-known/jwks.json", "",
	); json.Unmarshal([]byte(a.Body), &keys) != nil || len(keys.Keys) == 0 {
		t.Errorf("keys = %d %s, want some", a.Status, a.Body)
	}
}
