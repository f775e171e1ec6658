package jose_test

//lint:file-ignore SA1019 the tests need keys that the constructors of crypto/ecdsa refuse to make

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/jeton-auth/jeton/internal/jose"
)

// modulus returns a number of that many bits without small factors. No key can sign for it.
func modulus(bits int) *big.Int {
	n := new(big.Int).Lsh(big.NewInt(1), uint(bits-1))
	for step := big.NewInt(1); ; n.Add(n, step) {
		// Neither 3 nor 5 nor … 167 divides it, and it is not a power of 65537 modulo 11.
		if new(big.Int).GCD(
			nil, nil, n, primorial(),
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

// The fourteen encodings of the eight points of small order, and others that are not a key.
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
		{"not a point", "02" + strings.Repeat("00", 31), "not a point"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b, err := hex.DecodeString(tc.key)
			if err != nil || len(b) != 32 {
				t.Fatalf("%d bytes, %v; want 32", len(b), err)
			}
			if _, err := jose.NewKey(
				ed25519.PublicKey(b), "", "",
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

// Decides again, by the textbook, whether a number is a point: x² = (y²-1)/(dy²+1).
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
			t.Fatalf("NewKey of %x: %v, want nil only for a point: %t", b, err, isPoint)
		}

		if isPoint {
			taken++
		}
	}

	if taken < 400 || taken > 600 {
		t.Errorf("%d of 1000 numbers are points, want about half", taken)
	}
}
