package teaching_test

import (
	"encoding/base64"
	"strings"
	"testing"
)

const basicService = "basic-and-token"

func basic(name, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(name+":"+password))
}

func TestRegister(t *testing.T) {
	s := startExample(t, basicService)
	for _, tc := range []struct {
		name, body string
		status     int
	}{
		{"a name and a password", `{"username":"Ginevra","password":"Benci"}`, 201},
		{"a name that is taken", `{"username":"Ginevra","password":"other"}`, 409},
		{"a name that is taken, in another case", `{"username":"ginevra","password":"other"}`, 409},
		{"a name that is declared", `{"username":"Lorenzo","password":"other"}`, 409},
		{"no name", `{"password":"Benci"}`, 400},
		{"no password", `{"username":"Simonetta"}`, 400},
		{"an empty password", `{"username":"Simonetta","password":""}`, 400},
		{"a number for a password", `{"username":"Simonetta","password":5}`, 400},
		{"something more", `{"username":"Simonetta","password":"x","groups":["admin"]}`, 400},
		{"a name that would pass for a token", `{"username":"jtn_a_x","password":"x"}`, 400},
		{"nothing", ``, 400},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := s.Send(s.Client(), "POST", s.URL(basicService)+"/users", tc.body, "Content-Type", "application/json")
			if a.Status != tc.status || strings.Contains(a.Body, "Benci") {
				t.Errorf("registration is %d %s, want %d", a.Status, a.Body, tc.status)
			}
		})
	}

	a := s.Ask("GET", basicService, "/token", "Authorization", basic("Ginevra", "Benci"))
	tok := decode[struct{ Token string }](t, a).Token

	for _, header := range []string{basic("Ginevra", "Benci"), basic(tok, "blank")} {
		a := s.Ask("GET", basicService, "/api/resource", "Authorization", header)
		if a.Status != 200 || a.Body != "{\"data\": \"Hello, Ginevra!\"}\n" {
			t.Errorf("request of the new user is %d %s, want 200", a.Status, a.Body)
		}
	}

	a = s.Ask("GET", basicService, "/api/resource", "Authorization", basic("Lorenzo", "other"))
	if a.Status != 401 {
		t.Errorf("request with the password of a refused registration is %d, want 401", a.Status)
	}
}
