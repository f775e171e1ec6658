package guard_test

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/guard"
	"github.com/jeton-auth/jeton/internal/jose"
)

// requestHash returns the claim req of an assertion.
func requestHash(method, path string) string {
	sum := sha256.Sum256([]byte(method + " " + path))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// assertion signs the claims of a valid assertion for GET /a%2Fb with changes.
func (i *issuer) assertion(by *jose.Signer, change map[string]any) string {
	now := i.clock.Now()
	claims := map[string]any{
		"sub":    "diane",
		"kind":   "user",
		"groups": []string{"sales", "staff"},
		"name":   "Diane Doe",
		"email":  "diane@example.org",
		"req":    requestHash("GET", "/a%2Fb"),
		"exp":    now.Add(time.Minute).Unix(),
	}
	for _, absent := range []string{"client_id", "jti", "gen", "scope", "nbf"} {
		claims[absent] = nil
	}
	for name, value := range change {
		claims[name] = value
	}

	typ := "jeton-assertion+jwt"
	if t, ok := claims["typ"].(string); ok {
		typ = t
		delete(claims, "typ")
	}

	return i.signed(by, map[string]any{"alg": "EdDSA", "typ": typ, "kid": by.Key().ID}, claims)
}

// asserted is the request GET /a%2Fb?q=1 with an assertion and further headers, names and values in turn.
func asserted(text string, header ...string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/a%2Fb?q=1", nil)
	if text != "" {
		r.Header.Set(guard.HeaderAssertion, text)
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header[header[i]] = append(r.Header[header[i]], header[i+1])
	}

	return r
}

func TestOnlyRequestsThatJetonAdmittedAreAccepted(t *testing.T) {
	i := newIssuer(t)
	g := i.guard()
	at := func(change map[string]any) string { return i.assertion(i.key, change) }
	good := at(nil)
	open := at(map[string]any{
		"sub":    nil,
		"kind":   nil,
		"groups": nil,
		"name":   nil,
		"email":  nil,
	})

	for _, tc := range []struct {
		name string
		r    *http.Request
		want string // in the reason; "": accepted
	}{
		{"a valid one", asserted(good), ""},
		{"with the headers", asserted(good, "Remote-User", "diane", "Remote-Groups", "sales,staff"), ""},
		{"of an open route", asserted(open, "Remote-User", "", "Remote-Email", ""), ""},

		{"none", asserted(""), "sent 0 times"},
		{"two", asserted(good, guard.HeaderAssertion, good), "sent 2 times"},
		{"no JWT", asserted("x"), "malformed"},
		{"an access token", asserted(i.token(nil)), "type"},
		{"an access token for this request", asserted(at(map[string]any{"typ": "at+jwt"})), "type"},
		{"another issuer", asserted(at(map[string]any{"iss": "https://other.example"})), "issuer"},
		{"another service", asserted(at(map[string]any{"aud": "ledger"})), "audience"},
		{"a key of another", asserted(i.assertion(newSigner(t), map[string]any{"iat": noon.Unix() - 9})), "not a key"},
		{"another path", asserted(at(map[string]any{"req": requestHash("GET", "/a/b")})), "another method or path"},
		{"another method", asserted(at(map[string]any{"req": requestHash("POST", "/a%2Fb")})), "another method or"},
		{"no request", asserted(at(map[string]any{"req": nil})), "another method or path"},
		{"61 seconds", asserted(at(map[string]any{"exp": noon.Unix() + 61})), "exp or iat"},
		{"no expiry", asserted(at(map[string]any{"exp": nil})), "exp or iat"},
		{"of the future", asserted(at(map[string]any{"iat": noon.Unix() + 1})), "in the future"},
		{"expired", asserted(at(map[string]any{"iat": noon.Unix() - 60, "exp": noon.Unix()})), "valid until"},
		{"a name without a kind", asserted(at(map[string]any{"kind": nil})), "sub and kind"},
		{"another user in the header", asserted(good, "Remote-User", "eve"), "Remote-User does not agree"},
		{"another user, too", asserted(good, "Remote-User", "diane", "Remote-User", "eve"), "does not agree"},
		{"another user with an underscore", asserted(good, "Remote_user", "eve"), "Remote_user does not agree"},
		{"fewer groups", asserted(good, "Remote-Groups", "sales"), "Remote-Groups does not agree"},
		{"a user on an open route", asserted(open, "Remote-User", "eve"), "Remote-User does not agree"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, err := g.CheckAssertion(tc.r)
			if tc.want != "" {
				if jeton.Outcome(err) != jeton.ErrForbidden || !strings.Contains(err.Error(), tc.want) {
					t.Errorf("CheckAssertion = %v, want ErrForbidden with %q", err, tc.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if tc.r.Header.Get(guard.HeaderAssertion) == open && !c.Principal.IsZero() {
				t.Errorf("the caller is %+v, want none", c)
			}
		})
	}
}

func TestTheHandlerGetsTheCaller(t *testing.T) {
	i := newIssuer(t)
	g := i.guard()
	var got guard.Caller
	h := g.RequireAssertion(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		got, _ = guard.CallerFrom(r.Context())
	}))

	w := httptest.NewRecorder()
	h.ServeHTTP(w, asserted(i.assertion(i.key, map[string]any{
		"scope":     "write read",
		"amr":       []string{"pwd", "otp", "mfa"},
		"acr":       "https://refeds.org/profile/mfa",
		"auth_time": noon.Unix(),
	})))
	p := got.Principal
	if w.Code != http.StatusOK || p.Kind != jeton.KindUser || p.Name != "diane" ||
		!slices.Equal(p.Groups, []string{"sales", "staff"}) || !slices.Equal(p.Scopes, []string{"read", "write"}) ||
		got.Name != "Diane Doe" || got.Email != "diane@example.org" {
		t.Errorf("got %d and %+v, want 200 and diane with groups, scopes, name and address", w.Code, got)
	}
	if !slices.Equal(got.AMR, []string{"pwd", "otp", "mfa"}) || got.ACR != "https://refeds.org/profile/mfa" ||
		!got.AuthTime.Equal(noon) {
		t.Errorf("got %+v, want two factors at %v", got, noon)
	}

	w = httptest.NewRecorder()
	h.ServeHTTP(w, asserted(""))
	if w.Code != http.StatusForbidden || len(challenges(w.Header())) > 0 {
		t.Errorf("without one: got %d with %q, want 403 without a challenge", w.Code, w.Header())
	}
}

// TestAnAssertionByANewKeyIsAccepted rotates the keys of the issuer: the guard fetches those that it does not know.
func TestAnAssertionByANewKeyIsAccepted(t *testing.T) {
	i := newIssuer(t)

	if _, err := i.emptyGuard().CheckAssertion(asserted(i.assertion(i.key, nil))); jeton.Outcome(err) !=
		jeton.ErrUnavailable {
		t.Errorf("before the keys are known: got %v, want ErrUnavailable", err)
	}

	g := i.guard()
	next := newSigner(t)
	i.publish(i.key.Key(), next.Key())
	if _, err := g.CheckAssertion(asserted(i.assertion(next, nil))); err != nil {
		t.Errorf("by the next key: got %v, want it accepted", err)
	}

	i.publish(next.Key())
	i.clock.Add(time.Hour)
	if err := g.Step(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := g.CheckAssertion(asserted(i.assertion(i.key, nil))); jeton.Outcome(err) != jeton.ErrForbidden {
		t.Errorf("by a withdrawn key: got %v, want ErrForbidden", err)
	}
}
