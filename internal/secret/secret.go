// Package secret makes the secrets that Jeton hands out, and recognises them.
//
// A secret is the prefix jtn_, a letter for what it is, 256 random bits in base62, and a
// checksum, so that scanners find leaked ones and a slip of the pen is told from a
// token that somebody has ended. The checksum keeps nobody out. Only the SHA-256 of a
// secret is ever stored. Who holds one, and what it is good for, is for others to know.
package secret

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"math/big"
	"regexp"
	"strings"
	"time"

	"github.com/jeton-auth/jeton"
)

// Kind says what a secret is for.
type Kind byte

// The kinds of secret. Session secrets begin with jtn_s_ and are older than this form:
// they have no checksum.
const (
	Access   Kind = 'a' // an opaque access token
	Client   Kind = 'c' // what a client proves itself with
	Personal Kind = 'p' // a personal access token
)

// Hash is the SHA-256 of a secret: what is stored, and what it is looked up by.
type Hash [sha256.Size]byte

// HashOf returns what a secret is stored and looked up by.
func HashOf(text string) Hash {
	return sha256.Sum256(append(make([]byte, 0, 64), text...)) // no allocation for our secrets
}

const (
	head     = "jtn_"
	alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	random   = 43 // characters that hold 256 bits
	check    = 6  // characters that hold a CRC-32
	// Len is the length of a secret, in bytes.
	Len = len(head) + 2 + random + check
)

// New makes a secret from 256 bits of r.
func New(k Kind, r io.Reader) (jeton.Secret, error) {
	var b [32]byte
	if _, err := io.ReadFull(r, b[:]); err != nil {
		return jeton.Secret{}, fmt.Errorf("read randomness: %w", err)
	}

	text := head + string(k) + "_" + digits(new(big.Int).SetBytes(b[:]), random)
	return jeton.NewSecret(text + checksum(text)), nil
}

// Is reports whether a text has the form of a secret of a kind, checksum and all.
func Is(k Kind, text string) bool {
	if len(text) != Len || !strings.HasPrefix(text, head+string(k)+"_") {
		return false
	}

	body := text[:Len-check]
	for _, c := range body[len(head)+2:] {
		if !strings.ContainsRune(alphabet, c) {
			return false
		}
	}

	return text[Len-check:] == checksum(body)
}

// secrets are what Mask takes out: secrets of ours, also parts of one, and JWTs.
var secrets = regexp.MustCompile(`jtn_[0-9A-Za-z_-]+|eyJ[0-9A-Za-z_-]+\.[0-9A-Za-z_-]*\.[0-9A-Za-z_-]*`)

// Mask returns a text in which everything that looks like a secret of ours or a signed
// token is replaced by "[secret]", for a record of what strangers send: secrets come in
// fields where they do not belong.
func Mask(text string) string { return secrets.ReplaceAllString(text, "[secret]") }

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

// Append appends the text of the handle, without a prefix, to b.
func (h Handle) Append(b []byte) []byte { return idEncoding.AppendEncode(b, h[:]) }

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
