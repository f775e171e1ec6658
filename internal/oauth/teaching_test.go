package oauth_test

import (
	"strings"
	"testing"
	"time"

	"github.com/jeton-auth/jeton/jetontest"
)

// lessons configures the teaching endpoints, strict and lenient.
const lessons = `
issuer: {url: 'http://localhost:${ISSUER_PORT}', listen: 'localhost:${ISSUER_PORT}', plain_http: true}
services:
  - name: strict
    listen: localhost:0
    plain_http: true
    tokens: {}
    teaching: {assertion_login: /assert, token_in_body: true}
    routes: [{match: POST /ask, respond: {text: ok}}]
  - name: old
    listen: localhost:0
    plain_http: true
    tokens: {activation_delay: 10s, lifetime: 30s, max_uses: 2}
    teaching: {assertion_login: /assert, token_in_body: true, iss_only: true}
    routes: [{match: POST /ask, respond: {text: ok}}, {match: GET /get, respond: {text: ok}}]
`

// TestLessons checks that a teaching endpoint accepts missing claims where it is configured
// to, and never a wrong claim.
func TestLessons(t *testing.T) {
	f := newFixture(t, lessons)
	ci := f.AddClient("ci", "strict", "old")
	elsewhere := f.AddClient("elsewhere", "strict")
	f.AddClient("off", "strict", "old")
	f.MustControl("PUT", "/api/v1/clients/off/disabled", map[string]bool{"disabled": true}, nil)

	assert := func(service, text string) jetontest.Answer {
		return f.Send(f.plain, "POST", f.URL(service)+"/assert", text)
	}

	ask := func(service, text string) jetontest.Answer {
		return f.Send(f.plain, "POST", f.URL(service)+"/ask", text)
	}

	iss := map[string]any{"iss": "ci"}
	for _, tc := range []struct {
		name        string
		claims      map[string]any
		by          jetontest.Key
		strict, old int
	}{
		{"all claims", f.claims(ci), ci, 200, 200},
		{"iss alone", iss, ci, 403, 200},
		{"iss alone, again", iss, ci, 403, 200},
		{"iss and sub", with(iss, map[string]any{"sub": "ci"}), ci, 403, 200},
		{"iss and the sub of another", with(iss, map[string]any{"sub": "elsewhere"}), ci, 403, 403},
		{"iss and the aud of another", with(iss, map[string]any{"aud": "https://other.example"}), ci, 403, 403},
		{"iss and two of aud", with(iss, map[string]any{"aud": []string{f.Issuer(), "x"}}), ci, 403, 403},
		{"iss and our aud", with(iss, map[string]any{"aud": f.Issuer()}), ci, 403, 200},
		{"iss and an exp in the past", with(iss, map[string]any{"exp": noon.Unix()}), ci, 403, 403},
		{"iss and an iat ahead", with(iss, map[string]any{"iat": noon.Add(11 * time.Second).Unix()}), ci, 403, 403},
		{
			"iss and times too far apart",
			with(iss, map[string]any{"iat": noon.Unix(), "exp": noon.Add(301 * time.Second).Unix()}),
			ci,
			403,
			403,
		},
		{"iss and an nbf ahead", with(iss, map[string]any{"nbf": noon.Add(11 * time.Second).Unix()}), ci, 403, 403},
		{"iss and a jti", with(iss, map[string]any{"jti": "one"}), ci, 403, 200},
		{"iss and the same jti", with(iss, map[string]any{"jti": "one"}), ci, 403, 403},
		{"no iss", map[string]any{"sub": "ci"}, ci, 403, 403},
		{"the iss of an unknown client", map[string]any{"iss": "unknown"}, ci, 401, 401},
		{"the iss of another", map[string]any{"iss": "elsewhere"}, ci, 403, 403},
		{"a disabled client", map[string]any{"iss": "off"}, ci, 403, 403},
		{"a client that may not", f.claims(elsewhere), elsewhere, 200, 403},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := f.on(t)
			for service, want := range map[string]int{"old": tc.old, "strict": tc.strict} {
				claims := tc.claims
				_, whole := claims["exp"]
				if whole && claims["sub"] != nil {
					claims = f.claims(tc.by) // a jti for each
				}

				a := assert(service, f.sign(t, tc.by, claims, nil))
				body := map[int]string{401: "Unknown issuer\n", 403: "The assertion was refused\n"}[a.Status]
				if a.Status != want || a.Status != 200 && strings.TrimSpace(a.Body) != strings.TrimSpace(body) {
					t.Errorf("%s: %d %s, want %d", service, a.Status, a.Body, want)
				}

				if a.Status != 200 {
					if name, _ := f.failed(a.Request()); name == "" {
						t.Errorf("%s: no failed check, want one", service)
					}
				}
			}
		})
	}

	t.Run("not an assertion", func(t *testing.T) {
		for _, text := range []string{"", " ", "hello", strings.Repeat("x", 9000), "iss=ci", `{"iss":"ci"}`} {
			if a := assert("old", text); a.Status != 403 && a.Status != 401 {
				t.Errorf("%.20q: got %d %s, want 403 or 401", text, a.Status, a.Body)
			}
		}
	})

	t.Run("a token as the body", func(t *testing.T) {
		f := f.on(t)
		token := assert("old", f.sign(t, ci, iss, nil)).Body
		defer f.clock.set(noon)

		for _, step := range []struct {
			at     time.Duration
			status int
			says   string
		}{
			{
				0,
				403,
				"The token is not yet valid (nbf)",
			}, {
				10*time.Second - 1,
				403,
				"The token is not yet valid (nbf)",
			}, {10 * time.Second, 200, "ok"}, {20 * time.Second, 200, "ok"},
			{
				20 * time.Second,
				403,
				"No uses are left",
			}, {30 * time.Second, 403, "Signature has expired"}, {-time.Hour, 403, "The token is not yet valid (nbf)"},
		} {
			f.clock.set(noon.Add(step.at))
			if a := ask("old", token); a.Status != step.status || strings.TrimSpace(a.Body) != step.says {
				t.Errorf("after %v: %d %q, want %d %q", step.at, a.Status, a.Body, step.status, step.says)
			}
		}

		f.clock.set(noon)

		for name, text := range map[string]string{
			"nothing":                    "",
			"an assertion":               f.right(ci),
			"a token of another service": f.Token(ci, "audience", "strict"),
			"half a token":               token[:len(token)/2],
		} {
			if a := ask("old", text); a.Status != 403 || strings.TrimSpace(a.Body) != "A valid token is required" {
				t.Errorf("%s: got %d %q, want 403", name, a.Status, a.Body)
			}
		}
	})

	t.Run("a token as the body of a GET, and in the header", func(t *testing.T) {
		f := f.on(t)
		f.clock.move(10 * time.Second)
		defer f.clock.set(noon)

		token := f.Token(ci, "audience", "strict")
		if a := f.Send(
			f.plain, "POST", f.URL("strict")+"/ask", "anything", "Authorization", "Bearer "+token,
		); a.Status != 200 {
			t.Errorf("in the header: got %d %s, want 200", a.Status, a.Body)
		}

		f.clock.set(noon)
		old := f.Token(ci, "audience", "old")
		f.clock.move(10 * time.Second)

		if a := f.Send(f.plain, "GET", f.URL("old")+"/get", old); a.Status != 200 || a.Left() != "1" {
			t.Errorf("as the body of a GET: got %d %s, %s left; want 200, 1", a.Status, a.Body, a.Left())
		}
	})
}
