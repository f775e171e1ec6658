package teaching_test

import (
	"encoding/base64"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/api"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/jetontest"
)

// neighbours has two teaching services at which anyone becomes a user, and one for real users.
const neighbours = `
throttle: {pair_burst: 1000000, account_burst: 1000000, source_burst: 1000000}
issuer: {url: 'http://localhost:${ISSUER_PORT}', listen: 'localhost:${ISSUER_PORT}', plain_http: true}
services:
  - name: lessons
    listen: localhost:0
    plain_http: true
    login: {paths: [/login], token: /token}
    tokens: {}
    accept: [session, token, basic]
    users_api: {prefix: /own}
    teaching: {register: /users}
    routes: [{match: GET /who, respond: {template: '{{.Name}}'}}]
  - name: classic
    listen: localhost:0
    plain_http: true
    users_api: {prefix: /api/v1, classic: {auth: ""}}
  - name: shop
    listen: localhost:0
    plain_http: true
    login: {paths: [/login], token: /token}
    tokens: {}
    accept: [session, token, basic]
    users_api: {prefix: /own}
    routes: [{match: GET /who, respond: {template: '{{.Name}}'}}]
`

func basicHeader(name, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(name+":"+password))
}

// TestARegisteredUserIsValidAtItsServiceOnly tries every way to prove a user at a service.
func TestARegisteredUserIsValidAtItsServiceOnly(t *testing.T) {
	s := jetontest.Start(t, neighbours)

	const name, pass = "ginevra", "Benci"
	const body = `{"username":"ginevra","password":"Benci"}`
	a := s.Send(s.Client(), "POST", s.URL("lessons")+"/users", body, "Content-Type", "application/json")
	if a.Status != 201 {
		t.Fatalf("register = %d %s, want 201", a.Status, a.Body)
	}

	for _, tc := range []struct {
		name, service string
		accepted      bool
	}{
		{"its own service", "lessons", true},
		{"another service", "shop", false},
		{"its own service again", "lessons", true}, // the password is cached by now
		{"another service again", "shop", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for way, a := range map[string]jetontest.Answer{
				"login": s.TryEnter(tc.service, name, pass),
				"login of the API": s.Send(s.Client(), "POST", s.URL(tc.service)+"/own/auth_session/login",
					"name=ginevra&password=Benci", "Content-Type", "application/x-www-form-urlencoded"),
				"Basic":           s.Ask("GET", tc.service, "/who", "Authorization", basicHeader(name, pass)),
				"token for Basic": s.Ask("GET", tc.service, "/token", "Authorization", basicHeader(name, pass)),
				"the API":         s.Ask("GET", tc.service, "/own/users/me", "Authorization", basicHeader(name, pass)),
			} {
				if (a.Status == 200) != tc.accepted || !tc.accepted && a.Code() != "bad_credential" {
					t.Errorf("%s = %d %s, want accepted: %t", way, a.Status, a.Body, tc.accepted)
				}
			}
		})
	}

	if got := userOf(t, s, name); got.Service != "lessons" {
		t.Errorf("service of the user = %q, want lessons", got.Service)
	}

	added := slices.IndexFunc(s.Events(), func(e jeton.Event) bool { return e.Action == audit.UserAdd })
	if added < 0 || s.Events()[added].Service != "lessons" {
		t.Errorf("events = %+v, want that of the user with service lessons", s.Events())
	}
}

func hourAhead() time.Time { return time.Now().Add(time.Hour) }

// userOf returns a user as an operator sees it.
func userOf(t *testing.T, s *jetontest.Server, name string) (u jeton.User) {
	t.Helper()
	s.MustControl("GET", "/api/v1/users/"+name, nil, &u)
	return u
}

// TestATokenOfARegisteredUserIsForItsServiceOnly checks that neither the user nor an operator creates one for another
// service.
func TestATokenOfARegisteredUserIsForItsServiceOnly(t *testing.T) {
	s := jetontest.Start(t, neighbours)
	const body = `{"username":"ginevra","password":"Benci"}`
	s.Send(s.Client(), "POST", s.URL("lessons")+"/users", body, "Content-Type", "application/json")
	mine := basicHeader("ginevra", "Benci")

	ask := func(services string) jetontest.Answer {
		return s.Send(s.Client(), "POST", s.URL("lessons")+"/own/users/me/tokens",
			`{"name":"x","services":`+services+`,"expires_at":"`+hourAhead().Format(time.RFC3339)+`"}`,
			"Content-Type", "application/json", "Authorization", mine)
	}
	for services, want := range map[string]int{
		`["lessons"]`:        201,
		`["shop"]`:           403,
		`["lessons","shop"]`: 403,
	} {
		if a := ask(services); a.Status != want {
			t.Errorf("token for %s = %d %s, want %d", services, a.Status, a.Body, want)
		}
	}

	in := api.NewToken{
		User:     "ginevra",
		Name:     "x",
		Services: []string{"shop"},
		Expires:  hourAhead(),
	}
	err := s.Control("POST", "/api/v1/tokens", in, nil)
	if jeton.Outcome(err) != jeton.ErrForbidden {
		t.Errorf("token by an operator = %v, want forbidden", err)
	}
}

// TestTheClassicAPIManagesItsOwnUsersOnly checks that users of others are neither listed, counted, read, changed nor
// deleted.
func TestTheClassicAPIManagesItsOwnUsersOnly(t *testing.T) {
	s := jetontest.Start(t, neighbours)
	s.AddUser("diane", "correct horse battery staple")
	s.Send(s.Client(), "POST", s.URL("lessons")+"/users", `{"username":"ginevra","password":"Benci"}`,
		"Content-Type", "application/json")

	ask := func(method, path, body string) jetontest.Answer {
		return s.Send(s.Client(), method, s.URL("classic")+"/api/v1"+path, body, "Content-Type", "application/json")
	}
	if a := ask("POST", "/users", `{"email":"bob@hbtn.io","password":"pwd"}`); a.Status != 201 {
		t.Fatalf("create = %d %s, want 201", a.Status, a.Body)
	}

	if a := ask("GET", "/users", ""); strings.Count(a.Body, `"id"`) != 1 || !strings.Contains(a.Body, "bob@hbtn.io") {
		t.Errorf("list = %s, want bob alone", a.Body)
	}
	if a := ask("GET", "/stats", ""); strings.TrimSpace(a.Body) != `{"users":1}` {
		t.Errorf("stats = %s, want one user", a.Body)
	}

	for _, name := range []string{"diane", "ginevra"} {
		path := "/users/" + userOf(t, s, name).ID
		for _, method := range []string{"GET", "PUT", "DELETE"} {
			if a := ask(method, path, `{"first_name":"X"}`); a.Status != 404 {
				t.Errorf("%s of %s = %d %s, want 404", method, name, a.Status, a.Body)
			}
		}
		if got := userOf(t, s, name); got.First != "" {
			t.Errorf("first name of %s = %q, want none", name, got.First)
		}
	}

	path := "/users/" + userOf(t, s, "bob@hbtn.io").ID
	for _, method := range []string{"GET", "PUT", "DELETE"} {
		if a := ask(method, path, `{"first_name":"X"}`); a.Status != 200 {
			t.Errorf("%s of its own user = %d %s, want 200", method, a.Status, a.Body)
		}
	}
}
