package access_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/api"
	"github.com/jeton-auth/jeton/jetontest"
)

const scopesConf = noThrottle + `
issuer: {url: "https://localhost:${ISSUER_PORT}", listen: "localhost:${ISSUER_PORT}"}
services:
  - name: app
    listen: localhost:0
    login: {paths: [/login], token: /token}
    accept: [session, token]
    tokens: {}
    users_api: {}
    user_scopes:
      - scopes: [read]
      - {scopes: [write], allow: {groups: [staff]}}
    routes:
      - {match: GET /plain, respond: {text: plain}}
      - {match: GET /read, scopes: [read], respond: {text: read}}
      - {match: GET /write, scopes: [write], respond: {text: written}}
      - {match: GET /both, scopes: [read, write], respond: {text: both}}
  - name: other
    listen: localhost:0
    tokens: {}
    routes:
      - {match: GET /read, scopes: [read], respond: {text: read}}
`

// scoped is a server with a user of the group staff.
func scoped(t *testing.T) *jetontest.Server {
	s := jetontest.Start(t, scopesConf)
	s.AddUser("diane", "correct horse battery", "staff")
	return s
}

func askFor(scopes ...string) api.NewToken {
	return api.NewToken{
		Name:     "x",
		Services: []string{"app", "other"},
		Scopes:   scopes,
		Expires:  time.Now().Add(time.Hour),
	}
}

func setGroups(s *jetontest.Server, groups ...string) {
	s.MustControl("PUT", "/api/v1/users/diane/groups", api.Groups{Groups: append([]string{}, groups...)}, nil)
}

func TestATokenHasTheScopesThatItsOwnerHasNow(t *testing.T) {
	s := scoped(t)

	want := askFor("read", "write")
	want.User = "diane"
	var made api.MadeToken
	s.MustControl("POST", "/api/v1/tokens", want, &made)

	guard := s.AddClient("guard")
	s.MustControl("PUT", "/api/v1/clients/guard/terms", map[string]any{"introspects": []string{"app", "other"}}, nil)

	for _, step := range []struct {
		name             string
		groups           []string
		read, write      int
		scope, scopeElse string // as introspection shows them at the service, and for another one
	}{
		{"in the group", []string{"staff"}, 200, 200, "read write", ""},
		{"after leaving it", nil, 200, 403, "read", ""},
		{"back in it", []string{"staff", "blue"}, 200, 200, "read write", ""},
	} {
		setGroups(s, step.groups...)

		for _, header := range []string{"Bearer " + made.Secret, basic("x", made.Secret)} {
			for path, status := range map[string]int{
				"/plain": 200,
				"/read":  step.read,
				"/write": step.write,
				"/both":  step.write,
			} {
				a := s.Ask("GET", "app", path, "Authorization", header)
				if a.Status != status || status == http.StatusForbidden && a.Code() != "insufficient_scope" {
					t.Errorf("%s, GET %s = %d %s, want %d", step.name, path, a.Status, a.Code(), status)
				}
			}
		}

		a := s.Ask("GET", "other", "/read", "Authorization", "Bearer "+made.Secret)
		if a.Code() != "insufficient_scope" {
			t.Errorf("%s, where nothing is granted = %d %s, want insufficient_scope", step.name, a.Status, a.Code())
		}

		for audience, want := range map[string]string{"app": step.scope, "other": step.scopeElse} {
			a := s.Post(
				"/oauth2/introspect", "token", made.Secret, "audience", audience, "client_assertion_type",
				"urn:ietf:params:oauth:client-assertion-type:jwt-bearer", "client_assertion",
				guard.Assertion("", guard.Claims(s.Issuer(), time.Now())),
			)

			var seen struct {
				Active bool
				Scope  string
			}
			if err := json.Unmarshal([]byte(a.Body), &seen); err != nil || !seen.Active || seen.Scope != want {
				t.Errorf("%s, introspection for %s = %s, want scope %q", step.name, audience, a.Body, want)
			}
		}
	}
}

func TestAskingForAScopeThatAUserDoesNotHaveNamesIt(t *testing.T) {
	s := scoped(t)
	cookie := s.Enter("app", "diane", "correct horse battery")

	for _, tc := range []struct {
		name   string
		groups []string
		scopes []string
		lacks  string
	}{
		{"all are granted", []string{"staff"}, []string{"write", "read"}, ""},
		{"none is asked for", nil, nil, ""},
		{"one of two is granted", nil, []string{"read", "write"}, "write"},
		{"an unknown one", []string{"staff"}, []string{"admin"}, "admin"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			setGroups(s, tc.groups...)

			want := askFor(tc.scopes...)
			body, err := json.Marshal(want)
			if err != nil {
				t.Fatal(err)
			}

			client := s.Client()
			a := s.Send(
				client, "POST", s.URL("app")+"/api/v1/users/me/tokens", string(body), "Cookie", cookie,
				"Content-Type", "application/json",
			)

			want.User = "diane"
			err = s.Control("POST", "/api/v1/tokens", want, nil)

			if tc.lacks == "" {
				if a.Status != http.StatusCreated || err != nil {
					t.Errorf("a user = %d %s, an operator = %v, want a token", a.Status, a.Body, err)
				}
				return
			}

			named := fmt.Sprintf(`the scope \"%s\"`, tc.lacks) // as JSON
			if a.Code() != "insufficient_scope" || !strings.Contains(a.Body, named) {
				t.Errorf("a user = %d %s, want insufficient_scope and %s", a.Status, a.Body, named)
			}
			if !errors.Is(err, jeton.ErrScope) || !strings.Contains(err.Error(), named) {
				t.Errorf("an operator = %v, want ErrScope and %s", err, named)
			}
		})
	}
}
