package access_test

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/jetontest"
)

// explain waits for the events of a request: a refusal is written a moment after its answer.
func (f *fixture) explain(t *testing.T, request string) ([]jeton.Event, error) {
	t.Helper()

	for end := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		if events, err := f.Explain(request); !errors.Is(err, jeton.ErrNotFound) || time.Now().After(end) {
			return events, err
		}
	}
}

// TestExplain checks that a refusal has one event with each check up to the one that failed,
// and that an admitted request can be explained for a while.
func TestExplain(t *testing.T) {
	var offset atomic.Int64
	f := newFixture(
		t, everyKind,
		jetontest.Clock(func() time.Time { return time.Now().Add(time.Duration(offset.Load())) }),
	)
	f.add("diane")
	good := f.enter("shop", "diane")
	_, secret, _ := strings.Cut(good, "=")

	spent := f.enter("left", "diane")
	_, foreign, _ := strings.Cut(spent, "=")

	for range 3 {
		f.Ask("GET", "left", "/same", "Cookie", spent)
	}

	steps := []string{"route", "credential", "window", "scope", "uses"}
	check := func(t *testing.T, a jetontest.Answer, code, target, fails string, secrets ...string) {
		t.Helper()
		events, err := f.explain(t, a.Request())
		if err != nil || len(events) != 1 {
			t.Fatalf("%d events, %v, want one", len(events), err)
		}

		e := events[0]
		if a.Code() != code && code != "ok" || e.Outcome != code || e.Target != target || e.Action != "request" ||
			e.Source != "127.0.0.1" ||
			e.Request != a.Request() {
			t.Errorf("code %s, event %+v, want %s for %s", a.Code(), e, code, target)
		}

		want := "pass"
		for i, c := range e.Checks {
			result := want
			if c.Name == fails {
				result, want = "fail", "skip"
			}
			if c.Name != steps[i] || c.Result != result {
				t.Errorf("check %d = %+v, want %s %s", i, c, steps[i], result)
			}
		}

		if len(e.Checks) != len(steps) {
			t.Errorf("%d checks, want %d", len(e.Checks), len(steps))
		}

		for _, s := range append(secrets, secret, foreign) {
			if strings.Contains(fmt.Sprint(e), s) {
				t.Errorf("the event contains %q: %+v", s, e)
			}
		}
	}

	for _, tc := range []struct {
		name, service, path, cookie, code, fails string
	}{
		{"no credential", "shop", "/plain", "", "no_credential", "credential"},
		{"an unknown secret", "shop", "/plain", "__Host-jeton=canary-4711", "bad_credential", "credential"},
		{"another service's secret", "shop", "/plain", "__Host-jeton=" + foreign, "bad_credential", "credential"},
		{"two credentials", "shop", "/plain", good + "; " + good, "ambiguous_credential", "credential"},
		{"not allowed", "shop", "/admins", good, "forbidden", "scope"},
		{"not allowed and counted", "shop", "/vip", good, "forbidden", "scope"},
		{"spent", "left", "/same", spent, "spent", "uses"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := f.Ask("GET", tc.service, tc.path, "Cookie", tc.cookie)
			check(t, a, tc.code, "GET "+tc.path, tc.fails, "canary-4711")
		})
	}

	t.Run("admitted, not counted", func(t *testing.T) {
		check(t, f.Ask("GET", "shop", "/plain?password=canary-q", "Cookie", good), "ok", "GET /plain", "", "canary-q")
	})

	t.Run("admitted, counted", func(t *testing.T) {
		a := f.Ask("GET", "shop", "/three", "Cookie", good)
		check(t, a, "ok", "GET /three", "")
		events, _ := f.explain(t, a.Request())
		v := events[0].Checks[4].Value
		if v != "2 left" {
			t.Errorf("uses: %q, want 2 left", v)
		}
	})

	t.Run("admitted without a use", func(t *testing.T) {
		check(t, f.Ask("HEAD", "shop", "/three", "Cookie", good), "ok", "HEAD /three", "")
	})

	t.Run("a secret in the path", func(t *testing.T) {
		check(t, f.Ask("GET", "shop", "/files/"+secret, "Cookie", good), "ok", "GET /files/…", "")
		check(t, f.Ask("GET", "shop", "/files/"+secret), "no_credential", "GET /files/…", "credential")
	})

	t.Run("admitted and audited", func(t *testing.T) {
		f.AddUser("boss", "password-of-boss", "admin")
		a := f.Ask("GET", "shop", "/admins", "Cookie", f.Enter("shop", "boss", "password-of-boss"))
		check(t, a, "ok", "GET /admins", "")

		if events := f.Events(); events[len(events)-1].Request != a.Request() {
			t.Errorf("the last event is %+v, want request %s", events[len(events)-1], a.Request())
		}
	})

	t.Run("an open route is not recorded", func(t *testing.T) {
		a := f.Ask("GET", "shop", "/open", "Cookie", good)
		if _, err := f.Explain(a.Request()); !errors.Is(err, jeton.ErrNotFound) {
			t.Errorf("Explain = %v, want ErrNotFound", err)
		}
	})

	t.Run("a Bearer token where only sessions are accepted", func(t *testing.T) {
		a := f.Ask("GET", "shop", "/plain", "Authorization", "Bearer canary-4711")
		check(t, a, "no_credential", "GET /plain", "credential", "canary-4711")
		events, _ := f.explain(t, a.Request())
		want := "the request shows a Bearer token, the route accepts session"
		if v := events[0].Checks[1].Value; !strings.Contains(v, want) {
			t.Errorf("credential: %q, want %q", v, want)
		}
		if strings.Contains(a.Body, "accepts") {
			t.Errorf("the caller gets %s, want no reason", a.Body)
		}
	})

	t.Run("idle too long", func(t *testing.T) {
		offset.Store(int64(time.Hour + time.Minute))
		check(t, f.Ask("GET", "shop", "/plain", "Cookie", good), "expired", "GET /plain", "window")
	})
}

// TestExplainNamesARevokedToken stands for a job that fails after a token was revoked: the operator
// must find out which token it sends.
func TestExplainNamesARevokedToken(t *testing.T) {
	m := newMatrix(t)
	name, password := m.newUser()
	opaque, accessor := m.personal(name, 0, time.Time{})
	signed, jti := m.short("app", name, password)
	others, second := m.short("app", name, password)

	end := func(method, path string) func() {
		return func() { m.MustControl(method, "/api/v1/"+path, nil, nil) }
	}

	for _, tc := range []struct {
		name, token string
		end         func()
		want, by    string
	}{
		{
			"an opaque token",
			opaque,
			end("DELETE", "tokens/"+accessor),
			fmt.Sprintf("token %s %q of user:%s ended at 2026-03-01T12:00:00", accessor, "cell", name),
			"token.revoke by operator",
		},
		{
			"a signed token",
			signed,
			end("DELETE", "tokens/"+jti),
			fmt.Sprintf("token %s of user:%s ended at 2026-03-01T12:00:00", jti, name),
			"token.revoke by operator",
		},
		{
			"a signed token, with all of its user",
			others,
			end("POST", "users/"+name+"/end-tokens"),
			fmt.Sprintf("token %s of user:%s ended at 2026-03-01T12:00:00", second, name),
			"user.end-tokens by operator",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.end()

			a := m.Ask("GET", "app", "/who", "Authorization", "Bearer "+tc.token)
			if a.Status != 401 || strings.Contains(a.Body, "token t_") || strings.Contains(a.Body, "ended") {
				t.Errorf("GET /who = %d %s, want 401 without the reason", a.Status, a.Body)
			}

			f := &fixture{Server: m.Server}
			events, err := f.explain(t, a.Request())
			if err != nil || len(events) != 1 {
				t.Fatalf("%d events, %v, want one", len(events), err)
			}

			got := events[0].Checks[1].Value
			if !strings.Contains(got, tc.want) || !strings.Contains(got, tc.by) {
				t.Errorf("credential: %q, want %q and %q", got, tc.want, tc.by)
			}
		})
	}
}
