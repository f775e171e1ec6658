// Package testkey makes signing keys for tests, in a fraction of the time.
//
// Its RSA keys differ from each other and pass every check, but share their primes, and who
// sees two of them can compute both. No product package may import it; a test of the repository
// holds that. Real keys are made by package jose.
package testkey

import (
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"math/big"
	"strings"
	"sync"

	"github.com/jeton-auth/jeton/internal/jose"
)

// pool has the primes of this process. Nothing is stored: each process finds its own.
var pool = primes{high: 1}

// primes are the primes of RSA keys.
type primes struct {
	mu    sync.Mutex
	found []*big.Int
	// low and high are the indexes of the primes of the next key. Each pair with low < high has its turn
	// once, so that no two keys are the same.
	low, high int
}

// Generate is jose.Generate, with RSA keys from few primes. It is safe for concurrent use.
func Generate(alg jose.Alg) (*jose.Signer, error) {
	if !strings.HasPrefix(string(alg), "RS") && !strings.HasPrefix(string(alg), "PS") {
		return jose.Generate(alg)
	}

	private, err := pool.key()
	if err != nil {
		return nil, fmt.Errorf("key of a test: %w", err)
	}

	return jose.NewSigner(private, alg, "")
}

// key returns a key that it has not returned before.
func (p *primes) key() (*rsa.PrivateKey, error) {
	p.mu.Lock()
	defer p.mu.Unlock()

	if p.high >= len(p.found) {
		// The primes of package rsa have what its keys need: their size, and no factor in common with e.
		made, err := rsa.GenerateKey(rand.Reader, jose.OwnRSA)
		if err != nil {
			return nil, err
		}
		p.found = append(p.found, made.Primes...)
	}

	private := join(p.found[p.low], p.found[p.high])

	p.low++
	if p.low == p.high {
		p.low, p.high = 0, p.high+1
	}

	return private, private.Validate()
}

// join returns the key of two primes (RFC 8017, section 3.2).
func join(p, q *big.Int) *rsa.PrivateKey {
	const exponent = 65537
	one := big.NewInt(1)

	phi := new(big.Int).Mul(new(big.Int).Sub(p, one), new(big.Int).Sub(q, one))
	private := &rsa.PrivateKey{
		PublicKey: rsa.PublicKey{N: new(big.Int).Mul(p, q), E: exponent},
		D:         new(big.Int).ModInverse(big.NewInt(exponent), phi),
		Primes:    []*big.Int{p, q},
	}
	private.Precompute()

	return private
}
