// Package secret makes the secrets that Jeton issues, and recognises them.
//
// A secret is the prefix jtn_, a letter for its kind, 256 random bits, and a checksum. The
// prefix lets scanners find leaked ones. The checksum distinguishes a typing error from a revoked
// token; it protects nothing. Only the SHA-256 of a secret is stored. Whose a secret is, and
// what it permits, is for packages session, token, ticket and client.
//
// # The forms of a secret
//
//	jtn_s_ + 43 characters of base64url   a session (no checksum: it is older)
//	jtn_a_ + 43 + 6 digits of base62      an opaque access token
//	jtn_p_ + 43 + 6 digits of base62      a personal access token
//	jtn_c_ + 43 + 6 digits of base62      the secret of a client
//	jtn_t_ + 43 + 6 digits of base62      a ticket, which is taken once
//	jtn_r_ + 43 + 6 digits of base62      a refresh token
//
// Handles (ID) are public: s_ names a session and t_ a token. Mask and RedactPath, in mask.go, keep
// secrets that callers misplace out of logs. Seal, in seal.go, is for values that travel with a browser.
package secret

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"math/big"
	"strings"
	"time"

	"github.com/jeton-auth/jeton"
)

// Prefix begins every secret of ours, and no signed token and no name.
const Prefix = "jtn_"

// Kind is what a secret is for.
type Kind byte

// The kinds of secret, beside the session secret, which is older and has no checksum.
const (
	Access   Kind = 'a' // an opaque access token
	Client   Kind = 'c' // what a client proves itself with
	Personal Kind = 'p' // a personal access token
	Ticket   Kind = 't' // a one-time secret
	Refresh  Kind = 'r' // a refresh token
)

// Hash is the SHA-256 of a secret: what is stored, and what it is looked up by.
type Hash [sha256.Size]byte

// HashOf returns what a secret is stored and looked up by.
func HashOf(text string) Hash {
	return sha256.Sum256(append(make([]byte, 0, 64), text...)) // no allocation for our secrets
}

const (
	alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	random   = 43 // characters that hold 256 bits
	check    = 6  // characters that hold a CRC-32
	// Len is the length of a secret, in bytes.
	Len = len(Prefix) + 2 + random + check
)

// SessionPrefix begins the secret of a session. 256 bits in base64url follow.
const SessionPrefix = Prefix + "s_"

// sessionLen is the length of the secret of a session, in bytes.
const sessionLen = len(SessionPrefix) + 43

// NewSession makes the secret of a session from 256 bits of r.
func NewSession(r io.Reader) (jeton.Secret, error) {
	var b [32]byte
	if _, err := io.ReadFull(r, b[:]); err != nil {
		return jeton.Secret{}, fmt.Errorf("read randomness: %w", err)
	}

	return jeton.NewSecret(SessionPrefix + base64.RawURLEncoding.EncodeToString(b[:])), nil
}

// IsSession reports whether a text has the length and the prefix of a session secret.
func IsSession(text string) bool {
	return len(text) == sessionLen && text[:len(SessionPrefix)] == SessionPrefix
}

// New makes a secret from 256 bits of r.
func New(k Kind, r io.Reader) (jeton.Secret, error) {
	var b [32]byte
	if _, err := io.ReadFull(r, b[:]); err != nil {
		return jeton.Secret{}, fmt.Errorf("read randomness: %w", err)
	}

	text := Prefix + string(k) + "_" + digits(new(big.Int).SetBytes(b[:]), random)
	return jeton.NewSecret(text + checksum(text)), nil
}

// Is reports whether a text has the form of a secret of a kind, checksum and all.
func Is(k Kind, text string) bool {
	if len(text) != Len || !strings.HasPrefix(text, Prefix+string(k)+"_") {
		return false
	}

	// The alphabet first: the checksum alone would accept any byte with a matching CRC.
	body := text[:Len-check]
	for _, c := range body[len(Prefix)+2:] {
		if !strings.ContainsRune(alphabet, c) {
			return false
		}
	}

	return text[Len-check:] == checksum(body)
}

// Bytes returns the 256 bits of a secret of a kind, or false if it does not have the form.
func Bytes(k Kind, text string) (b [32]byte, ok bool) {
	if !Is(k, text) {
		return b, false
	}

	n := new(big.Int)
	for _, c := range text[len(Prefix)+2 : Len-check] {
		n.Mul(n, big.NewInt(int64(len(alphabet))))
		n.Add(n, big.NewInt(int64(strings.IndexRune(alphabet, c))))
	}

	// 43 digits of base62 hold more than 256 bits.
	if n.BitLen() > 8*len(b) {
		return b, false
	}
	n.FillBytes(b[:])

	return b, true
}

// idEncoding has no characters that are easily confused, and sorts as the bytes do.
var idEncoding = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

// Handle is a public handle without its prefix: 6 bytes of time, in milliseconds since
// 1970, and 8 random ones.
type Handle [14]byte

// HandleLen is the length of a handle as text, in bytes, without its prefix.
const HandleLen = 23

// ID makes a public handle: a prefix, the time to the millisecond and 64 bits of r. It is
// no secret. Handles sort by time, so that the store's index of them grows at one end.
func ID(prefix string, now time.Time, r io.Reader) (string, error) {
	var b [16]byte
	if _, err := io.ReadFull(r, b[:]); err != nil {
		return "", fmt.Errorf("read randomness: %w", err)
	}

	// 48 bits of milliseconds, then 16 random ones, which the shift must not overwrite.
	binary.BigEndian.PutUint64(b[:], uint64(now.UnixMilli())<<16|uint64(binary.BigEndian.Uint16(b[:])))
	return prefix + idEncoding.EncodeToString(b[:14]), nil
}

// ReadID takes a handle of that prefix apart. It reports false for what ID does not make:
// Append gives back exactly what ReadID took.
func ReadID(prefix, text string) (Handle, bool) {
	var h Handle

	body, ok := strings.CutPrefix(text, prefix)
	if !ok || len(body) != HandleLen {
		return h, false
	}

	b, err := idEncoding.AppendDecode(make([]byte, 0, len(h)+2), []byte(body))
	if err != nil || len(b) != len(h) {
		return h, false
	}

	h = Handle(b)
	// The last character has three bits that say nothing, and the decoder skips line breaks.
	return h, string(h.Append(nil)) == body
}

// Time returns when the handle was made, to the millisecond.
func (h Handle) Time() time.Time {
	var b [8]byte
	copy(b[2:], h[:6])

	return time.UnixMilli(int64(binary.BigEndian.Uint64(b[:])))
}

// Append appends the text of the handle, without a prefix, to b.
func (h Handle) Append(b []byte) []byte { return idEncoding.AppendEncode(b, h[:]) }

// checksum returns the CRC-32 of a text in six digits, which always suffice: 62^6 is over 2^32.
func checksum(text string) string {
	return digits(new(big.Int).SetUint64(uint64(crc32.ChecksumIEEE([]byte(text)))), check)
}

// digits writes a number in base62 with leading zeros.
func digits(n *big.Int, width int) string {
	out := make([]byte, width)
	base, rest := big.NewInt(int64(len(alphabet))), new(big.Int)
	for i := width - 1; i >= 0; i-- {
		n.DivMod(n, base, rest)
		out[i] = alphabet[rest.Int64()]
	}

	return string(out)
}
