package web

import (
	"bytes"
	"fmt"
	"unicode/utf8"

	"github.com/jeton-auth/jeton"
)

// CheckUTF8 returns jeton.ErrInvalid with the position of the first byte that is not UTF-8.
// Without it, encoding/json and databases would store U+FFFD in place of the letter.
func CheckUTF8(text []byte) error {
	at := firstInvalid(text)
	if at < 0 {
		return nil
	}

	return jeton.WithDetail(jeton.ErrInvalid, fmt.Sprintf("byte %d (0x%02x) is not UTF-8", at+1, text[at]))
}

// firstInvalid returns the offset of the first byte that is not UTF-8, or -1.
func firstInvalid(text []byte) int {
	if utf8.Valid(text) {
		return -1
	}

	at := 0
	for at < len(text) {
		r, size := utf8.DecodeRune(text[at:])
		if r == utf8.RuneError && size == 1 {
			break
		}
		at += size
	}

	return at
}

// CheckJSONText returns jeton.ErrInvalid, with the position, for a JSON document that is not
// UTF-8 (RFC 8259, section 8.1) or escapes half of a surrogate pair (section 8.2):
// encoding/json reads both as U+FFFD.
func CheckJSONText(document []byte) error {
	if err := CheckUTF8(document); err != nil {
		return err
	}

	for at := 0; at < len(document); {
		next := bytes.IndexByte(document[at:], '\\')
		if next < 0 {
			return nil
		}

		at += next
		unit, ok := escapedUnit(document[at:])
		if !ok {
			at += 2 // another escape, such as \\
			continue
		}

		const high, low, end = 0xd800, 0xdc00, 0xe000
		if unit < high || unit >= end {
			at += len(`\uffff`)
			continue
		}

		second, ok := escapedUnit(document[at+len(`\uffff`):])
		if unit >= low || !ok || second < low || second >= end {
			detail := fmt.Sprintf("the escape at byte %d is half of a surrogate pair", at+1)
			return jeton.WithDetail(jeton.ErrInvalid, detail)
		}

		at += 2 * len(`\uffff`)
	}

	return nil
}

// escapedUnit returns the UTF-16 code unit of an escape like \u00e4 at the start of a text.
func escapedUnit(text []byte) (unit int, ok bool) {
	if len(text) < len(`\uffff`) || text[0] != '\\' || text[1] != 'u' {
		return 0, false
	}

	for _, c := range text[2:len(`\uffff`)] {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c|0x20 && c|0x20 <= 'f':
			c = c | 0x20 - 'a' + 10
		default:
			return 0, false
		}

		unit = unit<<4 | int(c)
	}

	return unit, true
}
