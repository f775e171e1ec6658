package teaching_test

import (
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jeton-auth/jeton/jetontest"
)

// TestNamedCookies checks what a teaching client sends and gets.
func TestNamedCookies(t *testing.T) {
	for _, name := range []string{"cookie-login", "limited-info"} {
		t.Run(name, func(t *testing.T) {
			checkNamedCookies(t, startExample(t, name), name)
		})
	}
}

// checkNamedCookies goes through the life of a session as the original client does:
// failures, login, requests, refusals, logout.
func checkNamedCookies(t *testing.T, s *jetontest.Server, service string) {
	t.Helper()
	checkLoginFailures(t, s, service)

	in := s.TryEnter(service, "Alice", "alice_pw")
	if in.Status != 200 || in.Body != "Logged in" {
		t.Fatalf("login is %d %q, want 200 Logged in", in.Status, in.Body)
	}

	secret := checkCookies(t, in)

	a := s.Ask("GET", service, "/get-info", "Cookie", in.Cookies())
	if a.Status != 200 || strings.TrimSpace(a.Body) != `{"Secret-number": 42}` ||
		a.Header.Get("Content-Type") != "application/json" {
		t.Errorf("GET /get-info is %d %q, want 200", a.Status, a.Body)
	}

	checkDenied(t, s, service, secret)

	out := s.Ask("POST", service, "/logout", "Cookie", in.Cookies())
	if out.Status != 200 || len(out.Header["Set-Cookie"]) != 3 {
		t.Errorf("logout is %d and clears %d cookies, want 200 and 3", out.Status, len(out.Header["Set-Cookie"]))
	}

	if a := s.Ask("GET", service, "/get-info", "Cookie", in.Cookies()); a.Status != 403 {
		t.Errorf("GET /get-info after the logout is %d, want 403", a.Status)
	}
}

// checkLoginFailures checks that a failed login says why.
func checkLoginFailures(t *testing.T, s *jetontest.Server, service string) {
	t.Helper()

	for _, tc := range []struct {
		name, user, password string
		status               int
		realm                string
	}{
		{"no name and no password", "", "", 401, "Login required"},
		{"no password", "Alice", "", 401, "Login required"},
		{"no name", "", "alice_pw", 401, "Login required"},
		{"an unknown name", "Mallory", "alice_pw", 401, "No such user"},
		{"a name in other case", "alice", "alice_pw", 401, "No such user"},
		{"a wrong password", "Alice", "bob_pw", 403, "Password incorrect"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := s.TryEnter(service, tc.user, tc.password)
			got := a.Header.Get("Www-Authenticate")
			if a.Status != tc.status || got != `Basic realm="`+tc.realm+`"` || a.Body != "Verification failed" ||
				a.Cookies() != "" {
				t.Errorf("login is %d, %s, %q, want %d, realm %s", a.Status, got, a.Body, tc.status, tc.realm)
			}
		})
	}
}

// checkCookies checks the cookies of a login and returns the secret of the session.
func checkCookies(t *testing.T, in jetontest.Answer) string {
	t.Helper()

	got := map[string]string{}
	for _, line := range in.Header["Set-Cookie"] {
		c, err := http.ParseSetCookie(line)
		if err != nil || !c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" {
			t.Errorf("cookie = %q, %v, want Secure, HttpOnly, SameSite=Lax and Path=/", line, err)
			continue
		}

		got[c.Name] = c.Value
	}

	if got["app1-username"] != "Alice" || len(got["app1-token"]) < 22 || len(got) != 3 {
		t.Errorf("cookies %v, want app1-username, app1-token and app1-login-timestamp", got)
	}

	// As in "2021-04-18T22:54:04.387689".
	text := got["app1-login-timestamp"]
	at, err := time.Parse("2006-01-02T15:04:05.000000", text)
	if err != nil || len(text) != 26 || time.Since(at) > time.Minute {
		t.Errorf("app1-login-timestamp is %q, %v; want the current time in UTC, to the microsecond", text, err)
	}

	return got["app1-token"]
}

// checkDenied checks the text of refusals.
func checkDenied(t *testing.T, s *jetontest.Server, service, secret string) {
	t.Helper()

	for _, tc := range []struct{ name, cookie, body string }{
		{"no cookie", "", "None denied access to resource"},
		{"a name alone", "app1-username=Alice", "Alice denied access to resource"},
		{
			"the name of another user",
			"app1-username=Bob; app1-token=" + secret,
			"Bob denied access to resource",
		},
		{
			"an invalid name",
			"app1-username=<script>alert(1)</script> x; app1-token=x",
			"None denied access to resource",
		},
		{"two names", "app1-username=Alice; app1-username=Bob; app1-token=x", "None denied access to resource"},
		{
			"a long name",
			"app1-username=" + strings.Repeat("n", 500) + "; app1-token=x",
			"None denied access to resource",
		},
	} {
		t.Run("denied: "+tc.name, func(t *testing.T) {
			a := s.Ask("GET", service, "/get-info", "Cookie", tc.cookie)
			if a.Status != 403 || a.Body != tc.body || a.Header.Get("Content-Type") != "text/plain; charset=utf-8" ||
				a.Header.Get("X-Content-Type-Options") != "nosniff" {
				t.Errorf("refusal is %d %q %s, want 403 %q", a.Status, a.Body, a.Header.Get("Content-Type"), tc.body)
			}
		})
	}
}

const threeCookies = `
services:
  - name: app
    listen: localhost:0
    login: {paths: [/login]}
    logout: /logout
    teaching: {cookies: {name: n, token: t, login_time: l}}
    routes:
      - match: GET /me
        respond: {template: "{{.Name}}"}
`

const password = "correct horse battery"

// A session ends by its secret alone, with another name or none.
func TestLogoutNeedsOnlyTheSecret(t *testing.T) {
	s := jetontest.Start(t, threeCookies)
	s.AddUser("diane", password)

	for _, name := range []string{"", "; n=carlos"} {
		cookies := s.Enter("app", "diane", password)
		if a := s.Ask("POST", "app", "/logout", "Cookie", secretOf(t, cookies)+name); a.Status != 200 {
			t.Errorf("logout with the secret and name %q is %d, want 200", name, a.Status)
		}
		if a := s.Ask("GET", "app", "/me", "Cookie", cookies); a.Status != 401 {
			t.Errorf("GET /me after a logout with name %q is %d, want 401", name, a.Status)
		}
	}
}

// secretOf returns the cookie with the secret.
func secretOf(t *testing.T, cookies string) string {
	t.Helper()

	for pair := range strings.SplitSeq(cookies, "; ") {
		if strings.HasPrefix(pair, "t=") {
			return pair
		}
	}

	t.Fatalf("no cookie t in %q", cookies)

	return ""
}

func TestNamedCookiesCarryAnyName(t *testing.T) {
	s := jetontest.Start(t, threeCookies)
	for _, name := range []string{"José", "Ωmega", `a"b;c\d`, "100%"} {
		s.AddUser(name, password)
		cookies := s.Enter("app", name, password)
		a := s.Ask("GET", "app", "/me", "Cookie", cookies)
		if a.Status != 200 || a.Body != name {
			t.Errorf("GET /me as %s is %d %q, want 200 and the name", name, a.Status, a.Body)
		}
	}
}

// startExample starts the server of an example, without limits on guessing.
func startExample(t *testing.T, name string) *jetontest.Server {
	t.Helper()

	yaml, err := os.ReadFile("../../examples/" + name + "/jeton.yaml")
	if err != nil {
		t.Fatal(err)
	}

	const easy = "throttle: {pair_burst: 1000000, account_burst: 1000000, source_burst: 1000000}\n"

	return jetontest.Start(t, easy+string(yaml))
}
