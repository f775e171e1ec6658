package gateway_test

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jeton-auth/jeton/jetontest"
)

const oneSession = `
services:
  - name: shop
    listen: localhost:0
    login: {paths: [/login]}
    logout: /logout
    session: {max_sessions: 1, when_full: refuse}
    routes:
      - match: GET /me
        respond: {text: me}
`

// TestLogoutFailsWhereItEndsNothing sends a second cookie of the name. A logout that said 200
// would leave the session open.
func TestLogoutFailsWhereItEndsNothing(t *testing.T) {
	s := jetontest.Start(t, oneSession)
	s.AddUser("diane", right)
	mine := s.Enter("shop", "diane", right)

	a := s.Ask("POST", "shop", "/logout", "Cookie", mine+"; __Host-jeton-shop=planted")
	if a.Status != 400 || a.Code() != "ambiguous_credential" {
		t.Errorf("logout with two cookies of the name is %d %s, want 400 ambiguous_credential", a.Status, a.Code())
	}

	if a := s.Ask("GET", "shop", "/me", "Cookie", mine); a.Status != 200 {
		t.Errorf("GET /me after a failed logout is %d, want 200", a.Status)
	}
	if a := s.Ask("POST", "shop", "/logout", "Cookie", mine); a.Status != 200 {
		t.Errorf("logout is %d, want 200", a.Status)
	}
	if a := s.Ask("GET", "shop", "/me", "Cookie", mine); a.Status != 401 {
		t.Errorf("GET /me after the logout is %d, want 401", a.Status)
	}
}

func TestLoginReplacesTheSessionOfTheRequest(t *testing.T) {
	s := jetontest.Start(t, oneSession)
	s.AddUser("diane", right)
	first := s.Enter("shop", "diane", right)

	if a := s.TryEnter("shop", "diane", right); a.Code() != "sessions_full" {
		t.Errorf("login of another browser is %d %s, want sessions_full", a.Status, a.Code())
	}

	again := s.TryEnter("shop", "diane", right, "Cookie", first)
	if again.Status != 200 {
		t.Fatalf("login of the same browser is %d %s, want 200", again.Status, again.Code())
	}
	if a := s.Ask("GET", "shop", "/me", "Cookie", first); a.Status != 401 {
		t.Errorf("GET /me with the replaced session is %d, want 401", a.Status)
	}

	if a := s.Ask("GET", "shop", "/me", "Cookie", again.Cookies()); a.Status != 200 {
		t.Errorf("GET /me with the new session is %d, want 200", a.Status)
	}
	if a := s.TryEnter("shop", "diane", "wrong password", "Cookie", again.Cookies()); a.Status != 401 {
		t.Errorf("login with a wrong password is %d, want 401", a.Status)
	}
	if a := s.Ask("GET", "shop", "/me", "Cookie", again.Cookies()); a.Status != 200 {
		t.Errorf("GET /me after a failed login is %d, want 200", a.Status)
	}
}

// A session that has expired here may be in use at another node, or by another clock.
func TestLogoutEndsAnExpiredSession(t *testing.T) {
	var now atomic.Int64
	now.Store(time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC).UnixMilli())

	s := jetontest.Start(t, `
services:
  - name: shop
    listen: localhost:0
    login: {paths: [/login]}
    logout: /logout
    session: {idle_timeout: 5m}
    routes:
      - match: GET /me
        respond: {text: me}
`, jetontest.Clock(func() time.Time { return time.UnixMilli(now.Load()) }))

	s.AddUser("diane", right)
	mine := s.Enter("shop", "diane", right)
	now.Add((6 * time.Minute).Milliseconds())

	if a := s.Ask("GET", "shop", "/me", "Cookie", mine); a.Status != 401 || a.Code() != "expired" {
		t.Fatalf("GET /me after the idle timeout is %d %s, want 401 expired", a.Status, a.Code())
	}
	if a := s.Ask("POST", "shop", "/logout", "Cookie", mine); a.Status != 200 {
		t.Errorf("logout is %d, want 200", a.Status)
	}

	now.Add(-(6 * time.Minute).Milliseconds())
	if a := s.Ask("GET", "shop", "/me", "Cookie", mine); a.Status != 401 {
		t.Errorf("GET /me after the logout, by an earlier clock, is %d, want 401", a.Status)
	}
}

// TestALogoutShowsABrowserAPage sends the form of a page and the request of a program.
func TestALogoutShowsABrowserAPage(t *testing.T) {
	s := jetontest.Start(t, oneSession)
	const text = "text/plain; charset=utf-8"
	form := []string{"Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document", "Sec-Fetch-Site", "same-origin"}

	for _, tc := range []struct {
		name   string
		header []string
		typ    string
		want   string
	}{
		{"a program", nil, text, "Logged out"},
		{"a script", []string{"Sec-Fetch-Mode", "cors", "Sec-Fetch-Dest", "empty"}, text, "Logged out"},
		{"a form", form, "text/html; charset=utf-8", "<h1>You are signed out</h1>"},
	} {
		a := s.Ask("POST", "shop", "/logout", tc.header...)
		if a.Status != 200 || a.Header.Get("Content-Type") != tc.typ || !strings.Contains(a.Body, tc.want) {
			t.Errorf("%s: logout = %d %s %q, want 200 %s with %q",
				tc.name, a.Status, a.Header.Get("Content-Type"), a.Body, tc.typ, tc.want)
		}
	}
}
