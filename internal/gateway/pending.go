package gateway

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
	"time"
)

// pendingLifetime is how long a sign-in may take, from the page that needs it to the return.
const pendingLifetime = 10 * time.Minute

// pending is a sign-in that has begun. It travels with the browser as the parameter state, sealed, so that the
// server stores nothing for a stranger.
type pending struct {
	Path     string    `json:"path"`     // where the browser goes in the end
	Verifier string    `json:"verifier"` // code_verifier (RFC 7636, section 4.1)
	Browser  []byte    `json:"browser"`  // SHA-256 of the cookie of the browser that began
	Round    int       `json:"round"`    // how many sign-ins have come back without success
	Expires  time.Time `json:"expires"`
}

// seal seals pending sign-ins of one service, with AES-256-GCM.
type seal struct {
	aead    cipher.AEAD
	service []byte // associated data: the state of one service does not open at another
}

// newSeal returns the seal of a service. key has 32 bytes.
func newSeal(key []byte, service string) (seal, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return seal{}, err
	}

	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return seal{}, err
	}

	return seal{aead, []byte("pending sign-in\x00" + service)}, nil
}

// close returns a pending sign-in as the value of the parameter state.
func (s seal) close(p pending) (string, error) {
	var b bytes.Buffer

	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false) // a query of many parameters would become three times as long
	if err := e.Encode(p); err != nil {
		return "", fmt.Errorf("seal state: %w", err)
	}

	return base64.RawURLEncoding.EncodeToString(s.aead.Seal(nil, nil, b.Bytes(), s.service)), nil
}

// errState is a state that this service has not sealed.
var errState = errors.New("the state of the sign-in is not ours")

// open returns the pending sign-in of a state. It may have expired.
func (s seal) open(state string) (pending, error) {
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(state)
	if err != nil {
		return pending{}, errState
	}

	text, err := s.aead.Open(nil, nil, sealed, s.service)
	if err != nil {
		return pending{}, errState
	}

	var p pending
	if err := json.Unmarshal(text, &p); err != nil {
		return pending{}, errState
	}

	return p, nil
}

// newSecret returns 256 random bits in base64url.
func newSecret() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails

	return base64.RawURLEncoding.EncodeToString(b[:])
}

// secretLen is the length of what newSecret returns.
const secretLen = 43

// challenge returns the code_challenge of a verifier (RFC 7636, section 4.2).
func challenge(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}
