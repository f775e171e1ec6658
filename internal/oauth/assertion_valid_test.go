package oauth_test

import (
	"crypto/rand"
	"crypto/rsa"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jeton-auth/jeton/internal/api"
	"github.com/jeton-auth/jeton/internal/jose"
	"github.com/jeton-auth/jeton/jetontest"
)

// TestValidAssertions sends assertions that a strict server could refuse by mistake.
func TestValidAssertions(t *testing.T) {
	f := newFixture(t, many)
	ci := f.client("ci")
	second := jetontest.Key{Client: "ci", Signer: newSigner(t, jose.ES256, "second")}
	f.MustControl("POST", "/api/v1/clients/ci/keys", api.NewClientKey{
		Key: string(signerOf(second).Key().PEM()),
		ID:  "second",
	}, nil)
	unix := func(d time.Duration) int64 { return noon.Add(d).Unix() }
	for _, w := range ways {
		for _, tc := range []struct {
			name string
			make func(*draft)
		}{
			{"valid", nil},
			{"aud as a list of one", claim("aud", []string{f.Issuer()})},
			{"typ JWT", head("typ", "JWT")},
			{"typ jwt", head("typ", "jwt")},
			{"typ of its purpose", head("typ", w.typ)},
			{"typ of its purpose in capitals", head("typ", strings.ToUpper(w.typ))},
			{"typ of its purpose with application/", head("typ", "APPLICATION/"+w.typ)},
			{"no kid", head("kid", nil)},
			{"iat eight seconds ahead", claim("iat", unix(8*time.Second))},
			{"iat ten seconds ahead", claim("iat", unix(10*time.Second))},
			{"iat with a fraction", claim("iat", float64(unix(0))+0.25)},
			{"valid for exactly five minutes", claim("exp", unix(300*time.Second))},
			{"valid for another second", claim("exp", unix(time.Second))},
			{
				"issued nearly five minutes ago",
				func(d *draft) { claim("iat", unix(-299*time.Second))(d); claim("exp", unix(time.Second))(d) },
			},
			{"nbf ten seconds ahead", claim("nbf", unix(10*time.Second))},
			{"nbf long ago", claim("nbf", unix(-time.Hour))},
			{"a jti of 256 bytes", claim("jti", strings.Repeat("j", 220)+w.name[:3]+strings.Repeat("k", 33))},
			{"unknown claims", claim("https://other.example/claim", map[string]any{"a": []int{1}})},
			{"unknown header members", head("other", "x")},
			{
				"the second key",
				func(d *draft) { d.by, d.header = signerOf(second), map[string]any{"alg": "ES256", "kid": "second"} },
			},
			{
				"the second key without its kid",
				func(d *draft) { d.by, d.header = signerOf(second), map[string]any{"alg": "ES256"} },
			},
		} {
			t.Run(w.name+", "+tc.name, func(t *testing.T) {
				f := f.on(t)
				a := f.show(w, f.sign(t, ci, f.claims(ci), tc.make))
				opens(t, "the answer", a)

				if name, value := f.failed(a.Request()); name != "" {
					t.Errorf("failed check = %s: %s, want none", name, value)
				}
			})
		}
	}

	t.Run("client_id next to it", func(t *testing.T) {
		opens(t, "the answer", f.on(t).show(ways[0], f.right(ci), "client_id", "ci"))
	})

	t.Run("every algorithm", func(t *testing.T) {
		f := f.on(t)
		long, err := rsa.GenerateKey(rand.Reader, 2048) // one for six of them, as it takes a while
		if err != nil {
			t.Fatal(err)
		}

		for _, alg := range jose.Algs() {
			s, err := jose.NewSigner(long, alg, "")
			if err != nil {
				s = newSigner(t, alg, "")
			}

			in := api.NewClient{
				Name:     "with-" + string(alg),
				Services: []string{"reports"},
				Keys:     []api.NewClientKey{{Key: string(s.Key().PEM()), Algorithm: string(alg)}},
			}
			f.MustControl("POST", "/api/v1/clients", in, nil)
			k := jetontest.Key{Client: in.Name, Signer: s}
			opens(t, string(alg), f.show(ways[0], f.right(k)))

			for _, other := range jose.Algs() {
				if sign, err := jose.NewSigner(
					long, other, "",
				); err == nil && other != alg && s.Key().Thumbprint() == sign.Key().Thumbprint() {
					bare(t, f.show(ways[0], f.right(jetontest.Key{
						Client: in.Name,
						Signer: sign,
					})), 401, "invalid_client")
				}
			}
		}
	})
}

// TestReplay sends one assertion twice.
func TestReplay(t *testing.T) {
	f := newFixture(t, many)
	ci, other := f.client("ci"), f.client("other")

	again := func(t *testing.T, f *fixture, w way, assertion string) {
		t.Helper()
		a := f.show(w, assertion)
		bare(t, a, w.status, w.code)
		name, value := f.failed(a.Request())
		if name != "single use" || !strings.Contains(value, "used before") {
			t.Errorf("failed check = %q: %q, want single use", name, value)
		}
	}

	// All would find the identifier unused, if finding and marking it were two steps.
	t.Run("a hundred at once", func(t *testing.T) {
		f := f.on(t)
		assertion := f.right(ci)
		var won atomic.Int64
		var wg sync.WaitGroup
		for i := range 100 {
			wg.Go(func() {
				w := ways[i%2]
				switch a := f.show(w, assertion); {
				case a.Status == 200:
					won.Add(1)
				case a.Status != w.status:
					t.Errorf("%d %s, want 200 once, otherwise %d", a.Status, a.Body, w.status)
				}
			})
		}

		if wg.Wait(); won.Load() != 1 {
			t.Errorf("%d of 100 accepted, want 1", won.Load())
		}
	})

	t.Run("for another purpose", func(t *testing.T) {
		f := f.on(t)
		for i, w := range ways {
			assertion := f.right(ci)
			opens(t, "the first", f.show(w, assertion))
			again(t, f, w, assertion)
			again(t, f, ways[1-i], assertion)

			for _, path := range []string{"/oauth2/introspect", "/oauth2/revoke", "/oauth2/keys"} {
				bare(
					t,
					f.Post(path, "token", "x", "client_assertion", assertion, "client_assertion_type", assertionType),
					401, "invalid_client",
				)
			}
		}

		assertion := f.right(ci)
		if a := f.Post(
			"/oauth2/introspect", "token", "x", "client_assertion", assertion, "client_assertion_type",
			assertionType,
		); a.Body != inactive {
			t.Errorf("%d %s, want inactive", a.Status, a.Body)
		}

		again(t, f, ways[0], assertion)
	})

	// Used identifiers must outlive the client: name and key are the same again.
	t.Run("by a client that was removed and added again", func(t *testing.T) {
		f := f.on(t)
		assertion := f.right(other)
		opens(t, "the first", f.show(ways[0], assertion))
		f.MustControl("DELETE", "/api/v1/clients/"+other.Client, nil, nil)
		f.MustControl("POST", "/api/v1/clients", api.NewClient{
			Name:     other.Client,
			Services: []string{"reports"},
			Keys:     []api.NewClientKey{{Key: string(signerOf(other).Key().PEM())}},
		}, nil)

		again(t, f, ways[0], assertion)
		opens(t, "a fresh one", f.show(ways[0], f.right(other)))
	})

	t.Run("another assertion with the same jti", func(t *testing.T) {
		f := f.on(t)
		claims := f.claims(ci)
		opens(t, "the first", f.show(ways[0], f.sign(t, ci, claims, nil)))
		again(t, f, ways[0], f.sign(t, ci, with(claims, map[string]any{"exp": noon.Add(2 * time.Minute).Unix()}), nil))
	})

	t.Run("the same jti of another client", func(t *testing.T) {
		f := f.on(t)
		jti := map[string]any{"jti": "one for both"}
		for _, k := range []jetontest.Key{ci, other} {
			opens(t, k.Client, f.show(ways[0], f.sign(t, k, with(f.claims(k), jti), nil)))
		}

		for _, k := range []jetontest.Key{ci, other} {
			again(t, f, ways[0], f.sign(t, k, with(f.claims(k), jti), nil))
		}
	})

	t.Run("a refusal after the check of the assertion leaves it unused", func(t *testing.T) {
		f := f.on(t)
		assertion := f.right(ci)
		if a := f.TryToken(
			assertion, "audience", "nowhere",
		); a.Status != 400 || a.Body != "{\"error\":\"invalid_target\"}\n" {
			t.Errorf("unknown service: %d %s, want 400 invalid_target", a.Status, a.Body)
		}

		if a := f.TryToken(
			assertion, "audience", "reports", "scope", "admin",
		); a.Status != 400 || a.Body != "{\"error\":\"invalid_scope\"}\n" {
			t.Errorf("scope of another client: %d %s, want 400 invalid_scope", a.Status, a.Body)
		}

		opens(t, "after both", f.show(ways[0], assertion))
	})

	t.Run("after a restart", func(t *testing.T) {
		f := f.on(t)
		assertion := f.right(ci)
		opens(t, "the first", f.show(ways[0], assertion))
		f.restart()
		again(t, f, ways[0], assertion)

		again(t, f, ways[1], assertion)
		opens(t, "another", f.show(ways[0], f.right(ci)))
	})
}

// TestAssertionsByTheClock moves the clock instead of the claims.
func TestAssertionsByTheClock(t *testing.T) {
	f := newFixture(t, many)
	ci := f.client("ci")
	const year = 365 * 24 * time.Hour
	for _, tc := range []struct {
		name     string
		iat, exp time.Duration // of the assertion, after noon
		at       time.Duration // when it is shown
		check    string        // that fails; "": none
	}{
		{"a second before exp", 0, time.Minute, 59 * time.Second, ""},
		{"a nanosecond before exp", 0, time.Minute, time.Minute - 1, ""},
		{"at exp", 0, time.Minute, time.Minute, "exp"},
		{"after exp", 0, time.Minute, time.Minute + 1, "exp"},
		{"at the end of five minutes", 0, 300 * time.Second, 299 * time.Second, ""},
		{"with a second more than five minutes", 0, 301 * time.Second, 0, "life"},
		{"ten seconds before iat", 0, time.Minute, -10 * time.Second, ""},
		{"ten seconds and a nanosecond before iat", 0, time.Minute, -10*time.Second - 1, "iat"},
		{"eleven seconds before iat", 0, time.Minute, -11 * time.Second, "iat"},
		{"with the clock an hour ahead", 0, time.Minute, time.Hour, "exp"},
		{"with the clock an hour behind", 0, time.Minute, -time.Hour, "iat"},
		{"with the clock ten years ahead", 0, time.Minute, 10 * year, "exp"},
		{"with the clock ten years behind", 0, time.Minute, -10 * year, "iat"},
		{"issued when the clock was ten years ahead", 10 * year, 10*year + time.Minute, 0, "iat"},
	} {
		for _, w := range ways {
			t.Run(tc.name+", "+w.name, func(t *testing.T) {
				f := f.on(t)
				times := map[string]any{"iat": noon.Add(tc.iat).Unix(), "exp": noon.Add(tc.exp).Unix()}
				assertion := f.sign(t, ci, with(f.claims(ci), times), nil)
				f.clock.set(noon.Add(tc.at))
				a := f.show(w, assertion)

				f.clock.set(noon)
				if tc.check == "" {
					opens(t, "the answer", a)
					return
				}

				bare(t, a, w.status, w.code)
				if name, value := f.failed(a.Request()); name != tc.check {
					t.Errorf("failed check = %q: %q, want %q", name, value, tc.check)
				}
			})
		}
	}

	t.Run("a used assertion is refused after the clock has jumped", func(t *testing.T) {
		f := f.on(t)
		assertion := f.right(ci)
		opens(t, "the first", f.show(ways[0], assertion))

		for _, d := range []time.Duration{0, time.Hour, -time.Hour, 10 * year, -10 * year, -5 * time.Second} {
			f.clock.set(noon.Add(d))
			bare(t, f.show(ways[0], assertion), 401, "invalid_client")
			f.clock.set(noon)
			bare(t, f.show(ways[0], assertion), 401, "invalid_client")
		}
	})

	t.Run("a key's own times to the nanosecond", func(t *testing.T) {
		f := f.on(t)
		k := jetontest.Key{Client: "ci", Signer: newSigner(t, "EdDSA", "timed")}
		f.MustControl("POST", "/api/v1/clients/ci/keys", api.NewClientKey{
			Key:       string(signerOf(k).Key().PEM()),
			ID:        "timed",
			NotBefore: noon,
			NotAfter:  noon.Add(time.Hour),
		}, nil)

		for _, tc := range []struct {
			at time.Duration
			ok bool
		}{{-1, false}, {0, true}, {time.Hour - 1, true}, {time.Hour, false}} {
			f.clock.set(noon.Add(tc.at))
			if a := f.show(ways[0], f.right(k)); (a.Status == 200) != tc.ok {
				t.Errorf("%v after not_before: status %d, want accepted %t", tc.at, a.Status, tc.ok)
			}
			f.clock.set(noon)
		}
	})
}
