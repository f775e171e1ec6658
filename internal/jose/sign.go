package jose

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"

	jose "github.com/go-jose/go-jose/v4"
)

// Signer is a private key with its public one, to be held by its pointer. It is safe for
// concurrent use, and prints nothing of its private key.
type Signer struct {
	key Key
	alg algorithm
	// private is behind a function because fmt does not call the methods of values in
	// an unexported field, and prints an address for a function.
	private func() crypto.Signer
}

// OwnRSA is the length of the RSA keys that Generate makes, in bits.
const OwnRSA = 3072

// Generate makes a key pair for an algorithm; its kid is the thumbprint (RFC 7638). It
// returns ErrKey for an unknown algorithm. RSA takes up to a second.
func Generate(alg Alg) (*Signer, error) {
	a, ok := alg.algorithm()
	if !ok {
		return nil, fmt.Errorf("%w: no algorithm %.40q", ErrKey, alg)
	}

	var private crypto.Signer
	var err error

	switch a.family {
	case edwards:
		_, private, err = ed25519.GenerateKey(rand.Reader)
	case ecdsaFixed:
		private, err = ecdsa.GenerateKey(a.curve, rand.Reader)
	default:
		private, err = rsa.GenerateKey(rand.Reader, OwnRSA)
	}

	if err != nil {
		return nil, fmt.Errorf("generate key for %s: %w", alg, err)
	}

	return NewSigner(private, alg, "")
}

// NewSigner pins a private key to an algorithm; alg "" and id "" choose as in NewKey. It
// takes ed25519.PrivateKey, *ecdsa.PrivateKey and *rsa.PrivateKey. It returns ErrKey for
// others, for a weak key, and for one whose two halves do not belong together.
func NewSigner(private crypto.Signer, alg Alg, id string) (*Signer, error) {
	var whole bool
	switch p := private.(type) {
	case ed25519.PrivateKey:
		// Signing with another's public half gives the private one away.
		whole = len(p) == ed25519.PrivateKeySize && ed25519.NewKeyFromSeed(p.Seed()).Equal(p)
	case *ecdsa.PrivateKey:
		// A JWK can carry any x and y with its d: the pair is computed again and compared.
		d, err := p.ECDH()
		q, err2 := p.PublicKey.ECDH()
		whole = err == nil && err2 == nil && d.PublicKey().Equal(q)
	case *rsa.PrivateKey:
		whole = true // the parsers and Generate have checked it, and it takes long
	default:
		return nil, fmt.Errorf("%w: it cannot sign", ErrKey)
	}

	if !whole {
		return nil, fmt.Errorf("%w: its private and its public part do not belong together", ErrKey)
	}

	// Our own keys pass the checks of foreign ones, so that verifiers do not reject them.
	k, err := NewKey(private.Public(), alg, id)
	if err != nil {
		return nil, err
	}

	a, _ := k.Alg.algorithm()
	return &Signer{key: k, alg: a, private: func() crypto.Signer { return private }}, nil
}

// ParseSigner reads a private key: PEM (PKCS #8, PKCS #1 or SEC 1) or a private JWK, whose
// RSA keys have at most 4096 bits. alg and id apply where the text has none; where it
// names another algorithm than alg, that is an error. Every error is ErrKey and shows
// nothing of the key.
func ParseSigner(text []byte, alg Alg, id string) (*Signer, error) {
	if len(text) > MaxKeyText {
		return nil, fmt.Errorf("%w: %d bytes, at most %d are read", ErrKey, len(text), MaxKeyText)
	}

	text = TrimBOM(text)
	if isJSON(text) {
		return signerOfJWK(text, alg, id)
	}

	block, rest := pem.Decode(text)
	if block != nil && block.Type == "EC PARAMETERS" { // openssl ecparam writes it first
		block, rest = pem.Decode(rest)
	}

	switch {
	case block == nil:
		return nil, fmt.Errorf("%w: no PEM block and no JWK", ErrKey)
	// A chain or a second key would leave it open which one signs.
	case hasPEM(rest):
		return nil, fmt.Errorf("%w: more than one PEM block", ErrKey)
	}

	switch block.Type {
	case "PRIVATE KEY":
		return ParsePKCS8(block.Bytes, alg, id)
	case "RSA PRIVATE KEY":
		private, err := x509.ParsePKCS1PrivateKey(block.Bytes)
		if err != nil {
			return nil, errUnread
		}
		return NewSigner(private, alg, id)
	case "EC PRIVATE KEY":
		private, err := x509.ParseECPrivateKey(block.Bytes)
		if err != nil {
			return nil, errUnread
		}
		return NewSigner(private, alg, id)
	case "ENCRYPTED PRIVATE KEY":
		return nil, fmt.Errorf("%w: it is encrypted; 'openssl pkey -in KEY -out PLAIN' decrypts it", ErrKey)
	}

	return nil, fmt.Errorf("%w: a PEM block %.40q; PRIVATE KEY is right", ErrKey, block.Type)
}

// errUnread has no detail, because the text of a parser might contain part of a private key.
var errUnread = fmt.Errorf("%w: it cannot be read", ErrKey)

// signerOfJWK reads a private JWK.
func signerOfJWK(text []byte, alg Alg, id string) (*Signer, error) {
	content, err := readJWK(text, "sign")
	if err != nil {
		return nil, fmt.Errorf("%w: JWK: %w", ErrKey, err)
	}

	alg, id, err = content.pin(alg, id)
	if err != nil {
		return nil, err
	}

	var j jose.JSONWebKey
	// readJWK has found each member once, so this second parser sees the same key.
	if err := j.UnmarshalJSON(text); err != nil {
		return nil, errUnread
	}

	private, ok := j.Key.(crypto.Signer)
	if !ok || !j.Valid() {
		return nil, fmt.Errorf("%w: not a private JWK", ErrKey)
	}
	if p, ok := private.(*rsa.PrivateKey); ok {
		p.Precompute() // once, and not again with each signature
	}

	return NewSigner(private, alg, id)
}

// Key returns the public key.
func (s *Signer) Key() Key { return s.key }

// String returns the ID and algorithm of the key, and nothing private.
func (s *Signer) String() string { return "signer " + s.key.ID }

// Format writes what String returns, whatever the verb.
func (s *Signer) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(s.String())) }

// MarshalPKCS8 returns the private key as PKCS #8, DER.
func (s *Signer) MarshalPKCS8() ([]byte, error) { return x509.MarshalPKCS8PrivateKey(s.private()) }

// ParsePKCS8 reads what MarshalPKCS8 returned. alg and id are as in NewSigner; every error
// is ErrKey.
func ParsePKCS8(der []byte, alg Alg, id string) (*Signer, error) {
	private, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, errUnread
	}

	signer, ok := private.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("%w: it cannot sign", ErrKey)
	}

	return NewSigner(signer, alg, id)
}

// Head returns the encoded header of the tokens of a type that this key signs, with the
// dot behind it: it is the same for all of them.
func (s *Signer) Head(typ string) string {
	h := struct {
		Alg Alg    `json:"alg"`
		Typ string `json:"typ,omitempty"`
		Kid string `json:"kid,omitempty"`
	}{s.key.Alg, typ, s.key.ID}

	b, err := json.Marshal(h)
	if err != nil {
		return "" // three texts always encode
	}

	return base64.RawURLEncoding.EncodeToString(b) + "."
}

// Sign returns the compact JWS (RFC 7515, section 7.1) of a type with these claims, which
// are a JSON object. Like SignHead, it returns an error for a token longer than MaxToken.
func (s *Signer) Sign(typ string, claims []byte) (string, error) {
	return s.SignHead(s.Head(typ), claims)
}

// SignHead is Sign with a header that Head has made. A token longer than MaxToken is an
// error: no verifier would accept it.
func (s *Signer) SignHead(head string, claims []byte) (string, error) {
	enc := base64.RawURLEncoding
	// 512 bytes are the signature of a 4096-bit RSA key; append grows it for a longer one.
	out := make([]byte, 0, len(head)+enc.EncodedLen(len(claims))+1+enc.EncodedLen(512))
	out = append(out, head...)
	out = enc.AppendEncode(out, claims)
	// The signing input is header.payload without the second dot (RFC 7515, section 5.1).
	signature, err := s.sign(out)
	if err != nil {
		return "", fmt.Errorf("sign with key %s: %w", s.key.ID, err)
	}

	out = append(out, '.')
	out = enc.AppendEncode(out, signature)
	if len(out) > MaxToken {
		return "", fmt.Errorf(
			"sign with key %s: a token of %d bytes; at most %d are read",
			s.key.ID, len(out), MaxToken,
		)
	}

	return string(out), nil
}

// sign returns the signature in the form of JWS.
func (s *Signer) sign(input []byte) ([]byte, error) {
	switch p := s.private().(type) {
	case ed25519.PrivateKey:
		return ed25519.Sign(p, input), nil
	case *ecdsa.PrivateKey:
		r, v, err := ecdsa.Sign(rand.Reader, p, s.alg.digest(input))
		if err != nil {
			return nil, err
		}

		// R and S have fixed lengths, with leading zeros (RFC 7518, section 3.4); ASN.1 has
		// not.
		out := make([]byte, 2*s.alg.size)
		r.FillBytes(out[:s.alg.size])
		v.FillBytes(out[s.alg.size:])

		return out, nil
	case *rsa.PrivateKey:
		if s.alg.family == rsaPSS {
			return rsa.SignPSS(rand.Reader, p, s.alg.hash, s.alg.digest(input), s.alg.pss())
		}
		return rsa.SignPKCS1v15(nil, p, s.alg.hash, s.alg.digest(input))
	}

	return nil, fmt.Errorf("%w: it cannot sign", ErrKey)
}
