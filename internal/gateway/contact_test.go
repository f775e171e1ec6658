package gateway_test

import (
	"net/http"
	"testing"

	"github.com/jeton-auth/jeton/internal/api"
	"github.com/jeton-auth/jeton/jetontest"
)

const contacts = `
issuer: {url: "https://localhost:${ISSUER_PORT}", listen: "localhost:${ISSUER_PORT}"}
services:
  - name: app
    listen: localhost:0
    login: {paths: [/login]}
    tokens: {}
    routes:
      - {match: '/echo/{rest...}', upstream: {url: '${ECHO}'}}
      - {match: '/open/{rest...}', open: true, upstream: {url: '${ECHO}'}}
`

// TestUpstreamsGetHowTheUserIsAddressed sends headers of the same names with each request: none of them may reach the
// upstream.
func TestUpstreamsGetHowTheUserIsAddressed(t *testing.T) {
	s := jetontest.Start(t, easy+contacts, jetontest.Env("ECHO", echo(t)))
	s.AddUser("nameless", right)
	s.MustControl(http.MethodPost, "/api/v1/users", api.NewUser{
		Name:     "diane",
		Password: right,
		Email:    "diane@example.org",
		First:    "Diané",
		Last:     "Fox",
	}, nil)
	s.AddClient("robot", "app")

	cookie := s.Enter("app", "diane", right)
	robot := s.AddToken(jetontest.NewToken{Name: "job", Client: "robot", Services: []string{"app"}})
	change := func(fields map[string]string) func() {
		return func() { s.MustControl(http.MethodPut, "/api/v1/users/diane", fields, nil) }
	}

	for _, tc := range []struct {
		name   string
		before func()
		path   string
		header [2]string
		full   string
		email  string
	}{
		{"a user with both", nil, "/echo/x", [2]string{"Cookie", cookie}, "Diané Fox", "diane@example.org"},
		{"the same user again", nil, "/echo/x", [2]string{"Cookie", cookie}, "Diané Fox", "diane@example.org"},
		{
			"after a change of the address",
			change(map[string]string{"email": "fox@example.org"}),
			"/echo/x",
			[2]string{"Cookie", cookie},
			"Diané Fox",
			"fox@example.org",
		},
		{
			"after the address and the first name were removed",
			change(map[string]string{"email": "", "first_name": ""}),
			"/echo/x",
			[2]string{"Cookie", cookie},
			"Fox",
			"",
		},
		{"a user without", nil, "/echo/x", [2]string{"Cookie", s.Enter("app", "nameless", right)}, "", ""},
		{"a client", nil, "/echo/x", [2]string{"Authorization", "Bearer " + robot.Secret}, "", ""},
		{"an open route, with a session", nil, "/open/x", [2]string{"Cookie", cookie}, "", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if tc.before != nil {
				tc.before()
			}

			a := s.Ask("GET", "app", tc.path, tc.header[0], tc.header[1],
				"Remote-Name", "Mallory", "Remote-Email", "mallory@example.org", "remote_email", "mallory@example.org")
			if a.Status != http.StatusOK {
				t.Fatalf("GET %s = %v, want 200", tc.path, a)
			}

			for name, want := range map[string]string{"Remote-Name": tc.full, "Remote-Email": tc.email} {
				lines := 1
				if want == "" {
					lines = 0
				}

				got, n := value(a.Body, name)
				if got != want || n != lines {
					t.Errorf("upstream gets %s %q, %d times, want %q, %d times", name, got, n, want, lines)
				}
			}
		})
	}
}
