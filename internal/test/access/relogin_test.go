package access_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/jeton-auth/jeton/internal/api"
)

func TestMaxSessions(t *testing.T) {
	f := newTimed(t)
	t.Run("the oldest is ended", func(t *testing.T) {
		name := f.newUser()
		a, b := f.Enter("two", name, pw), f.Enter("two", name, pw)
		if f.me("two", a) != "" || f.me("two", b) != "" {
			t.Fatal("a session is refused, want two at a time")
		}

		c := f.Enter("two", name, pw)
		got := []string{f.me("two", a), f.me("two", b), f.me("two", c)}
		if fmt.Sprint(got) != fmt.Sprint([]string{"bad_credential", "", ""}) {
			t.Errorf("the sessions are %q, want only the first ended", got)
		}
	})

	t.Run("sessions of others do not count", func(t *testing.T) {
		mine, theirs := f.newUser(), f.newUser()
		a, b := f.Enter("two", mine, pw), f.Enter("two", theirs, pw)
		f.Enter("two", theirs, pw)
		f.Enter("two", theirs, pw)
		f.Enter("other", mine, pw)

		f.Enter("other", mine, pw)
		if f.me("two", a) != "" || f.me("two", b) != "bad_credential" {
			t.Errorf("mine %q, want valid; theirs %q, want ended", f.me("two", a), f.me("two", b))
		}
	})

	t.Run("refused until one ends", func(t *testing.T) {
		name := f.newUser()
		a, b := f.Enter("full", name, pw), f.Enter("full", name, pw)

		if r := f.TryEnter("full", name, pw); r.Status != 403 || r.Code() != "sessions_full" || r.Cookies() != "" {
			t.Errorf("the third: %d %s, want 403 sessions_full and no cookie", r.Status, r.Code())
		}
		if f.me("full", a) != "" || f.me("full", b) != "" {
			t.Error("a refused login ended a session")
		}

		f.Ask("POST", "full", "/logout", "Cookie", a)
		if r := f.TryEnter("full", name, pw); r.Status != 200 {
			t.Errorf("after a logout: %d %s, want 200", r.Status, r.Code())
		}
	})

	t.Run("an expired session makes room", func(t *testing.T) {
		name := f.newUser()
		f.Enter("full", name, pw)
		f.Enter("full", name, pw)
		// The store learns of a last use up to ten seconds later. So that a session in use never
		// counts as idle, room is made that much later.
		f.add(10*time.Minute + 10*time.Second - time.Millisecond)

		if r := f.TryEnter("full", name, pw); r.Code() != "sessions_full" {
			t.Errorf("a millisecond early: %d %s, want sessions_full", r.Status, r.Code())
		}

		f.add(time.Millisecond)
		if r := f.TryEnter("full", name, pw); r.Status != 200 {
			t.Errorf("as they become idle: %d %s, want 200", r.Status, r.Code())
		}
	})
}

func TestRelogin(t *testing.T) {
	f := newTimed(t)
	again := func(t *testing.T, service, name string, code, wait string) {
		t.Helper()
		a := f.TryEnter(service, name, pw)
		if a.Code() != code || a.Header.Get("Retry-After") != wait || (code == "") != (a.Cookies() != "") {
			t.Errorf("%d %q, Retry-After %q, cookies %q, want %q, %q",
				a.Status, a.Code(), a.Header.Get("Retry-After"), a.Cookies(), code, wait)
		}
	}

	const refused = "relogin_refused"
	t.Run("two in a window", func(t *testing.T) {
		name := f.newUser()
		again(t, "window", name, "", "")
		f.add(time.Minute)
		again(t, "window", name, "", "")
		again(t, "window", name, refused, "540")

		f.add(9*time.Minute - time.Millisecond)
		again(t, "window", name, refused, "1")
		f.add(time.Millisecond)
		again(t, "window", name, "", "")
		again(t, "window", name, refused, "60")
	})

	t.Run("a cooldown", func(t *testing.T) {
		name := f.newUser()
		again(t, "cooldown", name, "", "")
		again(t, "cooldown", name, refused, "30")
		f.add(30*time.Second - time.Millisecond)
		again(t, "cooldown", name, refused, "1")

		f.add(time.Millisecond)
		again(t, "cooldown", name, "", "")
	})

	t.Run("once, until an operator allows more", func(t *testing.T) {
		name := f.newUser()
		again(t, "once", name, "", "")
		again(t, "once", name, refused, "")
		f.add(365 * 24 * time.Hour)
		again(t, "once", name, refused, "")

		f.MustControl("POST", "/api/v1/users/"+name+"/allow-login", api.AllowLogin{Service: "window"}, nil)
		again(t, "once", name, refused, "")
		f.MustControl("POST", "/api/v1/users/"+name+"/allow-login", api.AllowLogin{Service: "once"}, nil)
		again(t, "once", name, "", "")
		again(t, "once", name, refused, "")
	})

	t.Run("failed logins do not count, and a refusal does not depend on the password", func(t *testing.T) {
		name := f.newUser()
		for range 3 {
			if a := f.TryEnter("once", name, "wrong"); a.Status != 401 || a.Code() != "bad_credential" {
				t.Errorf("%d %s, want 401 bad_credential", a.Status, a.Code())
			}
		}

		again(t, "once", name, "", "")
		if a := f.TryEnter("once", name, "wrong"); a.Status != 401 || a.Code() != "bad_credential" {
			t.Errorf("a wrong password where no login is permitted: %d %s, want 401 bad_credential", a.Status, a.Code())
		}
	})

	t.Run("ending the session does not permit another login", func(t *testing.T) {
		name := f.newUser()
		f.Enter("once", name, pw)
		f.MustControl("DELETE", "/api/v1/sessions?user="+name, nil, nil)
		again(t, "once", name, refused, "")
	})

	t.Run("setting the clock back does not help", func(t *testing.T) {
		name := f.newUser()
		again(t, "cooldown", name, "", "")
		f.add(-time.Hour)
		again(t, "cooldown", name, refused, "30")
		f.add(time.Hour)
	})
}
