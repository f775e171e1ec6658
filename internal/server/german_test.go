package server_test

import (
	"net/http"
	"testing"

	"github.com/jeton-auth/jeton/internal/test/germanlog"
	"github.com/jeton-auth/jeton/jetontest"
)

// refusing has a route for each way to refuse a request.
const refusing = easy + `
issuer: {url: "https://localhost:${ISSUER_PORT}", listen: "localhost:${ISSUER_PORT}"}
services:
  - name: shop
    listen: localhost:0
    logout: /logout
    login: {paths: [/login], allow: {users: [diane]}}
    tokens: {}
    user_scopes: [{scopes: [read]}]
    routes:
      - {match: GET /me, respond: {text: me}}
      - {match: GET /staff, allow: {groups: [staff], users: [carl]}, respond: {text: staff}}
      - {match: GET /write, accept: [token], scopes: [write], respond: {text: write}}
      - {match: GET /once, max_uses: 1, respond: {text: once}}
      - {match: GET /sessions, accept: [session], respond: {text: session}}
      - {match: GET /known, audit: true, respond: {text: known}}
`

// readLogInGerman checks that the pages of the audit log of a server have everything in German.
func readLogInGerman(t *testing.T, s *jetontest.Server, requests ...string) {
	t.Helper()
	s.AddUser("reader", right, "admin")
	reader := newBrowser(t, s)
	reader.signIn("reader")
	germanlog.Read(t, func(path string) jetontest.Answer { return reader.get(s.Issuer() + path) }, requests...)
}

func TestWhyARequestWasRefusedIsSaidInGerman(t *testing.T) {
	s := jetontest.Start(t, refusing)
	s.AddUser("diane", right)
	s.AddUser("bob", right)

	narrow := s.AddToken(jetontest.NewToken{
		User:     "diane",
		Name:     "laptop",
		Services: []string{"shop"},
		Scopes:   []string{"read"},
		MaxUses:  1,
	})
	cookie := s.Enter("shop", "diane", right)

	ask := func(path string, header ...string) jetontest.Answer {
		return s.Ask(http.MethodGet, "shop", path, header...)
	}
	bearer := []string{"Authorization", "Bearer " + narrow.Secret}
	session := []string{"Cookie", cookie}

	// Admitted requests are not in the log, and explained all the same.
	var requests []string
	for _, tc := range []struct {
		name   string
		answer jetontest.Answer
		status int
	}{
		{"no credential", ask("/me"), 401},
		{"a wrong token", ask("/me", "Authorization", "Bearer wrong"), 401},
		{"a token where sessions are accepted", ask("/sessions", bearer...), 401},
		{"two cookies", ask("/me", "Cookie", cookie+"; "+cookie), 400},
		{"a group is missing", ask("/staff", session...), 403},
		{"a scope is missing", ask("/write", bearer...), 403},
		{"the last use of a route", ask("/once", session...), 200},
		{"no use of a route is left", ask("/once", session...), 403},
		{"the last use of a token", ask("/me", bearer...), 200},
		{"no use of a token is left", ask("/me", bearer...), 403},
		{"admitted and recorded", ask("/known", session...), 200},
		{"a wrong password", s.TryEnter("shop", "diane", "wrong"), 401},
		{"a user whom the service does not allow", s.TryEnter("shop", "bob", right), 403},
		{"a sign-in", s.TryEnter("shop", "diane", right), 200},
	} {
		if tc.answer.Status != tc.status {
			t.Errorf("%s: %d %s, want %d", tc.name, tc.answer.Status, tc.answer.Code(), tc.status)
		}
		requests = append(requests, tc.answer.Request())
	}

	readLogInGerman(t, s, requests...)
}
