package api_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/jeton-auth/jeton/internal/api"
	"github.com/jeton-auth/jeton/jetontest"
)

const checkedConf = `
forward: {listen: "127.0.0.1:0", trusted_proxies: [127.0.0.1]}
issuer: {url: "https://localhost:${ISSUER_PORT}", listen: "localhost:${ISSUER_PORT}"}
services:
  - name: app
    listen: localhost:0
    login: {paths: [/login], allow: {users: [diane, max, eve]}}
    tokens: {}
    routes:
      - {match: '/{rest...}', respond: {text: hello}}
      - {match: 'GET /open', open: true, respond: {text: hello}}
      - {match: 'GET /counted', max_uses: 3, respond: {text: hello}}
      - {match: 'GET /staff', allow: {groups: [staff]}, respond: {text: hello}}
      - {match: 'GET /tokens', accept: [token], respond: {text: hello}}
  - name: behind
    url: https://behind.example
    login: {sign_in: true}
    routes: [{match: '/{rest...}'}, {match: 'GET /open', open: true}]
`

// TestARequestIsCheckedWithoutSendingIt compares each check with the verdict on the same request, and looks that it
// cost nothing.
func TestARequestIsCheckedWithoutSendingIt(t *testing.T) {
	s := jetontest.Start(t, checkedConf)
	for _, name := range []string{"diane", "max", "eve", "zoe"} {
		s.AddUser(name, right)
	}
	s.AddUser("off", right)
	s.MustControl(http.MethodPut, "/api/v1/users/off/disabled", api.Disabled{Disabled: true}, nil)
	cookie := s.Enter("app", "diane", right)
	job := s.AddToken(jetontest.NewToken{Name: "job", User: "max", Services: []string{"app"}})
	want(t, "a use", s.Ask(http.MethodGet, "app", "/counted", "Cookie", cookie), 200)

	const behind = "https://behind.example"
	for _, tc := range []struct {
		name   string
		check  api.Check
		code   string
		status int
		text   string // in one of the checks
		left   string
	}{
		{"a user with a session", api.Check{User: "diane", URL: "/a"}, "ok", 200, "session s_", ""},
		{"a user who has none", api.Check{User: "max", URL: "/a"}, "ok", 200, "a new session of user max", ""},
		{"no caller", api.Check{URL: "/a"}, "no_credential", 401, "", ""},
		{"an open route", api.Check{URL: "/open"}, "ok", 200, "GET /open: open", ""},
		{"a user who may not log in", api.Check{User: "zoe", URL: "/a"}, "forbidden", 403, "users [diane max eve]", ""},
		{"a user who is disabled", api.Check{User: "off", URL: "/a"}, "bad_credential", 401, "is disabled", ""},
		{"a user outside of the group", api.Check{User: "diane", URL: "/staff"}, "forbidden", 403, "[staff]", ""},
		{"a session, not a token", api.Check{User: "diane", URL: "/tokens"}, "no_credential", 401, "cookie", ""},
		{"uses of a session", api.Check{User: "diane", URL: "/counted"}, "ok", 200, "2 left", "2"},
		{"uses of a new session", api.Check{User: "max", URL: "/counted"}, "ok", 200, "3 left", "3"},
		{"a token", api.Check{Token: job.Accessor, URL: "/tokens"}, "ok", 200, "of user max for [app]", ""},
		{"an address of no service", api.Check{URL: "https://other.example/"}, "not_found", 404, "no service", ""},
		{"another proxy's service", api.Check{User: "diane", URL: behind + "/x"}, "ok", 200, "new session", ""},
		{"an open route of it", api.Check{URL: behind + "/open"}, "ok", 200, "open", ""},
		{"no caller at it", api.Check{URL: behind + "/x"}, "no_credential", 401, "", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			before := len(s.Events())
			if strings.HasPrefix(tc.check.URL, "/") {
				tc.check.Service = "app"
			}
			tc.check.Method = http.MethodGet

			var got api.TestedToken
			s.MustControl(http.MethodPost, "/api/v1/check", tc.check, &got)

			left := ""
			if got.Left != nil {
				left = fmt.Sprint(*got.Left)
			}
			if got.Code != tc.code || got.Status != tc.status || got.Allowed != (tc.code == "ok") || left != tc.left {
				t.Errorf("got %+v with %q left, want %s, %d and %q left", got, left, tc.code, tc.status, tc.left)
			}
			if text := fmt.Sprint(got.Checks); !strings.Contains(text, tc.text) {
				t.Errorf("got the checks %s, want %q in them", text, tc.text)
			}
			if after := len(s.Events()); after != before {
				t.Errorf("the audit log has %d more events, want none", after-before)
			}
		})
	}

	// It took no use.
	a := s.Ask(http.MethodGet, "app", "/counted", "Cookie", cookie)
	if a.Left() != "1" {
		t.Errorf("after the checks: got %q uses left, want 1", a.Left())
	}
}

// TestACheckNamesOneSubject checks what is refused of a check itself.
func TestACheckNamesOneSubject(t *testing.T) {
	s := jetontest.Start(t, checkedConf)
	for _, tc := range []struct {
		name  string
		check api.Check
		want  int
	}{
		{"a user and a token", api.Check{User: "diane", Token: "x", Method: "GET"}, 400},
		{"an unknown user", api.Check{User: "diane", Method: "GET"}, 404},
		{"an unknown token", api.Check{Token: "x", Method: "GET"}, 404},
		{"no method", api.Check{}, 400},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.check.URL = "https://x.example/"
			err := s.Control(http.MethodPost, "/api/v1/check", tc.check, nil)
			if err == nil || !strings.Contains(err.Error(), fmt.Sprint(tc.want)) {
				t.Errorf("got %v, want %d", err, tc.want)
			}
		})
	}
}
