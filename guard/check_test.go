package guard_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/guard"
	"github.com/jeton-auth/jeton/internal/jose"
)

func TestCheckAcceptsOnlyValidTokens(t *testing.T) {
	i := newIssuer(t)
	i.revoke(1, "jti:t_void", "c7.7")
	g := i.guard()
	other := newSigner(t)
	kid := i.key.Key().ID

	head := func(change ...string) map[string]any {
		h := map[string]any{"alg": "EdDSA", "typ": "at+jwt", "kid": kid}
		for n := 0; n < len(change); n += 2 {
			h[change[n]] = change[n+1]
			if change[n+1] == "" {
				delete(h, change[n])
			}
		}

		return h
	}

	with := func(name string, value any) string { return i.token(map[string]any{name: value}) }
	good := i.token(nil)
	parts := strings.Split(good, ".")

	withJWK := func(h map[string]any) map[string]any {
		h["jwk"] = json.RawMessage(other.Key().JWK())
		return h
	}

	mac := func(secret []byte) string {
		input := part(t, head("alg", "HS256")) + "." + parts[1]
		m := hmac.New(sha256.New, secret)
		m.Write([]byte(input))
		return input + "." + base64.RawURLEncoding.EncodeToString(m.Sum(nil))
	}

	type tokens struct {
		name, text string
		want       error
	}

	list := []tokens{
		{"a valid one", good, nil},
		{"one for several services", with("aud", []string{"other", "reports"}), nil},
		{"the type as a media type", i.signed(i.key, head("typ", "application/AT+JWT"), nil), nil},
		{"without a scope", with("scope", nil), nil},
		{"a lifetime of a day", with("exp", noon.Add(24*time.Hour).Unix()), nil},

		{"for another service", with("aud", "other"), jeton.ErrBadCredential},
		{"for a service whose name begins like ours", with("aud", "reports2"), jeton.ErrBadCredential},
		{"without an audience", with("aud", nil), jeton.ErrBadCredential},
		{"from another issuer", with("iss", "https://other.example"), jeton.ErrBadCredential},
		{"from the issuer with a slash", with("iss", i.srv.URL+"/"), jeton.ErrBadCredential},
		{"without an issuer", with("iss", nil), jeton.ErrBadCredential},
		// A JWT of another kind is no access token (RFC 9068, section 4; RFC 8725, section
		// 3.11).
		{"another type: JWT", i.signed(i.key, head("typ", "JWT"), nil), jeton.ErrBadCredential},
		{
			"another type: logout token",
			i.signed(i.key, head("typ", "logout+jwt"), nil),
			jeton.ErrBadCredential,
		},
		{"no type", i.signed(i.key, head("typ", ""), nil), jeton.ErrBadCredential},
		{"no kid", i.signed(i.key, head("kid", ""), nil), jeton.ErrBadCredential},
		{
			"an unknown key",
			i.signed(other, head("kid", other.Key().ID), map[string]any{"iat": noon.Add(-time.Minute).Unix()}),
			jeton.ErrBadCredential,
		},
		{"signed by another key, with the issuer's kid", i.signed(other, head(), nil), jeton.ErrBadCredential},
		// Tokens that bring a key of their own (CVE-2018-0114).
		{"a jwk of another key, with the issuer's kid", i.signed(other, withJWK(head()), nil), jeton.ErrBadCredential},
		{"a jwk of another key, without a kid", i.signed(other, withJWK(head("kid", "")), nil), jeton.ErrBadCredential},
		{"a jwk of another key, signed by the issuer", i.signed(i.key, withJWK(head()), nil), jeton.ErrBadCredential},
		{
			"a jku",
			i.signed(i.key, head("jku", "https://127.0.0.1/keys"), nil),
			jeton.ErrBadCredential,
		},
		// The two attacks of RFC 8725, section 2.1: no signature, and the public key for
		// the secret of an HMAC.
		{"alg none, no signature", part(t, head("alg", "none")) + "." + parts[1] + ".", jeton.ErrBadCredential},
		{
			"alg none, with a signature",
			part(t, head("alg", "none")) + "." + parts[1] + "." + parts[2],
			jeton.ErrBadCredential,
		},
		{"HMAC with the public key in PEM form", mac(i.key.Key().PEM()), jeton.ErrBadCredential},
		{"HMAC with the public key as a JWK", mac(i.key.Key().JWK()), jeton.ErrBadCredential},
		{"another alg than the key's", i.signed(i.key, head("alg", "ES256"), nil), jeton.ErrBadCredential},
		{"another payload", parts[0] + "." + part(t, i.claims()) + "x." + parts[2], jeton.ErrBadCredential},
		{"no signature", parts[0] + "." + parts[1] + ".", jeton.ErrBadCredential},
		{"over a day of lifetime", with("exp", noon.Add(24*time.Hour+time.Second).Unix()), jeton.ErrBadCredential},
		{"exp is a string", with("exp", "never"), jeton.ErrBadCredential},
		{"revoked", with("jti", "t_void"), jeton.ErrBadCredential},
		{"of a revoked generation", with("gen", "c7.7"), jeton.ErrBadCredential},
		{"expired", with("exp", noon.Unix()), jeton.ErrExpired},
		{"too early", with("nbf", noon.Unix()+1), jeton.ErrTooEarly},
		{"counted, without credentials for introspection", with("max_uses", 3), jeton.ErrBadCredential},
		{
			"opaque, without credentials for introspection",
			"jtn_a_0000000000000000000000000000000000000000000000000",
			jeton.ErrBadCredential,
		},
		{"empty", "", jeton.ErrBadCredential},
		{"not a token", "let me in", jeton.ErrBadCredential},
		{"too long", good + strings.Repeat("A", jose.MaxToken), jeton.ErrBadCredential},
	}

	for _, claim := range []string{"sub", "client_id", "jti", "gen", "exp", "nbf", "iat"} {
		list = append(list, tokens{"without " + claim, with(claim, nil), jeton.ErrBadCredential})
	}

	for _, tc := range list {
		t.Run(tc.name, func(t *testing.T) {
			for _, when := range []string{"first check", "second check"} {
				tok, err := g.Check(t.Context(), tc.text)
				if !errors.Is(err, tc.want) {
					t.Errorf("%s: Check = %v, want %v", when, err, tc.want)
				}
				if err != nil && (tok.ID != "" || !tok.Principal.IsZero()) {
					t.Errorf("%s: Check = %+v with an error, want the zero Token", when, tok)
				}

				if err != nil && len(tc.text) > 20 && strings.Contains(err.Error(), tc.text) {
					t.Errorf("%s: the error contains the token: %v", when, err)
				}
			}
		})
	}
}

func TestCheckReturnsTheSubjectAndTerms(t *testing.T) {
	i := newIssuer(t)
	g := i.guard()
	tok, err := g.Check(t.Context(), i.token(nil))
	if err != nil {
		t.Fatal(err)
	}

	p := tok.Principal
	if p.Kind != jeton.KindClient || p.Name != "ci" || p.Token != "t_1" || !p.Since.Equal(noon) ||
		!slices.Equal(p.Scopes, []string{"read", "write"}) {
		t.Errorf("principal = %+v, want the client ci with its scopes", p)
	}
	if tok.Client != "ci" || tok.ID != "t_1" || !tok.Expires.Equal(noon.Add(10*time.Minute)) ||
		!slices.Equal(tok.Scopes, p.Scopes) || tok.UsesRemaining != nil {
		t.Errorf("token = %+v, want ID t_1 of client ci", tok)
	}

	tok, err = g.Check(t.Context(), i.token(map[string]any{"sub": "diane"}))
	if err != nil || tok.Principal.Kind != jeton.KindUser || tok.Principal.Name != "diane" || tok.Client != "ci" {
		t.Errorf("Check = %+v, %v; want the user diane and client ci", tok, err)
	}
}

// TestLifetimeIsExact has the edges of RFC 7519, sections 4.1.4 and 4.1.5: at nbf a token
// is valid, and at exp it is not.
func TestLifetimeIsExact(t *testing.T) {
	for _, tc := range []struct {
		name   string
		leeway time.Duration
		after  time.Duration // since noon; the token is valid from noon+1m to noon+2m
		want   error
	}{
		{"a nanosecond before nbf", 0, time.Minute - 1, jeton.ErrTooEarly},
		{"at nbf", 0, time.Minute, nil},
		{"a nanosecond before exp", 0, 2*time.Minute - 1, nil},
		{"at exp", 0, 2 * time.Minute, jeton.ErrExpired},
		{"a nanosecond before nbf with leeway", 5 * time.Second, 55*time.Second - 1, jeton.ErrTooEarly},
		{"at nbf with leeway", 5 * time.Second, 55 * time.Second, nil},
		{"a nanosecond before exp with leeway", 5 * time.Second, 125*time.Second - 1, nil},
		{"at exp with leeway", 5 * time.Second, 125 * time.Second, jeton.ErrExpired},
	} {
		t.Run(tc.name, func(t *testing.T) {
			i := newIssuer(t)
			g := i.guard(func(c *guard.Config) { c.Leeway, c.Bound = tc.leeway, time.Hour })
			text := i.token(map[string]any{
				"nbf": noon.Add(time.Minute).Unix(),
				"exp": noon.Add(2 * time.Minute).Unix(),
			})
			if _, err := g.Check(t.Context(), text); !errors.Is(err, jeton.ErrTooEarly) || g.Verified() != 1 {
				t.Fatalf("at noon: Check = %v, %d tokens cached; want ErrTooEarly and 1", err, g.Verified())
			}

			i.clock.Set(noon.Add(tc.after))

			for range 2 {
				if _, err := g.Check(t.Context(), text); !errors.Is(err, tc.want) {
					t.Errorf("Check = %v, want %v", err, tc.want)
				}
			}

			other := i.token(map[string]any{
				"jti": "t_2",
				"iat": noon.Unix(),
				"nbf": noon.Add(time.Minute).Unix(),
				"exp": noon.Add(2 * time.Minute).Unix(),
			})
			if _, err := g.Check(t.Context(), other); !errors.Is(err, tc.want) {
				t.Errorf("of a new token: Check = %v, want %v", err, tc.want)
			}
		})
	}
}

func TestVerifiedTokensAreLimited(t *testing.T) {
	i := newIssuer(t)
	g := i.guard()
	for n := range guard.MaxVerified + 10 {
		if _, err := g.Check(t.Context(), i.token(map[string]any{"jti": fmt.Sprint("t_", n)})); err != nil {
			t.Fatal(err)
		}
	}

	if n := g.Verified(); n != guard.MaxVerified {
		t.Errorf("%d tokens are cached, want %d", n, guard.MaxVerified)
	}
}

func TestExpiredAndRevokedTokensLeaveTheCache(t *testing.T) {
	for _, tc := range []struct {
		name string
		end  func(*issuer)
		want error
	}{
		{"expired", func(i *issuer) { i.clock.Add(10 * time.Minute) }, jeton.ErrExpired},
		{"revoked", func(i *issuer) { i.revoke(1, "jti:t_1") }, jeton.ErrBadCredential},
	} {
		t.Run(tc.name, func(t *testing.T) {
			i := newIssuer(t)
			g := i.guard()
			text := i.token(nil)
			if _, err := g.Check(t.Context(), text); err != nil || g.Verified() != 1 {
				t.Fatalf("Check = %v, %d tokens cached; want nil and 1", err, g.Verified())
			}

			tc.end(i)
			if err := g.Step(t.Context()); err != nil {
				t.Fatal(err)
			}
			if _, err := g.Check(t.Context(), text); !errors.Is(err, tc.want) || g.Verified() != 0 {
				t.Errorf("Check = %v, %d tokens cached; want %v and 0", err, g.Verified(), tc.want)
			}
		})
	}
}

// TestAFloodOfUnknownKeysCausesOneFetch stands for an attacker who writes a new kid into each
// token, for the guard to attack the issuer.
func TestAFloodOfUnknownKeysCausesOneFetch(t *testing.T) {
	i := newIssuer(t)
	g := i.guard()
	before := i.count(pathJWKS)
	i.clock.Add(time.Minute)

	forged := func(n int, issued time.Time) string {
		return i.signed(i.key, map[string]any{
			"alg": "EdDSA",
			"typ": "at+jwt",
			"kid": fmt.Sprint("k", n),
		}, map[string]any{"iat": issued.Unix()})
	}

	flood := func() (bad, unavailable int) {
		var mu sync.Mutex
		var wg sync.WaitGroup
		for n := range 200 {
			text := forged(n, noon)
			wg.Go(func() {
				_, err := g.Check(t.Context(), text)
				mu.Lock()
				defer mu.Unlock()

				switch {
				case errors.Is(err, jeton.ErrBadCredential):
					bad++
				case errors.Is(err, jeton.ErrUnavailable):
					unavailable++
				default:
					t.Errorf("Check = %v", err)
				}
			})
		}

		wg.Wait()

		return bad, unavailable
	}

	for n := range 3 {
		if err := g.Step(t.Context()); err != nil {
			t.Fatal(err)
		}
		if bad, unavailable := flood(); bad != 200 || unavailable != 0 {
			t.Errorf("%d ErrBadCredential, %d ErrUnavailable; want 200 and 0", bad, unavailable)
		}

		got := i.count(pathJWKS) - before
		if got != n+1 {
			t.Errorf("after flood %d: %d fetches, want %d", n+1, got, n+1)
		}

		i.clock.Add(guard.UnknownKeyInterval)
	}

	// Shortly after a fetch, a token that was issued later is not called invalid.
	i.clock.Add(-time.Second)
	_, err := g.Check(t.Context(), forged(1, i.clock.Now()))
	if wait, ok := jeton.RetryAfter(err); !errors.Is(err, jeton.ErrUnavailable) || !ok || wait != time.Second {
		t.Errorf("Check of a newer token = %v (retry after %v), want ErrUnavailable and 1s", err, wait)
	}

	if _, err := g.Check(t.Context(), i.token(nil)); err != nil {
		t.Errorf("Check of a valid token = %v, want nil", err)
	}
}

func TestANewKeyIsFetchedAtOnce(t *testing.T) {
	i := newIssuer(t)
	g := i.guard()
	next := newSigner(t)
	i.publish(i.key.Key(), next.Key())
	text := i.signed(next, map[string]any{"alg": "EdDSA", "typ": "at+jwt", "kid": next.Key().ID}, nil)
	if _, err := g.Check(t.Context(), text); err != nil {
		t.Errorf("signed by the next key: Check = %v, want nil", err)
	}

	if _, err := g.Check(t.Context(), i.token(nil)); err != nil {
		t.Errorf("signed by the old key: Check = %v, want nil", err)
	}
}

func TestConcurrentChecksWaitForOneFetch(t *testing.T) {
	i := newIssuer(t)
	g := i.guard()
	next := newSigner(t)
	i.publish(next.Key())
	requested, proceed := make(chan struct{}), make(chan struct{})
	i.override(pathJWKS, func(w http.ResponseWriter, r *http.Request) {
		close(requested) // panics at a second request
		<-proceed
		i.serveDefault(w, r)
	})

	text := i.signed(next, map[string]any{"alg": "EdDSA", "typ": "at+jwt", "kid": next.Key().ID}, nil)
	// The caller that began the fetch cancels; the others get their result.
	cancelled, cancel := context.WithCancel(t.Context())
	var first, others, begun sync.WaitGroup
	first.Go(func() { _, _ = g.Check(cancelled, text) })
	<-requested

	cancel()
	begun.Add(20)

	for range 20 {
		others.Go(func() {
			begun.Done()
			if _, err := g.Check(t.Context(), text); err != nil {
				t.Errorf("Check = %v", err)
			}
		})
	}

	begun.Wait()
	if _, err := g.Check(cancelled, text); !errors.Is(err, jeton.ErrUnavailable) {
		t.Errorf("with a cancelled context: Check = %v, want ErrUnavailable", err)
	}

	close(proceed)
	others.Wait()
	first.Wait()
}

// TestAnUnknownKeyWhileTheIssuerFailsIsUnavailable checks that a good token of a new key is
// not called a bad one: the client would throw it away.
func TestAnUnknownKeyWhileTheIssuerFailsIsUnavailable(t *testing.T) {
	i := newIssuer(t)
	g := i.guard()
	i.override(pathJWKS, respond(500, ""))
	text := i.signed(i.key, map[string]any{
		"alg": "EdDSA",
		"typ": "at+jwt",
		"kid": "new",
	}, map[string]any{"iat": noon.Add(-time.Minute).Unix()})
	for _, when := range []string{"first check", "within the interval"} {
		if _, err := g.Check(t.Context(), text); !errors.Is(err, jeton.ErrUnavailable) {
			t.Errorf("%s: Check = %v, want ErrUnavailable", when, err)
		}
	}
}

// TestARemovedKeyIsNotAccepted withdraws a key from the set, also for tokens whose
// signature has been checked before.
func TestARemovedKeyIsNotAccepted(t *testing.T) {
	i := newIssuer(t)
	g := i.guard()
	seen, unseen := i.token(nil), i.token(map[string]any{"jti": "t_2"})
	if _, err := g.Check(t.Context(), seen); err != nil {
		t.Fatal(err)
	}

	addAgain := g.AddAgain(seen)
	i.publish(newSigner(t).Key())
	i.clock.Add(149 * time.Second)

	if err := g.Step(t.Context()); err != nil || i.count(pathJWKS) != 1 {
		t.Fatalf("before half of max-age: Step = %v, %d fetches; want nil and 1", err, i.count(pathJWKS))
	}
	if _, err := g.Check(t.Context(), seen); err != nil {
		t.Errorf("while the cached keys are valid: Check = %v, want nil", err)
	}

	i.clock.Add(time.Second)
	if err := g.Step(t.Context()); err != nil || i.count(pathJWKS) != 2 {
		t.Fatalf("at half of max-age: Step = %v, %d fetches; want nil and 2", err, i.count(pathJWKS))
	}

	for name, text := range map[string]string{"cached": seen, "not cached": unseen} {
		if _, err := g.Check(t.Context(), text); !errors.Is(err, jeton.ErrBadCredential) {
			t.Errorf("%s: Check = %v, want ErrBadCredential", name, err)
		}
	}

	n := g.Verified()
	if n != 0 {
		t.Errorf("%d tokens of the removed key are cached, want 0", n)
	}

	addAgain()
	if _, err := g.Check(t.Context(), seen); !errors.Is(err, jeton.ErrBadCredential) {
		t.Errorf("cached after the key was removed: Check = %v, want ErrBadCredential", err)
	}
}

// Tokens that were verified by the old key must not stay in the cache.
func TestAKidReusedForAnotherKey(t *testing.T) {
	i := newIssuer(t)
	g := i.guard()
	text := i.token(nil)
	if _, err := g.Check(t.Context(), text); err != nil {
		t.Fatal(err)
	}

	var jwk map[string]any
	if err := json.Unmarshal(newSigner(t).Key().JWK(), &jwk); err != nil {
		t.Fatal(err)
	}

	jwk["kid"] = i.key.Key().ID
	other, err := jose.ParseJWK(marshal(t, jwk))
	if err != nil {
		t.Fatal(err)
	}

	i.publish(other)
	i.clock.Add(150 * time.Second)

	if err := g.Step(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := g.Check(t.Context(), text); !errors.Is(err, jeton.ErrBadCredential) {
		t.Errorf("Check = %v, want ErrBadCredential", err)
	}
}
