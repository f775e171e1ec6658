package account

import (
	"crypto/rand"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/jeton-auth/jeton"

	"golang.org/x/text/cases"
)

// Bounds of what is told of people, in bytes.
const (
	maxEmail  = 254 // RFC 5321, section 4.5.3.1.3, less the brackets
	maxPerson = 256
)

// NewProfile prepares what is told of somebody.
func NewProfile(email, first, last string) (Profile, error) {
	p := Profile{Email: strings.TrimSpace(email), First: first, Last: last}
	if p.Email != "" {
		if err := checkEmail(p.Email); err != nil {
			return Profile{}, err
		}
		p.EmailFolded = FoldEmail(p.Email)
	}

	for _, name := range []string{first, last} {
		if len(name) > maxPerson || !utf8.ValidString(name) || strings.ContainsFunc(name, control) {
			return Profile{}, jeton.WithDetail(
				jeton.ErrInvalid,
				fmt.Sprintf("first_name and last_name have at most %d bytes and no control characters", maxPerson),
			)
		}
	}

	return p, nil
}

// FoldEmail returns an address without regard to case. The domain has none; that some hosts
// could tell local parts apart by it is a trap and not a use.
func FoldEmail(email string) string { return cases.Fold().String(strings.TrimSpace(email)) }

func checkEmail(email string) error {
	local, domain, ok := strings.Cut(email, "@")
	odd := func(r rune) bool { return r <= ' ' || r == 0x7f || strings.ContainsRune("\"(),:;<>[\\]", r) }
	if !ok || local == "" || domain == "" || strings.Contains(
		domain,
		"@",
	) || len(email) > maxEmail || !utf8.ValidString(email) || strings.ContainsFunc(email, odd) {
		return jeton.WithDetail(jeton.ErrInvalid, "email is not an address; write it as in diane@example.org")
	}

	return nil
}

func control(r rune) bool { return r < ' ' || r == 0x7f }

// newUUID makes a public id (RFC 9562, section 5.4). It is no secret.
func newUUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // it never fails (crypto/rand)
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
