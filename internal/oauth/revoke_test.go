package oauth_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/jetontest"
)

// TestRevocation revokes tokens in every way there is.
func TestRevocation(t *testing.T) {
	f := newFixture(t, many)
	ci, guard := f.client("ci"), f.client("guard")

	dead := func(t *testing.T, f *fixture, service, token string) {
		t.Helper()

		for range 2 {
			if a := f.bearer(
				service, "/who", token,
			); a.Status != 401 || a.Code() != "bad_credential" || !strings.Contains(
				a.Header.Get("Www-Authenticate"),
				`error="invalid_token"`,
			) {
				t.Errorf("%s: got %d %s %v, want 401 invalid_token", service, a.Status, a.Code(), a.Header)
			}
		}

		if f.active(guard, token) {
			t.Errorf("%s: got active, want inactive", service)
		}
	}

	alive := func(t *testing.T, f *fixture, service, token string) {
		t.Helper()
		if a := f.bearer(service, "/who", token); a.Status != 200 || !f.active(guard, token) {
			t.Errorf("%s: got %d %s, want 200", service, a.Status, a.Code())
		}
	}

	quiet := func(t *testing.T, a jetontest.Answer) {
		t.Helper()
		if a.Status != 200 || a.Body != "" || a.Code() != "" {
			t.Errorf("%d %q %s, want 200 and nothing", a.Status, a.Body, a.Code())
		}
	}

	all := []string{"reports", "uncounted", "opaque", "counted", "counted-opaque"}
	for _, service := range all {
		t.Run(service, func(t *testing.T) {
			f := f.on(t)
			before := f.events("token.revoke")
			warm := f.Token(ci, "audience", service)
			cold := f.Token(ci, "audience", service)
			other := f.Token(ci, "audience", service)

			alive(t, f, service, warm)
			alive(t, f, service, other)
			quiet(t, f.revoke(guard, warm)) // another client's: no effect
			alive(t, f, service, warm)

			for range 2 { // twice is not an error
				quiet(t, f.revoke(ci, warm))
				quiet(t, f.revoke(ci, cold))
			}

			dead(t, f, service, warm)
			dead(t, f, service, cold)
			f.restart()
			dead(t, f, service, warm)
			dead(t, f, service, cold)

			quiet(t, f.revoke(ci, warm))
			alive(t, f, service, other)
			n := f.events("token.revoke") - before
			if n != 2 {
				t.Errorf("%d events of a revocation, want 2: one for each token, none for what changed nothing", n)
			}
		})

		t.Run(service+", by its accessor", func(t *testing.T) {
			f := f.on(t)
			token := f.Token(ci, "audience", service)
			alive(t, f, service, token)
			var seen struct{ JTI string }
			if a := f.introspect(
				guard,
				token,
			); json.Unmarshal([]byte(a.Body), &seen) != nil || !strings.HasPrefix(seen.JTI, "t_") {
				t.Fatalf("introspection = %s, want a jti", a.Body)
			}

			for range 2 {
				f.MustControl("DELETE", "/api/v1/tokens/"+seen.JTI, nil, nil)
				dead(t, f, service, token)
			}

			f.restart()
			dead(t, f, service, token)
		})
	}

	t.Run("not a token", func(t *testing.T) {
		f := f.on(t)
		for _, text := range []string{
			"garbage",
			"jtn_a_x",
			"a.b.c",
			".",
			strings.Repeat("x", 9000),
			"jtn_a_" + strings.Repeat("0", 49),
		} {
			quiet(t, f.revoke(ci, text))
		}
	})

	t.Run("a token that has expired, or is not valid yet", func(t *testing.T) {
		f := f.on(t)
		late, early := f.Token(ci, "audience", "opaque"), f.Token(ci, "audience", "later")
		quiet(t, f.revoke(ci, early))
		f.clock.move(31 * time.Second)
		dead(t, f, "later", early)

		f.clock.move(time.Hour)
		quiet(t, f.revoke(ci, late))
		f.clock.set(noon)
		dead(t, f, "opaque", late) // also for a clock that goes back
	})

	t.Run("a client without a credential revokes nothing", func(t *testing.T) {
		f := f.on(t)
		token := f.Token(ci, "audience", "reports")
		bare(t, f.Post("/oauth2/revoke", "token", token), 401, "invalid_client")
		bare(t, f.Post("/oauth2/revoke", "token", token, "client_id", "ci"), 401, "invalid_client")
		alive(t, f, "reports", token)
	})

	t.Run("an accessor that is none", func(t *testing.T) {
		f := f.on(t)
		long, ancient := "t_"+strings.Repeat("x", 63), "t_"+strings.Repeat("0", 23)
		for _, accessor := range []string{"x", "jtn_a_x", "NONSENSE", "t_nonsense", long, ancient} {
			err := f.Control("DELETE", "/api/v1/tokens/"+accessor, nil, nil)
			if jeton.Code(err) != "not_found" || !strings.Contains(err.Error(), "no such token") {
				t.Errorf("DELETE /tokens/%s: %v, want not_found, no such token", accessor, err)
			}
		}
	})
}

// events counts the events of an action.
func (f *fixture) events(action string) (n int) {
	f.t.Helper()

	for _, e := range f.Events() {
		if e.Action == action {
			n++
		}
	}

	return n
}

// TestChangesThatEndTokens checks that every change that ends tokens does so at the very
// next request, at every endpoint, and permanently.
func TestChangesThatEndTokens(t *testing.T) {
	all := []string{"reports", "uncounted", "opaque", "counted", "counted-opaque"}
	disabled := func(yes bool) func(f *fixture, k jetontest.Key) {
		return func(f *fixture, k jetontest.Key) {
			f.MustControl("PUT", "/api/v1/clients/"+k.Client+"/disabled", map[string]bool{"disabled": yes}, nil)
		}
	}

	f := newFixture(t, many)
	guard := f.client("guard")

	check := func(t *testing.T, f *fixture, tokens map[string]string, ended func(service string) bool) {
		t.Helper()

		for service, token := range tokens {
			want := http.StatusOK
			if ended(service) {
				want = http.StatusUnauthorized
			}
			if a := f.Ask(
				"HEAD", service, "/who", "Authorization", "Bearer "+token,
			); a.Status != want || want == 401 && a.Code() != "bad_credential" {
				t.Errorf("at %s: %d %s, want %d", service, a.Status, a.Code(), want)
			}

			got := f.active(guard, token)
			if got != (want == 200) {
				t.Errorf("introspection of a token of %s: active = %t, want %t", service, got, want == 200)
			}
		}
	}

	yes, no := func(string) bool { return true }, func(string) bool { return false }
	for i, tc := range []struct {
		name  string
		do    func(f *fixture, k jetontest.Key)
		ended func(service string) bool
		undo  func(f *fixture, k jetontest.Key)
	}{
		{"disabling", disabled(true), yes, disabled(false)},
		{"enabling an enabled user", disabled(false), yes, nil},
		{
			"removing",
			func(f *fixture, k jetontest.Key) { f.MustControl("DELETE", "/api/v1/clients/"+k.Client, nil, nil) },
			yes,
			func(f *fixture, k jetontest.Key) { f.client(k.Client) },
		},
		{"ending tokens", func(f *fixture, k jetontest.Key) {
			f.MustControl("POST", "/api/v1/clients/"+k.Client+"/end-tokens", nil, nil)
		}, yes, nil},
		{"retiring a key with its tokens", func(f *fixture, k jetontest.Key) {
			key := signerOf(k).Key().ID
			f.MustControl("DELETE", "/api/v1/clients/"+k.Client+"/keys/"+key+"?end_tokens=true", nil, nil)
		}, yes, nil},
		{"retiring a key without them", func(f *fixture, k jetontest.Key) {
			f.MustControl("DELETE", "/api/v1/clients/"+k.Client+"/keys/"+signerOf(k).Key().ID, nil, nil)
		}, no, nil},
		{"a new secret with an end", func(f *fixture, k jetontest.Key) {
			f.MustControl("POST", "/api/v1/clients/"+k.Client+"/secret?end_tokens=true", nil, nil)
		}, yes, nil},
		{"other terms", func(f *fixture, k jetontest.Key) {
			f.MustControl("PUT", "/api/v1/clients/"+k.Client+"/terms", map[string]any{
				"services": []string{},
				"scopes":   []string{},
			}, nil)
		}, no, nil},
		{"revoking the signing key", func(f *fixture, _ jetontest.Key) {
			var list []jeton.SigningKey
			f.MustControl("GET", "/api/v1/keys", nil, &list)

			for _, k := range list {
				if k.Status == "current" {
					f.MustControl("DELETE", "/api/v1/keys/"+k.ID, nil, nil)
				}
			}
		}, func(service string) bool { return !strings.Contains(service, "opaque") }, nil},
		{"rotating the signing key", func(f *fixture, _ jetontest.Key) {
			f.MustControl("POST", "/api/v1/keys/rotate", map[string]bool{"now": true}, nil)
		}, no, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := f.on(t)
			k := f.client(fmt.Sprint("job-", i))
			warm, cold := map[string]string{}, map[string]string{}
			for _, service := range all {
				warm[service], cold[service] = f.Token(k, "audience", service), f.Token(k, "audience", service)
			}

			check(t, f, warm, no)
			tc.do(f, k)
			check(t, f, warm, tc.ended)
			f.restart()
			check(t, f, warm, tc.ended)

			check(t, f, cold, tc.ended)
			if tc.undo != nil {
				tc.undo(f, k)
				check(t, f, warm, tc.ended)
				check(t, f, cold, tc.ended)
			}
		})
	}

	t.Run("a disabled client gets no token, and an enabled one does", func(t *testing.T) {
		f := f.on(t)
		k := f.client("again")
		disabled(true)(f, k)
		bare(t, f.show(ways[0], f.right(k)), 401, "invalid_client")
		disabled(false)(f, k)

		token := opens(t, "enabled", f.show(ways[0], f.right(k)))
		if a := f.bearer("reports", "/who", token); a.Status != 200 {
			t.Errorf("use of the token = %d, want 200", a.Status)
		}
	})
}
