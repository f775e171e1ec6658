package jose

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"unicode/utf8"

	jose "github.com/go-jose/go-jose/v4"
)

// Alg names a signature algorithm as the header of a token does (RFC 7518, section 3.1;
// RFC 8037; RFC 9864).
type Alg string

// The algorithms.
const (
	EdDSA   Alg = "EdDSA"
	Ed25519 Alg = "Ed25519" // EdDSA by its newer name; a key has one of the two
	ES256   Alg = "ES256"
	ES384   Alg = "ES384"
	ES512   Alg = "ES512"
	RS256   Alg = "RS256"
	RS384   Alg = "RS384"
	RS512   Alg = "RS512"
	PS256   Alg = "PS256"
	PS384   Alg = "PS384"
	PS512   Alg = "PS512"
)

// family is the kind of signature: which key type, and which encoding of the signature.
type family uint8

const (
	edwards family = iota + 1
	ecdsaFixed
	rsaPKCS1
	rsaPSS
)

// algorithm is what an Alg computes with. Fields that its family does not use are zero.
type algorithm struct {
	family family
	hash   crypto.Hash
	curve  elliptic.Curve
	size   int // bytes of a number in an ECDSA signature
}

// algorithm returns what an algorithm needs (RFC 7518, section 3.1; RFC 8037). The last
// number is the length of R and of S.
func (a Alg) algorithm() (algorithm, bool) {
	switch a {
	case EdDSA, Ed25519:
		return algorithm{family: edwards}, true
	case ES256:
		return algorithm{ecdsaFixed, crypto.SHA256, elliptic.P256(), 32}, true
	case ES384:
		return algorithm{ecdsaFixed, crypto.SHA384, elliptic.P384(), 48}, true
	// A number of 521 bits takes 66 bytes (RFC 7518, section 3.4).
	case ES512:
		return algorithm{ecdsaFixed, crypto.SHA512, elliptic.P521(), 66}, true
	case RS256:
		return algorithm{family: rsaPKCS1, hash: crypto.SHA256}, true
	case RS384:
		return algorithm{family: rsaPKCS1, hash: crypto.SHA384}, true
	case RS512:
		return algorithm{family: rsaPKCS1, hash: crypto.SHA512}, true
	case PS256:
		return algorithm{family: rsaPSS, hash: crypto.SHA256}, true
	case PS384:
		return algorithm{family: rsaPSS, hash: crypto.SHA384}, true
	case PS512:
		return algorithm{family: rsaPSS, hash: crypto.SHA512}, true
	}

	return algorithm{}, false
}

// Known reports whether a is one of the algorithms that this package signs and checks with.
func (a Alg) Known() bool { _, ok := a.algorithm(); return ok }

// Key is a public key with the one algorithm that it checks. It is never changed, and
// safe for concurrent use.
type Key struct {
	ID     string // kid; the thumbprint where the key came without one
	Alg    Alg
	public crypto.PublicKey
	check  func(input, signature []byte) bool
}

// IsZero reports whether k is the zero Key.
func (k Key) IsZero() bool { return k.check == nil }

// Bounds of what is read as a key.
const (
	minRSA = 2048 // bits of the modulus
	maxRSA = 8192 // checking with longer ones takes too long
	maxID  = 512  // bytes of a kid; a thumbprint has 43
	// MaxKeyText bounds the text of a key or of a set of keys, in bytes.
	MaxKeyText = 512 << 10
)

// NewKey pins a public key to an algorithm. alg "" chooses: RS256 for RSA, ES256, ES384
// or ES512 by the curve, EdDSA for Ed25519. id "" is the thumbprint. The caller
// must not change public afterwards. It returns ErrKey for a key that it refuses.
func NewKey(public crypto.PublicKey, alg Alg, id string) (Key, error) {
	if alg == "" {
		alg = usual(public)
	}

	a, ok := alg.algorithm()
	if !ok {
		return Key{}, fmt.Errorf("%w: no algorithm %.40q", ErrKey, alg)
	}
	// Strength is checked once here, not at each signature.
	if err := a.fits(public); err != nil {
		return Key{}, fmt.Errorf("%w for %s: %w", ErrKey, alg, err)
	}

	// The kid goes into headers, logs and the database.
	if len(id) > maxID || !utf8.ValidString(id) {
		return Key{}, fmt.Errorf("%w: its kid is longer than %d bytes, or not UTF-8", ErrKey, maxID)
	}

	k := Key{
		ID:     id,
		Alg:    alg,
		public: public,
		check:  a.checker(public),
	}
	if id == "" {
		k.ID = k.Thumbprint()
	}

	return k, nil
}

// usual returns the algorithm of a key that names none.
func usual(public crypto.PublicKey) Alg {
	switch p := public.(type) {
	case ed25519.PublicKey:
		return EdDSA
	case *rsa.PublicKey:
		return RS256
	case *ecdsa.PublicKey:
		switch p.Curve {
		case elliptic.P256():
			return ES256
		case elliptic.P384():
			return ES384
		case elliptic.P521():
			return ES512
		}
	}

	return ""
}

// fits returns nil when a key can be of the algorithm and is strong enough.
func (a algorithm) fits(public crypto.PublicKey) error {
	switch p := public.(type) {
	case ed25519.PublicKey:
		if a.family == edwards {
			return checkEd25519(p)
		}
	case *ecdsa.PublicKey:
		if a.family == ecdsaFixed && p.Curve == a.curve {
			// Bytes checks the curve equation, so a point built by hand is caught too.
			if _, err := p.Bytes(); err != nil {
				return errors.New("it is not a point of its curve")
			}
			return nil
		}
	case *rsa.PublicKey:
		if a.family == rsaPKCS1 || a.family == rsaPSS {
			return checkRSA(p)
		}
	}

	return errors.New("it is of another kind")
}

// checker returns what checks signatures with a key that fits.
func (a algorithm) checker(public crypto.PublicKey) func(input, signature []byte) bool {
	switch p := public.(type) {
	case ed25519.PublicKey:
		return func(input, signature []byte) bool { return ed25519.Verify(p, input, signature) }
	case *ecdsa.PublicKey:
		return func(input, signature []byte) bool {
			if len(signature) != 2*a.size {
				return false // one spelling of a number only (RFC 7518, section 3.4)
			}
			r, s := new(big.Int).SetBytes(signature[:a.size]), new(big.Int).SetBytes(signature[a.size:])
			return ecdsa.Verify(p, a.digest(input), r, s)
		}
	case *rsa.PublicKey:
		// PSS and PKCS #1 v1.5 are never both tried: the key's algorithm names one of them.
		if a.family == rsaPSS {
			return func(input, signature []byte) bool {
				return rsa.VerifyPSS(p, a.hash, a.digest(input), signature, a.pss()) == nil
			}
		}

		return func(input, signature []byte) bool {
			return rsa.VerifyPKCS1v15(p, a.hash, a.digest(input), signature) == nil
		}
	}

	return nil
}

// pss returns options that demand a salt as long as the hash (RFC 7518, section 3.5).
func (a algorithm) pss() *rsa.PSSOptions {
	return &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}
}

func (a algorithm) digest(input []byte) []byte {
	// These functions allocate no hash state, unlike crypto.Hash.New.
	switch a.hash {
	case crypto.SHA256:
		sum := sha256.Sum256(input)
		return sum[:]
	case crypto.SHA384:
		sum := sha512.Sum384(input)
		return sum[:]
	default:
		sum := sha512.Sum512(input)
		return sum[:]
	}
}

// ParsePEM reads the one public key of a PEM text of at most MaxKeyText bytes: PUBLIC KEY or
// RSA PUBLIC KEY. alg and id are as in NewKey. Every error is ErrKey. A private key is
// refused: by sending it, its owner has exposed it.
func ParsePEM(text []byte, alg Alg, id string) (Key, error) {
	if len(text) > MaxKeyText {
		return Key{}, fmt.Errorf("%w: %d bytes, at most %d are read", ErrKey, len(text), MaxKeyText)
	}
	// Checked on the whole text: a private key may stand behind the public one.
	if bytes.Contains(text, []byte("PRIVATE KEY-----")) {
		return Key{}, fmt.Errorf(
			"%w: the text shows a private key; 'openssl pkey -in KEY -pubout' prints the public one",
			ErrKey,
		)
	}

	block, rest := pem.Decode(TrimBOM(text))
	switch {
	case block == nil:
		return Key{}, fmt.Errorf("%w: no PEM block", ErrKey)
	// A reader of the first block and a reader of the last would see two keys.
	case hasPEM(rest):
		return Key{}, fmt.Errorf("%w: more than one PEM block", ErrKey)
	}

	var public any
	var err error

	switch block.Type {
	case "PUBLIC KEY":
		public, err = x509.ParsePKIXPublicKey(block.Bytes)
	case "RSA PUBLIC KEY":
		public, err = x509.ParsePKCS1PublicKey(block.Bytes)
	default:
		return Key{}, fmt.Errorf("%w: a PEM block %.40q; PUBLIC KEY is right", ErrKey, block.Type)
	}

	if err != nil {
		return Key{}, fmt.Errorf("%w: %w", ErrKey, err)
	}

	return NewKey(public, alg, id)
}

// ParseKey reads a public key that is either PEM or a JWK. alg and id apply where the text
// has none. A text that names another algorithm than alg is ErrKey, as every error is.
func ParseKey(text []byte, alg Alg, id string) (Key, error) {
	text = TrimBOM(text)
	if isJSON(text) {
		return parseJWK(text, alg, id)
	}
	return ParsePEM(text, alg, id)
}

// isJSON distinguishes a JWK from PEM.
func isJSON(text []byte) bool {
	t := bytes.TrimLeft(text, " \t\r\n")
	return len(t) > 0 && t[0] == '{'
}

// Thumbprint returns the SHA-256 thumbprint of the key (RFC 7638) in base64url: 43
// characters.
func (k Key) Thumbprint() string { return thumbprint(k.public) }

func thumbprint(public crypto.PublicKey) string {
	sum, err := (&jose.JSONWebKey{Key: public}).Thumbprint(crypto.SHA256)
	if err != nil {
		return "" // NewKey takes only keys that have one
	}

	return base64.RawURLEncoding.EncodeToString(sum)
}

// PEM returns the key as PEM, type PUBLIC KEY.
func (k Key) PEM() []byte {
	der, err := x509.MarshalPKIXPublicKey(k.public)
	if err != nil {
		return nil // NewKey takes only keys that have a form
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}
