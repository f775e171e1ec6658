package jose_test

import (
	"crypto"
	"crypto/ed25519"
	"encoding/base64"
	"math/rand/v2"
	"strings"
	"testing"

	gojose "github.com/go-jose/go-jose/v4"

	"github.com/jeton-auth/jeton/internal/jose"
)

// second is the verdict of go-jose on a token: the payload, and whether it is signed. It
// does not know EdDSA by its newer name.
func second(token string, alg jose.Alg, public crypto.PublicKey) ([]byte, bool) {
	s, err := gojose.ParseSignedCompact(token, []gojose.SignatureAlgorithm{gojose.SignatureAlgorithm(alg)})
	if err != nil {
		return nil, false
	}

	payload, err := s.Verify(public)
	return payload, err == nil
}

func TestGoJoseAgrees(t *testing.T) {
	for _, alg := range algs {
		if alg == jose.Ed25519 {
			continue
		}

		t.Run(string(alg), func(t *testing.T) {
			ours := newSigner(t, alg)
			token, err := ours.Sign("JWT", []byte(accessToken))
			if err != nil {
				t.Fatal(err)
			}

			if payload, ok := second(token, alg, ours.Key().Public()); !ok || string(payload) != accessToken {
				t.Errorf("go-jose on what we sign = %q, %t; want its payload", payload, ok)
			}
			if _, ok := second(token[:len(token)-8]+"AAAAAAAA", alg, ours.Key().Public()); ok {
				t.Errorf("go-jose accepts a wrong signature, want a refusal: else the comparison proves nothing")
			}

			options := new(gojose.SignerOptions).WithType("JWT").WithHeader("kid", "k")
			theirs, err := gojose.NewSigner(gojose.SigningKey{
				Algorithm: gojose.SignatureAlgorithm(alg),
				Key:       ours.Private(),
			}, options)
			if err != nil {
				t.Fatal(err)
			}

			jws, err := theirs.Sign([]byte(accessToken))
			if err != nil {
				t.Fatal(err)
			}
			if token, err = jws.CompactSerialize(); err != nil {
				t.Fatal(err)
			}

			s, err := jose.Parse(token)
			if err != nil || s.Verify(ours.Key()) != nil || s.Header.KeyID != "k" || !s.Header.Typ("JWT") ||
				string(s.Payload) != accessToken {
				t.Errorf("what go-jose signs = %+v, %v; Verify = %v, want nil", s.Header, err, s.Verify(ours.Key()))
			}
		})
	}
}

func TestGoJoseHasTheSameThumbprints(t *testing.T) {
	for _, alg := range algs {
		k := newSigner(t, alg).Key()
		var theirs gojose.JSONWebKey
		if err := theirs.UnmarshalJSON(k.JWK()); err != nil {
			t.Fatal(err)
		}

		sum, err := theirs.Thumbprint(crypto.SHA256)
		if err != nil || base64.RawURLEncoding.EncodeToString(sum) != k.Thumbprint() || theirs.KeyID != k.ID ||
			theirs.Algorithm != string(alg) ||
			!theirs.IsPublic() {
			t.Errorf("%s: go-jose reads %+v, %v; want our public key", alg, theirs, err)
		}
	}
}

// Whatever is changed of a token, we do not take what go-jose refuses, and take no other
// text than the one that was signed.
func TestNoChangeOfATokenIsAccepted(t *testing.T) {
	const rounds = 4000
	for _, alg := range []jose.Alg{jose.EdDSA, jose.ES256, jose.RS256, jose.PS256} {
		t.Run(string(alg), func(t *testing.T) {
			r := rand.New(rand.NewPCG(1, uint64(len(alg))))
			key := newSigner(t, alg).Key()
			good := map[string]bool{}
			var tokens []string
			for _, payload := range []string{jobClaims, accessToken, "{}"} {
				token, err := newSigner(t, alg).Sign("JWT", []byte(payload))
				if err != nil {
					t.Fatal(err)
				}
				good[token], tokens = true, append(tokens, token)
			}

			parsed, taken := 0, 0
			for range rounds {
				token := change(r, tokens)
				s, err := jose.Parse(token)
				if err != nil {
					continue
				}

				parsed++
				if s.Verify(key) != nil {
					continue
				}

				taken++
				payload, ok := second(token, alg, key.Public())
				if !ok || string(payload) != string(s.Payload) {
					t.Errorf("go-jose on %s = %q, %t; want our payload", token, payload, ok)
				}

				if !good[token] {
					t.Errorf("Verify of %s = nil, want an error: it has no signature of a key", token)
				}
			}

			// Some must come as far as the signature, and some be what they were.
			if parsed < rounds/20 || taken == 0 || taken == parsed {
				t.Errorf("%d texts: %d parsed, %d accepted; want a twentieth, and some of these", rounds, parsed, taken)
			}
		})
	}
}

// change returns a token with a part of it changed, or exchanged for that of another.
func change(r *rand.Rand, tokens []string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

	token := tokens[r.IntN(len(tokens))]
	at := r.IntN(len(token))

	switch r.IntN(9) {
	case 0: // one bit of one character's meaning
		i := strings.IndexByte(alphabet, token[at])
		if i < 0 {
			return token
		}
		return token[:at] + string(alphabet[i^1<<r.IntN(6)]) + token[at+1:]
	case 1:
		return token[:at] + string(rune(r.IntN(256))) + token[at+1:]
	case 2:
		return token[:at] + token[at+1:]
	case 3:
		return token[:at] + string(alphabet[r.IntN(64)]) + token[at:]
	case 4:
		return token[:at] + string("=.\n\r \t+/\x00"[r.IntN(9)]) + token[at:]
	case 5:
		return token[:at] + token[at:at+r.IntN(len(token)-at)] + token[at:]
	case 6:
		i, j := r.IntN(len(token)), r.IntN(len(token))
		return token[:min(i, j)] + token[max(i, j):]
	case 7: // parts of several tokens
		parts := make([]string, 3)
		for i := range parts {
			parts[i] = strings.Split(tokens[r.IntN(len(tokens))], ".")[i]
		}
		return strings.Join(parts, ".")
	default: // the header in another spelling
		parts := strings.Split(token, ".")
		b, err := base64.RawURLEncoding.DecodeString(parts[0])
		if err != nil {
			return token
		}

		at := r.IntN(len(b))
		b[at] ^= 1 << r.IntN(8)

		return base64.RawURLEncoding.EncodeToString(b) + "." + parts[1] + "." + parts[2]
	}
}

// One key, one algorithm, two names: a client may register the key under either.
func TestTheTwoNamesOfEdDSA(t *testing.T) {
	for _, registered := range []jose.Alg{jose.EdDSA, jose.Ed25519} {
		for _, said := range []jose.Alg{jose.EdDSA, jose.Ed25519} {
			s := newSigner(t, said)
			pem := s.Key().PEM()
			k, err := jose.ParseKey(pem, registered, "")
			if err != nil {
				t.Fatal(err)
			}

			token, err := s.Sign("JWT", []byte(`{}`))
			if err != nil {
				t.Fatal(err)
			}

			signed, err := jose.Parse(token)
			if err != nil {
				t.Fatal(err)
			}
			if err := signed.Verify(k); err != nil {
				t.Errorf("key registered for %s, token with %s: %v, want nil", registered, said, err)
			}
		}
	}
}

// go-jose has no name for it, so the standard library checks Ed25519.
func TestEd25519ByItsNewerName(t *testing.T) {
	s := newSigner(t, jose.Ed25519)
	token, err := s.Sign("JWT", []byte(jobClaims))
	if err != nil {
		t.Fatal(err)
	}

	dot := strings.LastIndexByte(token, '.')
	if !ed25519.Verify(s.Key().Public().(ed25519.PublicKey), []byte(token[:dot]), signatureOf(t, token)) {
		t.Error("signature refused, want that of the token")
	}
	if !strings.HasPrefix(token, b64(`{"alg":"Ed25519","typ":"JWT","kid":"`+s.Key().ID+`"}`)) {
		t.Errorf("token = %s, want a header with Ed25519", token)
	}
}
