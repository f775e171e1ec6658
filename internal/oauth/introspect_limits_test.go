package oauth_test

import (
	"encoding/base64"
	"testing"
	"time"

	"github.com/jeton-auth/jeton/internal/api"
	"github.com/jeton-auth/jeton/jetontest"
)

// Introspection is as strict as our own services: a token that is limited to a part of a
// service, or whose user may not log in there, is not active.
func TestIntrospectionKeepsTheLimitsOfAToken(t *testing.T) {
	s := jetontest.Start(t, `
issuer: {url: "https://localhost:${ISSUER_PORT}", listen: "localhost:${ISSUER_PORT}"}
services:
  - name: app
    listen: localhost:0
    login: {paths: [/login], allow: {groups: [staff]}}
    tokens: {}
    routes:
      - {match: GET /who, respond: {text: who}}
  - name: other
    listen: localhost:0
    tokens: {}
`)

	s.AddUser("diane", "correct horse battery", "staff")
	s.AddUser("eshana", "correct horse battery")
	var made struct {
		Secret string `json:"secret"`
	}
	s.MustControl("POST", "/api/v1/clients", api.NewClient{
		Name:        "rs",
		Introspects: []string{"app", "other"},
		Secret:      true,
	}, &made)
	auth := "Basic " + base64.StdEncoding.EncodeToString([]byte("rs:"+made.Secret))

	look := func(text string, fields ...string) string {
		form := "token=" + text
		for i := 0; i+1 < len(fields); i += 2 {
			form += "&" + fields[i] + "=" + fields[i+1]
		}
		return s.Send(
			s.Client(), "POST", s.Issuer()+"/oauth2/introspect", form, "Authorization", auth,
			"Content-Type", "application/x-www-form-urlencoded",
		).Body
	}

	for _, tc := range []struct {
		name   string
		change func(*api.NewToken)
		active bool
	}{
		{"without limits", func(*api.NewToken) {}, true},
		{"limited to a path", func(w *api.NewToken) { w.Allows = []string{"GET /who"} }, false},
		{"limited to a network", func(w *api.NewToken) { w.Networks = []string{"127.0.0.0/8"} }, false},
		{"of a user who may not log in there", func(w *api.NewToken) { w.User = "eshana" }, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := api.NewToken{
				User:     "diane",
				Name:     "x",
				Services: []string{"app"},
				Expires:  time.Now().Add(time.Hour),
			}
			tc.change(&w)
			var tok api.MadeToken
			s.MustControl("POST", "/api/v1/tokens", w, &tok)

			if got := look(tok.Secret); (got != inactive) != tc.active {
				t.Errorf("introspection = %s, want active %t", got, tc.active)
			}
		})
	}

	var tok api.MadeToken
	s.MustControl("POST", "/api/v1/tokens", api.NewToken{
		User:     "diane",
		Name:     "x",
		Services: []string{"app"},
		MaxUses:  1,
		Expires:  time.Now().Add(time.Hour),
	}, &tok)

	if got := look(tok.Secret, "consume", "true", "audience", "other"); got != inactive {
		t.Errorf("introspection for another audience = %s, want inactive", got)
	}
	if got := look(tok.Secret, "consume", "true", "audience", "app"); got == inactive {
		t.Error("the refused introspection took the use, want it left")
	}
}
