// Package jose signs and checks JSON Web Signatures (RFC 7515) and reads the keys that
// they are checked with (RFC 7517, RFC 7638, RFC 8037).
//
// One key has one algorithm: the header of a token is compared with it and never chooses
// (RFC 8725, section 3.1). A token has one form, which is checked before anything in it is
// used. It is compact, in canonical base64url, and at most MaxToken bytes long. Its header
// is one JSON object of unique members, without critical extensions. Keys that are too
// weak are refused when they are read. The standard library checks signatures on the bytes
// as they arrived, so that no second parser sees another token. There are no symmetric
// keys: a verifier could sign with one.
//
// Packages signin, token and guard check the claims.
package jose

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
)

// MaxToken is the maximum length of a token, in bytes. Ours have a few hundred.
const MaxToken = 8 << 10

// The ways in which a token or key can be wrong, for the operator's eyes.
var (
	// ErrMalformed means that a text is not a compact JWS as this package reads them, or
	// that its payload holds no claims.
	ErrMalformed = errors.New("malformed token")
	// ErrAlgorithm means that a token names another algorithm than its key has.
	ErrAlgorithm = errors.New("algorithm is not the key's")
	// ErrSignature means that the signature is not of this key over this token.
	ErrSignature = errors.New("signature is wrong")
	// ErrKey means that a text is not a key that this package accepts.
	ErrKey = errors.New("unusable key")
)

// Header is the protected header of a token.
type Header struct {
	Alg   Alg
	KeyID string // "" when there is none; otherwise any text
	Type  string // as it stands; Typ compares as media types are
	// Foreign names the members by which a token would bring its own key: jwk, jku, x5c,
	// x5u. This package never follows one.
	Foreign []string
}

// Typ reports whether the typ of the token is a media type. The prefix application/
// may be left out, and case does not matter (RFC 7515, section 4.1.9). A token without
// typ has no type.
func (h Header) Typ(kind string) bool {
	return h.Type != "" && mediaType(h.Type) == mediaType(kind)
}

// mediaType folds the case of ASCII letters only: strings.ToLower has the Kelvin sign for a k.
func mediaType(s string) string {
	s = strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			r += 'a' - 'A'
		}
		return r
	}, s)
	// Section 4.1.9 adds the prefix only to a value that has no other slash.
	if rest, ok := strings.CutPrefix(s, "application/"); ok && !strings.Contains(rest, "/") {
		return rest
	}

	return s
}

// Signed is a token of valid shape whose signature has not been checked: until Verify
// returns nil, Header and Payload are the claims of an unknown sender.
type Signed struct {
	Header    Header
	Payload   []byte
	input     string // what was signed
	signature []byte
}

// Parse splits a compact JWS (RFC 7515, section 7.1) and checks its shape. Every error is
// ErrMalformed. If the text is too long or has not three parts, nothing is decoded.
func Parse(token string) (Signed, error) {
	// The length comes first: what is rejected here has cost no decoding.
	if len(token) > MaxToken {
		return Signed{}, fmt.Errorf("%w: %d bytes, at most %d are read", ErrMalformed, len(token), MaxToken)
	}

	head, rest, ok := strings.Cut(token, ".")
	body, tail, ok2 := strings.Cut(rest, ".")
	if !ok || !ok2 || strings.IndexByte(tail, '.') >= 0 {
		return Signed{}, fmt.Errorf("%w: it is not header.payload.signature", ErrMalformed)
	}

	raw, err := decode(head)
	if err != nil {
		return Signed{}, fmt.Errorf("%w: header: %w", ErrMalformed, err)
	}

	// RFC 7515, section 5.2, step 8: the signature covers the bytes as received, so they are
	// kept and never encoded again.
	s := Signed{input: token[:len(head)+1+len(body)]}
	s.Header, err = parseHeader(raw)
	if err != nil {
		return Signed{}, fmt.Errorf("%w: header: %w", ErrMalformed, err)
	}

	s.Payload, err = decode(body)
	if err != nil {
		return Signed{}, fmt.Errorf("%w: payload: %w", ErrMalformed, err)
	}

	s.signature, err = decode(tail)
	if err != nil {
		return Signed{}, fmt.Errorf("%w: signature: %w", ErrMalformed, err)
	}

	return s, nil
}

// Verify returns nil when the token is signed by the key, ErrAlgorithm when its
// alg is another or there is no key, and ErrSignature otherwise. Do not identify a token
// by its text: an ECDSA signature has a second valid form. Replays are
// known by what is inside.
func (s Signed) Verify(k Key) error {
	// The key has the algorithm; a header that names another is the confusion of RFC 8725,
	// section 2.1, also when its signature would fit.
	if k.IsZero() || s.Header.Alg.canonical() != k.Alg.canonical() {
		return ErrAlgorithm
	}
	if !k.check([]byte(s.input), s.signature) {
		return ErrSignature
	}

	return nil
}

// decode reads base64url without padding, in the one spelling that a value has
// (RFC 7515, section 2; RFC 4648, section 3.5).
func decode(text string) ([]byte, error) {
	// The decoder passes over line breaks, even the strict one.
	if strings.IndexByte(text, '\n') >= 0 || strings.IndexByte(text, '\r') >= 0 {
		return nil, errors.New("not base64url")
	}

	// Without Strict, the unused bits of the last character give one value several spellings.
	out, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil {
		return nil, errors.New("not base64url")
	}

	return out, nil
}

// parseHeader reads the header of a token. It only collects what is there; package signin
// and others judge it.
func parseHeader(raw []byte) (Header, error) {
	var h Header

	members, err := object(raw)
	if err != nil {
		return h, err
	}

	for _, m := range members {
		switch string(m.name) {
		case "alg":
			var alg string
			alg, err = m.text()
			h.Alg = Alg(alg)
		case "kid":
			h.KeyID, err = m.text()
		case "typ":
			h.Type, err = m.text()
		case "crit", "b64":
			// We know no extension, so whatever is critical is not understood (section
			// 4.1.11); and b64 means that the payload is not base64 (RFC 7797).
			err = errors.New("not understood")
		// A header that brings its key would let the attacker choose it (RFC 8725, section
		// 3.5).
		case "jwk", "jku", "x5c", "x5u":
			h.Foreign = append(h.Foreign, string(m.name))
		}

		if err != nil {
			return h, fmt.Errorf("%s: %w", m.name, err)
		}
	}

	// alg is the one required parameter (RFC 7515, section 4.1.1).
	if h.Alg == "" {
		return h, errors.New("no alg")
	}

	return h, nil
}
