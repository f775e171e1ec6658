package jose_test

//lint:file-ignore SA1019 the tests need keys that the constructors of crypto/ecdsa refuse to make

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
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
			t.Errorf("%s is unknown, want it known", a)
		}
	}

	for _, a := range []jose.Alg{"", "none", "HS256", "ES256K", "eddsa", "EdDSA ", "RS1", "dir"} {
		if a.Known() {
			t.Errorf("%q is known, want it unknown", a)
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
		{"RSA for a given algorithm", &rsa.PublicKey{N: n, E: 65537}, jose.PS512, jose.PS512, ""},
		{"RSA of 2048 bits", &rsa.PublicKey{N: modulus(2048), E: 65537}, "", jose.RS256, ""},
		{"RSA of 8192 bits", &rsa.PublicKey{N: modulus(8192), E: 65537}, "", jose.RS256, ""},
		{"RSA with the largest exponent", &rsa.PublicKey{N: n, E: 1<<31 - 1}, "", jose.RS256, ""},

		{"P-224", &p224.PublicKey, "", "", `no algorithm ""`},
		{"P-224 for a given algorithm", &p224.PublicKey, jose.ES256, "", "another kind"},
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
		{"no key and no algorithm", nil, "", "", "no algorithm"},
		{"an empty EC key", &ecdsa.PublicKey{}, "", "", "no algorithm"},
		{
			"the point at infinity",
			&ecdsa.PublicKey{Curve: elliptic.P256(), X: new(big.Int), Y: new(big.Int)},
			"",
			"",
			"not a point",
		},
		{
			"a point beside the curve",
			&ecdsa.PublicKey{Curve: elliptic.P256(), X: big.NewInt(1), Y: big.NewInt(1)},
			"",
			"",
			"not a point",
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
			"not a point",
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

func TestKids(t *testing.T) {
	public := newSigner(t, jose.EdDSA).Key().Public()
	for _, tc := range []struct {
		name, id string
		ok       bool
	}{
		{"a name", "2026-11", true},
		{"as long as can be", strings.Repeat("k", jose.MaxID), true},
		{"too long", strings.Repeat("k", jose.MaxID+1), false},
		{"not UTF-8, so no header can hold it", "\xff", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			k, err := jose.NewKey(public, "", tc.id)
			if (err == nil) != tc.ok || tc.ok && k.ID != tc.id || !tc.ok && !errors.Is(err, jose.ErrKey) {
				t.Errorf("NewKey = %q, %v; want %q: %t", k.ID, err, tc.id, tc.ok)
			}
		})
	}
}

// A key is unchanged after a round trip through each form, and no form has a private member.
func TestKeysSurviveARoundTrip(t *testing.T) {
	var keys []jose.Key
	for _, alg := range algs {
		k := newSigner(t, alg).Key()
		keys = append(keys, k)
		back, err := jose.ParseJWK(k.JWK())
		if err != nil || !equal(back, k) {
			t.Errorf("%s: ParseJWK(JWK) = %v, %v; want %v", alg, back.ID, err, k.ID)
		}

		back, err = jose.ParsePEM(k.PEM(), alg, k.ID)
		if err != nil || !equal(back, k) {
			t.Errorf("%s: ParsePEM(PEM) = %v, %v; want %v", alg, back.ID, err, k.ID)
		}

		var members map[string]any
		if err := json.Unmarshal(k.JWK(), &members); err != nil {
			t.Fatal(err)
		}

		for _, private := range []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"} {
			if members[private] != nil {
				t.Errorf("%s: the JWK has the member %s, want no private one", alg, private)
			}
		}

		if members["kid"] != k.ID || members["alg"] != string(alg) || members["use"] != "sig" {
			t.Errorf("%s: JWK = %s, want its kid, alg and use", alg, k.JWK())
		}
	}

	back, _, err := jose.ParseSet(jose.MarshalSet(keys))
	if err != nil || !slices.EqualFunc(back, keys, equal) {
		t.Errorf("ParseSet(MarshalSet) = %d keys, %v; want %d", len(back), err, len(keys))
	}

	got := string(jose.MarshalSet(nil))
	if got != `{"keys":[]}` {
		t.Errorf(`MarshalSet of nothing = %s, want {"keys":[]}`, got)
	}
}

func equal(a, b jose.Key) bool {
	p, ok := a.Public().(interface{ Equal(crypto.PublicKey) bool })
	return ok && a.ID == b.ID && a.Alg == b.Alg && p.Equal(b.Public())
}
