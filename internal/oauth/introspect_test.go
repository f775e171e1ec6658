package oauth_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jeton-auth/jeton/jetontest"
)

// introspects sets which services' tokens a client may look up.
func (f *fixture) introspects(name string, list ...string) {
	f.t.Helper()
	f.MustControl("PUT", "/api/v1/clients/"+name+"/terms", map[string]any{
		"introspects": append([]string{}, list...),
	}, nil)
}

func TestIntrospection(t *testing.T) {
	f := newFixture(t, many)
	ci, guard := f.client("ci"), f.client("guard")
	f.introspects("ci")
	secret := f.secret("guard")
	// Without authorization, anyone could scan for tokens (RFC 7662, section 2.1).
	t.Run("a client without a credential is refused", func(t *testing.T) {
		f := f.on(t)
		token := f.Token(ci, "audience", "reports")
		for name, a := range map[string]jetontest.Answer{
			"no credential": f.Post("/oauth2/introspect", "token", token),
			"a name alone":  f.Post("/oauth2/introspect", "token", token, "client_id", "guard"),
			"a wrong secret": f.Post(
				"/oauth2/introspect", "token", token, "client_id", "guard", "client_secret", "wrong",
			),
			"the token alone": f.Send(
				f.plain, "POST", f.Issuer()+"/oauth2/introspect", "token="+token, "Content-Type", formType,
				"Authorization", "Bearer "+token,
			),
		} {
			t.Run(name, func(t *testing.T) { bare(t, a, 401, "invalid_client") })
		}
	})

	t.Run("a valid token", func(t *testing.T) {
		f := f.on(t)
		for service, extra := range map[string]string{
			"reports":        "",
			"opaque":         "",
			"counted":        `,"max_uses":3,"uses_remaining":3`,
			"counted-opaque": `,"max_uses":3,"uses_remaining":3`,
		} {
			token := f.Token(ci, "audience", service, "scope", "read")
			a := f.introspect(guard, token)
			var out map[string]any
			if err := json.Unmarshal(
				[]byte(a.Body),
				&out,
			); err != nil || a.Status != 200 || a.Header.Get("Cache-Control") != "no-store" {
				t.Fatalf("got %d %s, want 200", a.Status, a.Body)
			}

			life := time.Minute
			if service == "reports" {
				life = 10 * time.Minute
			}

			want := fmt.Sprintf(
				`{"active":true,"iss":%q,"sub":"ci","client_id":"ci","aud":[%q],"scope":"read","token_type":"Bearer",`+
					`"iat":%d,"nbf":%d,"exp":%d,"jti":%q%s}`,
				f.Issuer(), service, noon.Unix(), noon.Unix(), noon.Add(life).Unix(), out["jti"], extra)
			if strings.TrimSpace(a.Body) != want {
				t.Errorf("%s: %s, want %s", service, a.Body, want)
			}
		}
	})

	// The audit log says what is wrong with a token. The answer must not, or it would help a
	// thief (RFC 7662, section 2.2).
	t.Run("every invalid token gets the same answer", func(t *testing.T) {
		f := f.on(t)
		issued := func(service string) string { return f.Token(ci, "audience", service) }
		spent := issued("counted")
		revoked := issued("reports")
		expired := issued("opaque")

		for range 3 {
			f.bearer("counted", "/who", spent)
		}

		f.revoke(ci, revoked)
		f.clock.move(time.Minute)
		defer f.clock.set(noon)

		for _, tc := range []struct{ name, token, says string }{
			{"spent", spent, "expired"},
			{"revoked", revoked, "token.revoke by client:ci"},
			{"expired", expired, "expired"},
			{"not valid yet", issued("later"), "not valid yet"},
			{"opaque and not valid yet", issued("later-opaque"), "not valid yet"},
			{"garbage", "garbage", "malformed"},
			{"nearly an opaque token", issued("opaque") + "x", "not the form"},
			{"an opaque token that never was", "jtn_a_" + strings.Repeat("0", 49), "not the form"},
			{"with a scheme", "Bearer x", "malformed"},
		} {
			t.Run(tc.name, func(t *testing.T) {
				f := f.on(t)
				a := f.introspect(guard, tc.token)
				if a.Status != 200 || a.Body != inactive || a.Code() != "" ||
					a.Header.Get("Content-Type") != "application/json" ||
					a.Header.Get("Cache-Control") != "no-store" {
					t.Errorf("got %d %q %v, want 200", a.Status, a.Body, a.Header)
				}

				if _, e := f.checks(a.Request()); e.Action != "token.inspect" ||
					e.Actor != "client:guard" || !strings.Contains(e.Reason, tc.says) {
					t.Errorf("event = %+v, want the reason %q", e, tc.says)
				}
			})
		}

		fresh := issued("counted")
		for range 3 {
			f.bearer("counted", "/who", fresh)
		}

		a := f.introspect(guard, fresh)
		if _, e := f.checks(a.Request()); a.Body != inactive || !strings.Contains(e.Reason, "no uses are left") {
			t.Errorf("spent: got %s, reason %q; want it inactive, with no uses left", a.Body, e.Reason)
		}
	})

	t.Run("tokens of other services are not looked up", func(t *testing.T) {
		f := f.on(t)
		few := f.AddClient("few")
		tokens := map[string]string{}
		for _, service := range services {
			if !strings.HasPrefix(service, "later") {
				tokens[service] = f.Token(ci, "audience", service)
			}
		}

		for _, may := range [][]string{{}, {"reports"}, {"opaque", "counted"}} {
			f.introspects("few", may...)

			for service, token := range tokens {
				want := strings.Contains(" "+strings.Join(may, " ")+" ", " "+service+" ")
				got := f.active(few, token)
				if got != want {
					t.Errorf("a client that may look up %v: token of %s active = %t, want %t", may, service, got, want)
				}
			}
		}

		if f.active(ci, tokens["reports"]) {
			t.Error("a client that may look up nothing looked up its own token, want a refusal")
		}

		a := f.introspect(few, tokens["counted-opaque"], "consume", "true")
		b := f.introspect(guard, tokens["counted-opaque"])
		if a.Body != inactive || !strings.Contains(b.Body, `"uses_remaining":3`) {
			t.Errorf("a client that may not look it up: got %s, then %s; want it inactive, then 3 uses", a.Body, b.Body)
		}
	})

	t.Run("looking costs nothing, consuming one use", func(t *testing.T) {
		f := f.on(t)
		for _, service := range []string{"counted", "counted-opaque"} {
			token := f.Token(ci, "audience", service)
			for range 500 {
				if a := f.Post(
					"/oauth2/introspect", "token", token, "client_id", "guard", "client_secret", secret,
				); !strings.Contains(a.Body, `"uses_remaining":3`) {
					t.Fatalf("%s: got %s, want 3 uses left", service, a.Body)
				}
			}

			for _, other := range []string{"", "false", "1", "TRUE", "yes"} {
				if a := f.introspect(guard, token, "consume", other); !strings.Contains(a.Body, `"uses_remaining":3`) {
					t.Errorf("%s, consume=%s: got %s, want 3 uses left", service, other, a.Body)
				}
			}

			for _, want := range []string{"2", "1"} {
				if a := f.introspect(
					guard, token, "consume", "true",
				); !strings.Contains(a.Body, `"uses_remaining":`+want) {
					t.Errorf("%s: %s, want %s left", service, a.Body, want)
				}
			}

			if a := f.bearer(service, "/who", token); a.Left() != "0" || a.Status != 200 {
				t.Errorf("%s, the last use: got %d, %s left; want 200, 0", service, a.Status, a.Left())
			}
			if a := f.introspect(guard, token, "consume", "true"); a.Body != inactive {
				t.Errorf("%s, spent: got %s, want it inactive", service, a.Body)
			}
		}

		token := f.Token(ci, "audience", "reports")
		if a := f.introspect(
			guard, token, "consume", "true",
		); a.Status != 200 || strings.Contains(a.Body, "uses_remaining") {
			t.Errorf("a token that is not counted: got %d %s, want 200", a.Status, a.Body)
		}
	})

	t.Run("the type is only a hint", func(t *testing.T) {
		f := f.on(t)
		for _, hint := range []string{"access_token", "refresh_token", "nonsense"} {
			if a := f.introspect(
				guard, f.Token(ci, "audience", "opaque"), "token_type_hint", hint,
			); !strings.Contains(a.Body, `"active":true`) {
				t.Errorf("%s: got %s, want it active", hint, a.Body)
			}
		}
	})
}
