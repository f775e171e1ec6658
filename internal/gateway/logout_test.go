package gateway_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/jeton-auth/jeton/jetontest"
)

const leaving = `
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

func TestLogoutAnswersOnlyForWhatItEnded(t *testing.T) {
	s := jetontest.Start(t, leaving)
	s.AddUser("diane", right)
	mine := s.Enter("shop", "diane", right)
	if a := s.Ask(
		"POST",
		"shop",
		"/logout",
		"Cookie",
		mine+"; __Host-jeton=planted",
	); a.Status != 400 || a.Code() != "ambiguous_credential" {
		t.Errorf("two cookies of the name: %d %s, want 400 ambiguous_credential", a.Status, a.Code())
	}

	if a := s.Ask("GET", "shop", "/me", "Cookie", mine); a.Status != 200 {
		t.Errorf("after a logout that ended nothing: %d, want 200", a.Status)
	}
	if a := s.Ask("POST", "shop", "/logout", "Cookie", mine); a.Status != 200 {
		t.Errorf("logout: %d, want 200", a.Status)
	}
	if a := s.Ask("GET", "shop", "/me", "Cookie", mine); a.Status != 401 {
		t.Errorf("after the logout: %d, want 401", a.Status)
	}
}

func TestALoginTakesThePlaceOfTheOneThatIsShown(t *testing.T) {
	s := jetontest.Start(t, leaving)
	s.AddUser("diane", right)
	first := s.Enter("shop", "diane", right)

	if a := s.TryEnter("shop", "diane", right); a.Code() != "sessions_full" {
		t.Errorf("another browser: %d %s, want sessions_full", a.Status, a.Code())
	}

	again := s.TryEnter("shop", "diane", right, "Cookie", first)
	if again.Status != 200 {
		t.Fatalf("the same browser: %d %s, want 200", again.Status, again.Code())
	}
	if a := s.Ask("GET", "shop", "/me", "Cookie", first); a.Status != 401 {
		t.Errorf("the session that was replaced: %d, want 401", a.Status)
	}

	if a := s.Ask("GET", "shop", "/me", "Cookie", again.Cookies()); a.Status != 200 {
		t.Errorf("the new session: %d, want 200", a.Status)
	}
	if a := s.TryEnter("shop", "diane", "wrong password", "Cookie", again.Cookies()); a.Status != 401 {
		t.Errorf("a wrong password: %d, want 401", a.Status)
	}
	if a := s.Ask("GET", "shop", "/me", "Cookie", again.Cookies()); a.Status != 200 {
		t.Errorf("after a login that failed: %d, want 200", a.Status)
	}
}

// What looks idle here may be busy at another node, or by another clock: a logout ends it.
func TestALogoutEndsWhatLooksIdle(t *testing.T) {
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
		t.Fatalf("idle: %d %s, want 401 expired", a.Status, a.Code())
	}
	if a := s.Ask("POST", "shop", "/logout", "Cookie", mine); a.Status != 200 {
		t.Errorf("logout: %d, want 200", a.Status)
	}

	now.Add(-(6 * time.Minute).Milliseconds())
	if a := s.Ask("GET", "shop", "/me", "Cookie", mine); a.Status != 401 {
		t.Errorf("after the logout, by a clock that has it busy: %d, want 401", a.Status)
	}
}
