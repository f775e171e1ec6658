package oauth_test

import (
	"crypto/rand"
	"encoding/json"
	"log/slog"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jeton-auth/jeton/internal/jose"
	"github.com/jeton-auth/jeton/internal/keys"
	"github.com/jeton-auth/jeton/internal/store/sqlite"
	"github.com/jeton-auth/jeton/jetontest"
)

// signer returns the key that signs the access tokens of a stopped server.
func (f *fixture) signer() *jose.Signer {
	f.t.Helper()
	f.Stop()
	db, err := sqlite.Open(f.t.Context(), sqlite.Config{Path: filepath.Join(f.Dir(), "jeton.db")})
	if err != nil {
		f.t.Fatal(err)
	}
	defer db.Close()

	secret, err := keys.LoadSecret(filepath.Join(f.Dir(), "keys.secret"))
	if err != nil {
		f.t.Fatal(err)
	}

	needs := keys.Needs{Pairs: []keys.Pair{{Kind: keys.Access, Alg: jose.EdDSA}}, Keep: time.Hour}
	ring, err := keys.New(keys.Config{
		Store:  db,
		Secret: secret,
		Now:    f.clock.now,
		Log:    slog.New(slog.DiscardHandler),
		Keep:   needs.Keep,
	})
	if err == nil {
		err = ring.Configure(f.t.Context(), needs)
	}

	if err != nil {
		f.t.Fatal(err)
	}

	signing, err := ring.Signer(keys.Access, jose.EdDSA)
	if err != nil {
		f.t.Fatal(err)
	}

	return signing.Signer
}

// payload returns the claims of a JWT.
func payload(t *testing.T, text string) map[string]any {
	t.Helper()
	var claims map[string]any

	d := json.NewDecoder(strings.NewReader(unb64(t, strings.Split(text, ".")[1])))
	d.UseNumber()

	if err := d.Decode(&claims); err != nil {
		t.Fatal(err)
	}

	return claims
}

// TestOneKindIsNotAnother sends every kind of credential to every endpoint. Only the
// endpoints that it was issued for accept it.
func TestOneKindIsNotAnother(t *testing.T) {
	f := newFixture(t, many)
	ci, holder := f.client("ci"), f.client("holder")
	f.AddUser("diane", "password-of-diane")
	_, session, _ := strings.Cut(f.Enter("uncounted", "diane", "password-of-diane"), "=")
	secret := f.secret("ci")

	own := f.signer()
	f.restart()
	genuine := payload(t, f.Token(ci, "audience", "reports"))

	ourJWT := func(typ string, changes map[string]any) func() string {
		return func() string {
			claims := with(with(genuine, map[string]any{"jti": "t_" + rand.Text()}), changes)
			return signed(t, own, object(t, map[string]any{
				"alg": "EdDSA",
				"kid": own.Key().ID,
				"typ": typ,
			}), object(t, claims))
		}
	}

	typed := func(typ string) func() string {
		return func() string { return ci.Assertion(typ, f.claims(ci)) }
	}

	issued := func(service string) func() string {
		return func() string { return f.Token(ci, "audience", service) }
	}

	fixed := func(s string) func() string { return func() string { return s } }
	proofKey := newSigner(t, "EdDSA", "fresh")

	possession := func() string {
		return jetontest.Key{Client: "ci", Signer: proofKey}.Assertion("key-possession+jwt", f.claims(ci))
	}

	basic := func(name, secret string) string {
		r, _ := http.NewRequest("GET", "/", nil)
		r.SetBasicAuth(name, secret)
		return r.Header.Get("Authorization")
	}

	endpoints := map[string]func(credential string) bool{
		"bearer at reports":   func(c string) bool { return f.bearer("reports", "/who", c).Status == 200 },
		"bearer at opaque":    func(c string) bool { return f.bearer("opaque", "/who", c).Status == 200 },
		"bearer at uncounted": func(c string) bool { return f.bearer("uncounted", "/who", c).Status == 200 },
		"cookie at uncounted": func(c string) bool {
			return f.Ask("GET", "uncounted", "/who", "Cookie", "jeton="+c).Status == 200
		},
		"body at lesson": func(c string) bool {
			return f.Send(f.plain, "POST", f.URL("lesson")+"/who", c).Status == 200
		},
		"login at lesson": func(c string) bool {
			return f.Send(f.plain, "POST", f.URL("lesson")+"/assert", c).Status == 200
		},
		"secret in the form": func(c string) bool {
			return f.Post(
				"/oauth2/token", "grant_type", grantClient, "client_id", "ci", "client_secret", c,
				"audience", "reports",
			).Status == 200
		},
		"secret in Basic": func(c string) bool {
			return f.Send(
				f.plain, "POST", f.Issuer()+"/oauth2/token",
				"grant_type=client_credentials&audience=reports",
				"Content-Type", "application/x-www-form-urlencoded", "Authorization", basic("ci", c),
			).Status == 200
		},
		"bearer at the token endpoint": func(c string) bool {
			return f.Send(
				f.plain, "POST", f.Issuer()+"/oauth2/token",
				"grant_type=client_credentials&audience=reports",
				"Content-Type", "application/x-www-form-urlencoded", "Authorization", "Bearer "+c,
			).Status == 200
		},
		"client assertion": func(c string) bool { return f.show(ways[0], c).Status == 200 },
		"grant":            func(c string) bool { return f.show(ways[1], c).Status == 200 },
		"client assertion at introspection": func(c string) bool {
			return f.Post(
				"/oauth2/introspect", "token", "x", "client_assertion", c, "client_assertion_type",
				assertionType,
			).Status == 200
		},
		"proof of a new key": func(c string) bool {
			return f.called(
				"/oauth2/keys", ci, "", "key", string(proofKey.Key().PEM()), "kid", "fresh", "proof", c,
			).Status == 201
		},
		"looked up": func(c string) bool { return f.active(holder, c) },
	}

	const (
		secretForm  = "secret in the form"
		secretBasic = "secret in Basic"
		client      = "client assertion"
		grant       = "grant"
		atLookup    = "client assertion at introspection"
		lesson      = "login at lesson"
	)
	for _, kind := range []struct {
		name  string
		make  func() string
		opens []string
	}{
		{"an access token", issued("reports"), []string{"bearer at reports", "looked up"}},
		{"an access token for another service", issued("uncounted"), []string{"bearer at uncounted", "looked up"}},
		{"an access token for the lesson", issued("lesson"), []string{"body at lesson", "looked up"}},
		{"an opaque token", issued("opaque"), []string{"bearer at opaque", "looked up"}},
		{"the secret of a session", fixed(session), []string{"cookie at uncounted"}},
		{"a client's secret", fixed(secret), []string{secretForm, secretBasic}},
		{"a client assertion", typed("client-authentication+jwt"), []string{client, atLookup, lesson}},
		{"an assertion as a grant", typed("authorization-grant+jwt"), []string{grant}},
		{"a proof of possession by a key of the client", typed("key-possession+jwt"), nil},
		{"an assertion of the type of access tokens", typed("at+jwt"), nil},
		{"the name of the client", fixed("ci"), nil},
		{"an accessor", fixed(genuine["jti"].(string)), nil},
		{"signed by our key as an access token", ourJWT("at+jwt", nil), []string{"bearer at reports", "looked up"}},
		{
			"the same, its type spelled out",
			ourJWT("application/AT+JWT", nil),
			[]string{"bearer at reports", "looked up"},
		},
		{"signed by our key as an ID token", ourJWT("JWT", map[string]any{"aud": "ci", "nonce": "n"}), nil},
		{"an access token of typ JWT", ourJWT("JWT", nil), nil},
		{"an access token of typ logout+jwt", ourJWT("logout+jwt", nil), nil},
		{
			"an access token that calls itself a client assertion",
			ourJWT("client-authentication+jwt", map[string]any{"iss": "ci", "aud": f.Issuer()}),
			nil,
		},
		{"signed by our key for another issuer", ourJWT("at+jwt", map[string]any{"iss": f.Issuer() + "/"}), nil},
		{
			"signed by our key for a service that there is not",
			ourJWT("at+jwt", map[string]any{"aud": "nowhere"}),
			nil,
		},
		{"signed by our key without iss", ourJWT("at+jwt", map[string]any{"iss": nil}), nil},
		{"signed by our key without sub", ourJWT("at+jwt", map[string]any{"sub": nil}), nil},
		{"signed by our key without aud", ourJWT("at+jwt", map[string]any{"aud": nil}), nil},
		{"signed by our key without exp", ourJWT("at+jwt", map[string]any{"exp": nil}), nil},
		{"signed by our key without nbf", ourJWT("at+jwt", map[string]any{"nbf": nil}), nil},
		{"signed by our key without iat", ourJWT("at+jwt", map[string]any{"iat": nil}), nil},
		{"signed by our key without jti", ourJWT("at+jwt", map[string]any{"jti": nil}), nil},
		{"signed by our key without client_id", ourJWT("at+jwt", map[string]any{"client_id": nil}), nil},
		{"signed by our key with another client_id", ourJWT("at+jwt", map[string]any{"client_id": "holder"}), nil},
		{"signed by our key without gen", ourJWT("at+jwt", map[string]any{"gen": nil}), nil},
		{"signed by our key for an unknown generation", ourJWT("at+jwt", map[string]any{"gen": "c1.99"}), nil},
		{
			"signed by our key with another client's generation",
			ourJWT("at+jwt", map[string]any{"sub": "holder"}),
			nil,
		},
		{"signed by our key for an unknown client", ourJWT("at+jwt", map[string]any{"sub": "unknown"}), nil},
		{"signed by our key as counted, without a counter", ourJWT("at+jwt", map[string]any{"max_uses": 9}), nil},
	} {
		t.Run(kind.name, func(t *testing.T) {
			for name, accepts := range endpoints {
				got, want := accepts(kind.make()), slices.Contains(kind.opens, name)
				if got != want {
					t.Errorf("%s: accepted %t, want %t", name, got, want)
				}
			}
		})
	}

	t.Run("a proof of possession", func(t *testing.T) {
		for name, accepts := range endpoints {
			if name == "proof of a new key" {
				continue
			}
			if accepts(possession()) {
				t.Errorf("%s accepts it, want a refusal", name)
			}
		}

		if !endpoints["proof of a new key"](possession()) {
			t.Error("proof of a new key refused, want it accepted")
		}
	})

	t.Run("a token that has no key's name", func(t *testing.T) {
		text := signed(t, own, `{"alg":"EdDSA","typ":"at+jwt"}`, object(t, genuine))
		if f.bearer("reports", "/who", text).Status != 401 || f.active(holder, text) {
			t.Error("accepted, want a refusal")
		}
	})
}
