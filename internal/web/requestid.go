package web

import "math/rand/v2"

// NewID returns an id for a request: 20 characters, 100 random bits. It is a name, not a secret.
func NewID() string {
	const alphabet = "0123456789abcdefghjkmnpqrstvwxyz"
	var b [20]byte

	n := rand.Uint64()
	for i := range b {
		// 12 characters of 5 bits are what one random number has.
		if i == 12 {
			n = rand.Uint64()
		}
		b[i] = alphabet[n&31]
		n >>= 5
	}

	return string(b[:])
}

// ValidID reports whether the request id of a trusted proxy can be used: 8 to 64 characters that are
// safe in a header, a path and a log.
func ValidID(id string) bool {
	if len(id) < 8 || len(id) > 64 {
		return false
	}

	for i := range len(id) {
		c := id[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_' || c == '.') {
			return false
		}
	}

	return true
}
