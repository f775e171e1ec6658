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

func TestOnlyRightTokensPass(t *testing.T) {
	i := newIssuer(t)
	i.revoke(1, "jti:t_void", "c7.7")
	g := i.guard()
	thief := newSigner(t)
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
		h["jwk"] = json.RawMessage(thief.Key().JWK())
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
		{"a right one", good, nil},
		{"one for several services", with("aud", []string{"other", "reports"}), nil},
		{"the long name of its type", i.signed(i.key, head("typ", "application/AT+JWT"), nil), nil},
		{"without a scope", with("scope", nil), nil},
		{"good for a day", with("exp", noon.Add(24*time.Hour).Unix()), nil},

		{"for another service", with("aud", "other"), jeton.ErrBadCredential},
		{"for a service whose name begins like ours", with("aud", "reports2"), jeton.ErrBadCredential},
		{"for nobody", with("aud", nil), jeton.ErrBadCredential},
		{"of another issuer", with("iss", "https://other.example"), jeton.ErrBadCredential},
		{"of the issuer with a slash", with("iss", i.srv.URL+"/"), jeton.ErrBadCredential},
		{"of no issuer", with("iss", nil), jeton.ErrBadCredential},
		{"another type: JWT", i.signed(i.key, head("typ", "JWT"), nil), jeton.ErrBadCredential},
		{
			"another type: a token for logging out",
			i.signed(i.key, head("typ", "logout+jwt"), nil),
			jeton.ErrBadCredential,
		},
		{"no type", i.signed(i.key, head("typ", ""), nil), jeton.ErrBadCredential},
		{"no key named", i.signed(i.key, head("kid", ""), nil), jeton.ErrBadCredential},
		{
			"an unknown key",
			i.signed(thief, head("kid", thief.Key().ID), map[string]any{"iat": noon.Add(-time.Minute).Unix()}),
			jeton.ErrBadCredential,
		},
		{"signed by a stranger, our key named", i.signed(thief, head(), nil), jeton.ErrBadCredential},
		{"a key in it, ours named", i.signed(thief, withJWK(head()), nil), jeton.ErrBadCredential},
		{"a key in it, none named", i.signed(thief, withJWK(head("kid", "")), nil), jeton.ErrBadCredential},
		{"a key in it, and yet signed right", i.signed(i.key, withJWK(head()), nil), jeton.ErrBadCredential},
		{
			"where a key is to be fetched",
			i.signed(i.key, head("jku", "https://127.0.0.1/keys"), nil),
			jeton.ErrBadCredential,
		},
		{"alg none, no signature", part(t, head("alg", "none")) + "." + parts[1] + ".", jeton.ErrBadCredential},
		{
			"alg none, the signature of another",
			part(t, head("alg", "none")) + "." + parts[1] + "." + parts[2],
			jeton.ErrBadCredential,
		},
		{"an HMAC with the public key, PEM", mac(i.key.Key().PEM()), jeton.ErrBadCredential},
		{"an HMAC with the public key, JWK", mac(i.key.Key().JWK()), jeton.ErrBadCredential},
		{"another algorithm said", i.signed(i.key, head("alg", "ES256"), nil), jeton.ErrBadCredential},
		{"another payload", parts[0] + "." + part(t, i.claims()) + "x." + parts[2], jeton.ErrBadCredential},
		{"no signature", parts[0] + "." + parts[1] + ".", jeton.ErrBadCredential},
		{"good for more than a day", with("exp", noon.Add(24*time.Hour+time.Second).Unix()), jeton.ErrBadCredential},
		{"exp is a text", with("exp", "never"), jeton.ErrBadCredential},
		{"revoked", with("jti", "t_void"), jeton.ErrBadCredential},
		{"of a generation that is void", with("gen", "c7.7"), jeton.ErrBadCredential},
		{"over", with("exp", noon.Unix()), jeton.ErrExpired},
		{"too early", with("nbf", noon.Unix()+1), jeton.ErrTooEarly},
		{"counted, and nobody to count", with("max_uses", 3), jeton.ErrBadCredential},
		{
			"opaque, and nobody to ask",
			"jtn_a_0000000000000000000000000000000000000000000000000",
			jeton.ErrBadCredential,
		},
		{"nothing", "", jeton.ErrBadCredential},
		{"any text", "let me in", jeton.ErrBadCredential},
		{"too long", good + strings.Repeat("A", jose.MaxToken), jeton.ErrBadCredential},
	}

	for _, claim := range []string{"sub", "client_id", "jti", "gen", "exp", "nbf", "iat"} {
		list = append(list, tokens{"without " + claim, with(claim, nil), jeton.ErrBadCredential})
	}

	for _, tc := range list {
		t.Run(tc.name, func(t *testing.T) {
			for _, when := range []string{"first seen", "seen before"} {
				tok, err := g.Check(t.Context(), tc.text)
				if !errors.Is(err, tc.want) {
					t.Errorf("%s: %v, want %v", when, err, tc.want)
				}
				if err != nil && (tok.ID != "" || !tok.Principal.IsZero()) {
					t.Errorf("%s: a refusal with %+v", when, tok)
				}

				if err != nil && len(tc.text) > 20 && strings.Contains(err.Error(), tc.text) {
					t.Errorf("%s: the refusal shows the token: %v", when, err)
				}
			}
		})
	}
}

func TestATokenSaysWhoseItIs(t *testing.T) {
	i := newIssuer(t)
	g := i.guard()
	tok, err := g.Check(t.Context(), i.token(nil))
	if err != nil {
		t.Fatal(err)
	}

	p := tok.Principal
	if p.Kind != jeton.KindClient || p.Name != "ci" || p.Token != "t_1" || !slices.Equal(p.Scopes, []string{
		"read",
		"write",
	}) || !p.Since.Equal(noon) {
		t.Errorf("principal %+v", p)
	}
	if tok.Client != "ci" || tok.ID != "t_1" || !tok.Expires.Equal(noon.Add(10*time.Minute)) || !slices.Equal(
		tok.Scopes,
		p.Scopes,
	) || tok.UsesRemaining != nil {
		t.Errorf("token %+v", tok)
	}

	tok, err = g.Check(t.Context(), i.token(map[string]any{"sub": "diane"}))
	if err != nil || tok.Principal.Kind != jeton.KindUser || tok.Principal.Name != "diane" || tok.Client != "ci" {
		t.Errorf("for a person: %+v, %v", tok, err)
	}
}

func TestTimeIsExact(t *testing.T) {
	for _, tc := range []struct {
		name   string
		leeway time.Duration
		after  time.Duration // since noon; the token opens a minute after it and ends after two
		want   error
	}{
		{"a nanosecond early", 0, time.Minute - 1, jeton.ErrTooEarly},
		{"as it opens", 0, time.Minute, nil},
		{"a nanosecond before it ends", 0, 2*time.Minute - 1, nil},
		{"as it ends", 0, 2 * time.Minute, jeton.ErrExpired},
		{"before the leeway", 5 * time.Second, 55*time.Second - 1, jeton.ErrTooEarly},
		{"as the leeway begins", 5 * time.Second, 55 * time.Second, nil},
		{"in the last of the leeway", 5 * time.Second, 125*time.Second - 1, nil},
		{"as the leeway ends", 5 * time.Second, 125 * time.Second, jeton.ErrExpired},
	} {
		t.Run(tc.name, func(t *testing.T) {
			i := newIssuer(t)
			g := i.guard(func(c *guard.Config) { c.Leeway, c.Bound = tc.leeway, time.Hour })
			text := i.token(map[string]any{
				"nbf": noon.Add(time.Minute).Unix(),
				"exp": noon.Add(2 * time.Minute).Unix(),
			})
			if _, err := g.Check(t.Context(), text); !errors.Is(err, jeton.ErrTooEarly) || g.Verified() != 1 {
				t.Fatalf("at noon: %v, %d proofs kept; want ErrTooEarly and its proof", err, g.Verified())
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
				t.Errorf("of one that was never seen: %v, want %v", err, tc.want)
			}
		})
	}
}

func TestProofsAreBounded(t *testing.T) {
	i := newIssuer(t)
	g := i.guard()
	for n := range guard.MaxVerified + 10 {
		if _, err := g.Check(t.Context(), i.token(map[string]any{"jti": fmt.Sprint("t_", n)})); err != nil {
			t.Fatal(err)
		}
	}

	if n := g.Verified(); n != guard.MaxVerified {
		t.Errorf("%d proofs are kept, want %d", n, guard.MaxVerified)
	}
}

// A token that is over or void does not keep its place.
func TestWhatIsOverIsForgotten(t *testing.T) {
	for _, tc := range []struct {
		name string
		end  func(*issuer)
		want error
	}{
		{"over", func(i *issuer) { i.clock.Add(10 * time.Minute) }, jeton.ErrExpired},
		{"void", func(i *issuer) { i.revoke(1, "jti:t_1") }, jeton.ErrBadCredential},
	} {
		t.Run(tc.name, func(t *testing.T) {
			i := newIssuer(t)
			g := i.guard()
			text := i.token(nil)
			if _, err := g.Check(t.Context(), text); err != nil || g.Verified() != 1 {
				t.Fatalf("%v, %d proofs", err, g.Verified())
			}

			tc.end(i)
			if err := g.Step(t.Context()); err != nil {
				t.Fatal(err)
			}
			if _, err := g.Check(t.Context(), text); !errors.Is(err, tc.want) || g.Verified() != 0 {
				t.Errorf("Check = %v, and %d proofs are kept", err, g.Verified())
			}
		})
	}
}

func TestAFloodOfUnknownKeysAsksOnce(t *testing.T) {
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

	flood := func() (bad, cannotTell int) {
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
					cannotTell++
				default:
					t.Errorf("Check = %v", err)
				}
			})
		}

		wg.Wait()

		return bad, cannotTell
	}

	for n := range 3 {
		if err := g.Step(t.Context()); err != nil {
			t.Fatal(err)
		}
		if bad, unknown := flood(); bad != 200 || unknown != 0 {
			t.Errorf("%d are bad, of %d it cannot be told; want 200 and 0", bad, unknown)
		}

		got := i.count(pathJWKS) - before
		if got != n+1 {
			t.Errorf("after flood %d the keys were asked for %d times", n+1, got)
		}

		i.clock.Add(guard.UnknownKeyInterval)
	}

	// In the window after a look: a token that says that it is newer is not called bad.
	i.clock.Add(-time.Second)
	_, err := g.Check(t.Context(), forged(1, i.clock.Now()))
	if wait, ok := jeton.RetryAfter(err); !errors.Is(err, jeton.ErrUnavailable) || !ok || wait != time.Second {
		t.Errorf("Check of a newer one = %v (retry after %v), want ErrUnavailable and 1s", err, wait)
	}

	// And the good one passes through it all.
	if _, err := g.Check(t.Context(), i.token(nil)); err != nil {
		t.Error(err)
	}
}

func TestANewKeyIsFoundAtOnce(t *testing.T) {
	i := newIssuer(t)
	g := i.guard()
	next := newSigner(t)
	i.publish(i.key.Key(), next.Key())
	text := i.signed(next, map[string]any{"alg": "EdDSA", "typ": "at+jwt", "kid": next.Key().ID}, nil)
	if _, err := g.Check(t.Context(), text); err != nil {
		t.Errorf("signed by the next key: %v", err)
	}

	if _, err := g.Check(t.Context(), i.token(nil)); err != nil {
		t.Errorf("signed by the old key: %v", err)
	}
}

// Tokens of a new key that come while the issuer is being asked wait for its answer.
func TestAllWhoNeedANewKeyWaitForOneAnswer(t *testing.T) {
	i := newIssuer(t)
	g := i.guard()
	next := newSigner(t)
	i.publish(next.Key())
	asked, answer := make(chan struct{}), make(chan struct{})
	i.answer(pathJWKS, func(w http.ResponseWriter, r *http.Request) {
		close(asked) // a second question is a panic, and no answer
		<-answer
		i.serveDefault(w, r)
	})

	text := i.signed(next, map[string]any{"alg": "EdDSA", "typ": "at+jwt", "kid": next.Key().ID}, nil)
	// The one who asks goes away; the others are answered nevertheless.
	gone, leave := context.WithCancel(t.Context())
	var first, others, begun sync.WaitGroup
	first.Go(func() { _, _ = g.Check(gone, text) })
	<-asked

	leave()
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
	if _, err := g.Check(gone, text); !errors.Is(err, jeton.ErrUnavailable) {
		t.Errorf("one who does not wait: %v, want ErrUnavailable", err)
	}

	close(answer)
	others.Wait()
	first.Wait()
}

// The reason that a look fails is the issuer's, not the token's.
func TestAnUnknownKeyWhileTheIssuerIsAway(t *testing.T) {
	i := newIssuer(t)
	g := i.guard()
	i.answer(pathJWKS, says(500, ""))
	text := i.signed(i.key, map[string]any{
		"alg": "EdDSA",
		"typ": "at+jwt",
		"kid": "new",
	}, map[string]any{"iat": noon.Add(-time.Minute).Unix()})
	for _, when := range []string{"asked", "asked just now"} {
		if _, err := g.Check(t.Context(), text); !errors.Is(err, jeton.ErrUnavailable) {
			t.Errorf("%s: %v, want ErrUnavailable", when, err)
		}
	}
}

func TestAKeyThatHasLeftChecksNoMore(t *testing.T) {
	i := newIssuer(t)
	g := i.guard()
	seen, unseen := i.token(nil), i.token(map[string]any{"jti": "t_2"})
	if _, err := g.Check(t.Context(), seen); err != nil {
		t.Fatal(err)
	}

	late := g.AddAgain(seen)
	i.publish(newSigner(t).Key())
	i.clock.Add(149 * time.Second)

	if err := g.Step(t.Context()); err != nil || i.count(pathJWKS) != 1 {
		t.Fatalf("before half of max-age: %v, asked %d times", err, i.count(pathJWKS))
	}
	if _, err := g.Check(t.Context(), seen); err != nil {
		t.Errorf("while the copy is good: %v", err)
	}

	i.clock.Add(time.Second)
	if err := g.Step(t.Context()); err != nil || i.count(pathJWKS) != 2 {
		t.Fatalf("at half of max-age: %v, asked %d times", err, i.count(pathJWKS))
	}

	for name, text := range map[string]string{"seen before": seen, "never seen": unseen} {
		if _, err := g.Check(t.Context(), text); !errors.Is(err, jeton.ErrBadCredential) {
			t.Errorf("%s: %v, want ErrBadCredential", name, err)
		}
	}

	n := g.Verified()
	if n != 0 {
		t.Errorf("%d proofs of a key that has left are kept", n)
	}

	late()
	if _, err := g.Check(t.Context(), seen); !errors.Is(err, jeton.ErrBadCredential) {
		t.Errorf("proved as the key left: %v, want ErrBadCredential", err)
	}
}

// A kid that is used again for another key does not make old proofs good.
func TestAnotherKeyOfTheSameName(t *testing.T) {
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
