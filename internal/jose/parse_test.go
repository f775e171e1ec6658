package jose_test

//lint:file-ignore SA1019 the tests need keys that the constructors of crypto/ecdsa refuse to make

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/jeton-auth/jeton/internal/jose"
)

func TestParseJWK(t *testing.T) {
	rest := strings.TrimPrefix(ecOfA3, "{")
	ec := func(more string) string { return "{" + more + "," + rest }
	for _, tc := range []struct{ name, jwk, why string }{ // why "" when it is taken
		{"EC", ecOfA3, ""},
		{"OKP", edOfA, ""},
		{"RSA", rsaOfA2, ""},
		{"RSA of 8192 bits, which go-jose would not read", rsaJWK(modulus(8192), "AQAB"), ""},
		{
			"RSA with a zero before its modulus, as some write it",
			strings.Replace(rsaJWK(modulus(2048), "AQAB"), `"n":"`, `"n":"AAAA`, 1),
			"",
		},
		{"RSA with zeros before its exponent", rsaJWK(modulus(2048), "AAEAAQ"), ""},
		{
			"with every known member",
			ec(`"use":"sig","key_ops":["verify"],"alg":"ES256","kid":"k","x5t":"x","ext":true`),
			"",
		},
		{"what remains of a private key", ec(`"key_ops":["sign","verify"]`), ""},
		{"a certificate is not read", ec(`"x5c":["nonsense"],"x5u":":"`), ""},

		{"for encryption", ec(`"use":"enc"`), "use is not sig"},
		{"use is null", ec(`"use":null`), "use is not sig"},
		{"use is a list", ec(`"use":["sig"]`), "use is not sig"},
		{"to encrypt with", ec(`"key_ops":["encrypt"]`), "key_ops"},
		{"to derive with", ec(`"key_ops":["deriveKey"]`), "key_ops"},
		{"to verify and to encrypt with", ec(`"key_ops":["verify","encrypt"]`), "key_ops"},
		{"to sign with alone", ec(`"key_ops":["sign"]`), "key_ops"},
		{"to verify with twice", ec(`"key_ops":["verify","verify"]`), "key_ops"},
		{"for nothing", ec(`"key_ops":[]`), "key_ops"},
		{"key_ops is a text", ec(`"key_ops":"verify"`), "key_ops"},
		{"key_ops is null", ec(`"key_ops":null`), "key_ops"},
		{"an operation is a number", ec(`"key_ops":["verify",1]`), "key_ops"},

		{"another curve's algorithm", ec(`"alg":"ES384"`), "another kind"},
		{"an algorithm of encryption", ec(`"alg":"ECDH-ES"`), `no algorithm "ECDH-ES"`},
		{"none", ec(`"alg":"none"`), `no algorithm "none"`},
		{"a symmetric algorithm", ec(`"alg":"HS256"`), `no algorithm "HS256"`},
		{"alg is empty", ec(`"alg":""`), "alg: empty"},
		{"alg is null", ec(`"alg":null`), "alg: not a text"},
		{"alg is a list", ec(`"alg":["ES256"]`), "alg: not a text"},
		{"kid is a number", ec(`"kid":1`), "kid: not a text"},
		{"kid is null", ec(`"kid":null`), "kid: not a text"},
		{"kid is empty", ec(`"kid":""`), "kid: empty"},
		{"a kid that is too long", ec(`"kid":"` + strings.Repeat("k", jose.MaxID+1) + `"`), "kid is longer"},

		{"a private key", edOwner, "private member d"},
		{"a private member that is null", ec(`"d":null`), "private member d"},
		{"a private member in disguise", ec(`"\u0064":"x"`), "private member d"},
		{"a factor", ec(`"p":"x"`), "private member p"},
		{"more factors", ec(`"oth":[]`), "private member oth"},
		{"a secret beside a public key", ec(`"k":"x"`), "private member k"},
		{"a secret", `{"kty":"oct","k":"AAAA"}`, "private member k"},
		{"a private key of ML-DSA", `{"kty":"AKP","alg":"ML-DSA-44","priv":"AAAA"}`, "private member priv"},

		{"a member twice", ec(`"kty":"EC"`), "twice"},
		{"a member twice, once in disguise", ec(`"kt\u0079":"EC"`), "twice"},
		{"no kty", `{"crv":"P-256","x":"AA","y":"AA"}`, "no keys of the kind"},
		{"kty in another case", strings.Replace(ecOfA3, `"EC"`, `"ec"`, 1), "no keys of the kind"},
		{"a secp256k1 key", strings.Replace(ecOfA3, "P-256", "secp256k1", 1), "no keys of the kind"},
		{"Ed448", strings.Replace(edOfA, "Ed25519", "Ed448", 1), "no keys of the kind"},
		{"X25519", strings.Replace(edOfA, "Ed25519", "X25519", 1), "no keys of the kind"},
		{"OKP on P-256", strings.Replace(edOfA, "Ed25519", "P-256", 1), "no keys of the kind"},
		{"no x", `{"kty":"EC","crv":"P-256","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}`, "x: not a coordinate"},
		{"x with padding", strings.Replace(ecOfA3, `RVEU"`, `RVEU="`, 1), "x: not a coordinate"},
		{"x in plain base64", strings.Replace(edOfA, "VS_7", "VS/7", 1), "x: not base64url"},
		{"x with bits that count for nothing", strings.Replace(ecOfA3, `RVEU"`, `RVEV"`, 1), "x: not a coordinate"},
		{"x that is too long", strings.Replace(ecOfA3, `"x":"`, `"x":"AAAA`, 1), "x: not a coordinate"},
		{"x and y of another curve's length", strings.Replace(ecOfA4, "P-521", "P-384", 1), "x: not a coordinate"},
		{"y beside the curve", strings.Replace(ecOfA3, `I5a0"`, `I5aw"`, 1), "curve"},
		{
			"x and y exchanged",
			`{"kty":"EC","crv":"P-256","y":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",` +
				`"x":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}`,
			"curve",
		},
		{"x is a number", `{"kty":"OKP","crv":"Ed25519","x":1}`, "x: not a text"},
		{"no n", `{"kty":"RSA","e":"AQAB"}`, "n: not"},
		{"no e", `{"kty":"RSA","n":"AQAB"}`, "e: not"},
		{"e of 9 bytes, which some cut to 8", rsaJWK(modulus(2048), "AQAAAAAAAQAB"), "e: not"},
		{"e = 3", rsaJWK(modulus(2048), "Aw"), "exponent 3"},
		{"RSA of 1024 bits", rsaJWK(modulus(1024), "AQAB"), "1024 bits"},
		{"RSA of 16384 bits", rsaJWK(modulus(16384), "AQAB"), "16384 bits"},

		{"nothing", ``, "not a JSON object"},
		{"a list", `[` + ecOfA3 + `]`, "not a JSON object"},
		{"something behind", ecOfA3 + `x`, "not a JSON object"},
		{"a set", `{"keys":[` + ecOfA3 + `]}`, "no keys of the kind"},
		{"too long a text", ec(`"x5c":["` + strings.Repeat("A", jose.MaxKeyText) + `"]`), "at most"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			k, err := jose.ParseJWK([]byte(tc.jwk))
			if tc.why == "" {
				if err != nil || k.IsZero() {
					t.Errorf("ParseJWK = %v, want a key", err)
				}
				return
			}

			if !errors.Is(err, jose.ErrKey) || !strings.Contains(err.Error(), tc.why) || !k.IsZero() {
				t.Errorf("ParseJWK = %v, want ErrKey because of %q", err, tc.why)
			}
			if err != nil && len(err.Error()) > 1000 {
				t.Errorf("error of %d bytes, want at most 1000", len(err.Error()))
			}
		})
	}
}

func rsaJWK(n *big.Int, e string) string {
	return fmt.Sprintf(`{"kty":"RSA","n":"%s","e":"%s"}`, base64.RawURLEncoding.EncodeToString(n.Bytes()), e)
}

func TestParseKeyPrefersTheTextsAlgorithm(t *testing.T) {
	bare := string(newSigner(t, jose.RS256).Key().PEM())
	n := publicRSA(newSigner(t, jose.RS256)).N
	plain := rsaJWK(n, "AQAB")
	withAlgAndID := strings.Replace(plain, "{", `{"alg":"PS256","kid":"own",`, 1)
	thumbprint := newSigner(t, jose.RS256).Key().ID
	for _, tc := range []struct {
		name, text string
		alg        jose.Alg
		id         string
		wantAlg    jose.Alg // "" when it is refused
		wantID     string
	}{
		{"a JWK with alg and kid", withAlgAndID, "", "", jose.PS256, "own"},
		{"a JWK with the given alg and kid", withAlgAndID, jose.PS256, "own", jose.PS256, "own"},
		{"its kid takes precedence", withAlgAndID, "", "ours", jose.PS256, "own"},
		{"its algorithm is not overruled", withAlgAndID, jose.RS256, "", "", ""},
		{"a JWK without alg and kid", plain, "", "", jose.RS256, thumbprint},
		{"a JWK for a given algorithm", plain, jose.PS384, "ours", jose.PS384, "ours"},
		{"a JWK for an algorithm of another kind", plain, jose.ES256, "", "", ""},
		{"a JWK with spaces around", "\r\n\t " + withAlgAndID + "\n", "", "", jose.PS256, "own"},
		{"PEM", bare, "", "", jose.RS256, thumbprint},
		{"PEM for a given algorithm", bare, jose.PS512, "ours", jose.PS512, "ours"},
		{"PEM for an algorithm of another kind", bare, jose.EdDSA, "", "", ""},
		{"PEM for an unknown algorithm", bare, "RS1", "", "", ""},
		{"PEM with words before it", "the key of diane:\n" + bare, "", "", jose.RS256, thumbprint},
		{"PEM with Windows' line breaks", strings.ReplaceAll(bare, "\n", "\r\n"), "", "", jose.RS256, thumbprint},
		{"neither", "diane", "", "", "", ""},
		{"nothing", "", "", "", "", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			k, err := jose.ParseKey([]byte(tc.text), tc.alg, tc.id)
			if k.Alg != tc.wantAlg || k.ID != tc.wantID ||
				(err == nil) != (tc.wantAlg != "") || err != nil && !errors.Is(err, jose.ErrKey) {
				t.Errorf("ParseKey = %q %q, %v, want %q %q", k.Alg, k.ID, err, tc.wantAlg, tc.wantID)
			}
		})
	}
}

func TestParsePEM(t *testing.T) {
	ed := newSigner(t, jose.EdDSA)
	valid := string(ed.Key().PEM())
	private, err := ed.MarshalPKCS8()
	if err != nil {
		t.Fatal(err)
	}

	block := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}

	public, _ := pem.Decode([]byte(valid))
	for _, tc := range []struct{ name, text, why string }{
		{"a public key", valid, ""},
		{
			"a public key of the older form",
			block("RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(publicRSA(newSigner(t, jose.RS256)))),
			"",
		},
		{"a private key", block("PRIVATE KEY", private), "shows a private key"},
		{"a private key before it", block("PRIVATE KEY", private) + valid, "shows a private key"},
		{
			"a broken private key before it",
			"-----BEGIN PRIVATE KEY-----\n!\n-----END PRIVATE KEY-----\n" + valid,
			"shows a private key",
		},
		{"two", valid + valid, "more than one"},
		{"spaces behind", valid + " \r\n\t", ""},
		{"a certificate", block("CERTIFICATE", public.Bytes), "PUBLIC KEY is right"},
		{"another kind of block", block("EC PUBLIC KEY", public.Bytes), "PUBLIC KEY is right"},
		{"something behind the key", block("PUBLIC KEY", append(slices.Clone(public.Bytes), 0)), "trailing data"},
		{"no key", block("PUBLIC KEY", []byte("diane")), "unusable key"},
		{"cut", valid[:60], "no PEM block"},
		{"too long", valid + strings.Repeat(" ", jose.MaxKeyText), "at most"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			k, err := jose.ParsePEM([]byte(tc.text), "", "")
			if tc.why == "" && (err != nil || k.IsZero()) {
				t.Errorf("ParsePEM = %v, want a key", err)
			}
			if tc.why != "" && (!errors.Is(err, jose.ErrKey) || !strings.Contains(err.Error(), tc.why)) {
				t.Errorf("ParsePEM = %v, want ErrKey because of %q", err, tc.why)
			}
		})
	}
}

func TestParseSet(t *testing.T) {
	named := func(jwk, kid string) string { return strings.Replace(jwk, "{", `{"kid":"`+kid+`",`, 1) }
	a, b := named(ecOfA3, "a"), named(edOfA, "b")

	many := func(n int) string {
		list := make([]string, n)
		for i := range list {
			list[i] = named(edOfA, fmt.Sprint(i))
		}
		return `{"keys":[` + strings.Join(list, ",") + `]}`
	}

	for _, tc := range []struct {
		name, set string
		want      []string // the kids of the keys
		why       string   // "" when it is taken
	}{
		{"two keys in their order", `{"keys":[` + b + `,` + a + `]}`, []string{"b", "a"}, ""},
		{
			"with spaces and unknown members",
			"{ \"x\" : 1 , \"keys\" : [ " + a + " , " + b + " ] }\n",
			[]string{"a", "b"},
			"",
		},
		{"no key", `{"keys":[]}`, nil, ""},
		{
			"a key of a kind that we do not know",
			`{"keys":[{"kty":"AKP","alg":"ML-DSA-44","pub":"x"},` + a + `]}`,
			[]string{"a"},
			"",
		},
		{
			"a key for encryption",
			`{"keys":[` + named(`{"use":"enc",`+ecOfA3[1:], "e") + `,` + a + `]}`,
			[]string{"a"},
			"",
		},
		{
			"a key for encryption by the same kid",
			`{"keys":[` + named(`{"use":"enc",`+ecOfA3[1:], "a") + `,` + a + `]}`,
			[]string{"a"},
			"",
		},
		{"a weak key", `{"keys":[` + named(rsaJWK(modulus(1024), "AQAB"), "w") + `,` + a + `]}`, []string{"a"}, ""},
		{"a key whose kid is a number", `{"keys":[{"kid":1,` + ecOfA3[1:] + `,` + b + `]}`, []string{"b"}, ""},
		{
			"keys without kids",
			`{"keys":[` + ecOfA3 + `,` + edOfA + `]}`,
			[]string{"oKIywvGUpTVTyxMQ3bwIIeQUudfr_CkLMjCE19ECD-U", "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"},
			"",
		},
		{"as many as can be", many(jose.MaxKeys), nil, ""},

		{"one too many", many(jose.MaxKeys + 1), nil, "too long a list"},
		{"keys twice", `{"keys":[],"keys":[` + a + `]}`, nil, "twice"},
		{"keys is an object", `{"keys":{}}`, nil, "not a list"},
		{"keys is null", `{"keys":null}`, nil, "not a list"},
		{"no keys at all", `{}`, nil, "no keys"},
		{"Keys in another case", `{"Keys":[]}`, nil, "no keys"},
		{"a key alone", ecOfA3, nil, "no keys"},
		{"a list", `[` + a + `]`, nil, "not a JSON object"},
		{"something behind", `{"keys":[]}x`, nil, "not a JSON object"},
		{"nothing", ``, nil, "not a JSON object"},
		{"too long", `{"keys":[]}` + strings.Repeat(" ", jose.MaxKeyText), nil, "at most"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			keys, _, err := jose.ParseSet([]byte(tc.set))
			if tc.why != "" {
				if !errors.Is(err, jose.ErrKey) || !strings.Contains(err.Error(), tc.why) || keys != nil {
					t.Errorf("ParseSet = %d keys, %v, want ErrKey because of %q", len(keys), err, tc.why)
				}
				return
			}

			var got []string
			for _, k := range keys {
				got = append(got, k.ID)
			}

			if tc.name == "as many as can be" {
				if err != nil || len(got) != jose.MaxKeys {
					t.Errorf("ParseSet = %d keys, %v; want %d", len(got), err, jose.MaxKeys)
				}
				return
			}

			if err != nil || !slices.Equal(got, tc.want) {
				t.Errorf("ParseSet = %q, %v, want %q", got, err, tc.want)
			}
		})
	}
}
