package jose_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"slices"
	"strings"
	"testing"

	gojose "github.com/go-jose/go-jose/v4"

	"github.com/jeton-auth/jeton/internal/jose"
)

func TestSignAndVerify(t *testing.T) {
	for _, alg := range algs {
		t.Run(string(alg), func(t *testing.T) {
			signer := newSigner(t, alg)
			token, err := signer.Sign("at+jwt", []byte(accessToken))
			if err != nil {
				t.Fatal(err)
			}

			s, err := jose.Parse(token)
			if err != nil {
				t.Fatal(err)
			}
			if s.Header.Alg != alg || s.Header.KeyID != signer.Key().ID || !s.Header.Typ("at+jwt") ||
				string(s.Payload) != accessToken ||
				s.Header.Foreign != nil {
				t.Errorf("Parse = %+v, %s; want what was signed", s.Header, s.Payload)
			}

			for _, other := range algs {
				want := jose.ErrAlgorithm
				switch {
				case other == alg:
					want = nil
				case strings.HasPrefix(string(other), "Ed") && strings.HasPrefix(string(alg), "Ed"):
					want = jose.ErrSignature // one algorithm by two names, and another key
				}

				if err := s.Verify(newSigner(t, other).Key()); !errors.Is(err, want) {
					t.Errorf("Verify with a key for %s = %v, want %v", other, err, want)
				}
			}
		})
	}
}

func TestHead(t *testing.T) {
	public := newSigner(t, jose.EdDSA).Private()
	for _, tc := range []struct{ name, kid, typ, want string }{
		{"with a type", "k", "at+jwt", `{"alg":"EdDSA","typ":"at+jwt","kid":"k"}`},
		{"without", "k", "", `{"alg":"EdDSA","kid":"k"}`},
		{"a kid with all that JSON escapes", "\"\\<\n", "", `{"alg":"EdDSA","kid":"\"\\\u003c\n"}`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s, err := jose.NewSigner(public, "", tc.kid)
			if err != nil {
				t.Fatal(err)
			}

			got := s.Head(tc.typ)
			if got != b64(tc.want)+"." {
				t.Errorf("Head = %s, want that of %s", got, tc.want)
			}

			token, err := s.Sign(tc.typ, []byte(jobClaims))
			if err != nil {
				t.Fatal(err)
			}
			if p, err := jose.Parse(token); err != nil || p.Header.KeyID != tc.kid || p.Verify(s.Key()) != nil {
				t.Errorf("Parse = %q, %v; want %q, and a signature of the key", p.Header.KeyID, err, tc.kid)
			}
		})
	}
}

func TestTokensOverTheLimitAreNotSigned(t *testing.T) {
	s := newSigner(t, jose.EdDSA)
	if token, err := s.Sign("", []byte(`{"x":"`+strings.Repeat("x", jose.MaxToken)+`"}`)); err == nil || token != "" {
		t.Errorf("Sign = %d bytes, %v; want none, and an error", len(token), err)
	}
}

// What a Signer is printed, logged or encoded as has nothing of its private key.
func TestSignersPrintNoPrivateKey(t *testing.T) {
	for _, alg := range []jose.Alg{jose.EdDSA, jose.ES256, jose.RS256} {
		s := newSigner(t, alg)
		var log bytes.Buffer
		slog.New(slog.NewTextHandler(&log, nil)).Info("made", "signer", s)
		slog.New(slog.NewJSONHandler(&log, nil)).Info("made", "signer", s)
		j, err := json.Marshal(map[string]any{"signer": s})
		if err != nil {
			t.Fatal(err)
		}

		shown := log.String() + string(j) + s.String()
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t"} {
			shown += fmt.Sprintf(
				verb,
				s,
			) + fmt.Sprintf(verb, struct{ s *jose.Signer }{s}) + fmt.Sprintf(verb, []*jose.Signer{s})
		}

		for name, secret := range secretsOf(t, s) {
			for _, form := range []string{
				string(secret),
				hex.EncodeToString(secret),
				strings.ToUpper(hex.EncodeToString(secret)),
				base64.StdEncoding.EncodeToString(secret),
				fmt.Sprint(secret),
				strings.Trim(fmt.Sprint(secret), "[]"),
				new(big.Int).SetBytes(secret).String(),
			} {
				if strings.Contains(shown, form) {
					t.Errorf("%s: printed text has %s, want nothing private", alg, name)
				}
			}
		}

		want := "signer " + s.Key().ID
		if !strings.HasPrefix(fmt.Sprintf("%#v", s), want) || !strings.Contains(shown, s.Key().ID) {
			t.Errorf("%s: printed as %#v, want %s with the ID", alg, s, want)
		}
	}
}

// secretsOf returns the private members of a key, as go-jose writes them.
func secretsOf(tb testing.TB, s *jose.Signer) map[string][]byte {
	tb.Helper()
	text, err := gojose.JSONWebKey{Key: s.Private()}.MarshalJSON()
	if err != nil {
		tb.Fatal(err)
	}

	var members map[string]string
	if err := json.Unmarshal(text, &members); err != nil {
		tb.Fatal(err)
	}

	secrets := map[string][]byte{}
	for _, name := range []string{"d", "p", "q"} {
		if members[name] != "" {
			b, err := base64.RawURLEncoding.DecodeString(members[name])
			if err != nil {
				tb.Fatal(err)
			}
			secrets[name] = b
		}
	}

	if len(secrets) == 0 {
		tb.Fatal("no private parts, want some")
	}

	return secrets
}

func TestSignersSurviveARoundTrip(t *testing.T) {
	for _, alg := range algs {
		s := newSigner(t, alg)
		der, err := s.MarshalPKCS8()
		if err != nil {
			t.Fatal(err)
		}

		jwk, err := gojose.JSONWebKey{
			Key:       s.Private(),
			KeyID:     "k",
			Algorithm: string(alg),
			Use:       "sig",
		}.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}

		forms := map[string]func() (*jose.Signer, error){
			"PKCS #8": func() (*jose.Signer, error) { return jose.ParsePKCS8(der, alg, "k") },
			"PEM": func() (*jose.Signer, error) {
				return jose.ParseSigner(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), alg, "k")
			},
			"a JWK": func() (*jose.Signer, error) { return jose.ParseSigner(jwk, "", "ours") },
		}

		for name, parse := range forms {
			back, err := parse()
			if err != nil {
				t.Errorf("%s: %s: %v", alg, name, err)
				continue
			}

			if back.Key().ID != "k" || back.Key().Alg != alg {
				t.Errorf("%s: %s: got key %s for %s, want k", alg, name, back.Key().ID, back.Key().Alg)
			}

			token, err := back.Sign("", []byte(jobClaims))
			if err != nil {
				t.Errorf("%s: %s: %v", alg, name, err)
				continue
			}

			got := judge(token, s.Key())
			if got != accepted {
				t.Errorf("%s: %s: signature = %s, want %s", alg, name, got, accepted)
			}
		}
	}
}

// other is a private key of a kind that there is not.
type other struct{}

func (other) Public() crypto.PublicKey { return nil }
func (other) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return nil, errors.New("never")
}

func TestNewSignerRefuses(t *testing.T) {
	ed := newSigner(t, jose.EdDSA).Private().(ed25519.PrivateKey)
	ec := newSigner(t, jose.ES256).Private().(*ecdsa.PrivateKey)
	mixed := slices.Clone(ed)
	copy(mixed[32:], newSigner(t, jose.Ed25519).Private().(ed25519.PrivateKey)[32:])
	mismatched := *ec
	mismatched.PublicKey = generateEC(t).PublicKey

	p224, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}

	for _, tc := range []struct {
		name    string
		private crypto.Signer
		alg     jose.Alg
	}{
		{"nothing", nil, ""},
		{"another kind", other{}, jose.EdDSA},
		{"an Ed25519 key with another's public half, which would give the private one away", mixed, ""},
		{"half an Ed25519 key", ed[:32], ""},
		{"an ECDSA key with another's point", &mismatched, ""},
		{"a curve that we do not take", p224, ""},
		{"an algorithm of another kind", ed, jose.ES256},
		{"another curve's algorithm", ec, jose.ES384},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if s, err := jose.NewSigner(tc.private, tc.alg, ""); !errors.Is(err, jose.ErrKey) || s != nil {
				t.Errorf("NewSigner = %v, %v, want ErrKey", s, err)
			}
		})
	}

	if _, err := jose.Generate("HS256"); !errors.Is(err, jose.ErrKey) {
		t.Errorf("Generate(HS256) = %v, want ErrKey", err)
	}
}

func TestParseSigner(t *testing.T) {
	ec := newSigner(t, jose.ES256).Private().(*ecdsa.PrivateKey)
	sec1, err := x509.MarshalECPrivateKey(ec)
	if err != nil {
		t.Fatal(err)
	}

	pkcs8, err := newSigner(t, jose.ES256).MarshalPKCS8()
	if err != nil {
		t.Fatal(err)
	}

	block := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}

	said := func(more string) string { return strings.Replace(edOwner, "{", "{"+more+",", 1) }
	const canary = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"
	for _, tc := range []struct {
		name, text string
		alg        jose.Alg
		want       jose.Alg // "" when it is refused
		why        string
	}{
		{"PKCS #8", block("PRIVATE KEY", pkcs8), "", jose.ES256, ""},
		{"SEC 1", block("EC PRIVATE KEY", sec1), "", jose.ES256, ""},
		{
			"SEC 1 as openssl ecparam writes it",
			block("EC PARAMETERS", []byte{6, 8, 42, 134, 72, 206, 61, 3, 1, 7}) + block("EC PRIVATE KEY", sec1),
			"",
			jose.ES256,
			"",
		},
		{"a JWK", edOwner, "", jose.EdDSA, ""},
		{"a JWK for a given algorithm", edOwner, jose.Ed25519, jose.Ed25519, ""},
		{"a JWK that says", said(`"alg":"Ed25519","use":"sig","key_ops":["sign","verify"]`), "", jose.Ed25519, ""},
		{"a JWK to sign with", said(`"key_ops":["sign"]`), "", jose.EdDSA, ""},

		{"a JWK that says otherwise", said(`"alg":"Ed25519"`), jose.EdDSA, "", "not for EdDSA"},
		{"a JWK to verify with", said(`"key_ops":["verify"]`), "", "", "key_ops"},
		{"a JWK for encryption", said(`"use":"enc"`), "", "", "use"},
		{
			"a JWK whose halves do not belong together",
			strings.Replace(
				edOwner, "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
				"PUAXw-hDiVqStwqnTRt-vJyYLM8uxJaMwM1V8Sr0Zgw", 1,
			),
			"",
			"",
			"cannot be read",
		},
		{
			"an EC JWK whose halves do not belong together",
			`{"d":"jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI",` + strings.TrimPrefix(
				string(newSigner(t, jose.ES256).Key().JWK()),
				"{",
			),
			"",
			"",
			"belong together",
		},
		{"a JWK with a member twice", said(`"x":"x"`), "", "", "twice"},
		{"a public JWK", edOfA, "", "", "not a private JWK"},
		{"a secret", `{"kty":"oct","k":"` + canary + `"}`, "", "", "not a private JWK"},
		{"a JWK that is cut", edOwner[:len(edOwner)-1], "", "", "not a JSON object"},
		{"a JWK whose d is too long", strings.Replace(edOwner, `"d":"`, `"d":"AAAA`, 1), "", "", "cannot be read"},
		{"a public key", string(newSigner(t, jose.ES256).Key().PEM()), "", "", "PRIVATE KEY is right"},
		{"an encrypted key", block("ENCRYPTED PRIVATE KEY", pkcs8), "", "", "is encrypted"},
		{"two keys", block("PRIVATE KEY", pkcs8) + block("PRIVATE KEY", pkcs8), "", "", "more than one"},
		{"one form called another", block("RSA PRIVATE KEY", sec1), "", "", "cannot be read"},
		{"one form called yet another", block("EC PRIVATE KEY", pkcs8), "", "", "cannot be read"},
		{"no key", block("PRIVATE KEY", []byte(canary)), "", "", "cannot be read"},
		{"neither", canary, "", "", "no PEM block"},
		{"nothing", "", "", "", "no PEM block"},
		{"too long", edOwner + strings.Repeat(" ", jose.MaxKeyText), "", "", "at most"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s, err := jose.ParseSigner([]byte(tc.text), tc.alg, "")
			if tc.want != "" {
				if err != nil || s.Key().Alg != tc.want {
					t.Errorf("ParseSigner = %v, %v, want a key for %s", s, err, tc.want)
				}
				return
			}

			if !errors.Is(err, jose.ErrKey) || !strings.Contains(err.Error(), tc.why) || s != nil {
				t.Errorf("ParseSigner = %v, %v, want ErrKey because of %q", s, err, tc.why)
			}
			if err != nil && strings.Contains(err.Error(), canary[:8]) {
				t.Errorf("error = %v, want no part of the key", err)
			}
		})
	}
}
