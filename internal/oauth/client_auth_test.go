package oauth_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/api"
	"github.com/jeton-auth/jeton/jetontest"
)

func basicOf(pair string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(pair))
}

// TestBasic sends headers with a client's name and secret, right and nearly right.
func TestBasic(t *testing.T) {
	f := newFixture(t, many)
	f.client("ci")
	secret := f.secret("ci")

	encoded := func(text string) string {
		var b strings.Builder
		for i := range len(text) {
			fmt.Fprintf(&b, "%%%02X", text[i])
		}
		return b.String()
	}

	right := base64.StdEncoding.EncodeToString([]byte("ci:" + secret))
	for _, tc := range []struct {
		name string
		line string
		ok   bool
	}{
		{"valid", "Basic " + right, true},
		{"the scheme in small letters", "basic " + right, true},
		{"the scheme in mixed letters", "bAsIc " + right, true},
		// Name and secret are form-encoded before base64 (RFC 6749, section 2.3.1).
		{"a name that is form-encoded", basicOf("%63i:" + secret), true},
		{"all of it form-encoded", basicOf(encoded("ci") + ":" + encoded(secret)), true},
		{"spaces after the scheme", "Basic   " + right, true},
		{"encoded twice", basicOf(encoded(encoded("ci")) + ":" + secret), false},
		{"a broken percent sign", basicOf("ci:" + secret + "%"), false},
		{"the colon form-encoded", basicOf("ci%3A" + secret), false},
		{"no colon", basicOf("ci" + secret), false},
		{"no secret", basicOf("ci:"), false},
		{"no name", basicOf(":" + secret), false},
		{"neither", basicOf(":"), false},
		{"nothing", "Basic ", false},
		{"the scheme alone", "Basic", false},
		{"another scheme", "Bearer " + right, false},
		{"no scheme", right, false},
		{"a tab for the space", "Basic\t" + right, false},
		{"no base64", "Basic ci:" + secret, false},
		{
			"base64 that is not canonical",
			"Basic " + strings.TrimRight(right, "=") + "=",
			strings.HasSuffix(right, "=") && !strings.HasSuffix(right, "=="),
		},
		{"something behind it", "Basic " + right + " x", false},
		{"a colon more", basicOf("ci:" + secret + ":"), false},
		{"a NUL behind the name", basicOf("ci\x00:" + secret), false},
		{"a NUL behind the secret", basicOf("ci:" + secret + "\x00"), false},
		{"a space behind the secret", basicOf("ci:" + secret + " "), false},
		{"a line break behind the secret", basicOf("ci:" + secret + "\n"), false},
		{"the name in capitals", basicOf("CI:" + secret), false},
		{"the secret in capitals", basicOf("ci:" + strings.ToUpper(secret)), false},
		{"all but the last character", basicOf("ci:" + secret[:len(secret)-1]), false},
		{"bytes that are no text", basicOf("ci\xff:" + secret), false},
		{"10 KiB", basicOf("ci:" + strings.Repeat("x", 10<<10)), false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := f.on(t)
			for path, body := range map[string]string{
				"/oauth2/token":      "grant_type=client_credentials&audience=opaque",
				"/oauth2/introspect": "token=x",
				"/oauth2/revoke":     "token=x",
			} {
				a := f.post(path, body, "Authorization", tc.line)
				if tc.ok {
					if a.Status != 200 {
						t.Errorf("%s: got %d %s, want 200", path, a.Status, a.Body)
					}
					continue
				}

				bare(t, a, 401, "invalid_client")
				got := a.Header.Get("Www-Authenticate")
				if got != `Basic realm="issuer", charset="UTF-8"` {
					t.Errorf("%s: challenge %q, want Basic of the issuer", path, got)
				}
			}
		})
	}

	t.Run("two headers", func(t *testing.T) {
		bare(
			t,
			f.on(t).post(
				"/oauth2/token", "grant_type=client_credentials", "Authorization", "Basic "+right,
				"Authorization", "Basic "+right,
			),
			401,
			"invalid_client",
		)
	})
}

// TestUnknownClientsAreAnsweredAsKnownOnes compares the answers to wrong credentials.
func TestUnknownClientsAreAnsweredAsKnownOnes(t *testing.T) {
	f := newFixture(t, many)
	ci, off := f.client("ci"), f.client("disabled")
	secret, ofOff := f.secret("ci"), f.secret("disabled")
	f.MustControl("PUT", "/api/v1/clients/disabled/disabled", map[string]bool{"disabled": true}, nil)
	f.MustControl("POST", "/api/v1/clients", api.NewClient{Name: "bare", Services: []string{"reports"}}, nil)

	says := func(a jetontest.Answer) string {
		h := a.Header.Clone()
		for _, name := range []string{"Date", jeton.HeaderRequestID} {
			h.Del(name)
		}
		return fmt.Sprint(a.Status, a.Body, h)
	}

	unknown := jetontest.Key{Client: "unknown", Signer: ci.Signer}
	another := jetontest.Key{Client: "ci", Signer: off.Signer}

	for what, ask := range map[string]func(name, secret string) jetontest.Answer{
		"form": func(name, secret string) jetontest.Answer {
			return f.Post("/oauth2/token", "grant_type", grantClient, "client_id", name, "client_secret", secret)
		},
		"Basic": func(name, secret string) jetontest.Answer {
			return f.post("/oauth2/token", "grant_type=client_credentials", "Authorization", basicOf(name+":"+secret))
		},
		"introspection": func(name, secret string) jetontest.Answer {
			return f.Post("/oauth2/introspect", "token", "x", "client_id", name, "client_secret", secret)
		},
	} {
		want := says(ask("unknown", secret))
		for name, a := range map[string]jetontest.Answer{
			"a wrong secret":             ask("ci", "wrong"),
			"a secret of the right form": ask("ci", ofOff),
			"a disabled client":          ask("disabled", ofOff),
			"a client without one":       ask("bare", "wrong"),
			"a name that is not allowed": ask("u n k n o w n", "wrong"),
			"a long name":                ask(strings.Repeat("n", 5000), "wrong"),
		} {
			if got := says(a); got != want {
				t.Errorf("%s, %s: got %s, want as for an unknown client: %s", what, name, got, want)
			}
		}
	}

	for _, w := range ways {
		want := says(f.show(w, f.right(unknown)))
		for name, a := range map[string]jetontest.Answer{
			"a wrong signature":      f.show(w, f.right(another)),
			"a disabled client":      f.show(w, f.right(off)),
			"no JWT":                 f.show(w, "x"),
			"a client without a key": f.show(w, f.right(jetontest.Key{Client: "bare", Signer: ci.Signer})),
			"a claim that is wrong":  f.show(w, f.sign(t, ci, f.claims(ci), claim("aud", "x"))),
		} {
			if got := says(a); got != want {
				t.Errorf("%s, %s: got %s, want as for an unknown client: %s", w.name, name, got, want)
			}
		}
	}
}

// TestSecretsOfClients checks that a secret is refused once it is replaced or removed.
func TestSecretsOfClients(t *testing.T) {
	f := newFixture(t, many)
	f.client("ci")

	try := func(secret string) int {
		return f.Post(
			"/oauth2/token", "grant_type", grantClient, "audience", "reports", "client_id", "ci",
			"client_secret", secret,
		).Status
	}

	first := f.secret("ci")
	if got := try(first); got != http.StatusOK {
		t.Errorf("the first: %d, want 200", got)
	}

	second := f.secret("ci")
	if a, b := try(first), try(second); a != 401 || b != 200 {
		t.Errorf("after a new one, the first: %d, the second: %d; want 401, 200", a, b)
	}

	f.MustControl("DELETE", "/api/v1/clients/ci/secret", nil, nil)
	if got := try(second); got != 401 {
		t.Errorf("after the secret was removed: %d, want 401", got)
	}

	f.restart()
	if a, b := try(first), try(second); a != 401 || b != 401 {
		t.Errorf("after a restart: %d, %d; want 401 for both", a, b)
	}
}
