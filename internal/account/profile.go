package account

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/naming"
)

// Profile is the optional attributes of a user. All of them may be empty.
type Profile struct {
	Email       string
	EmailFolded string // with its case folded, which is unique
	First       string // name
	Last        string // name
	Verified    bool   // the user has shown that mail to Email arrives
}

// NewProfile prepares the attributes of a user.
func NewProfile(email, first, last string) (Profile, error) {
	p := Profile{Email: strings.TrimSpace(email), First: first, Last: last}
	if p.Email != "" {
		if err := naming.Email(p.Email); err != nil {
			return Profile{}, invalid("email", err)
		}
		p.EmailFolded = naming.FoldEmail(p.Email)
	}

	for _, name := range []string{first, last} {
		if err := naming.RealName(name); err != nil {
			return Profile{}, invalid("first_name or last_name", err)
		}
	}

	return p, nil
}

// differences returns the names of the fields that another profile has otherwise, as the API names them.
func (p Profile) differences(other Profile) []string {
	var names []string
	for _, field := range []struct {
		name    string
		differs bool
	}{
		{"email", p.Email != other.Email},
		{"first_name", p.First != other.First},
		{"last_name", p.Last != other.Last},
	} {
		if field.differs {
			names = append(names, field.name)
		}
	}

	return names
}

// invalid reports a field that package naming refuses; its error begins with "want".
func invalid(field string, err error) error {
	return jeton.WithDetail(jeton.ErrInvalid, fmt.Sprintf("invalid %s: %v", field, err))
}

// newUUID makes a public id (RFC 9562, section 5.4). It is not a secret.
func newUUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	// Version 4 and the variant (RFC 9562, sections 4.1 and 4.2).
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80

	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// isUUID reports whether s is written as newUUID writes one, of any version.
func isUUID(s string) bool {
	if len(s) != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' || strings.ToLower(s) != s {
		return false
	}

	_, err := hex.DecodeString(strings.ReplaceAll(s, "-", ""))

	return err == nil && strings.Count(s, "-") == 4
}
