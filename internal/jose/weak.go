package jose

import (
	"crypto/ed25519"
	"crypto/rsa"
	"errors"
	"fmt"
	"math/big"
	"slices"
)

// checkRSA refuses a key that is known to be weak.
func checkRSA(p *rsa.PublicKey) error {
	if p.N == nil {
		return errors.New("there is none")
	}

	// RFC 7518, section 3.3 demands 2048 bits; the maximum keeps a check from taking seconds.
	n := p.N.BitLen()
	if n < minRSA || n > maxRSA {
		return fmt.Errorf("an RSA key of %d bits; %d to %d are accepted", n, minRSA, maxRSA)
	}
	// The minimum of FIPS 186-5, and the maximum of the standard library.
	if p.E < 65537 || p.E > 1<<31-1 || p.E&1 == 0 {
		return fmt.Errorf("an RSA key with the exponent %d", p.E)
	}

	// The primes below begin with 3.
	if p.N.Bit(0) == 0 {
		return errors.New("an RSA key with a small factor")
	}

	roca := true
	for _, prime := range [...]int64{
		3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97,
		101, 103, 107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167,
	} {
		rest := new(big.Int).Mod(p.N, big.NewInt(prime)).Int64()
		if rest == 0 {
			return errors.New("an RSA key with a small factor")
		}
		roca = roca && isPower(rest, prime)
	}

	if roca {
		return errors.New("an RSA key made by a broken generator (ROCA, CVE-2017-15361)")
	}

	return nil
}

// isPower reports whether n is a power of 65537 modulo a prime. The moduli of the broken
// generator are one modulo each of the first primes; of the others, one in some hundred
// million is ("The Return of Coppersmith's Attack", section 2.2).
func isPower(n, prime int64) bool {
	for power := int64(1); ; {
		if power == n {
			return true
		}

		power = power * 65537 % prime
		if power == 1 {
			return false
		}
	}
}

// checkEd25519 refuses what crypto/ed25519 computes with and no honest generator makes:
// an encoding that is not the one of its point, no point at all, and the eight points of
// small order, with which a signature can be valid for any text (RFC 8032, section 5.1.3).
func checkEd25519(p ed25519.PublicKey) error {
	if len(p) != ed25519.PublicKeySize {
		return fmt.Errorf("an Ed25519 key of %d bytes", len(p))
	}

	prime := new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 255), big.NewInt(19))
	b := slices.Clone(p)
	b[31] &= 0x7f // the sign of x
	slices.Reverse(b)
	y := new(big.Int).SetBytes(b)
	// RFC 8032, section 5.1.3, step 1. Two encodings of a point would be two thumbprints of a
	// key.
	if y.Cmp(prime) >= 0 {
		return errors.New("an Ed25519 key that is not written as it should be")
	}

	// x² = (y²-1)/(dy²+1) with d = -121665/121666, so that u = 121666(y²-1) and
	// v = 121666-121665y² have a quotient, and a product, that is a square.
	yy := new(big.Int).Mul(y, y)
	u := new(big.Int).Mul(big.NewInt(121666), new(big.Int).Sub(yy, big.NewInt(1)))
	v := new(big.Int).Sub(big.NewInt(121666), new(big.Int).Mul(big.NewInt(121665), yy))

	u.Mod(u, prime)
	if u.Sign() == 0 || y.Sign() == 0 { // orders 1, 2 and 4
		return errors.New("an Ed25519 key of small order")
	}
	// Step 3: without a square root there is no x, so the bytes are no point.
	if big.Jacobi(new(big.Int).Mul(u, v), prime) != 1 {
		return errors.New("an Ed25519 key that is not a point of its curve")
	}

	// Doubled, a point of order 8 has order 4, where y is 0; that is when x² + y² is 0.
	xx := u.Mul(u, v.ModInverse(v, prime))
	if xx.Add(xx, yy).Mod(xx, prime).Sign() == 0 {
		return errors.New("an Ed25519 key of small order")
	}

	return nil
}
