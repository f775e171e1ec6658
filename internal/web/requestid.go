package web

import "math/rand/v2"

// NewID returns an id for a request. It is a name, not a secret.
func NewID() string {
	const alphabet = "0123456789abcdefghjkmnpqrstvwxyz"
	var b [20]byte

	n := rand.Uint64()
	for i := range b {
		if i == 12 {
			n = rand.Uint64()
		}
		b[i] = alphabet[n&31]
		n >>= 5
	}

	return string(b[:])
}

// ValidID reports whether the request id of a trusted proxy can be used.
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
