package oauth_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const year = 365 * 24 * time.Hour

// TestTokensByTheClock moves the clock across the time limits of tokens of every kind.
func TestTokensByTheClock(t *testing.T) {
	f := newFixture(t, many)
	ci := f.client("ci")
	for _, kind := range []struct {
		service       string
		opens, closes time.Duration // after it was issued
	}{
		{
			"uncounted",
			0,
			time.Minute,
		}, {"opaque", 0, time.Minute}, {"counted", 0, time.Minute}, {"counted-opaque", 0, time.Minute},
		{"later", 30 * time.Second, time.Minute}, {"later-opaque", 30 * time.Second, time.Minute},
	} {
		for _, tc := range []struct {
			name    string
			at      time.Duration
			opening bool // at is close to the opening
			code    string
		}{
			{"a nanosecond before it opens", kind.opens - 1, true, "too_early"},
			{"as it opens", kind.opens, true, ""},
			{"a nanosecond later", kind.opens + 1, true, ""},
			{"a second before it ends", kind.closes - time.Second, false, ""},
			{"a nanosecond before it ends", kind.closes - 1, false, ""},
			{"as it ends", kind.closes, false, "expired"},
			{"a nanosecond later than its end", kind.closes + 1, false, "expired"},
			{"with the clock an hour ahead", time.Hour, false, "expired"},
			{"with the clock ten years ahead", 10 * year, false, "expired"},
			{"with the clock an hour behind", -time.Hour, false, "too_early"},
			{"with the clock ten years behind", -10 * year, false, "too_early"},
		} {
			t.Run(kind.service+", "+tc.name, func(t *testing.T) {
				f := f.on(t)
				for _, issued := range []time.Duration{0, 999 * time.Millisecond} {
					f.clock.set(noon.Add(issued))
					token := f.Token(ci, "audience", kind.service)

					at := tc.at
					if tc.opening && kind.opens > 0 && issued > 0 {
						at += time.Second // a delay is never short, and times in tokens are whole seconds
					}
					f.clock.set(noon.Add(at))

					for range 2 { // a cached token is judged the same
						a := f.bearer(kind.service, "/who", token)
						if a.Code() != tc.code || (a.Status == 200) != (tc.code == "") {
							t.Errorf("issued at %v: %d %s, want %q", issued, a.Status, a.Code(), tc.code)
						}

						got := f.active(ci, token)
						if got != (tc.code == "") {
							t.Errorf("issued at %v: active = %t, want %t", issued, got, tc.code == "")
						}
						if tc.code == "" {
							continue
						}

						if a.Left() != "" {
							t.Errorf("refusal by time: uses left %q, want none", a.Left())
						}
						name, value := f.failed(a.Request())
						if name != "window" || !strings.Contains(value, "valid from ") {
							t.Errorf("failed check = %q: %q, want window with its times", name, value)
						}
					}

					f.clock.set(noon)
				}
			})
		}

		t.Run(kind.service+", a clock that has jumped and is back", func(t *testing.T) {
			f := f.on(t)
			token := f.Token(ci, "audience", kind.service)
			for _, jump := range []time.Duration{time.Hour, -time.Hour, 10 * year, -10 * year} {
				f.clock.set(noon.Add(jump))
				if a := f.bearer(kind.service, "/who", token); a.Status != 401 {
					t.Errorf("after a jump of %v: got %d, want 401", jump, a.Status)
				}
				f.clock.set(noon)
			}

			f.clock.set(noon.Add(kind.opens))
			if a := f.bearer(
				kind.service, "/who", token,
			); a.Status != 200 || strings.HasPrefix(kind.service, "counted") && a.Left() != "2" {
				t.Errorf("got %d with %s uses left, want no use lost by a jump", a.Status, a.Left())
			}

			f.clock.set(noon)
		})
	}
}

// TestAnswersOfTheTokenEndpoint checks every member of the response.
func TestAnswersOfTheTokenEndpoint(t *testing.T) {
	f := newFixture(t, many)
	ci := f.client("ci")
	f.clock.set(noon.Add(250 * time.Millisecond))

	for service, want := range map[string]string{
		"reports": `{"access_token":"T","token_type":"Bearer","expires_in":599,"scope":"read write"}`,
		"opaque":  `{"access_token":"T","token_type":"Bearer","expires_in":59,"scope":"read write"}`,
		"counted": `{"access_token":"T","token_type":"Bearer","expires_in":59,"scope":"read write","max_uses":3}`,
		"later": fmt.Sprintf(
			`{"access_token":"T","token_type":"Bearer","expires_in":59,"scope":"read write","nbf":%d}`,
			noon.Add(31*time.Second).Unix(),
		),
		"later-opaque": fmt.Sprintf(
			`{"access_token":"T","token_type":"Bearer","expires_in":59,"scope":"read write","nbf":%d,"max_uses":3}`,
			noon.Add(31*time.Second).Unix(),
		),
		"counted-opaque": `{"access_token":"T","token_type":"Bearer","expires_in":59,` +
			`"scope":"read write","max_uses":3}`,
	} {
		a := f.TryToken(f.right(ci), "audience", service)
		token := opens(t, service, a)
		if got := strings.Replace(strings.TrimSpace(a.Body), token, "T", 1); got != want {
			t.Errorf("%s: %s, want %s", service, got, want)
		}

		if strings.Contains(service, "opaque") != strings.HasPrefix(token, "jtn_a_") {
			t.Errorf("token of %s = %s, want jtn_a_ only where it is opaque", service, token)
		}
	}

	t.Run("a signed token is as RFC 9068 has it", func(t *testing.T) {
		token := f.Token(ci, "audience", "later", "scope", "write")
		claims := payload(t, token)
		jti := claims["jti"].(string)

		want := fmt.Sprintf(
			`{"aud":"later","client_id":"ci","exp":%d,"gen":%q,"iat":%d,"iss":%q,`+
				`"jti":%q,"nbf":%d,"scope":"write","sub":"ci"}`,
			noon.Add(time.Minute).Unix(), claims["gen"], noon.Unix(), f.Issuer(), jti, noon.Add(31*time.Second).Unix())
		if got := object(t, claims); got != want {
			t.Errorf("claims %s, want %s", got, want)
		}

		var header map[string]string
		if err := json.Unmarshal(
			[]byte(unb64(t, strings.Split(token, ".")[0])),
			&header,
		); err != nil || header["typ"] != "at+jwt" || header["alg"] != "EdDSA" || header["kid"] == "" ||
			len(header) != 3 {
			t.Errorf("header = %v, %v; want at+jwt, EdDSA and a kid", header, err)
		}

		again := payload(t, f.Token(ci, "audience", "later"))
		if again["jti"] == jti || jti == "" {
			t.Errorf("jti of two tokens = %q, want two", jti)
		}
	})

	t.Run("the scopes are those requested, or all", func(t *testing.T) {
		for asked, want := range map[string]string{
			"":                  "read write",
			"write":             "write",
			"write  read write": "read write",
		} {
			a := f.TryToken(f.right(ci), "audience", "reports", "scope", asked)
			token := opens(t, asked, a)

			if !strings.Contains(a.Body, `"scope":"`+want+`"`) {
				t.Errorf("scope %q: got %s, want %q", asked, a.Body, want)
			}

			code := "insufficient_scope"
			if strings.Contains(want, "write") {
				code = ""
			}
			if a := f.bearer("reports", "/write", token); a.Code() != code {
				t.Errorf("scope %q: %d %s, want %q", asked, a.Status, a.Code(), code)
			}
		}

		a := f.bearer("reports", "/write", f.Token(ci, "audience", "reports", "scope", "read"))
		if a.Status != 403 || a.Code() != "insufficient_scope" || !strings.Contains(
			a.Header.Get("Www-Authenticate"),
			`error="insufficient_scope"`,
		) {
			t.Errorf("without the scope: got %d %s %v, want 403", a.Status, a.Code(), a.Header)
		}
	})

	t.Run("one service, by its name as audience or resource", func(t *testing.T) {
		for _, tc := range []struct {
			fields []string
			ok     bool
		}{
			{[]string{"resource", "reports"}, true},
			{[]string{"resource", "reports", "audience", "reports"}, true},
			{nil, false},
			{[]string{"audience", "reports", "audience", "opaque"}, false},
			{[]string{"audience", "reports", "resource", "opaque"}, false},
			{[]string{"audience", "Reports"}, false},
			{[]string{"audience", "nowhere"}, false},
			{[]string{"audience", f.Issuer()}, false},
		} {
			a := f.TryToken(f.right(ci), tc.fields...)
			if (a.Status == 200) != tc.ok || !tc.ok && !strings.HasPrefix(a.Body, `{"error":"invalid_target"`) {
				t.Errorf("%v: got %d %s, want a token: %t, else invalid_target", tc.fields, a.Status, a.Body, tc.ok)
			}
		}
	})

	t.Run("a client gets no token for a service it is not allowed", func(t *testing.T) {
		few := f.AddClient("few", "opaque")
		opens(t, "its own", f.TryToken(few.Assertion("", f.claims(few))))

		for _, service := range []string{"reports", "counted"} {
			if a := f.TryToken(
				few.Assertion("", f.claims(few)), "audience", service,
			); a.Status != 400 || a.Body != "{\"error\":\"invalid_target\"}\n" {
				t.Errorf("%s: got %d %s, want 400", service, a.Status, a.Body)
			}
		}

		none := f.AddClient("none")
		if a := f.TryToken(none.Assertion("", f.claims(none))); a.Body != "{\"error\":\"invalid_target\"}\n" {
			t.Errorf("token of a client for nothing = %d %s, want invalid_target", a.Status, a.Body)
		}
	})
}

// TestTokensAreCounted has many callers use one token at the same time.
func TestTokensAreCounted(t *testing.T) {
	f := newFixture(t, many)
	ci := f.client("ci")

	race := func(n int, ask func() string) map[string]int64 {
		var ok, spent, other atomic.Int64
		var wg sync.WaitGroup
		for range n {
			wg.Go(func() {
				switch code := ask(); code {
				case "":
					ok.Add(1)
				case "spent":
					spent.Add(1)
				default:
					other.Add(1)
				}
			})
		}

		wg.Wait()

		return map[string]int64{"ok": ok.Load(), "spent": spent.Load(), "other": other.Load()}
	}

	for _, tc := range []struct {
		service, path string
		uses          int64
	}{{"counted", "/who", 3}, {"counted-opaque", "/who", 3}, {"reports", "/four", 4}, {"counted", "/one", 1}} {
		t.Run(tc.service+tc.path, func(t *testing.T) {
			f := f.on(t)
			token := f.Token(ci, "audience", tc.service)
			for range 5 {
				if a := f.Ask(
					"HEAD", tc.service, tc.path, "Authorization", "Bearer "+token,
				); a.Status != 200 || a.Left() != fmt.Sprint(tc.uses) {
					t.Errorf("HEAD: %d, %s left, want 200 and %d", a.Status, a.Left(), tc.uses)
				}
			}

			got := race(64, func() string { return f.bearer(tc.service, tc.path, token).Code() })
			if got["ok"] != tc.uses || got["spent"] != 64-tc.uses {
				t.Errorf("%v, want %d accepted and the others spent", got, tc.uses)
			}

			for range 2 {
				if a := f.bearer(
					tc.service, tc.path, token,
				); a.Status != 403 || a.Code() != "spent" || a.Left() != "0" {
					t.Errorf("afterwards: got %d %s, %s left; want 403 spent, 0", a.Status, a.Code(), a.Left())
				}
			}

			if a := f.Ask("HEAD", tc.service, tc.path, "Authorization", "Bearer "+token); a.Code() != "spent" {
				t.Errorf("HEAD afterwards: got %d %s, want spent", a.Status, a.Code())
			}
			if a := f.bearer(tc.service, tc.path, f.Token(ci, "audience", tc.service)); a.Status != 200 {
				t.Errorf("another token: got %d %s, want 200", a.Status, a.Code())
			}
		})
	}

	t.Run("a request takes from both budgets or from none", func(t *testing.T) {
		f := f.on(t)
		token := f.Token(ci, "audience", "counted")
		for i, step := range []struct{ path, left, code string }{
			{"/one", "0", ""},
			{"/one", "0", "spent"},
			{"/who", "1", ""},
			{"/one", "0", "spent"},
			{"/who", "0", ""},
			{"/who", "0", "spent"},
		} {
			if a := f.bearer("counted", step.path, token); a.Left() != step.left || a.Code() != step.code {
				t.Errorf(
					"step %d, %s: %s left, code %q, want %s, %q",
					i, step.path, a.Left(), a.Code(), step.left, step.code,
				)
			}
		}
	})

	t.Run("consumed by introspection, sixty-four at once", func(t *testing.T) {
		f := f.on(t)
		for _, service := range []string{"counted", "counted-opaque"} {
			token := f.Token(ci, "audience", service)
			got := race(64, func() string {
				if a := f.introspect(ci, token, "consume", "true"); a.Body != inactive {
					return a.Code()
				}
				return "spent"
			})
			if got["ok"] != 3 || got["spent"] != 61 {
				t.Errorf("%s: %v, want 3", service, got)
			}
		}
	})
}

// TestRestartRestoresNoUse restarts the server after each use.
func TestRestartRestoresNoUse(t *testing.T) {
	f := newFixture(t, many)
	ci := f.client("ci")
	for _, service := range []string{"counted", "counted-opaque"} {
		token := f.Token(ci, "audience", service)
		for _, want := range []string{"2", "1", "0"} {
			if a := f.bearer(service, "/who", token); a.Left() != want || a.Status != 200 {
				t.Errorf("%s: %d, %s left, want %s", service, a.Status, a.Left(), want)
			}
			f.restart()
		}

		if a := f.bearer(service, "/who", token); a.Code() != "spent" {
			t.Errorf("%s: got %d %s, want spent", service, a.Status, a.Code())
		}
	}
}
