package access_test

import (
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/api"
	"github.com/jeton-auth/jeton/jetontest"
)

// clock is a time in whole milliseconds that a test sets.
type clock struct{ ms atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.ms.Store(time.Now().UnixMilli())
	return c
}

func (c *clock) now() time.Time { return time.UnixMilli(c.ms.Load()) }

func (c *clock) add(d time.Duration) { c.ms.Add(d.Milliseconds()) }

func (c *clock) set(at time.Time) { c.ms.Store(at.UnixMilli()) }

func (c *clock) option() jetontest.Option { return jetontest.Clock(c.now) }

const terms = `
throttle: {pair_burst: 1000000, account_burst: 1000000, source_burst: 1000000}
services:
  - name: timed
    listen: localhost:0
    login: {paths: [/login]}
    logout: /logout
    session: {idle_timeout: 10m, lifetime: 30m}
    routes:
      - {match: GET /me, respond: {template: '{{.Name}} {{.Groups}} {{.Session}}'}}
      - {match: GET /staff, allow: {groups: [staff]}, respond: {text: staff}}
      - {match: GET /three, max_uses: 3, respond: {text: three}}
  - name: other
    listen: localhost:0
    login: {paths: [/login]}
    logout: /logout
    routes: [{match: GET /me, respond: {template: '{{.Name}}'}}]
  - name: two
    listen: localhost:0
    login: {paths: [/login]}
    logout: /logout
    session: {max_sessions: 2, idle_timeout: 10m}
    routes: [{match: GET /me, respond: {template: '{{.Name}}'}}]
  - name: full
    listen: localhost:0
    login: {paths: [/login]}
    logout: /logout
    session: {max_sessions: 2, when_full: refuse, idle_timeout: 10m, lifetime: 1h}
    routes: [{match: GET /me, respond: {template: '{{.Name}}'}}]
  - name: window
    listen: localhost:0
    login: {paths: [/login]}
    relogin: {max_logins: 2, window: 10m}
    routes: [{match: GET /me, respond: {template: '{{.Name}}'}}]
  - name: cooldown
    listen: localhost:0
    login: {paths: [/login]}
    relogin: {cooldown: 30s}
    routes: [{match: GET /me, respond: {template: '{{.Name}}'}}]
  - name: once
    listen: localhost:0
    login: {paths: [/login]}
    relogin: {max_logins: 1}
    routes: [{match: GET /me, respond: {template: '{{.Name}}'}}]
`

// timed is a server with its own clock.
type timed struct {
	*jetontest.Server
	*clock
	t     *testing.T
	users int
}

func newTimed(t *testing.T) *timed {
	t.Helper()
	c := newClock()
	return &timed{Server: jetontest.Start(t, terms, c.option()), clock: c, t: t}
}

const pw = "password-of-every-user"

// newUser adds a user with a new name.
func (f *timed) newUser() string {
	f.users++
	name := fmt.Sprintf("user%d", f.users)
	f.AddUser(name, pw)
	return name
}

// me sends the cookie and returns the code of the refusal, or "".
func (f *timed) me(service, cookie string) string {
	f.t.Helper()
	a := f.Ask("GET", service, "/me", "Cookie", cookie)
	if a.Code() == "" && a.Status != 200 {
		f.t.Errorf("status %d without a code, want a code", a.Status)
	}

	return a.Code()
}

func TestASessionExpiresToTheMillisecond(t *testing.T) {
	f := newTimed(t)
	name := f.newUser()
	for _, tc := range []struct {
		name string
		used []time.Duration // after the login
		at   time.Duration
		want string
	}{
		{"a millisecond before it is idle", nil, 10*time.Minute - time.Millisecond, ""},
		{"as it becomes idle", nil, 10 * time.Minute, "expired"},
		{"a millisecond after it became idle", nil, 10*time.Minute + time.Millisecond, "expired"},
		{"kept in use", []time.Duration{9 * time.Minute}, 19*time.Minute - time.Millisecond, ""},
		{"kept in use, then idle", []time.Duration{9 * time.Minute}, 19 * time.Minute, "expired"},
		{"a refusal is no use of the session", []time.Duration{-9 * time.Minute}, 10 * time.Minute, "expired"},
		{
			"a millisecond before its lifetime ends",
			[]time.Duration{9 * time.Minute, 18 * time.Minute, 27 * time.Minute},
			30*time.Minute - time.Millisecond,
			"",
		},
		{
			"at the end of its lifetime, however busy",
			[]time.Duration{9 * time.Minute, 18 * time.Minute, 27 * time.Minute, 30*time.Minute - time.Millisecond},
			30 * time.Minute,
			"expired",
		},
		{
			"after its lifetime",
			[]time.Duration{9 * time.Minute, 18 * time.Minute, 27 * time.Minute},
			30*time.Minute + time.Millisecond,
			"expired",
		},
		{"the clock is set back an hour", nil, -time.Hour, ""},
		{"the clock is set back ten years", nil, -10 * 365 * 24 * time.Hour, ""},
		{"the clock is set forward ten years", nil, 10 * 365 * 24 * time.Hour, "expired"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			start := f.now()
			defer f.set(start.Add(time.Hour))

			c := f.Enter("timed", name, pw)
			for _, at := range tc.used {
				if at < 0 {
					f.set(start.Add(-at))
					a := f.Ask("GET", "timed", "/staff", "Cookie", c)
					if a.Code() != "forbidden" {
						t.Fatalf("at %v: %q, want forbidden", -at, a.Code())
					}

					continue
				}

				f.set(start.Add(at))
				if code := f.me("timed", c); code != "" {
					t.Fatalf("at %v: %q, want none", at, code)
				}
			}

			f.jump(start.Add(tc.at))
			if code := f.me("timed", c); code != tc.want {
				t.Errorf("%v after the login: %q, want %q", tc.at, code, tc.want)
			}
		})
	}

	t.Run("setting the clock gives no uses back", func(t *testing.T) {
		c, start := f.Enter("timed", name, pw), f.now()
		left := func() string { return f.Ask("GET", "timed", "/three", "Cookie", c).Left() }
		got := []string{left()}
		for _, jump := range []time.Duration{-24 * time.Hour, time.Minute, 24 * time.Hour, 0} {
			f.jump(start.Add(jump))
			got = append(got, left())
		}

		f.set(start)
		if want := fmt.Sprint([]string{"2", "1", "0", "", "0"}); fmt.Sprint(got) != want {
			t.Errorf("left %v, want %v", got, want)
		}
	})
}

// jump sets the clock of the server. The certificate is checked against it, too, so a far jump
// needs a connection that is already open.
func (f *timed) jump(to time.Time) {
	f.Ask("GET", "timed", "/.well-known/jeton")
	f.set(to)
}

func TestAChangeIsInForceOnTheNextRequest(t *testing.T) {
	f := newTimed(t)
	for _, tc := range []struct {
		name  string
		do    func(name string)
		want  string // of the old session
		login string // code of a login afterwards
	}{
		{"a changed password", func(n string) {
			f.MustControl("PUT", "/api/v1/users/"+n+"/password", api.NewPassword{Password: "another-password"}, nil)
		}, "bad_credential", "bad_credential"},
		{"the same password set again", func(n string) {
			f.MustControl("PUT", "/api/v1/users/"+n+"/password", api.NewPassword{Password: pw}, nil)
		}, "bad_credential", ""},
		{"disabling", func(n string) {
			f.MustControl("PUT", "/api/v1/users/"+n+"/disabled", api.Disabled{Disabled: true}, nil)
		}, "bad_credential", "bad_credential"},
		{"disabling and enabling again", func(n string) {
			f.MustControl("PUT", "/api/v1/users/"+n+"/disabled", api.Disabled{Disabled: true}, nil)
			f.MustControl("PUT", "/api/v1/users/"+n+"/disabled", api.Disabled{Disabled: false}, nil)
		}, "bad_credential", ""},
		{
			"removal",
			func(n string) { f.MustControl("DELETE", "/api/v1/users/"+n, nil, nil) },
			"bad_credential",
			"bad_credential",
		},
		{"removal and a new user of the name", func(n string) {
			f.MustControl("DELETE", "/api/v1/users/"+n, nil, nil)
			f.AddUser(n, pw)
		}, "bad_credential", ""},
		{
			"ending the session by an operator",
			func(n string) { f.MustControl("DELETE", "/api/v1/sessions?user="+n, nil, nil) },
			"bad_credential",
			"",
		},
		{"changed groups", func(n string) {
			f.MustControl("PUT", "/api/v1/users/"+n+"/groups", api.Groups{Groups: []string{"x"}}, nil)
		}, "", ""},
		{"no change", func(string) {}, "", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			name := f.newUser()
			c, o := f.Enter("timed", name, pw), f.Enter("other", name, pw)
			for range 3 {
				if f.me("timed", c) != "" || f.me("other", o) != "" {
					t.Fatal("a session is refused before the change, want it valid")
				}
			}

			tc.do(name)
			if got := f.me("timed", c); got != tc.want {
				t.Errorf("next request = %q, want %q", got, tc.want)
			}
			if got := f.me("other", o); got != tc.want {
				t.Errorf("next request at another service = %q, want %q", got, tc.want)
			}

			if a := f.TryEnter("timed", name, pw); a.Code() != tc.login {
				t.Errorf("login with the old password = %q, want %q", a.Code(), tc.login)
			}
		})
	}

	t.Run("groups", func(t *testing.T) {
		name := f.newUser()
		c := f.Enter("timed", name, pw)
		for _, step := range []struct {
			groups []string
			want   int
		}{
			{[]string{"staff"}, 200},
			{[]string{"Staff", "staf", "staffs"}, 403},
			{[]string{"a", "staff"}, 200},
			{[]string{}, 403},
		} {
			f.MustControl("PUT", "/api/v1/users/"+name+"/groups", api.Groups{Groups: step.groups}, nil)
			if a := f.Ask("GET", "timed", "/staff", "Cookie", c); a.Status != step.want {
				t.Errorf("in groups %q: status %d, want %d", step.groups, a.Status, step.want)
			}
		}
	})
}

func TestLogout(t *testing.T) {
	f := newTimed(t)
	name, neighbour := f.newUser(), f.newUser()
	theirs := f.Enter("timed", neighbour, pw)
	for _, tc := range []struct {
		name, path, body string
		everywhere       bool
	}{
		{"here", "/logout", "", false},
		{"here, explicitly", "/logout", "everywhere=false", false},
		{"everywhere, in the form", "/logout", "everywhere=true", true},
		{"everywhere, in the query", "/logout?everywhere=true", "", true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			here := f.Enter("timed", name, pw)
			twin := f.Enter("timed", name, pw)
			there := f.Enter("other", name, pw)

			header := []string{"Cookie", here, "Content-Type", "application/x-www-form-urlencoded"}
			a := f.Send(f.Client(), "POST", f.URL("timed")+tc.path, tc.body, header...)

			gone := a.Header.Get("Set-Cookie")
			cleared := strings.HasPrefix(gone, "__Host-jeton-timed=;") && strings.Contains(gone, "Max-Age=0")
			if a.Status != 200 || !cleared {
				t.Errorf("%d, Set-Cookie %q, want 200 and a deleted cookie", a.Status, gone)
			}

			if got := f.me("timed", here); got != "bad_credential" {
				t.Errorf("the session afterwards = %q, want bad_credential", got)
			}

			want := ""
			if tc.everywhere {
				want = "bad_credential"
			}
			if a, b := f.me("timed", twin), f.me("other", there); a != want || b != want {
				t.Errorf("the other browser %q, the other service %q, want %q", a, b, want)
			}

			if got := f.me("timed", theirs); got != "" {
				t.Errorf("session of another user = %q, want it valid", got)
			}
		})
	}

	t.Run("without a session logout succeeds", func(t *testing.T) {
		for _, cookie := range []string{"", "__Host-jeton-timed=", "__Host-jeton-timed=garbage"} {
			if a := f.Ask("POST", "timed", "/logout", "Cookie", cookie); a.Status != 200 {
				t.Errorf("cookie %q: %d, want 200", cookie, a.Status)
			}
		}
	})
}

// TestALoginStartsANewSession stands for session fixation: a cookie that an attacker has
// planted must not become the session of a user.
func TestALoginStartsANewSession(t *testing.T) {
	f := newTimed(t)
	name, attacker := f.newUser(), f.newUser()
	t.Run("the previous session of the browser ends", func(t *testing.T) {
		old, twin := f.Enter("timed", name, pw), f.Enter("timed", name, pw)
		fresh := f.TryEnter("timed", name, pw, "Cookie", old).Cookies()
		a, b, c := f.me("timed", old), f.me("timed", fresh), f.me("timed", twin)
		if fresh == old || a != "bad_credential" || b != "" || c != "" {
			t.Errorf("previous %q, new %q, another browser %q, want only the previous ended", a, b, c)
		}
	})

	t.Run("a failed login ends no session", func(t *testing.T) {
		old := f.Enter("timed", name, pw)
		f.TryEnter("timed", name, "wrong", "Cookie", old)
		if got := f.me("timed", old); got != "" {
			t.Errorf("the session = %q, want it valid", got)
		}
	})

	t.Run("a planted cookie is not adopted", func(t *testing.T) {
		for _, planted := range []string{
			"__Host-jeton-timed=jtn_s_" + strings.Repeat("A", 43),
			f.Enter("timed", attacker, pw),
		} {
			fresh := f.TryEnter("timed", name, pw, "Cookie", planted).Cookies()
			if fresh == planted || fresh == "" {
				t.Errorf("the login returned the planted cookie or none, want a new one")
			}
			if got := f.me("timed", planted); got != "bad_credential" {
				t.Errorf("the planted cookie = %q, want bad_credential", got)
			}

			if a := f.Ask("GET", "timed", "/me", "Cookie", fresh); !strings.HasPrefix(a.Body, name+" ") {
				t.Errorf("the new session is %q, want %s", a.Body, name)
			}
		}
	})

	t.Run("secrets are long and unique", func(t *testing.T) {
		seen := map[string]bool{}
		for range 10 {
			c := f.Enter("timed", name, pw)
			if _, secret, _ := strings.Cut(c, "="); len(secret) != 49 || seen[c] {
				t.Errorf("secret of %d characters, seen before = %t, want 49, false", len(secret), seen[c])
			}
			seen[c] = true
		}
	})

	t.Run("the cookie is closed to scripts, other sites and plain HTTP", func(t *testing.T) {
		a := f.TryEnter("timed", name, pw)
		want := "; Path=/; Max-Age=" + strconv.Itoa(30*60) + "; HttpOnly; Secure; SameSite=Lax"
		got := a.Header["Set-Cookie"]
		const name = "__Host-jeton-timed=jtn_s_"
		if len(got) != 1 || !strings.HasPrefix(got[0], name) || !strings.HasSuffix(got[0], want) {
			t.Errorf("Set-Cookie = %q, want %s…%s", got, name, want)
		}

		cc := a.Header.Get("Cache-Control")
		if cc != "no-store" {
			t.Errorf("Cache-Control = %q, want no-store", cc)
		}
	})

	t.Run("a listed session contains no secret", func(t *testing.T) {
		c := f.Enter("timed", name, pw)
		var list []jeton.Session
		f.MustControl("GET", "/api/v1/sessions?user="+name, nil, &list)
		_, secret, _ := strings.Cut(c, "=")
		if len(list) == 0 || strings.Contains(fmt.Sprintf("%+v", list), secret[6:]) {
			t.Errorf("sessions = %+v, want one without the secret", list)
		}
	})
}
