package web

import (
	"encoding/base64"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/jeton-auth/jeton"
)

// Authorization returns the credentials that the header Authorization has for a scheme, and
// whether it has any (RFC 9110, section 11.6.2). The name of a scheme has no case. Two such
// headers are jeton.ErrAmbiguous: another reader could take the other one.
func Authorization(h http.Header, scheme string) (credentials string, found bool, err error) {
	lines := h["Authorization"]
	if len(lines) == 0 {
		return "", false, nil
	}
	if len(lines) > 1 {
		return "", false, jeton.WithDetail(jeton.ErrAmbiguous, "more than one header Authorization")
	}

	name, rest, found := strings.Cut(lines[0], " ")
	if !found || !strings.EqualFold(name, scheme) {
		return "", false, nil
	}

	return strings.Trim(rest, " "), true, nil
}

// maxBasic bounds Basic credentials, in bytes.
const maxBasic = 16 << 10

// errBasic quotes nothing of the credentials.
var errBasic = jeton.WithDetail(jeton.ErrBadCredential, "not Basic credentials (RFC 7617)")

// ParseBasic reads the credentials of RFC 7617: a name, a colon and a password, in UTF-8 and
// without control characters, as base64 with padding. Only the canonical encoding is accepted.
func ParseBasic(credentials string) (name, password string, err error) {
	// The decoder skips line breaks, even a strict one: one pair would have many encodings.
	if len(credentials) > maxBasic || strings.ContainsAny(credentials, "\r\n") {
		return "", "", errBasic
	}

	// Strict also refuses padding bits that are not zero, for the same reason.
	raw, err := base64.StdEncoding.Strict().DecodeString(credentials)
	if err != nil || !utf8.Valid(raw) {
		return "", "", errBasic
	}

	// A name cannot have a colon, so the first one ends it (RFC 7617, section 2).
	text := string(raw)
	name, password, found := strings.Cut(text, ":")
	if !found || strings.ContainsFunc(text, isControl) {
		return "", "", errBasic
	}

	return name, password, nil
}

func isControl(r rune) bool { return r < ' ' || r == 0x7f }
