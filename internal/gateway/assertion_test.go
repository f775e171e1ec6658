package gateway_test

import (
	"bufio"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jeton-auth/jeton/guard"
	"github.com/jeton-auth/jeton/internal/test/e2e"
	"github.com/jeton-auth/jeton/jetontest"
)

const proved = `
issuer: {url: "https://localhost:${ISSUER_PORT}", listen: "localhost:${ISSUER_PORT}"}
services:
  - name: app
    listen: localhost:0
    login: {paths: [/login]}
    tokens: {}
    routes:
      - {match: '/{rest...}', upstream: {url: '${ECHO}', assertion: true}}
      - {match: '/open/{rest...}', open: true, upstream: {url: '${ECHO}', assertion: true}}
      - {match: '/based/{rest...}', upstream: {url: '${ECHO}/base/', strip_prefix: /based, assertion: true}}
      - {match: '/without/{rest...}', upstream: {url: '${ECHO}'}}
`

// TestAnUpstreamCanProveThatJetonAdmittedARequest verifies each request as the upstream gets it. Each comes with an
// assertion of the client's own.
func TestAnUpstreamCanProveThatJetonAdmittedARequest(t *testing.T) {
	s := jetontest.Start(t, easy+proved, jetontest.Env("ECHO", echo(t)))
	s.AddUser("diane", right, "staff", "admin")
	s.AddClient("robot", "app")
	cookie := []string{"Cookie", s.Enter("app", "diane", right)}
	robot := s.AddToken(jetontest.NewToken{Name: "job", Client: "robot", Services: []string{"app"}})
	bearer := []string{"Authorization", "Bearer " + robot.Secret}
	g := guardOf(t, s, time.Now)
	seen := map[string]string{} // the case that got an assertion first

	for _, tc := range []struct {
		name   string
		method string
		path   string
		header []string
		caller string
		again  string // the case that got the same one; "": it is new
	}{
		{"a session", "GET", "/a%20b", cookie, "diane", ""},
		{"the same request", "GET", "/a%20b", cookie, "diane", "a session"},
		{"another query", "GET", "/a%20b?q=1", cookie, "diane", "a session"},
		{"another method", "DELETE", "/a%20b", cookie, "diane", ""},
		{"another path", "GET", "/a%20c", cookie, "diane", ""},
		{"a client", "GET", "/a%20b", bearer, "robot", ""},
		{"a path that the server gets changed", "GET", "/based/a%20b", cookie, "diane", ""},
		{"an open route", "GET", "/open/a", cookie, "", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			forged := []string{"Jeton-Assertion", "forged", "jeton_assertion", "forged"}
			a := s.Ask(tc.method, "app", tc.path, append(forged, tc.header...)...)
			if a.Status != http.StatusOK || strings.Contains(a.Body, "forged") {
				t.Fatalf("got %d %s, want 200 and nothing of the client", a.Status, a.Body)
			}

			text, _ := value(a.Body, "Jeton-Assertion")
			if seen[text] != tc.again {
				t.Errorf("it has the assertion of the case %q, want that of %q", seen[text], tc.again)
			}
			if tc.again == "" {
				seen[text] = tc.name
			}

			r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(a.Body)))
			if err != nil {
				t.Fatal(err)
			}
			c, err := g.CheckAssertion(r)
			if err != nil || c.Principal.Name != tc.caller {
				t.Errorf("CheckAssertion(%s %s) = %+v, %v, want %q", r.Method, r.RequestURI, c, err, tc.caller)
			}
		})
	}

	t.Run("a route without the option", func(t *testing.T) {
		a := s.Ask("GET", "app", "/without/a", append(cookie, "Jeton-Assertion", "forged")...)
		if _, n := value(a.Body, "Jeton-Assertion"); a.Status != http.StatusOK || n != 0 {
			t.Errorf("got %d and %d assertions, want 200 and none", a.Status, n)
		}
	})
}

// TestAnAssertionHasTheProofOfASession sends the same request with several credentials of one user.
func TestAnAssertionHasTheProofOfASession(t *testing.T) {
	clock := newTestClock(time.Now().Truncate(time.Second))
	s := jetontest.Start(t, easy+proved, jetontest.Env("ECHO", echo(t)), jetontest.Clock(clock.now))
	s.AddUser("diane", right)
	g := guardOf(t, s, clock.now)

	began := clock.now()
	first := s.Enter("app", "diane", right)
	clock.set(began.Add(10 * time.Second))
	second := s.Enter("app", "diane", right)
	token := s.AddToken(jetontest.NewToken{Name: "mine", User: "diane", Services: []string{"app"}})

	for _, tc := range []struct {
		name   string
		header []string
		amr    []string
		at     time.Time
	}{
		{"a session", []string{"Cookie", first}, []string{"pwd"}, began},
		{"a later session", []string{"Cookie", second}, []string{"pwd"}, clock.now()},
		{"a token", []string{"Authorization", "Bearer " + token.Secret}, nil, time.Time{}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := s.Ask("GET", "app", "/a", tc.header...)
			r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(a.Body)))
			if err != nil {
				t.Fatal(err)
			}
			c, err := g.CheckAssertion(r)
			if err != nil || c.Principal.Name != "diane" {
				t.Fatalf("CheckAssertion = %+v, %v, want diane", c, err)
			}
			if !slices.Equal(c.AMR, tc.amr) || c.ACR != "" || !c.AuthTime.Equal(tc.at) {
				t.Errorf("got %q, %q and %v, want %q, no level and %v", c.AMR, c.ACR, c.AuthTime, tc.amr, tc.at)
			}
		})
	}
}

// guardOf returns a guard of the service app.
func guardOf(t *testing.T, s *jetontest.Server, now func() time.Time) *guard.Guard {
	t.Helper()
	g, err := guard.New(guard.Config{
		Issuer:   s.Issuer(),
		Audience: "app",
		Client:   s.Client(),
		Now:      now,
	})
	if err != nil {
		t.Fatal(err)
	}

	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = g.Run(t.Context()) // nil when the context ends
	}()
	t.Cleanup(func() { <-ended })
	e2e.Wait(t, "the keys of the issuer", func() bool { return g.Ready() == nil })

	return g
}
