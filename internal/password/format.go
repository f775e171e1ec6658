package password

import (
	"fmt"
	"slices"
	"strings"
)

// DefaultFormat is the format of hashes that cost Default, and of the work for unknown users.
const DefaultFormat = "default"

// Format returns a text that is the same for stored hashes whose checks do the same work: their kind and cost without
// salt and digest. An empty hash, of an unknown user, has DefaultFormat.
func Format(hash string) string {
	if hash == "" {
		return DefaultFormat
	}

	h, err := Parse(hash)
	if err == nil && h.Params == Default {
		return DefaultFormat
	}
	if err == nil {
		return fmt.Sprintf("argon2id %+v", h.Params)
	}

	head, rest := headOf(hash)
	parts := strings.Split(rest, "$")
	cost := parts[:max(0, len(parts)-2)] // salt and digest are the last two

	switch {
	case slices.Contains([]string{"$2a$", "$2b$", "$2y$", "bcrypt$$", "bcrypt_sha256$$"}, head):
		cost = parts[:len(parts)-1] // bcrypt writes them as one
	case head == "scrypt$" && len(parts) == 5:
		cost = []string{parts[0], parts[2], parts[3]} // Django writes N, salt, r and p
	}

	return head + strings.Join(cost, "$")
}
