package server_test

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/jeton-auth/jeton/jetontest"
)

// managing has administrators of everything, and at a service those of its users.
const managing = easy + `
issuer: {url: "https://localhost:${ISSUER_PORT}", listen: "localhost:${ISSUER_PORT}"}
services:
  - name: shop
    listen: localhost:0
    host: shop.example
    login: {paths: [/login], sign_in: true, token: /token}
    tokens: {}
    accept: [session, token, basic]
    users_api: {admins: [clerks]}
    routes: [{match: GET /about, respond: {text: about}}]
`

// startManaging starts the server with the admin erin, the clerk fred and the user diane.
func startManaging(t *testing.T) (*jetontest.Server, *heldClock) {
	t.Helper()
	c := newHeldClock()
	s := jetontest.Start(t, managing, jetontest.Clock(c.now))
	s.AddUser("erin", right, "admin")
	s.AddUser("fred", right, "clerks")
	s.AddUser("diane", right)

	return s, c
}

// TestAnAdminNeedsTwoFactorsAfterTheGracePeriod is the way of an administrator who has a password alone.
func TestAnAdminNeedsTwoFactorsAfterTheGracePeriod(t *testing.T) {
	s, c := startManaging(t)
	began := c.now()
	b := newBrowser(t, s)
	b.signIn("erin")

	note := began.Add(7 * 24 * time.Hour).UTC().Format(`datetime="2006-01-02T15:04:05Z"`)
	for _, page := range []string{"/account", "/admin"} {
		a := b.get(s.Issuer() + page)
		if a.Status != http.StatusOK || !strings.Contains(a.Body, note) {
			t.Errorf("%s in the grace period: got %d %s, want it with %q", page, a.Status, a.Body, note)
		}
	}

	// A form that is refused comes back with the whole page.
	a := b.post("/account", "email", "erin@example.org")
	if a.Status != http.StatusForbidden || !strings.Contains(a.Body, note) {
		t.Errorf("a new address without the password: got %d %s, want 403 and %q", a.Status, a.Body, note)
	}

	c.move(7*24*time.Hour + time.Second)
	s.AddUser("gina", right, "admin")
	b = newBrowser(t, s)
	b.signIn("erin")
	a = b.open(s.Issuer() + "/admin/users?q=d")
	if !strings.HasPrefix(b.at(), s.Issuer()+"/prove?") || !strings.Contains(a.Body, `href="/account/security"`) ||
		strings.Contains(a.Body, `name="password"`) {
		t.Fatalf("after it: got %d %s at %s, want the page that says how to add a factor", a.Status, a.Body, b.at())
	}
	if a := b.get(s.Issuer() + "/account"); !strings.Contains(a.Body, "needs a second factor now") {
		t.Errorf("the account: got %d %s, want it with a note", a.Status, a.Body)
	}
	other := newBrowser(t, s)
	other.signIn("gina")
	if a := other.get(s.Issuer() + "/admin"); a.Status != http.StatusOK {
		t.Errorf("an admin who was added a moment ago: got %d, want 200", a.Status)
	}

	secret, _ := b.enrol(c.now())
	c.move(2 * time.Minute)
	b.open(s.Issuer() + "/admin/users?q=d")
	a = b.proves("password", right, "code", otp(t, secret, c.now()))
	if a.Status != http.StatusOK || !strings.Contains(a.Body, "diane") {
		t.Errorf("after the proof: got %d %s, want the page", a.Status, a.Body)
	}
	if a := b.get(s.Issuer() + "/account"); strings.Contains(a.Body, "second factor now") {
		t.Error("the account has the note after a factor was added, want none")
	}
}

// TestEveryRouteOfAdminsNeedsTwoFactors asks each route of administrators by a session of one factor.
func TestEveryRouteOfAdminsNeedsTwoFactors(t *testing.T) {
	s, c := startManaging(t)
	c.move(8 * 24 * time.Hour)
	b := newBrowser(t, s)
	b.signIn("erin")

	tried := 0
	for _, row := range tableOf(t, managing) {
		method, path, ok := strings.Cut(row.Pattern, " ")
		if !ok || row.Service != "issuer" || !strings.Contains(row.Access, "groups [admin]") {
			continue
		}
		tried++
		path = regexp.MustCompile(`\{[^}]*\}`).ReplaceAllString(path, "x")

		header, status := loading, http.StatusSeeOther
		if strings.HasPrefix(path, "/api/") {
			header, status = scripting, http.StatusUnauthorized
		}
		a := s.Send(b.client, method, s.Issuer()+path, "", append([]string{"Origin", s.Issuer()}, header...)...)
		to := a.Header.Get("Location")
		if a.Status != status || to != "" && !strings.HasPrefix(to, "/prove?factors=2&") ||
			a.Header.Get("Jeton-Error") != "insufficient_user_authentication" && to == "" {
			t.Errorf("%s: got %d %s to %q, want it refused for the second factor", row.Pattern, a.Status, a.Body, to)
		}
	}
	if tried < 60 {
		t.Errorf("%d routes were asked, want at least 60: the table is not read as it is", tried)
	}
}

// TestWhoManagesUsersOfAServiceNeedsTwoFactors has a row for each way of a user to the users API of a service.
func TestWhoManagesUsersOfAServiceNeedsTwoFactors(t *testing.T) {
	s, c := startManaging(t)
	early := s.AddToken(jetontest.NewToken{
		User:     "fred",
		Name:     "early",
		Services: []string{"shop"},
		Expires:  c.now().Add(30 * 24 * time.Hour),
	})
	c.move(8 * 24 * time.Hour)

	session := func(name string) string { return s.Enter("shop", name, right) }
	const refused = "insufficient_user_authentication"
	for _, tc := range []struct {
		name, method, path string
		header             []string
		status             int
		code               string
	}{
		{"a password", "GET", "/api/v1/users", []string{"Authorization", basic("fred", right)}, 401, refused},
		{"a session of a password", "GET", "/api/v1/users", []string{"Cookie", session("fred")}, 401, refused},
		{"a user by id", "GET", "/api/v1/users/x", []string{"Cookie", session("fred")}, 401, refused},
		{"a password for a token", "GET", "/token", []string{"Authorization", basic("fred", right)}, 401, refused},
		{"a token for a job", "POST", "/.jeton/leases", []string{"Cookie", session("fred")}, 401, refused},
		{"the user itself", "GET", "/api/v1/users/me", []string{"Cookie", session("fred")}, 200, ""},
		{"another route", "GET", "/about", []string{"Authorization", basic("fred", right)}, 200, ""},
		{"a token", "GET", "/api/v1/users", []string{"Authorization", "Bearer " + early.Secret}, 200, ""},
		{"a user who manages none", "GET", "/token", []string{"Authorization", basic("diane", right)}, 200, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			header := append([]string{"Sec-Fetch-Site", "same-origin"}, tc.header...)
			a := s.Send(s.Client(), tc.method, s.URL("shop")+tc.path, "", header...)
			if a.Status != tc.status || a.Header.Get("Jeton-Error") != tc.code {
				t.Errorf("got %d %s, want %d %s", a.Status, a.Body, tc.status, tc.code)
			}
		})
	}

	b := newBrowser(t, s)
	b.signIn("fred")
	ends := c.now().Add(time.Hour).UTC().Format(time.RFC3339)
	body := `{"name":"ci","services":["shop"],"expires_at":"` + ends + `"}`
	header := append([]string{"Content-Type", "application/json"}, scripting...)
	a := s.Send(b.client, http.MethodPost, s.Issuer()+"/api/v1/users/me/tokens", body, header...)
	if a.Code() != "forbidden" || !strings.Contains(a.Body, "add an authenticator app or a passkey") {
		t.Errorf("a personal token: got %d %s, want forbidden and what to do", a.Status, a.Body)
	}
}

// TestExplainSaysFromWhenOnTwoFactorsAreRequired asks before and after.
func TestExplainSaysFromWhenOnTwoFactorsAreRequired(t *testing.T) {
	s, c := startManaging(t)
	from := c.now().Add(7 * 24 * time.Hour).UTC().Format("2006-01-02")

	for _, want := range []string{"pass", "fail"} {
		b := newBrowser(t, s)
		b.signIn("erin")
		a := s.Send(b.client, http.MethodGet, s.Issuer()+"/api/v1/users", "", scripting...)
		events, err := s.Explain(a.Header.Get("X-Request-Id"))
		if err != nil || len(events) != 1 {
			t.Fatalf("explain: got %+v, %v, want one event", events, err)
		}

		check := events[0].Checks[4]
		text := "two factors are required of this user, who manages others, from " + from
		if check.Name != "factors" || check.Result != want || !strings.Contains(check.Value, text) {
			t.Errorf("check = %+v, want %s with %q", check, want, text)
		}
		c.move(8 * 24 * time.Hour)
	}
}
