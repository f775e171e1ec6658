package secret

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
)

// Seal seals what travels with a browser, with AES-256-GCM, so that the server stores nothing for a stranger. Its
// methods are safe for concurrent use.
type Seal struct {
	aead    cipher.AEAD
	purpose []byte // associated data: what is sealed for one purpose does not open for another
}

// NewSeal returns the seal of a purpose. key has 32 bytes.
func NewSeal(key []byte, purpose string) (Seal, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return Seal{}, err
	}

	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return Seal{}, err
	}

	return Seal{aead, []byte(purpose)}, nil
}

// Close returns a value as JSON, sealed, in base64url.
func (s Seal) Close(v any) (string, error) {
	var b bytes.Buffer

	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false) // a query of many parameters would become three times as long
	if err := e.Encode(v); err != nil {
		return "", fmt.Errorf("seal: %w", err)
	}

	return base64.RawURLEncoding.EncodeToString(s.aead.Seal(nil, nil, b.Bytes(), s.purpose)), nil
}

// ErrSeal is a text that was not sealed with the key and for the purpose.
var ErrSeal = errors.New("not sealed by this server for this purpose")

// Open reads into v what Close has sealed, or returns ErrSeal. Whether it has expired is for the caller.
func (s Seal) Open(text string, v any) error {
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil {
		return ErrSeal
	}

	opened, err := s.aead.Open(nil, nil, sealed, s.purpose)
	if err != nil {
		return ErrSeal
	}
	if json.Unmarshal(opened, v) != nil {
		return ErrSeal
	}

	return nil
}

// Random returns 256 random bits in base64url, of RandomLen characters.
func Random() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails

	return base64.RawURLEncoding.EncodeToString(b[:])
}

// RandomLen is the length of what Random returns.
const RandomLen = 43

// Challenge returns the code_challenge of a code_verifier, of method S256 (RFC 7636, section 4.2).
func Challenge(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}
