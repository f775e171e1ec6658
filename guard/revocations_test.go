package guard_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/guard"
	"github.com/jeton-auth/jeton/internal/jose"
)

// checkValid checks a valid token.
func checkValid(t *testing.T, i *issuer, g *guard.Guard) error {
	t.Helper()
	_, err := g.Check(t.Context(), i.token(nil))
	return err
}

func TestNoTokenIsAcceptedBeforeTheFirstResponse(t *testing.T) {
	i := newIssuer(t)
	g := i.emptyGuard()
	for name, text := range map[string]string{
		"a valid token":    i.token(nil),
		"an invalid token": "x",
		"an opaque token":  "jtn_a_0",
	} {
		if _, err := g.Check(t.Context(), text); !errors.Is(err, jeton.ErrUnavailable) {
			t.Errorf("%s: Check = %v, want ErrUnavailable", name, err)
		}
	}

	i.override(pathRevocations, respond(500, ""))
	if err := g.Step(t.Context()); err == nil {
		t.Error("Step = nil, want an error: the list is not available")
	}
	err := checkValid(t, i, g)
	if !errors.Is(err, jeton.ErrUnavailable) || !errors.Is(g.Ready(), jeton.ErrUnavailable) {
		t.Errorf("without the list: Check = %v, Ready = %v; want ErrUnavailable", err, g.Ready())
	}

	i.override(pathRevocations, nil)
	if err := g.Step(t.Context()); err != nil || g.Ready() != nil || checkValid(t, i, g) != nil {
		t.Errorf("with both: Step = %v, Ready = %v, Check = %v; want nil", err, g.Ready(), checkValid(t, i, g))
	}
}

// TestNoTokenIsAcceptedBeyondTheBound is the promise of a guard: a revocation is in force
// everywhere after the bound, even when the list cannot be fetched.
func TestNoTokenIsAcceptedBeyondTheBound(t *testing.T) {
	i := newIssuer(t)
	g := i.guard(func(c *guard.Config) { c.Bound = 9 * time.Second })
	i.override(pathRevocations, respond(503, ""))
	i.clock.Add(9 * time.Second)

	if err := g.Step(t.Context()); err == nil {
		t.Error("Step = nil, want an error: the list is not available")
	}
	if err := checkValid(t, i, g); err != nil {
		t.Errorf("at the bound: Check = %v, want nil", err)
	}

	i.clock.Add(1)
	err := checkValid(t, i, g)
	if wait, ok := jeton.RetryAfter(err); !errors.Is(err, jeton.ErrUnavailable) || !ok || wait != 3*time.Second {
		t.Errorf("beyond the bound: Check = %v, retry after %v; want ErrUnavailable and 3s", err, wait)
	}

	if _, err := g.Check(t.Context(), i.token(map[string]any{"aud": "other"})); !errors.Is(err, jeton.ErrUnavailable) {
		t.Errorf("a token for another service: Check = %v, want ErrUnavailable", err)
	}

	i.override(pathRevocations, nil)
	if err := g.Step(t.Context()); err != nil || checkValid(t, i, g) != nil {
		t.Errorf("when the list is back: Step = %v, Check = %v; want nil", err, checkValid(t, i, g))
	}
}

// TestTheBoundStartsWhenTheRequestIsSent has a slow response: what was revoked after it was
// made is not in it.
func TestTheBoundStartsWhenTheRequestIsSent(t *testing.T) {
	i := newIssuer(t)
	g := i.guard()
	i.override(pathRevocations, func(w http.ResponseWriter, r *http.Request) {
		i.serveDefault(w, r)
		i.clock.Add(4 * time.Second)
	})

	if err := g.Step(t.Context()); err != nil {
		t.Fatal(err)
	}

	i.clock.Set(noon.Add(10 * time.Second))
	if err := checkValid(t, i, g); err != nil {
		t.Errorf("ten seconds after the request: Check = %v, want nil", err)
	}

	i.clock.Add(1)
	if err := checkValid(t, i, g); !errors.Is(err, jeton.ErrUnavailable) {
		t.Errorf("a nanosecond later: Check = %v, want ErrUnavailable", err)
	}
}

// The worst case: a revocation just after a fetch, and then two lost responses in a row.
func TestTheBoundHoldsWhenTwoResponsesAreLost(t *testing.T) {
	i := newIssuer(t)
	g := i.guard(func(c *guard.Config) { c.Bound = 9 * time.Second })
	i.revoke(1, "jti:t_1") // just after the list was fetched

	for at := time.Duration(0); at <= 9*time.Second; at += 3 * time.Second {
		i.clock.Set(noon.Add(at))
		if at == 3*time.Second || at == 6*time.Second {
			i.override(pathRevocations, respond(500, "")) // a lost response
		} else {
			i.override(pathRevocations, nil)
		}

		if at > 0 {
			_ = g.Step(t.Context())
		}
	}

	if err := checkValid(t, i, g); !errors.Is(err, jeton.ErrBadCredential) {
		t.Errorf("at the bound: Check = %v, want ErrBadCredential", err)
	}
}

func TestAnInvalidListIsRefused(t *testing.T) {
	right := strings.Repeat("A", 43)
	for name, handler := range map[string]http.HandlerFunc{
		"huge": respond(
			200,
			`{"next":0,"more":false,"void":[]}`+strings.Repeat(" ", guard.MaxBody),
		),
		"not JSON":                    respond(200, "<html>ok</html>"),
		"empty":                       respond(200, ""),
		"truncated":                   respond(200, `{"next":0,"more":false,"void":[`),
		"trailing data":               respond(200, `{"next":0,"more":false,"void":[]} {}`),
		"another object":              respond(200, `{"error":"none"}`),
		"no next":                     respond(200, `{"more":false,"void":[]}`),
		"no void":                     respond(200, `{"next":0,"more":false}`),
		"void is null":                respond(200, `{"next":0,"more":false,"void":null}`),
		"an entry that is too short":  respond(200, `{"next":1,"more":false,"void":["AAAA"]}`),
		"an entry that is not base64": respond(200, `{"next":1,"more":false,"void":["`+strings.Repeat("?", 43)+`"]}`),
		"more entries than lines":     respond(200, `{"next":1,"more":false,"void":["`+right+`","`+right+`"]}`),
		"next goes backwards":         respond(200, `{"next":-5,"more":false,"void":[]}`),
		"next without an entry":       respond(200, `{"next":7,"more":false,"void":[]}`),
		"more without an entry":       respond(200, `{"next":0,"more":true,"void":[]}`),
		"status 404":                  respond(404, `{"next":0,"more":false,"void":[]}`),
		"status 204":                  respond(204, ""),
		"a redirect to a valid list": func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Query().Has("again") {
				_, _ = fmt.Fprint(w, `{"next":0,"more":false,"void":[]}`)
				return
			}
			http.Redirect(w, r, pathRevocations+"?again", http.StatusTemporaryRedirect)
		},
	} {
		t.Run(name, func(t *testing.T) {
			i := newIssuer(t)
			g := i.guard()
			i.override(pathRevocations, handler)
			i.clock.Add(10 * time.Second)

			if err := g.Step(t.Context()); err == nil {
				t.Error("Step = nil, want an error")
			}
			if err := checkValid(t, i, g); err != nil {
				t.Errorf("within the bound: Check = %v, want nil", err)
			}

			i.clock.Add(1)
			if err := checkValid(t, i, g); !errors.Is(err, jeton.ErrUnavailable) {
				t.Errorf("beyond the bound: Check = %v, want ErrUnavailable", err)
			}

			i.override(pathRevocations, nil)
			if err := g.Step(t.Context()); err != nil || checkValid(t, i, g) != nil {
				t.Errorf("afterwards: Step = %v, Check = %v; want nil", err, checkValid(t, i, g))
			}
		})
	}
}

func TestInvalidMetadataAndKeysAreRefused(t *testing.T) {
	i := newIssuer(t)
	with := func(name, value string) http.HandlerFunc {
		m := i.metadata()
		m[name] = value
		return respond(200, string(marshal(t, m)))
	}

	private, err := json.Marshal(map[string]any{
		"keys": []any{map[string]any{
			"kty": "OKP",
			"crv": "Ed25519",
			"kid": "x",
			"x":   strings.Repeat("A", 43),
			"d":   strings.Repeat("A", 43),
		}},
	})
	if err != nil {
		t.Fatal(err)
	}

	jwk := string(i.key.Key().JWK())

	for _, tc := range []struct {
		name, path string
		handler    http.HandlerFunc
	}{
		{"another issuer", pathMetadata, with("issuer", "https://other.example")},
		{"the issuer with a slash", pathMetadata, with("issuer", i.srv.URL+"/")},
		{"empty metadata", pathMetadata, respond(200, "{}")},
		{"keys at another origin", pathMetadata, with("jwks_uri", "https://other.example/keys")},
		{
			"keys over plain HTTP",
			pathMetadata,
			with("jwks_uri", "http"+strings.TrimPrefix(i.srv.URL, "https")+pathJWKS),
		},
		{"keys at an origin with the same prefix", pathMetadata, with("jwks_uri", i.srv.URL+"1"+pathJWKS)},
		{
			"keys at a URL with a user name",
			pathMetadata,
			with("jwks_uri", strings.Replace(i.srv.URL, "https://", "https://x@", 1)+pathJWKS),
		},
		{"foreign revocations", pathMetadata, with("jeton_revocations_endpoint", "https://other.example/void")},
		{"no revocations endpoint", pathMetadata, with("jeton_revocations_endpoint", "")},
		{"foreign introspection", pathMetadata, with("introspection_endpoint", "https://other.example/introspect")},
		{"metadata redirect", pathMetadata, http.RedirectHandler("/elsewhere", http.StatusFound).ServeHTTP},
		{"too many bytes of keys", pathJWKS, respond(200, `{"keys":[]}`+strings.Repeat(" ", guard.MaxBody))},
		{"keys that are not JSON", pathJWKS, respond(200, "keys")},
		{"a private key", pathJWKS, respond(200, string(private))},
		{"no keys", pathJWKS, respond(200, `{"keys":[]}`)},
		{
			"two keys with one kid",
			pathJWKS,
			respond(200, `{"keys":[`+jwk+`,`+strings.Replace(jwk, `"EdDSA"`, `"Ed25519"`, 1)+`]}`),
		},
		{"keys with status 404", pathJWKS, respond(404, `{"keys":[]}`)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g := i.emptyGuard()
			i.override(tc.path, tc.handler)
			_ = g.Step(t.Context()) // a set without keys is not an error, but accepts no token

			if err := checkValid(t, i, g); !errors.Is(err, jeton.ErrUnavailable) {
				t.Errorf("Check = %v, want ErrUnavailable", err)
			}
			if g.Ready() == nil {
				t.Error("Ready = nil, want an error")
			}

			i.override(tc.path, nil)
			if err := g.Step(t.Context()); err != nil || checkValid(t, i, g) != nil {
				t.Errorf("afterwards: Step = %v, Check = %v; want nil", err, checkValid(t, i, g))
			}
		})
	}
}

func TestCachedKeysExpire(t *testing.T) {
	for _, tc := range []struct {
		control string
		age     string
		want    time.Duration
	}{
		{"public, max-age=300", "", 5 * time.Minute},
		{"max-age=300", "100", 200 * time.Second},
		{"max-age=0", "", time.Minute},
		{"max-age=300", "299", time.Minute},
		{"no-store, max-age=300", "", time.Minute},
		{"max-age=soon", "", time.Minute},
		{"max-age=999999", "", time.Hour},
		{"", "", 5 * time.Minute},
	} {
		t.Run(tc.control+" "+tc.age, func(t *testing.T) {
			i := newIssuer(t)
			i.override(pathJWKS, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Cache-Control", tc.control)
				w.Header().Set("Age", tc.age)
				_, _ = w.Write(jose.MarshalSet([]jose.Key{i.key.Key()}))
			})

			g := i.guard()
			i.override(pathMetadata, respond(500, ""))
			i.clock.Add(tc.want)
			_ = g.Step(t.Context()) // fetches the list, and not the keys

			if err := checkValid(t, i, g); err != nil {
				t.Errorf("before they expire: Check = %v, want nil", err)
			}

			i.clock.Add(1)
			if err := checkValid(t, i, g); !errors.Is(err, jeton.ErrUnavailable) {
				t.Errorf("when they have expired: Check = %v, want ErrUnavailable", err)
			}

			i.override(pathMetadata, nil)
			if err := g.Step(t.Context()); err != nil || checkValid(t, i, g) != nil {
				t.Errorf("afterwards: Step = %v, Check = %v; want nil", err, checkValid(t, i, g))
			}
		})
	}
}

// isRevoked reports whether the guard refuses a token with a jti.
func isRevoked(t *testing.T, i *issuer, g *guard.Guard, jti string) bool {
	t.Helper()
	_, err := g.Check(t.Context(), i.token(map[string]any{"jti": jti}))
	if err != nil && !errors.Is(err, jeton.ErrBadCredential) {
		t.Fatal(err)
	}

	return err != nil
}

func TestTheListIsReadToItsEnd(t *testing.T) {
	i := newIssuer(t)
	i.revoke(5, "jti:a", "jti:b", "jti:c", "jti:d", "jti:e", "jti:f", "jti:g") // in pages of three
	g := i.guard()
	if n := g.Revoked(); n != 7 {
		t.Errorf("%d revocations, want 7", n)
	}

	i.revoke(20, "jti:h")
	before := i.count(pathRevocations)

	if err := g.Step(t.Context()); err != nil {
		t.Fatal(err)
	}

	for _, jti := range []string{"a", "g", "h"} {
		if !isRevoked(t, i, g, jti) {
			t.Errorf("%s is not revoked", jti)
		}
	}

	if isRevoked(t, i, g, "i") {
		t.Error("i is revoked")
	}
	if n := i.count(pathRevocations) - before; n != 1 {
		t.Errorf("one new line took %d requests, want 1", n)
	}
}

// After the restore of a backup the server counts from an older line.
func TestTheListIsReadAgainAfterARestore(t *testing.T) {
	linesOf := func(i *issuer, what ...string) []line {
		old := i.lines
		i.lines = nil
		i.revoke(1, what...)
		lines := i.lines
		i.lines = old

		return lines
	}

	for _, tc := range []struct {
		name string
		then []string // the list afterwards, from line 1 on
	}{
		{"shorter", []string{"jti:a", "jti:x"}},
		{"as long", []string{"jti:a", "jti:b", "jti:x"}},
		{"longer", []string{"jti:a", "jti:b", "jti:y", "jti:z", "jti:x"}},
		{"empty", nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			i := newIssuer(t)
			i.revoke(1, "jti:a", "jti:b", "jti:c")
			g := i.guard()
			i.setLines(linesOf(i, tc.then...))

			if err := g.Step(t.Context()); err != nil {
				t.Fatal(err)
			}
			if len(tc.then) > 0 && !isRevoked(t, i, g, "x") {
				t.Error("x was revoked after the restore and is accepted")
			}
			if !isRevoked(t, i, g, "c") {
				t.Error("c was revoked before the restore and is accepted")
			}

			i.revoke(50, "jti:w")
			if err := g.Step(t.Context()); err != nil || !isRevoked(t, i, g, "w") {
				t.Errorf("afterwards: Step = %v, w is revoked: %v; want nil and true", err, isRevoked(t, i, g, "w"))
			}
		})
	}
}

// The server has dropped the line that was read last.
func TestRevocationsAreKeptLongEnough(t *testing.T) {
	i := newIssuer(t)
	i.clock.Add(-time.Hour)
	g := i.guard()
	i.clock.Set(noon)
	i.revoke(1, "jti:a")

	if err := g.Step(t.Context()); err != nil {
		t.Fatal(err)
	}

	i.setLines(nil)

	for at := time.Duration(0); at <= guard.KeepRevoked; at += 30 * time.Minute {
		i.clock.Set(noon.Add(at))
		if err := g.Step(t.Context()); err != nil {
			t.Fatal(err)
		}
		if !isRevoked(t, i, g, "a") {
			t.Fatalf("dropped after %v, want at least %v", at, guard.KeepRevoked)
		}
	}

	i.clock.Set(noon.Add(2 * guard.KeepRevoked))
	if err := g.Step(t.Context()); err != nil || g.Revoked() != 0 {
		t.Errorf("after %v: Step = %v, %d revocations; want nil and 0", 2*guard.KeepRevoked, err, g.Revoked())
	}
}

func TestAgeIsByTheClockThatShowsMore(t *testing.T) {
	start := time.Now()
	if got := guard.Age(start.Add(time.Second), start); got != time.Second {
		t.Errorf("after a second: Age = %v, want 1s", got)
	}
	// Without its monotonic part a time is compared by the wall clock, as after a machine has slept.
	if got := guard.Age(start.Round(0).Add(time.Hour), start); got != time.Hour {
		t.Errorf("after an hour by the wall clock: Age = %v, want 1h", got)
	}
}
