package jose_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/jeton-auth/jeton/internal/jose"
)

// accessToken is what we issue: the claims of RFC 9068 with the two of our own.
const accessToken = `{"iss":"https://login.example.org","sub":"diane","aud":"https://files.example.org",` +
	`"exp":1763800600,"nbf":1763800000,"iat":1763800000,"jti":"jtn_a_0123456789abcdefghijkl",` +
	`"client_id":"backup-job","scope":"files:read files:write","gen":"7c3f","max_uses":3}`

// pair is a private key, and the plain signature and its check without any token around.
type pair struct {
	alg    jose.Alg
	key    crypto.Signer
	sign   func(input []byte) ([]byte, error)
	verify func(input, signature []byte) bool
}

func pairs(tb testing.TB) []pair {
	tb.Helper()
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}

	ec := generateEC(tb)
	rs, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		tb.Fatal(err)
	}

	return []pair{
		{
			jose.EdDSA, ed,
			func(in []byte) ([]byte, error) { return ed25519.Sign(ed, in), nil },
			func(in, sig []byte) bool { return ed25519.Verify(ed.Public().(ed25519.PublicKey), in, sig) },
		},
		{
			jose.ES256, ec,
			func(in []byte) ([]byte, error) {
				sum := sha256.Sum256(in)
				r, s, err := ecdsa.Sign(rand.Reader, ec, sum[:])
				if err != nil {
					return nil, err
				}

				out := make([]byte, 64)
				r.FillBytes(out[:32])
				s.FillBytes(out[32:])

				return out, nil
			},
			func(in, sig []byte) bool {
				sum := sha256.Sum256(in)
				r, s := new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:])
				return ecdsa.Verify(&ec.PublicKey, sum[:], r, s)
			},
		},
		{
			jose.RS256, rs,
			func(in []byte) ([]byte, error) {
				sum := sha256.Sum256(in)
				return rsa.SignPKCS1v15(nil, rs, crypto.SHA256, sum[:])
			},
			func(in, sig []byte) bool {
				sum := sha256.Sum256(in)
				return rsa.VerifyPKCS1v15(&rs.PublicKey, crypto.SHA256, sum[:], sig) == nil
			},
		},
	}
}

// BenchmarkVerify reads and checks a token. "x_raw" is how many times the plain check of
// its signature that costs, both measured by turns; the aim is 1.25.
func BenchmarkVerify(b *testing.B) {
	for _, p := range pairs(b) {
		b.Run(string(p.alg), func(b *testing.B) {
			signer, err := jose.NewSigner(p.key, p.alg, "")
			if err != nil {
				b.Fatal(err)
			}

			token, err := signer.Sign("at+jwt", []byte(accessToken))
			if err != nil {
				b.Fatal(err)
			}

			dot := strings.LastIndexByte(token, '.')
			signature, err := base64.RawURLEncoding.DecodeString(token[dot+1:])
			if err != nil {
				b.Fatal(err)
			}

			input, key := []byte(token[:dot]), signer.Key()
			compare(b, func() {
				s, err := jose.Parse(token)
				if err != nil {
					b.Fatal(err)
				}
				if err := s.Verify(key); err != nil {
					b.Fatal(err)
				}

				if c, err := jose.ParseClaims(s.Payload); err != nil || c.MaxUses != 3 {
					b.Fatalf("ParseClaims = %+v, %v; want 3 uses", c, err)
				}
			}, func() {
				if !p.verify(input, signature) {
					b.Fatal("signature refused, want it accepted")
				}
			})
		})
	}
}

// BenchmarkSign makes a token of claims; "x_raw" as in BenchmarkVerify.
func BenchmarkSign(b *testing.B) {
	for _, p := range pairs(b) {
		b.Run(string(p.alg), func(b *testing.B) {
			signer, err := jose.NewSigner(p.key, p.alg, "")
			if err != nil {
				b.Fatal(err)
			}

			head, claims := signer.Head("at+jwt"), []byte(accessToken)
			token, err := signer.SignHead(head, claims)
			if err != nil {
				b.Fatal(err)
			}

			input := []byte(token[:strings.LastIndexByte(token, '.')])
			compare(b, func() {
				if _, err := signer.SignHead(head, claims); err != nil {
					b.Fatal(err)
				}
			}, func() {
				if _, err := p.sign(input); err != nil {
					b.Fatal(err)
				}
			})
		})
	}
}

// BenchmarkRead is what a token costs beside its signature.
func BenchmarkRead(b *testing.B) {
	signer, err := jose.Generate(jose.EdDSA)
	if err != nil {
		b.Fatal(err)
	}

	token, err := signer.Sign("at+jwt", []byte(accessToken))
	if err != nil {
		b.Fatal(err)
	}

	b.SetBytes(int64(len(token)))
	b.ReportAllocs()

	for b.Loop() {
		s, err := jose.Parse(token)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := jose.ParseClaims(s.Payload); err != nil {
			b.Fatal(err)
		}
	}
}

// compare measures two things by turns, so that a slow moment of the machine is one for
// both, and reports the first with its ratio to the second.
func compare(b *testing.B, whole, raw func()) {
	b.Helper()
	var ours, theirs time.Duration
	for b.Loop() {
		start := time.Now()
		whole()
		middle := time.Now()
		raw()
		ours, theirs = ours+middle.Sub(start), theirs+time.Since(middle)
	}

	b.ReportMetric(float64(ours.Nanoseconds())/float64(b.N), "ns/op")
	b.ReportMetric(float64(ours)/float64(theirs), "x_raw")
}

func generateEC(tb testing.TB) *ecdsa.PrivateKey {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}

	return key
}
