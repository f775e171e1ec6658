package api_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/api"
	"github.com/jeton-auth/jeton/jetontest"
)

const conf = `
users:
  - name: Alice
    password_hash: $argon2id$v=19$m=19456,t=2,p=1$1PCBIeRl9jh5RZ3wuB0tWg$Brk0ImOifExtrG14kJBF6YRdJBufVb+vvHzbVfIR/NM
services:
  - name: shop
    listen: localhost:0
    login: {paths: [/login]}
    relogin: {max_logins: 1}
    routes: [{match: GET /me, respond: {template: '{{.Name}}'}}]
`

const right = "correct horse battery"

func TestInvalidRequests(t *testing.T) {
	s := jetontest.Start(t, conf)
	s.AddUser("diane", right, "staff")
	cookie := s.Enter("shop", "diane", right)
	object := func(v any) string { b, _ := json.Marshal(v); return string(b) }
	for _, tc := range []struct {
		name, call, body string
		want             error
	}{
		{"no name", "POST /users", `{"password":"` + right + `"}`, jeton.ErrInvalid},
		{"no password", "POST /users", `{"name":"x"}`, jeton.ErrInvalid},
		{"a short password", "POST /users", `{"name":"x","password":"1234567"}`, jeton.ErrInvalid},
		{
			"a password of 1025 bytes",
			"POST /users",
			object(api.NewUser{Name: "x", Password: strings.Repeat("p", 1025)}),
			jeton.ErrInvalid,
		},
		{"a name with a space", "POST /users", object(api.NewUser{Name: "x y", Password: right}), jeton.ErrInvalid},
		{"a name with a colon", "POST /users", object(api.NewUser{Name: "x:y", Password: right}), jeton.ErrInvalid},
		{"a name with a newline", "POST /users", object(api.NewUser{Name: "x\ny", Password: right}), jeton.ErrInvalid},
		{"a name like a token", "POST /users", object(api.NewUser{Name: "JTN_s_x", Password: right}), jeton.ErrInvalid},
		{
			"a name of 129 bytes",
			"POST /users",
			object(api.NewUser{Name: strings.Repeat("n", 129), Password: right}),
			jeton.ErrInvalid,
		},
		{
			"a group with a comma",
			"POST /users",
			object(api.NewUser{Name: "x", Password: right, Groups: []string{"a,admin"}}),
			jeton.ErrInvalid,
		},
		{
			"a group with a newline",
			"POST /users",
			object(api.NewUser{Name: "x", Password: right, Groups: []string{"a\r\nRemote-User: boss"}}),
			jeton.ErrInvalid,
		},
		{
			"an empty group",
			"POST /users",
			object(api.NewUser{Name: "x", Password: right, Groups: []string{""}}),
			jeton.ErrInvalid,
		},
		{"an unknown member", "POST /users", `{"name":"x","password":"` + right + `","admin":true}`, jeton.ErrInvalid},
		{"a name that is taken", "POST /users", object(api.NewUser{Name: "diane", Password: right}), jeton.ErrConflict},
		{
			"a name that differs in case",
			"POST /users",
			object(api.NewUser{Name: "DIANE", Password: right}),
			jeton.ErrConflict,
		},
		{"a declared name", "POST /users", object(api.NewUser{Name: "alice", Password: right}), jeton.ErrConflict},
		{"no JSON", "POST /users", `name=x`, jeton.ErrInvalid},
		{"an empty body", "POST /users", ``, jeton.ErrInvalid},
		{"null", "POST /users", `null`, jeton.ErrInvalid},
		{"a list", "POST /users", `[]`, jeton.ErrInvalid},
		{
			"65 KiB",
			"POST /users",
			object(api.NewUser{Name: "x", Password: strings.Repeat("p", 65<<10)}),
			jeton.ErrTooLarge,
		},

		{
			"the password of an unknown user",
			"PUT /users/unknown/password",
			object(api.NewPassword{Password: right}),
			jeton.ErrNotFound,
		},
		{
			"the password of a declared user",
			"PUT /users/Alice/password",
			object(api.NewPassword{Password: right}),
			jeton.ErrDeclared,
		},
		{"no new password", "PUT /users/diane/password", `{}`, jeton.ErrInvalid},
		{"disabling an unknown user", "PUT /users/unknown/disabled", `{"disabled":true}`, jeton.ErrNotFound},
		{"disabling a declared user", "PUT /users/Alice/disabled", `{"disabled":true}`, jeton.ErrDeclared},
		{"neither disabled nor enabled", "PUT /users/diane/disabled", `{}`, jeton.ErrInvalid},
		{"null for disabled", "PUT /users/diane/disabled", `{"disabled":null}`, jeton.ErrInvalid},
		{"a text for disabled", "PUT /users/diane/disabled", `{"disabled":"false"}`, jeton.ErrInvalid},
		{"no groups named", "PUT /users/diane/groups", `{}`, jeton.ErrInvalid},
		{"one group, no list", "PUT /users/diane/groups", `{"groups":"admin"}`, jeton.ErrInvalid},
		{"groups of an unknown user", "PUT /users/unknown/groups", `{"groups":[]}`, jeton.ErrNotFound},
		{"groups of a declared user", "PUT /users/Alice/groups", `{"groups":[]}`, jeton.ErrDeclared},
		{"removing an unknown user", "DELETE /users/unknown", "", jeton.ErrNotFound},
		{"removing a declared user", "DELETE /users/Alice", "", jeton.ErrDeclared},
		{"logins of an unknown user", "POST /users/unknown/allow-login", `{"service":"shop"}`, jeton.ErrNotFound},
		{"logins at no service", "POST /users/diane/allow-login", `{}`, jeton.ErrInvalid},
		{"ending all sessions by naming none", "DELETE /sessions", "", jeton.ErrInvalid},
		{"ending all sessions by a slip", "DELETE /sessions?usr=diane", "", jeton.ErrInvalid},
		{"ending all sessions by empty names", "DELETE /sessions?id=&user=&service=", "", jeton.ErrInvalid},
		{"an invalid limit", "GET /sessions?limit=all", "", jeton.ErrInvalid},
		{"a negative limit", "GET /audit?limit=-1", "", jeton.ErrInvalid},
		{"a limit that overflows", "GET /audit?limit=99999999999999999999", "", jeton.ErrInvalid},
		{"events after an invalid number", "GET /audit?after=x", "", jeton.ErrInvalid},
		{"explaining an unknown request", "GET /explain/nothing", "", jeton.ErrNotFound},
		{"an unknown method", "PATCH /users", "{}", jeton.ErrMethod},
		{"an unknown path", "GET /everything", "", jeton.ErrNotFound},
		{"a path out of the API", "GET /users/../../../etc/passwd", "", jeton.ErrInvalid},
		{"a name out of its place", "DELETE /users/..%2fsessions", "", jeton.ErrInvalid},
	} {
		t.Run(tc.name, func(t *testing.T) {
			method, path, _ := strings.Cut(tc.call, " ")
			var in any
			if tc.body != "" || strings.HasPrefix(method, "P") {
				in = tc.body
			}

			if err := s.Control(method, "/api/v1"+path, in, nil); !errors.Is(err, tc.want) {
				t.Errorf("%s %s: %v, want %v", tc.call, tc.body, err, tc.want)
			}
		})
	}

	var users []jeton.User
	s.MustControl("GET", "/api/v1/users", nil, &users)
	got := fmt.Sprintf("%d %s %s %v %t", len(users), users[0].Name, users[1].Name, users[1].Groups, users[1].Disabled)
	if got != "2 Alice diane [staff] false" {
		t.Errorf("users after the refusals = %+v, want no change", users)
	}

	a := s.Ask("GET", "shop", "/me", "Cookie", cookie)
	if a.Body != "diane" {
		t.Errorf("GET /me after the refusals = %d %s, want diane", a.Status, a.Code())
	}
}

func TestUsersAndSessionsOfOperators(t *testing.T) {
	s := jetontest.Start(t, conf)
	var created jeton.User
	s.MustControl("POST", "/api/v1/users", api.NewUser{
		Name:     "diane",
		Password: right,
		Groups:   []string{"b", "a", "b"},
	}, &created)

	if got := fmt.Sprintf("%s %v %t", created.Name, created.Groups, created.Declared); got != "diane [a b] false" {
		t.Errorf("POST /users = %+v, want diane in groups a and b", created)
	}

	cookie := s.Enter("shop", "diane", right)
	var list []jeton.Session
	s.MustControl("GET", "/api/v1/sessions?user=diane", nil, &list)

	if len(list) != 1 || list[0].Service != "shop" || list[0].Source != "127.0.0.1" {
		t.Fatalf("sessions = %+v, want one at shop from 127.0.0.1", list)
	}

	var none []jeton.Session
	s.MustControl("GET", "/api/v1/sessions?user=unknown", nil, &none)

	if none == nil || len(none) != 0 {
		t.Errorf("sessions of an unknown user = %v, want an empty list", none)
	}

	var ended api.Ended
	s.MustControl("DELETE", "/api/v1/sessions?id="+list[0].ID+"&user=unknown", nil, &ended)

	if ended.Ended != 0 || s.Ask("GET", "shop", "/me", "Cookie", cookie).Status != 200 {
		t.Errorf("%d sessions ended for an id of another user, want 0", ended.Ended)
	}

	s.MustControl("DELETE", "/api/v1/sessions?id="+list[0].ID, nil, &ended)
	if ended.Ended != 1 || s.Ask("GET", "shop", "/me", "Cookie", cookie).Status != 401 {
		t.Errorf("%d ended, want 1", ended.Ended)
	}

	s.MustControl("POST", "/api/v1/users/diane/allow-login", api.AllowLogin{Service: "shop"}, nil)
	s.MustControl("PUT", "/api/v1/users/diane/groups", api.Groups{Groups: []string{}}, nil)
	s.MustControl("DELETE", "/api/v1/users/diane", nil, nil)
	var status api.Status
	s.MustControl("GET", "/api/v1/status", nil, &status)

	if status.PID == 0 || status.Version != "test" || fmt.Sprint(status.Services) != "[shop]" {
		t.Errorf("status = %+v, want a PID, version test and service shop", status)
	}

	t.Run("each change left an event, in order", func(t *testing.T) {
		var got []string
		for _, e := range s.Events() {
			if e.Actor == "operator" {
				got = append(got, e.Action)
			}
		}

		want := "[user.add session.end login.allowed user.change user.remove]"
		if fmt.Sprint(got) != want {
			t.Errorf("events %v, want %s", got, want)
		}
	})

	t.Run("pages of the audit log", func(t *testing.T) {
		all := s.Events()
		var page, last []jeton.Event
		s.MustControl("GET", fmt.Sprintf("/api/v1/audit?after=%d&limit=2", all[0].Seq), nil, &page)
		s.MustControl("GET", "/api/v1/audit?last=2", nil, &last)

		if len(page) != 2 || page[0].Seq != all[1].Seq || len(last) != 2 || last[1].Seq != all[len(all)-1].Seq {
			t.Errorf("page = %v, last = %v, want the second event on and the last of %d", page, last, len(all))
		}
	})
}
