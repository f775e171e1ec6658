// Package naming has the rules for names: of users, groups, clients, services, scopes
// and keys. E-mail addresses, which users may log in with, are among them.
//
// A user or client name that it accepts can stand in a Basic header, a token and the
// audit log, and is never mistaken for a secret. Names with the same folded form are
// one name. Its errors read "want …" and do not repeat the name, which may be a
// password typed into the wrong field. Which outcome an error is, and where it
// stands, is for packages account, client and config to say; the stores know which
// names are taken.
package naming

import (
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/secure/precis"

	"github.com/jeton-auth/jeton/internal/secret"
)

// A name that begins with the prefix of our secrets would be masked in logs, or looked up
// as a token.
const reserved = secret.Prefix

// maxLen is the maximum length of a name, in bytes. A service has at most 63: it is a
// label of a host name.
const (
	maxLen      = 128
	maxService  = 63
	maxEmail    = 254 // RFC 5321, section 4.5.3.1.3, less the brackets
	maxRealName = 256
)

// The errors say what a name has to be, and never repeat it.
var (
	errLength   = errors.New("want 1 to 128 bytes")
	errReserved = errors.New("want one that does not begin with " + reserved + ", as tokens do")
	errUser     = errors.New("want letters, digits and punctuation without spaces (RFC 8265)")
	errColon    = errors.New("want no colon: Basic authentication cannot carry one (RFC 7617)")
	errGroup    = errors.New("want 1 to 128 bytes without spaces and commas")
	errClient   = errors.New("want ASCII letters, digits and . _ -, beginning with a letter or a digit")
	errService  = errors.New("want 1 to 63 of a to z, 0 to 9 and -, not beginning with -")
	errScope    = errors.New("want 1 to 128 ASCII characters without spaces, quotes and backslashes")
	errEmail    = errors.New("want an address such as diane@example.org")
	errRealName = errors.New("want at most 256 bytes without control characters")
	errKeyID    = errors.New("want 1 to 128 ASCII letters, digits and . _ - ~ : @ = +, not beginning with " + reserved)
)

// User prepares the name of a user by RFC 8265, section 3.4 (UsernameCasePreserved),
// and folds its case by section 3.3 (UsernameCaseMapped).
func User(s string) (prepared, folded string, err error) {
	if s == "" || len(s) > maxLen {
		return "", "", errLength
	}

	prepared, err = precis.UsernameCasePreserved.String(s)
	if err != nil {
		return "", "", errUser
	}

	folded, err = precis.UsernameCaseMapped.String(s)
	if err != nil {
		return "", "", errUser
	}

	// After preparation, which turns full-width characters into ASCII.
	if strings.Contains(prepared, ":") {
		return "", "", errColon
	}

	if strings.HasPrefix(folded, reserved) {
		return "", "", errReserved
	}

	return prepared, folded, nil
}

// FoldEmail folds the case of an address, also of its local part: hosts that distinguish
// the case of local parts are rarer than users who type another case.
func FoldEmail(email string) string { return cases.Fold().String(strings.TrimSpace(email)) }

// Email checks an e-mail address.
func Email(s string) error {
	local, domain, _ := strings.Cut(s, "@")
	bad := func(r rune) bool { return r <= ' ' || r == 0x7f || strings.ContainsRune("\"(),:;<>[\\]", r) }
	if local == "" || domain == "" || strings.Contains(domain, "@") ||
		len(s) > maxEmail || !utf8.ValidString(s) || strings.ContainsFunc(s, bad) {
		return errEmail
	}

	return nil
}

// RealName checks the first or last name of a user, which may be empty.
func RealName(s string) error {
	control := func(r rune) bool { return r < ' ' || r == 0x7f }
	if len(s) > maxRealName || !utf8.ValidString(s) || strings.ContainsFunc(s, control) {
		return errRealName
	}

	return nil
}

// Group checks the name of a group. Names of groups stand in a header, between commas.
func Group(s string) error {
	bad := func(r rune) bool { return r <= ' ' || r == ',' || r == 0x7f }
	if s == "" || len(s) > maxLen || strings.ContainsFunc(s, bad) {
		return errGroup
	}

	return nil
}

// Client checks the name of a client and folds its case. The rule is narrower than that
// for users: the name reads the same in a URL, a header, Basic authentication (RFC 6749,
// section 2.3.1) and the claims of a token.
func Client(s string) (folded string, err error) {
	if s == "" || len(s) > maxLen {
		return "", errLength
	}
	if !only(s, "._-") || !alphanumeric(rune(s[0])) {
		return "", errClient
	}

	folded = strings.ToLower(s)
	if strings.HasPrefix(folded, reserved) {
		return "", errReserved
	}

	return folded, nil
}

// Service checks the name of a service.
func Service(s string) error {
	if s == "" || len(s) > maxService || s[0] == '-' || !only(s, "-") || s != strings.ToLower(s) {
		return errService
	}

	return nil
}

// Scope checks a scope (RFC 6749, section 3.3).
func Scope(s string) error {
	bad := func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\\' }
	if s == "" || len(s) > maxLen || strings.ContainsFunc(s, bad) {
		return errScope
	}

	return nil
}

// KeyID checks the kid of a key that is registered here and stands in URLs. A key that a
// client publishes may have any kid (RFC 7517, section 4.5).
func KeyID(s string) error {
	// As a segment of a URL, . names something else (RFC 3986, section 5.2.4).
	dots := s == "." || s == ".."
	if s == "" || len(s) > maxLen || dots || strings.HasPrefix(s, reserved) || !only(s, "._-~:@=+") {
		return errKeyID
	}

	return nil
}

// only reports whether s has only ASCII letters, digits and the characters of more.
func only(s, more string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool {
		return !alphanumeric(r) && !strings.ContainsRune(more, r)
	})
}

// alphanumeric reports ASCII only: unicode.IsLetter would let look-alikes in.
func alphanumeric(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
}

// Printable reports whether a text looks as what it is: characters that turn the direction of a line, break it, or
// cannot be seen, are not printable.
func Printable(text string) bool {
	hidden := func(r rune) bool { return !unicode.IsPrint(r) }
	return utf8.ValidString(text) && !strings.ContainsFunc(text, hidden)
}
