package oauth_test

import (
	"crypto/rand"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jeton-auth/jeton/internal/api"
	"github.com/jeton-auth/jeton/internal/jose"
	"github.com/jeton-auth/jeton/jetontest"
)

// draft is an assertion before it is signed.
type draft struct {
	header, claims map[string]any
	payload        string // in place of the claims
	by             *jose.Signer
	after          func(string) string // what becomes of the text
}

// wrong is an assertion that must be refused, and the reason that the operator sees.
type wrong struct {
	name  string
	make  func(d *draft)
	check string // that failed
	says  string // part of its value
}

func claim(name string, value any) func(*draft) {
	return func(d *draft) { d.claims = with(d.claims, map[string]any{name: value}) }
}

func head(name string, value any) func(*draft) {
	return func(d *draft) { d.header = with(d.header, map[string]any{name: value}) }
}

func text(change func(string) string) func(*draft) { return func(d *draft) { d.after = change } }

func become(text string) func(*draft) { return func(d *draft) { d.payload = text } }

// wrongs lists assertions of the client ci. The others are software with keys of its own.
func wrongs(f *fixture, ci, other jetontest.Key, w way) []wrong {
	now, iss := noon, f.Issuer()
	unix := func(d time.Duration) int64 { return now.Add(d).Unix() }
	attacker := newSigner(f.t, "EdDSA", signerOf(ci).Key().ID)

	part := func(i int, change func(string) string) func(string) string {
		return func(s string) string {
			parts := strings.Split(s, ".")
			parts[i] = change(parts[i])
			return strings.Join(parts, ".")
		}
	}

	flip := func(s string) string {
		if s[5] == 'A' {
			return s[:5] + "B" + s[6:]
		}
		return s[:5] + "A" + s[6:]
	}

	jti := `"jti":"` + rand.Text() + `"`
	return []wrong{
		// No JWT as we read them.
		{"no JWT at all", text(func(string) string { return "hello" }), "shape", "not header.payload.signature"},
		{
			"two parts",
			text(func(s string) string { return s[:strings.LastIndexByte(s, '.')] }),
			"shape",
			"not header.payload.signature",
		},
		{"four parts", text(func(s string) string { return s + ".x" }), "shape", "not header.payload.signature"},
		{
			"five parts, as an encrypted one has",
			text(func(s string) string { return s + ".x.x" }),
			"shape",
			"not header.payload.signature",
		},
		{"padded base64", text(func(s string) string { return s + "==" }), "shape", "signature: not base64url"},
		{
			"base64 of the other alphabet",
			text(part(2, func(string) string { return "+/+/" })),
			"shape",
			"signature: not base64url",
		},
		{
			"a line break at its end",
			text(func(s string) string { return s + "\n" }),
			"shape",
			"signature: not base64url",
		},
		{"a space before it", text(func(s string) string { return " " + s }), "shape", "header: not base64url"},
		{"the flattened JSON serialisation", text(func(s string) string {
			p := strings.Split(s, ".")
			return fmt.Sprintf(`{"protected":%q,"payload":%q,"signature":%q}`, p[0], p[1], p[2])
		}), "shape", "not header.payload.signature"},
		{"the general JSON serialisation", text(func(s string) string {
			p := strings.Split(s, ".")
			return fmt.Sprintf(`{"payload":%q,"signatures":[{"protected":%q,"signature":%q}]}`, p[1], p[0], p[2])
		}), "shape", "not header.payload.signature"},
		{"9 KiB of it", claim("pad", strings.Repeat("x", 9<<10)), "shape", "at most 8192 are read"},
		{
			"60 KiB of dots",
			text(func(string) string { return strings.Repeat(".", 60<<10) }),
			"shape",
			"at most 8192 are read",
		},
		{
			"a header that is not an object",
			text(part(0, func(string) string { return b64(`["EdDSA"]`) })),
			"shape",
			"header: not a JSON object",
		},
		{
			"a header with two algorithms",
			text(part(0, func(string) string { return b64(`{"alg":"EdDSA","alg":"none"}`) })),
			"shape",
			"a member is there twice",
		},
		{"a header without an algorithm", head("alg", nil), "shape", "no alg"},
		{"an algorithm that is a list", head("alg", []string{"EdDSA"}), "shape", "alg: not a text"},
		{"a critical extension", head("crit", []string{"exp"}), "shape", "crit: not understood"},
		{"a payload that is not base64", head("b64", false), "shape", "b64: not understood"},
		{"a kid that is a number", head("kid", 1), "shape", "kid: not a text"},
		{"an empty type", head("typ", ""), "shape", "typ: empty"},
		{"claims that are no JSON", become("claims"), "shape", "claims: not a JSON object"},
		{"claims that are a list", become("[]"), "shape", "claims: not a JSON object"},
		{
			"an issuer given twice",
			become(`{"iss":"other","iss":"ci","sub":"ci","aud":"` + iss + `","exp":1,` + jti + `}`),
			"shape",
			"a member is there twice",
		},
		{"a JWT inside of a JWT", become(f.right(ci)), "shape", "claims: not a JSON object"},
		{"exp as a text", claim("exp", fmt.Sprint(unix(time.Minute))), "shape", "claim exp: not a date"},
		{"exp before 1970", claim("exp", -1), "shape", "claim exp: not a date"},
		{"exp after the year 9999", claim("exp", 1e15), "shape", "claim exp: not a date"},
		{"iat of null", func(d *draft) {
			d.payload = strings.Replace(object(f.t, d.claims), `"iat":`+fmt.Sprint(unix(0)), `"iat":null`, 1)
		}, "shape", "claim iat: not a date"},
		{"aud as a number", claim("aud", 7), "shape", "claim aud: not a list"},
		{"aud of nothing", claim("aud", []string{}), "shape", "claim aud: empty"},
		{"aud with a number in it", claim("aud", []any{iss, 7}), "shape", "claim aud: not a text"},
		{"jti as a number", claim("jti", 7), "shape", "claim jti: not a text"},
		{"an empty issuer", claim("iss", ""), "shape", "claim iss: empty"},
		// Made for something else, or with a key of its own.
		{
			"the type of an access token",
			head("typ", "at+jwt"),
			"type",
			`typ is not that of an assertion for this purpose: at+jwt`,
		},
		{"the type of the other purpose", head("typ", w.other), "type", w.other},
		{"the type of a key possession", head("typ", "key-possession+jwt"), "type", "key-possession+jwt"},
		{"the type of DPoP", head("typ", "dpop+jwt"), "type", "dpop+jwt"},
		{"application/ twice", head("typ", "application/application/JWT"), "type", "application/application/JWT"},
		{"the Kelvin sign for a k", head("typ", "key-possession+jwt\u212a"), "type", "not that of an assertion"},
		{"its own key in the header", head("jwk", map[string]any{"kty": "OKP"}), "key source", "jwk"},
		{"an address of keys in the header", head("jku", "http://localhost/keys"), "key source", "jku"},
		{"a certificate in the header", head("x5c", []string{"MII"}), "key source", "x5c"},
		{"the address of a certificate in the header", head("x5u", "http://localhost/cert"), "key source", "x5u"},
		// Whose it is.
		{"no issuer", claim("iss", nil), "issuer", "has no iss"},
		{"an unknown issuer", claim("iss", "unknown"), "client and key", "unknown client"},
		{"the issuer in capitals", claim("iss", "CI"), "client and key", "unknown client"},
		{"an issuer with a slash behind it", claim("iss", "ci/"), "client and key", "unknown client"},
		{"an issuer with a NUL behind it", claim("iss", "ci\x00"), "client and key", "unknown client"},
		{"an issuer that is an address", claim("iss", "https://ci.example"), "client and key", "unknown client"},
		{"a disabled client", claim("iss", "disabled"), "client and key", "client is disabled"},
		{"a client without a key", claim("iss", "keyless"), "client and key", "no key with this kid"},
		{
			"a client without a key, and no kid",
			func(d *draft) { claim("iss", "keyless")(d); head("kid", nil)(d) },
			"client and key",
			"no key that is valid now",
		},
		{"an unknown kid", head("kid", "another"), "client and key", "no key with this kid"},
		{
			"the kid of another client's key",
			head("kid", signerOf(other).Key().ID),
			"client and key",
			"no key with this kid",
		},
		{
			"another client's name with our own key",
			claim("iss", other.Client),
			"client and key",
			"no key with this kid",
		},
		{
			"another client's key under its own kid",
			func(d *draft) { d.by = signerOf(other); head("kid", signerOf(other).Key().ID)(d) },
			"client and key",
			"no key with this kid",
		},
		{"a retired key", head("kid", "retired"), "client and key", "key is retired"},
		{"a key that is not valid yet", head("kid", "early"), "client and key", "key is not valid yet"},
		{"a key that has expired", head("kid", "expired"), "client and key", "key is no longer valid"},
		// The signature.
		{"the algorithm none", head("alg", "none"), "signature", "the algorithm is not that of the key"},
		{
			"the other curve of the key's algorithm",
			head("alg", "Ed448"),
			"signature",
			"the algorithm is not that of the key",
		},
		{
			"the algorithm of another kind of key",
			head("alg", "ES256"),
			"signature",
			"the algorithm is not that of the key",
		},
		{"a symmetric algorithm", head("alg", "HS256"), "signature", "the algorithm is not that of the key"},
		{"another key under the right kid", func(d *draft) { d.by = attacker }, "signature", "the signature is wrong"},
		{
			"another client's key and no kid",
			func(d *draft) { d.by = signerOf(other); head("kid", nil)(d) },
			"signature",
			"the signature is wrong",
		},
		{"no signature", text(part(2, func(string) string { return "" })), "signature", "the signature is wrong"},
		{"a signature one bit off", text(part(2, flip)), "signature", "the signature is wrong"},
		{
			"a signature that is cut short",
			text(part(2, func(s string) string { return s[:len(s)-2] })),
			"signature",
			"the signature is wrong",
		},
		{
			"other claims under the signature",
			text(part(1, func(string) string { return b64(`{"iss":"ci","sub":"ci"}`) })),
			"signature",
			"the signature is wrong",
		},
		{
			"claims that are wrong, too, under a wrong signature",
			func(d *draft) { d.by = attacker; claim("exp", 1)(d) },
			"signature",
			"the signature is wrong",
		},
		// The claims.
		{"no sub", claim("sub", nil), "sub", "has no sub"},
		{"the sub of another", claim("sub", other.Client), "sub", "sub is not iss: " + other.Client},
		{"the sub in capitals", claim("sub", "CI"), "sub", "sub is not iss: CI"},
		{"no aud", claim("aud", nil), "aud", "has no aud"},
		{"the aud of another", claim("aud", "https://other.example"), "aud", "not exactly our issuer"},
		{"the token endpoint as aud", claim("aud", iss+"/oauth2/token"), "aud", "/oauth2/token"},
		{"our issuer and a slash", claim("aud", iss+"/"), "aud", "not exactly our issuer"},
		{"our issuer in capitals", claim("aud", strings.ToUpper(iss)), "aud", "not exactly our issuer"},
		{"the beginning of our issuer", claim("aud", iss[:len(iss)-1]), "aud", "not exactly our issuer"},
		{
			"our issuer and another",
			claim("aud", []string{iss, "https://other.example"}),
			"aud",
			"https://other.example",
		},
		{"our issuer twice", claim("aud", []string{iss, iss}), "aud", "not exactly our issuer"},
		{"the name of the client as aud", claim("aud", "ci"), "aud", "not exactly our issuer"},
		{"no exp", claim("exp", nil), "exp", "has no exp"},
		{"the second in which it expires", claim("exp", unix(0)), "exp", "has expired"},
		{"expired an hour ago", claim("exp", unix(-time.Hour)), "exp", "has expired"},
		{"no iat", claim("iat", nil), "iat", "has no iat"},
		{"iat eleven seconds ahead", claim("iat", unix(11*time.Second)), "iat", "iat is in the future"},
		{
			"valid for five minutes and a second",
			claim("exp", unix(301*time.Second)),
			"life",
			"exp is too long after iat: 5m1s",
		},
		{"valid for ten years", claim("exp", unix(87600*time.Hour)), "life", "exp is too long after iat"},
		{"nbf eleven seconds ahead", claim("nbf", unix(11*time.Second)), "nbf", "not valid yet"},
		{"no jti", claim("jti", nil), "jti", "has no jti"},
		{"a jti of 257 bytes", claim("jti", strings.Repeat("j", 257)), "jti", "jti is too long: 257 bytes"},
	}
}

// newSigner makes a key pair with a kid.
func newSigner(t testing.TB, alg jose.Alg, kid string) *jose.Signer {
	t.Helper()
	s, err := jose.Generate(alg)
	if err != nil {
		t.Fatal(err)
	}

	private, err := s.MarshalPKCS8()
	if err == nil {
		s, err = jose.ParsePKCS8(private, alg, kid)
	}
	if err != nil {
		t.Fatal(err)
	}

	return s
}

// sign makes a draft of a client, applies change to it, and signs it.
func (f *fixture) sign(t testing.TB, k jetontest.Key, claims map[string]any, change func(*draft)) string {
	t.Helper()
	d := draft{
		header: map[string]any{"alg": signerOf(k).Key().Alg, "kid": signerOf(k).Key().ID},
		claims: claims,
		by:     signerOf(k),
		after:  func(s string) string { return s },
	}

	if change != nil {
		change(&d)
	}
	if d.payload == "" {
		d.payload = object(t, d.claims)
	}

	head := b64(object(t, d.header))
	if len(head)+len(d.payload) > 6<<10 { // a signer refuses what exceeds the limit of its readers
		return head + "." + b64(d.payload) + ".AAAA"
	}

	return d.after(signed(t, d.by, object(t, d.header), d.payload))
}

// suspects is a server with ci, whose assertions are wrong, and with others that they name.
func suspects(t *testing.T) (f *fixture, ci, other jetontest.Key) {
	t.Helper()
	f = newFixture(t, many)
	ci, other = f.client("ci"), f.client("other")
	f.client("disabled")
	f.MustControl("PUT", "/api/v1/clients/disabled/disabled", map[string]bool{"disabled": true}, nil)

	f.MustControl("POST", "/api/v1/clients", api.NewClient{
		Name:     "keyless",
		Services: []string{"reports"},
		Secret:   true,
	}, nil)

	for _, k := range []api.NewClientKey{
		{ID: "retired"},
		{ID: "early", NotBefore: noon.Add(time.Second)},
		{ID: "expired", NotAfter: noon},
	} {
		k.Key = string(newSigner(t, "EdDSA", k.ID).Key().PEM())
		f.MustControl("POST", "/api/v1/clients/ci/keys", k, nil)
	}

	f.MustControl("DELETE", "/api/v1/clients/ci/keys/retired", nil, nil)

	return f, ci, other
}

// TestWrongAssertions sends assertions that must be refused: the caller gets a code, the
// operator sees which check failed and why, and the jti remains unused.
func TestWrongAssertions(t *testing.T) {
	f, ci, other := suspects(t)
	for _, w := range ways {
		t.Run(w.name, func(t *testing.T) {
			f := f.on(t)
			for _, tc := range wrongs(f, ci, other, w) {
				t.Run(tc.name, func(t *testing.T) {
					f := f.on(t)
					claims := f.claims(ci)
					a := f.show(w, f.sign(t, ci, claims, tc.make))
					bare(t, a, w.status, w.code)
					name, value := f.failed(a.Request())
					if name != tc.check || !strings.Contains(value, tc.says) {
						t.Errorf("failed check = %q: %q, want %q: %q", name, value, tc.check, tc.says)
					}

					_, e := f.checks(a.Request())
					if e.Action != "token.issue" || e.Outcome != "bad_credential" || e.Source != "127.0.0.1" {
						t.Errorf("event %+v, want token.issue with bad_credential", e)
					}

					opens(t, "a right one with the same jti", f.show(w, f.sign(t, ci, claims, nil)))
				})
			}
		})
	}
}

// TestWrongAssertionsElsewhere sends the same ones where a client authenticates for
// something else than a token.
func TestWrongAssertionsElsewhere(t *testing.T) {
	f, ci, other := suspects(t)
	for _, path := range []string{"/oauth2/introspect", "/oauth2/revoke", "/oauth2/keys"} {
		for _, tc := range wrongs(f, ci, other, ways[0]) {
			t.Run(path+" "+tc.name, func(t *testing.T) {
				f := f.on(t)
				a := f.Post(
					path, "token", "x", "client_assertion", f.sign(t, ci, f.claims(ci), tc.make),
					"client_assertion_type", assertionType,
				)
				bare(t, a, 401, "invalid_client")
				name, value := f.failed(a.Request())
				if name != "credential" || !strings.Contains(value, tc.check) || !strings.Contains(value, tc.says) {
					t.Errorf(
						"failed check = %q: %q, want credential, %q: %q",
						name, value, tc.check, tc.says,
					)
				}
			})
		}
	}
}
