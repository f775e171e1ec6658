package account

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/jeton-auth/jeton"

	"golang.org/x/text/cases"
)

// The maximum lengths of the fields of a profile, in bytes.
const (
	maxEmail    = 254 // RFC 5321, section 4.5.3.1.3, less the brackets
	maxRealName = 256
)

// Profile is the optional attributes of a user. All of them may be empty.
type Profile struct {
	Email       string
	EmailFolded string // with its case folded, which is unique
	First       string // name
	Last        string // name
}

// NewProfile prepares the attributes of a user.
func NewProfile(email, first, last string) (Profile, error) {
	p := Profile{Email: strings.TrimSpace(email), First: first, Last: last}
	if p.Email != "" {
		if err := checkEmail(p.Email); err != nil {
			return Profile{}, err
		}
		p.EmailFolded = FoldEmail(p.Email)
	}

	control := func(r rune) bool { return r < ' ' || r == 0x7f }
	for _, name := range []string{first, last} {
		if len(name) > maxRealName || !utf8.ValidString(name) || strings.ContainsFunc(name, control) {
			return Profile{}, jeton.WithDetail(
				jeton.ErrInvalid,
				fmt.Sprintf(
					"invalid first_name or last_name: want at most %d bytes without control characters",
					maxRealName,
				),
			)
		}
	}

	return p, nil
}

// FoldEmail folds the case of an address, also of its local part: hosts that distinguish
// the case of local parts are rarer than users who type another case.
func FoldEmail(email string) string { return cases.Fold().String(strings.TrimSpace(email)) }

func checkEmail(email string) error {
	local, domain, _ := strings.Cut(email, "@")
	bad := func(r rune) bool { return r <= ' ' || r == 0x7f || strings.ContainsRune("\"(),:;<>[\\]", r) }
	if local == "" || domain == "" || strings.Contains(domain, "@") ||
		len(email) > maxEmail || !utf8.ValidString(email) || strings.ContainsFunc(email, bad) {
		return jeton.WithDetail(jeton.ErrInvalid, "invalid email: want an address such as diane@example.org")
	}

	return nil
}

// newUUID makes a public id (RFC 9562, section 5.4). It is not a secret.
func newUUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
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
