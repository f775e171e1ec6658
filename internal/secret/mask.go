package secret

import (
	"regexp"
	"strings"
	"unicode"
)

// jwtStart begins every JWT: the base64url of `{"`.
const jwtStart = "eyJ"

// secrets matches what Mask replaces: secrets of ours, also parts of one, and JWTs, signed
// (three parts) or encrypted (five).
var secrets = regexp.MustCompile(Prefix + `[0-9A-Za-z_-]+|` + jwtStart + `[0-9A-Za-z_-]+(?:\.[0-9A-Za-z_-]*){2,4}`)

// Mask replaces everything that looks like a secret of ours or a JWT by "[secret]". The audit
// log and error texts mask what callers send, which may be a secret in the wrong field.
func Mask(text string) string {
	// A search for the beginnings costs much less than one for the whole, and nearly every text has none of them.
	if !strings.Contains(text, Prefix) && !strings.Contains(text, jwtStart) {
		return text
	}
	return secrets.ReplaceAllString(text, "[secret]")
}

// maxPath bounds the path of a request in logs and the audit log, in bytes.
const maxPath = 200

// RedactPath returns a path as logs and the audit log may show it: at most 200 bytes, printable, and only
// what is before the first secret of ours or JWT that a client put into it. Whatever writes the
// path of a request calls this.
func RedactPath(path string) string {
	before := path[:firstSecret(path)]
	before, path = printable(before), printable(path)

	if len(before) > maxPath {
		return strings.ToValidUTF8(before[:maxPath], "") + "…"
	}
	if len(before) < len(path) {
		return before + "…"
	}

	return path
}

// printable replaces characters that could forge a line or control a terminal. Text without them is
// returned unchanged.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, text)
}

// firstSecret returns where the first secret in a text begins, or the length of the text. It
// is called for every request, so it looks for a match only where one may begin.
func firstSecret(text string) int {
	first := strings.Index(text, Prefix)
	if first < 0 {
		first = len(text)
	}

	if strings.Contains(text[:first], jwtStart) {
		at := secrets.FindStringIndex(text)
		if at != nil {
			first = min(first, at[0])
		}
	}

	return first
}
