package jose_test

//lint:file-ignore SA1019 the tests need keys that the constructors of crypto/ecdsa refuse to make

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/jeton-auth/jeton/internal/jose"
)

// algs are all algorithms.
var algs = jose.Algs()

func TestAlgs(t *testing.T) {
	if len(algs) != 11 {
		t.Errorf("there are %d algorithms, want 11", len(algs))
	}

	for _, a := range algs {
		if !a.Known() {
			t.Errorf("%s is not known", a)
		}
	}

	for _, a := range []jose.Alg{"", "none", "HS256", "ES256K", "eddsa", "EdDSA ", "RS1", "dir"} {
		if a.Known() {
			t.Errorf("%q is known", a)
		}
	}
}

func TestNewKey(t *testing.T) {
	ed := newSigner(t, jose.EdDSA).Key().Public()
	p256 := newSigner(t, jose.ES256).Key().Public()
	p384 := newSigner(t, jose.ES384).Key().Public()
	p521 := newSigner(t, jose.ES512).Key().Public()
	n := publicRSA(newSigner(t, jose.RS256)).N

	p224, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}

	for _, tc := range []struct {
		name   string
		public crypto.PublicKey
		alg    jose.Alg
		want   jose.Alg // "" when it is refused
		why    string
	}{
		{"Ed25519 chooses", ed, "", jose.EdDSA, ""},
		{"Ed25519 by its newer name", ed, jose.Ed25519, jose.Ed25519, ""},
		{"P-256 chooses", p256, "", jose.ES256, ""},
		{"P-384 chooses", p384, "", jose.ES384, ""},
		{"P-521 chooses", p521, "", jose.ES512, ""},
		{"RSA chooses", &rsa.PublicKey{N: n, E: 65537}, "", jose.RS256, ""},
		{"RSA is told", &rsa.PublicKey{N: n, E: 65537}, jose.PS512, jose.PS512, ""},
		{"RSA of 2048 bits", &rsa.PublicKey{N: modulus(2048), E: 65537}, "", jose.RS256, ""},
		{"RSA of 8192 bits", &rsa.PublicKey{N: modulus(8192), E: 65537}, "", jose.RS256, ""},
		{"RSA with the largest exponent", &rsa.PublicKey{N: n, E: 1<<31 - 1}, "", jose.RS256, ""},

		{"P-224", &p224.PublicKey, "", "", `no algorithm ""`},
		{"P-224 that is told", &p224.PublicKey, jose.ES256, "", "another kind"},
		{"P-256 for ES384", p256, jose.ES384, "", "another kind"},
		{"P-384 for ES256", p384, jose.ES256, "", "another kind"},
		{"Ed25519 for ES256", ed, jose.ES256, "", "another kind"},
		{"P-256 for EdDSA", p256, jose.EdDSA, "", "another kind"},
		{"RSA for EdDSA", &rsa.PublicKey{N: n, E: 65537}, jose.EdDSA, "", "another kind"},
		{"Ed25519 for RS256", ed, jose.RS256, "", "another kind"},
		{"a secret", []byte("secret"), "HS256", "", "no algorithm"},
		{"a secret for RS256", []byte("secret"), jose.RS256, "", "another kind"},
		{"none", ed, "none", "", "no algorithm"},
		{"a key by value", *publicEC(newSigner(t, jose.ES256)), jose.ES256, "", "another kind"},
		{"a private key", newSigner(t, jose.EdDSA).Private(), jose.EdDSA, "", "another kind"},
		{"nothing", nil, jose.EdDSA, "", "another kind"},
		{"nothing, and nothing is asked for", nil, "", "", "no algorithm"},
		{"an empty EC key", &ecdsa.PublicKey{}, "", "", "no algorithm"},
		{
			"the point at infinity",
			&ecdsa.PublicKey{Curve: elliptic.P256(), X: new(big.Int), Y: new(big.Int)},
			"",
			"",
			"no point",
		},
		{
			"a point beside the curve",
			&ecdsa.PublicKey{Curve: elliptic.P256(), X: big.NewInt(1), Y: big.NewInt(1)},
			"",
			"",
			"no point",
		},
		{
			"a point of another curve",
			&ecdsa.PublicKey{
				Curve: elliptic.P256(),
				X:     publicEC(newSigner(t, jose.ES384)).X,
				Y:     publicEC(newSigner(t, jose.ES384)).Y,
			},
			"",
			"",
			"no point",
		},
		{"an empty RSA key", &rsa.PublicKey{}, "", "", "there is none"},
		{"RSA of 2047 bits", &rsa.PublicKey{N: modulus(2047), E: 65537}, "", "", "2047 bits"},
		{"RSA of 8193 bits", &rsa.PublicKey{N: modulus(8193), E: 65537}, "", "", "8193 bits"},
		{"the exponent 1", &rsa.PublicKey{N: n, E: 1}, "", "", "exponent 1"},
		{"the exponent 3", &rsa.PublicKey{N: n, E: 3}, "", "", "exponent 3"},
		{"an even exponent", &rsa.PublicKey{N: n, E: 65538}, "", "", "exponent 65538"},
		{"a negative exponent", &rsa.PublicKey{N: n, E: -65537}, "", "", "exponent -65537"},
		{"an exponent of 33 bits", &rsa.PublicKey{N: n, E: 1<<32 + 1}, "", "", "exponent 4294967297"},
		{"an even modulus", &rsa.PublicKey{N: new(big.Int).Lsh(n, 1), E: 65537}, "", "", "small factor"},
		{
			"a modulus with the factor 167",
			&rsa.PublicKey{N: new(big.Int).Mul(n, big.NewInt(167)), E: 65537},
			"",
			"",
			"small factor",
		},
		{"a modulus of the broken generator", &rsa.PublicKey{N: roca(), E: 65537}, "", "", "ROCA"},
		{"an Ed25519 key of 31 bytes", ed25519.PublicKey(make([]byte, 31)), "", "", "31 bytes"},
		{"an Ed25519 key of 33 bytes", ed25519.PublicKey(make([]byte, 33)), "", "", "33 bytes"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			k, err := jose.NewKey(tc.public, tc.alg, "")
			if tc.want == "" {
				if !errors.Is(err, jose.ErrKey) || !strings.Contains(err.Error(), tc.why) || !k.IsZero() {
					t.Errorf("NewKey = %v, %v, want ErrKey because of %q", k.Alg, err, tc.why)
				}
				return
			}

			if err != nil || k.Alg != tc.want || len(k.ID) != 43 || k.ID != k.Thumbprint() || k.IsZero() {
				t.Errorf("NewKey = %q %q, %v, want %s", k.Alg, k.ID, err, tc.want)
			}
		})
	}
}

// modulus is a number of so many bits without small factors. No key can sign for it.
func modulus(bits int) *big.Int {
	n := new(big.Int).Lsh(big.NewInt(1), uint(bits-1))
	for step := big.NewInt(1); ; n.Add(n, step) {
		// Neither 3 nor 5 nor … 167 divides it, and it is no power of 65537 modulo 11.
		if new(big.Int).GCD(
			nil,
			nil,
			n,
			primorial(),
		).Cmp(step) == 0 && new(big.Int).Mod(n, big.NewInt(11)).Int64() == 2 {
			return n
		}
	}
}

// primorial is the product of the primes up to 167.
func primorial() *big.Int {
	m := big.NewInt(1)
	for p := int64(2); p <= 167; p++ {
		if big.NewInt(p).ProbablyPrime(10) {
			m.Mul(m, big.NewInt(p))
		}
	}

	return m
}

// roca is a modulus of 2048 bits as the broken generator makes them: a power of 65537
// modulo a product of primes.
func roca() *big.Int {
	m := primorial()
	n := new(big.Int).Exp(big.NewInt(65537), big.NewInt(123456789), m)
	return n.Add(n, new(big.Int).Mul(m, new(big.Int).Lsh(big.NewInt(1), uint(2048-m.BitLen()))))
}

func TestKids(t *testing.T) {
	public := newSigner(t, jose.EdDSA).Key().Public()
	for _, tc := range []struct {
		name, id string
		ok       bool
	}{
		{"a name", "2026-11", true},
		{"as long as can be", strings.Repeat("k", jose.MaxID), true},
		{"too long", strings.Repeat("k", jose.MaxID+1), false},
		{"not UTF-8, which no header could say", "\xff", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			k, err := jose.NewKey(public, "", tc.id)
			if (err == nil) != tc.ok || tc.ok && k.ID != tc.id || !tc.ok && !errors.Is(err, jose.ErrKey) {
				t.Errorf("NewKey = %q, %v", k.ID, err)
			}
		})
	}
}

// The fourteen encodings of the eight points of small order, and others that are no key.
func TestWeakEd25519Keys(t *testing.T) {
	ff := strings.Repeat("ff", 30)
	for _, tc := range []struct{ name, key, why string }{
		{"order 1", "01" + strings.Repeat("00", 31), "small order"},
		{"order 2", "ec" + ff + "7f", "small order"},
		{"order 4", strings.Repeat("00", 32), "small order"},
		{"order 4, the other", strings.Repeat("00", 31) + "80", "small order"},
		{"order 8, the first", "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05", "small order"},
		{"order 8, the second", "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85", "small order"},
		{"order 8, the third", "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a", "small order"},
		{"order 8, the fourth", "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa", "small order"},
		{"order 1 with a sign", "01" + strings.Repeat("00", 30) + "80", "small order"},
		{"order 2 with a sign", "ec" + ff + "ff", "small order"},
		{"order 4, not reduced", "ed" + ff + "7f", "not written"},
		{"order 4, not reduced, with a sign", "ed" + ff + "ff", "not written"},
		{"order 1, not reduced", "ee" + ff + "7f", "not written"},
		{"order 1, not reduced, with a sign", "ee" + ff + "ff", "not written"},
		{"a good point, not reduced", "f0" + ff + "7f", "not written"}, // y = 3
		{"the largest number", "ff" + ff + "ff", "not written"},
		{"no point", "02" + strings.Repeat("00", 31), "no point"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b, err := hex.DecodeString(tc.key)
			if err != nil || len(b) != 32 {
				t.Fatal(len(b), err)
			}
			if _, err := jose.NewKey(
				ed25519.PublicKey(b),
				"",
				"",
			); !errors.Is(err, jose.ErrKey) || !strings.Contains(err.Error(), tc.why) {
				t.Errorf("NewKey = %v, want ErrKey because of %q", err, tc.why)
			}

			jwk := `{"kty":"OKP","crv":"Ed25519","x":"` + base64.RawURLEncoding.EncodeToString(b) + `"}`
			if _, err := jose.ParseJWK([]byte(jwk)); !errors.Is(err, jose.ErrKey) {
				t.Errorf("ParseJWK = %v, want ErrKey", err)
			}
		})
	}
}

// Whether a number is a point is decided again, as the textbook has it: x² = (y²-1)/(dy²+1).
func TestHalfOfAllNumbersAreEd25519Keys(t *testing.T) {
	prime := new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 255), big.NewInt(19))
	d, _ := new(big.Int).SetString("37095705934669439343138083508754565189542113879843219016388785533085940283555", 10)
	one, taken := big.NewInt(1), 0
	for i := range int64(1000) {
		y := new(big.Int).Exp(big.NewInt(i+3), big.NewInt(1<<20), prime)
		yy := new(big.Int).Mul(y, y)
		xx := new(big.Int).Sub(yy, one)
		xx.Mul(xx, new(big.Int).ModInverse(new(big.Int).Add(new(big.Int).Mul(d, yy), one), prime)).Mod(xx, prime)
		isPoint := new(big.Int).ModSqrt(xx, prime) != nil

		b := y.FillBytes(make([]byte, 32))
		slices.Reverse(b)
		_, err := jose.NewKey(ed25519.PublicKey(b), "", "")
		if (err == nil) != isPoint {
			t.Fatalf("NewKey of %x: %v, and it is a point: %v", b, err, isPoint)
		}

		if isPoint {
			taken++
		}
	}

	if taken < 400 || taken > 600 {
		t.Errorf("%d of 1000 numbers are points", taken)
	}
}

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
			"with all that it may say",
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
			`{"kty":"EC","crv":"P-256","y":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","x":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}`,
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
				t.Errorf("the error has %d bytes", len(err.Error()))
			}
		})
	}
}

func rsaJWK(n *big.Int, e string) string {
	return fmt.Sprintf(`{"kty":"RSA","n":"%s","e":"%s"}`, base64.RawURLEncoding.EncodeToString(n.Bytes()), e)
}

func TestParseKeySaysWhatCounts(t *testing.T) {
	bare := string(newSigner(t, jose.RS256).Key().PEM())
	n := publicRSA(newSigner(t, jose.RS256)).N
	silent := rsaJWK(n, "AQAB")
	spoken := strings.Replace(silent, "{", `{"alg":"PS256","kid":"said",`, 1)
	thumbprint := newSigner(t, jose.RS256).Key().ID
	for _, tc := range []struct {
		name, text string
		alg        jose.Alg
		id         string
		wantAlg    jose.Alg // "" when it is refused
		wantID     string
	}{
		{"a JWK that says all", spoken, "", "", jose.PS256, "said"},
		{"a JWK that says what is asked for", spoken, jose.PS256, "said", jose.PS256, "said"},
		{"its kid goes before ours", spoken, "", "ours", jose.PS256, "said"},
		{"its algorithm is not overruled", spoken, jose.RS256, "", "", ""},
		{"a JWK that says nothing", silent, "", "", jose.RS256, thumbprint},
		{"a JWK that is told", silent, jose.PS384, "ours", jose.PS384, "ours"},
		{"a JWK that is told what it cannot be", silent, jose.ES256, "", "", ""},
		{"a JWK with spaces around", "\r\n\t " + spoken + "\n", "", "", jose.PS256, "said"},
		{"PEM", bare, "", "", jose.RS256, thumbprint},
		{"PEM that is told", bare, jose.PS512, "ours", jose.PS512, "ours"},
		{"PEM that is told what it cannot be", bare, jose.EdDSA, "", "", ""},
		{"PEM that is told what there is not", bare, "RS1", "", "", ""},
		{"PEM with words before it", "the key of diane:\n" + bare, "", "", jose.RS256, thumbprint},
		{"PEM with Windows' line breaks", strings.ReplaceAll(bare, "\n", "\r\n"), "", "", jose.RS256, thumbprint},
		{"neither", "diane", "", "", "", ""},
		{"nothing", "", "", "", "", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			k, err := jose.ParseKey([]byte(tc.text), tc.alg, tc.id)
			if k.Alg != tc.wantAlg || k.ID != tc.wantID ||
				(err == nil) != (tc.wantAlg != "") || err != nil && !errors.Is(
				err,
				jose.ErrKey,
			) {
				t.Errorf("ParseKey = %q %q, %v, want %q %q", k.Alg, k.ID, err, tc.wantAlg, tc.wantID)
			}
		})
	}
}

func TestParsePEM(t *testing.T) {
	ed := newSigner(t, jose.EdDSA)
	good := string(ed.Key().PEM())
	private, err := ed.MarshalPKCS8()
	if err != nil {
		t.Fatal(err)
	}

	block := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}

	public, _ := pem.Decode([]byte(good))
	for _, tc := range []struct{ name, text, why string }{
		{"a public key", good, ""},
		{
			"a public key of the older form",
			block("RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(publicRSA(newSigner(t, jose.RS256)))),
			"",
		},
		{"a private key", block("PRIVATE KEY", private), "shows a private key"},
		{"a private key before it", block("PRIVATE KEY", private) + good, "shows a private key"},
		{
			"a broken private key before it",
			"-----BEGIN PRIVATE KEY-----\n!\n-----END PRIVATE KEY-----\n" + good,
			"shows a private key",
		},
		{"two", good + good, "more than one"},
		{"something behind", good + "x", "more than one"},
		{"spaces behind", good + " \r\n\t", ""},
		{"a certificate", block("CERTIFICATE", public.Bytes), "PUBLIC KEY is right"},
		{"another kind of block", block("EC PUBLIC KEY", public.Bytes), "PUBLIC KEY is right"},
		{"something behind the key", block("PUBLIC KEY", append(slices.Clone(public.Bytes), 0)), "trailing data"},
		{"no key", block("PUBLIC KEY", []byte("diane")), "unusable key"},
		{"cut", good[:60], "no PEM block"},
		{"too long", good + strings.Repeat(" ", jose.MaxKeyText), "at most"},
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
			"with spaces, and what nobody knows",
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
		{"two of one kid", `{"keys":[` + a + `,` + named(edOfA, "a") + `]}`, nil, `the kid "a"`},
		{"two of one kid, once in disguise", `{"keys":[` + a + `,` + named(edOfA, `\u0061`) + `]}`, nil, `the kid "a"`},
		{"one key twice", `{"keys":[` + edOfA + `,` + edOfA + `]}`, nil, "the kid"},
		{
			"a kid that is another's thumbprint",
			`{"keys":[` + edOfA + `,` + named(ecOfA3, "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k") + `]}`,
			nil,
			"the kid",
		},
		{"a private key", `{"keys":[` + a + `,` + edOwner + `]}`, nil, "key 2: it shows the private member d"},
		{
			"a secret among public keys",
			`{"keys":[` + a + `,{"kty":"oct","alg":"HS256","k":"AAAA"}]}`,
			nil,
			"private member k",
		},
		{"secrets alone", `{"keys":[{"kty":"oct","alg":"HS256","k":"AAAA"}]}`, nil, "private member k"},
		{
			"a private key of a kind that we do not know",
			`{"keys":[{"kty":"AKP","priv":"AAAA"}]}`,
			nil,
			"private member priv",
		},
		{"a key that is null", `{"keys":[null]}`, nil, "not a JSON object"},
		{"a key that is a text", `{"keys":["x"]}`, nil, "not a JSON object"},
		{"a key with a member twice", `{"keys":[{"kid":"b",` + a[1:] + `]}`, nil, "twice"},
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
			keys, err := jose.ParseSet([]byte(tc.set))
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
					t.Errorf("ParseSet = %d keys, %v", len(got), err)
				}
				return
			}

			if err != nil || !slices.Equal(got, tc.want) {
				t.Errorf("ParseSet = %q, %v, want %q", got, err, tc.want)
			}
		})
	}
}

// A key comes back as it was from all of its forms, and no form has a private member.
func TestKeysComeBack(t *testing.T) {
	var keys []jose.Key
	for _, alg := range algs {
		k := newSigner(t, alg).Key()
		keys = append(keys, k)
		back, err := jose.ParseJWK(k.JWK())
		if err != nil || !equal(back, k) {
			t.Errorf("%s: ParseJWK(JWK) = %v %v", alg, back.ID, err)
		}

		back, err = jose.ParsePEM(k.PEM(), alg, k.ID)
		if err != nil || !equal(back, k) {
			t.Errorf("%s: ParsePEM(PEM) = %v %v", alg, back.ID, err)
		}

		var members map[string]any
		if err := json.Unmarshal(k.JWK(), &members); err != nil {
			t.Fatal(err)
		}

		for _, private := range []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"} {
			if members[private] != nil {
				t.Errorf("%s: the JWK has the member %s", alg, private)
			}
		}

		if members["kid"] != k.ID || members["alg"] != string(alg) || members["use"] != "sig" {
			t.Errorf("%s: the JWK is %s", alg, k.JWK())
		}
	}

	back, err := jose.ParseSet(jose.MarshalSet(keys))
	if err != nil || !slices.EqualFunc(back, keys, equal) {
		t.Errorf("ParseSet(MarshalSet) = %d keys, %v", len(back), err)
	}

	got := string(jose.MarshalSet(nil))
	if got != `{"keys":[]}` {
		t.Errorf("MarshalSet of nothing = %s", got)
	}
}

func equal(a, b jose.Key) bool {
	p, ok := a.Public().(interface{ Equal(crypto.PublicKey) bool })
	return ok && a.ID == b.ID && a.Alg == b.Alg && p.Equal(b.Public())
}
