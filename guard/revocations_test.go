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

// accepts reports what comes of a right token.
func accepts(t *testing.T, i *issuer, g *guard.Guard) error {
	t.Helper()
	_, err := g.Check(t.Context(), i.token(nil))
	return err
}

func TestNobodyIsLetInBeforeTheFirstWord(t *testing.T) {
	i := newIssuer(t)
	g := i.fresh()
	for name, text := range map[string]string{"right": i.token(nil), "wrong": "x", "opaque": "jtn_a_0"} {
		if _, err := g.Check(t.Context(), text); !errors.Is(err, jeton.ErrUnavailable) {
			t.Errorf("a %s token: %v, want ErrUnavailable", name, err)
		}
	}

	i.answer(pathVoid, says(500, ""))
	if err := g.Step(t.Context()); err == nil {
		t.Error("a list that cannot be had is no error")
	}
	if err := accepts(t, i, g); !errors.Is(err, jeton.ErrUnavailable) || !errors.Is(g.Ready(), jeton.ErrUnavailable) {
		t.Errorf("with keys and without the list: %v, Ready = %v", err, g.Ready())
	}

	i.answer(pathVoid, nil)
	if err := g.Step(t.Context()); err != nil || g.Ready() != nil || accepts(t, i, g) != nil {
		t.Errorf("with both: %v, Ready = %v, Check = %v", err, g.Ready(), accepts(t, i, g))
	}
}

func TestNothingHeardForLongerThanTheBound(t *testing.T) {
	i := newIssuer(t)
	g := i.guard(func(c *guard.Config) { c.Bound = 9 * time.Second })
	i.answer(pathVoid, says(503, ""))
	i.clock.Add(9 * time.Second)

	if err := g.Step(t.Context()); err == nil {
		t.Error("a list that cannot be had is no error")
	}
	if err := accepts(t, i, g); err != nil {
		t.Errorf("at the bound: %v", err)
	}

	i.clock.Add(1)
	err := accepts(t, i, g)
	if wait, ok := jeton.RetryAfter(err); !errors.Is(err, jeton.ErrUnavailable) || !ok || wait != 3*time.Second {
		t.Errorf("beyond it: %v, retry after %v; want ErrUnavailable and 3s", err, wait)
	}

	if _, err := g.Check(t.Context(), i.token(map[string]any{"aud": "other"})); !errors.Is(err, jeton.ErrUnavailable) {
		t.Errorf("a token for others: %v, want ErrUnavailable: nobody is told that theirs is bad", err)
	}

	i.answer(pathVoid, nil)
	if err := g.Step(t.Context()); err != nil || accepts(t, i, g) != nil {
		t.Errorf("when it is back: %v, %v", err, accepts(t, i, g))
	}
}

// An answer that was long on its way tells of when it was asked for, and of no later time.
func TestWhatCountsIsWhenTheQuestionWasSent(t *testing.T) {
	i := newIssuer(t)
	g := i.guard()
	i.answer(pathVoid, func(w http.ResponseWriter, r *http.Request) {
		i.serveDefault(w, r)
		i.clock.Add(4 * time.Second)
	})

	if err := g.Step(t.Context()); err != nil {
		t.Fatal(err)
	}

	i.clock.Set(noon.Add(10 * time.Second))
	if err := accepts(t, i, g); err != nil {
		t.Errorf("ten seconds after the question: %v", err)
	}

	i.clock.Add(1)
	if err := accepts(t, i, g); !errors.Is(err, jeton.ErrUnavailable) {
		t.Errorf("a moment later: %v, want ErrUnavailable", err)
	}
}

// A revocation that was answered while the last question was on its way is known when the
// bound is over, or nobody is let in: the worst moment for it.
func TestTheBoundHoldsInTheWorstMoment(t *testing.T) {
	i := newIssuer(t)
	g := i.guard(func(c *guard.Config) { c.Bound = 9 * time.Second })
	i.revoke(1, "jti:t_1") // answered at noon, just after the list was read at noon

	for at := time.Duration(0); at <= 9*time.Second; at += 3 * time.Second {
		i.clock.Set(noon.Add(at))
		if at == 3*time.Second || at == 6*time.Second {
			i.answer(pathVoid, says(500, "")) // two answers in a row are lost
		} else {
			i.answer(pathVoid, nil)
		}

		if at > 0 {
			_ = g.Step(t.Context())
		}
	}

	if err := accepts(t, i, g); !errors.Is(err, jeton.ErrBadCredential) {
		t.Errorf("at the bound: %v, want ErrBadCredential", err)
	}
}

func TestAnAnswerThatIsNoListIsNotBelieved(t *testing.T) {
	right := strings.Repeat("A", 43)
	for name, odd := range map[string]http.HandlerFunc{
		"huge": says(
			200,
			`{"next":0,"more":false,"void":[]}`+strings.Repeat(" ", guard.MaxBody),
		),
		"not JSON":                    says(200, "<html>all is well</html>"),
		"nothing":                     says(200, ""),
		"cut":                         says(200, `{"next":0,"more":false,"void":[`),
		"something behind it":         says(200, `{"next":0,"more":false,"void":[]} {}`),
		"an object of others":         says(200, `{"error":"none"}`),
		"no next":                     says(200, `{"more":false,"void":[]}`),
		"no void":                     says(200, `{"next":0,"more":false}`),
		"void is null":                says(200, `{"next":0,"more":false,"void":null}`),
		"an entry that is too short":  says(200, `{"next":1,"more":false,"void":["AAAA"]}`),
		"an entry that is no base64":  says(200, `{"next":1,"more":false,"void":["`+strings.Repeat("?", 43)+`"]}`),
		"more lines than it counts":   says(200, `{"next":1,"more":false,"void":["`+right+`","`+right+`"]}`),
		"it goes backwards":           says(200, `{"next":-5,"more":false,"void":[]}`),
		"it goes on without a line":   says(200, `{"next":7,"more":false,"void":[]}`),
		"more of nothing":             says(200, `{"next":0,"more":true,"void":[]}`),
		"no such page":                says(404, `{"next":0,"more":false,"void":[]}`),
		"nothing is meant to be said": says(204, ""),
		"a redirect to a good answer": func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Query().Has("again") {
				_, _ = fmt.Fprint(w, `{"next":0,"more":false,"void":[]}`)
				return
			}
			http.Redirect(w, r, pathVoid+"?again", http.StatusTemporaryRedirect)
		},
	} {
		t.Run(name, func(t *testing.T) {
			i := newIssuer(t)
			g := i.guard()
			i.answer(pathVoid, odd)
			i.clock.Add(10 * time.Second)

			if err := g.Step(t.Context()); err == nil {
				t.Error("it is taken for a list")
			}
			if err := accepts(t, i, g); err != nil {
				t.Errorf("within the bound: %v", err)
			}

			i.clock.Add(1)
			if err := accepts(t, i, g); !errors.Is(err, jeton.ErrUnavailable) {
				t.Errorf("beyond the bound: %v, want ErrUnavailable", err)
			}

			i.answer(pathVoid, nil)
			if err := g.Step(t.Context()); err != nil || accepts(t, i, g) != nil {
				t.Errorf("afterwards: %v, %v", err, accepts(t, i, g))
			}
		})
	}
}

func TestAnIssuerThatIsNotItselfIsNotBelieved(t *testing.T) {
	i := newIssuer(t)
	lie := func(name, value string) http.HandlerFunc {
		m := i.metadata()
		m[name] = value
		return says(200, string(marshal(t, m)))
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

	for _, tc := range []struct {
		name, path string
		odd        http.HandlerFunc
	}{
		{"it says that it is another", pathMetadata, lie("issuer", "https://other.example")},
		{"it says that it is itself with a slash", pathMetadata, lie("issuer", i.srv.URL+"/")},
		{"it says nothing", pathMetadata, says(200, "{}")},
		{"its keys are elsewhere", pathMetadata, lie("jwks_uri", "https://other.example/keys")},
		{
			"its keys are in the clear",
			pathMetadata,
			lie("jwks_uri", "http"+strings.TrimPrefix(i.srv.URL, "https")+pathJWKS),
		},
		{"its keys are at a host that begins like it", pathMetadata, lie("jwks_uri", i.srv.URL+"1"+pathJWKS)},
		{
			"its keys are behind a user name",
			pathMetadata,
			lie("jwks_uri", strings.Replace(i.srv.URL, "https://", "https://x@", 1)+pathJWKS),
		},
		{"its list is elsewhere", pathMetadata, lie("jeton_revocations_endpoint", "https://other.example/void")},
		{"it has no list", pathMetadata, lie("jeton_revocations_endpoint", "")},
		{"tokens are shown elsewhere", pathMetadata, lie("introspection_endpoint", "https://other.example/introspect")},
		{"a redirect", pathMetadata, http.RedirectHandler("/elsewhere", http.StatusFound).ServeHTTP},
		{"its keys: huge", pathJWKS, says(200, `{"keys":[]}`+strings.Repeat(" ", guard.MaxBody))},
		{"its keys: not JSON", pathJWKS, says(200, "keys")},
		{"its keys: a private one", pathJWKS, says(200, string(private))},
		{"its keys: none", pathJWKS, says(200, `{"keys":[]}`)},
		{
			"its keys: two of one name",
			pathJWKS,
			says(200, `{"keys":[`+string(i.key.Key().JWK())+`,`+string(i.key.Key().JWK())+`]}`),
		},
		{"its keys: not there", pathJWKS, says(404, `{"keys":[]}`)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g := i.fresh()
			i.answer(tc.path, tc.odd)
			_ = g.Step(t.Context()) // a set without a key is no error, and nobody is let in by it

			if err := accepts(t, i, g); !errors.Is(err, jeton.ErrUnavailable) {
				t.Errorf("Check = %v, want ErrUnavailable", err)
			}
			if g.Ready() == nil {
				t.Error("it says that it is ready")
			}

			i.answer(tc.path, nil)
			if err := g.Step(t.Context()); err != nil || accepts(t, i, g) != nil {
				t.Errorf("afterwards: %v, %v", err, accepts(t, i, g))
			}
		})
	}
}

func TestACopyOfTheKeysRunsOut(t *testing.T) {
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
			i.answer(pathJWKS, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Cache-Control", tc.control)
				w.Header().Set("Age", tc.age)
				_, _ = w.Write(jose.MarshalSet([]jose.Key{i.key.Key()}))
			})

			g := i.guard()
			i.answer(pathMetadata, says(500, ""))
			i.clock.Add(tc.want)
			_ = g.Step(t.Context()) // hears the list, and not the keys

			if err := accepts(t, i, g); err != nil {
				t.Errorf("as it is about to run out: %v", err)
			}

			i.clock.Add(1)
			if err := accepts(t, i, g); !errors.Is(err, jeton.ErrUnavailable) {
				t.Errorf("when it has run out: %v, want ErrUnavailable", err)
			}

			i.answer(pathMetadata, nil)
			if err := g.Step(t.Context()); err != nil || accepts(t, i, g) != nil {
				t.Errorf("afterwards: %v, %v", err, accepts(t, i, g))
			}
		})
	}
}

// isVoid reports whether the guard refuses a token of a jti.
func isVoid(t *testing.T, i *issuer, g *guard.Guard, jti string) bool {
	t.Helper()
	_, err := g.Check(t.Context(), i.token(map[string]any{"jti": jti}))
	if err != nil && !errors.Is(err, jeton.ErrBadCredential) {
		t.Fatal(err)
	}

	return err != nil
}

func TestTheListIsReadToItsEnd(t *testing.T) {
	i := newIssuer(t)
	i.revoke(5, "jti:a", "jti:b", "jti:c", "jti:d", "jti:e", "jti:f", "jti:g") // of pages of three
	g := i.guard()
	if n := g.Revoked(); n != 7 {
		t.Errorf("%d are void, want 7", n)
	}

	i.revoke(20, "jti:h")
	before := i.count(pathVoid)

	if err := g.Step(t.Context()); err != nil {
		t.Fatal(err)
	}

	for _, jti := range []string{"a", "g", "h"} {
		if !isVoid(t, i, g, jti) {
			t.Errorf("%s is not void", jti)
		}
	}

	if isVoid(t, i, g, "i") {
		t.Error("i is void")
	}
	if n := i.count(pathVoid) - before; n != 1 {
		t.Errorf("one new line took %d questions", n)
	}
}

// The server's store is put back to an older state, and its lines count from there anew.
func TestAListThatBeginsAnew(t *testing.T) {
	sum := func(i *issuer, what ...string) []line {
		old := i.lines
		i.lines = nil
		i.revoke(1, what...)
		lines := i.lines
		i.lines = old

		return lines
	}

	for _, tc := range []struct {
		name string
		then []string // what the list has afterwards, from line 1 on
	}{
		{"and is shorter", []string{"jti:a", "jti:x"}},
		{"and is as long", []string{"jti:a", "jti:b", "jti:x"}},
		{"and is longer", []string{"jti:a", "jti:b", "jti:y", "jti:z", "jti:x"}},
		{"and is empty", nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			i := newIssuer(t)
			i.revoke(1, "jti:a", "jti:b", "jti:c")
			g := i.guard()
			i.setLines(sum(i, tc.then...))

			if err := g.Step(t.Context()); err != nil {
				t.Fatal(err)
			}
			if len(tc.then) > 0 && !isVoid(t, i, g, "x") {
				t.Error("what was revoked after the beginning is not void")
			}
			if !isVoid(t, i, g, "c") {
				t.Error("what was void before is not void any more")
			}

			i.revoke(50, "jti:w")
			if err := g.Step(t.Context()); err != nil || !isVoid(t, i, g, "w") {
				t.Errorf("afterwards: %v; w is void: %v", err, isVoid(t, i, g, "w"))
			}
		})
	}
}

// The server forgets lines, too: the one that was read last is not there any more.
func TestVoidIsRememberedForAsLongAsItMatters(t *testing.T) {
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
		if !isVoid(t, i, g, "a") {
			t.Fatalf("after %v it is forgotten, want %v at least", at, guard.KeepRevoked)
		}
	}

	i.clock.Set(noon.Add(2 * guard.KeepRevoked))
	if err := g.Step(t.Context()); err != nil || g.Revoked() != 0 {
		t.Errorf("after %v: %v, %d are remembered", 2*guard.KeepRevoked, err, g.Revoked())
	}
}

func TestAgeIsWhatEitherClockSays(t *testing.T) {
	start := time.Now()
	if got := guard.Age(start.Add(time.Second), start); got != time.Second {
		t.Errorf("after a second: %v", got)
	}
	// Without its monotonic part a time is compared by the wall clock: what is left when a
	// machine has slept is the larger of the two.
	if got := guard.Age(start.Round(0).Add(time.Hour), start); got != time.Hour {
		t.Errorf("after an hour by the wall clock: %v", got)
	}
}
