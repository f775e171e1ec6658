package jose

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// The JSON of tokens and keys is read here, in one pass, and not by encoding/json: that
// takes the last of two members of a name and repairs invalid text, so that another reader
// could see another token. It also takes several times as long.

// The limits of a token or key. Real ones nest four deep and have some twenty members.
const (
	maxDepth   = 16
	maxMembers = 128 // their names are compared each with each
)

// errJSON does not say where: the text may be secret.
var errJSON = errors.New("not a JSON object")

// member is a member of a JSON object: its decoded name, and its value as it stands in the
// text. Neither is copied unless the name has escapes.
type member struct{ name, value []byte }

// object splits a JSON object into its members. A name that is there twice is refused
// (RFC 7515, section 4; RFC 7519, section 4), and so is a text that is not Unicode: half
// of a surrogate pair would otherwise be read as the same text as any other half.
func object(data []byte) ([]member, error) {
	if !utf8.Valid(data) {
		return nil, errors.New("not UTF-8")
	}

	s := scanner{data: data}
	s.space()
	if !s.has('{') {
		return nil, errJSON
	}

	members := make([]member, 0, 12)
	err := s.each(1, func(name, value []byte) error {
		// Names are compared after decoding: "alg" and "\u0061lg" are the same member.
		name, err := unquote(name)
		if err != nil {
			return err
		}

		for _, m := range members {
			if bytes.Equal(m.name, name) {
				return errors.New("a member is there twice")
			}
		}

		if len(members) == maxMembers {
			return errors.New("it has too many members")
		}

		members = append(members, member{name, value})

		return nil
	})
	if err != nil {
		return nil, err
	}

	s.space()
	// Text behind the object would be a second document to a more lenient reader.
	if s.at != len(data) {
		return nil, errJSON
	}

	return members, nil
}

// elements returns the elements of a list that object has read, and no more than limit.
func elements(value []byte, limit int) ([][]byte, error) {
	s := scanner{data: value}
	if !s.has('[') {
		return nil, errors.New("not a list")
	}

	var list [][]byte
	err := s.each(1, func(_, value []byte) error {
		// The limit holds while reading, so that a long list costs no memory first.
		if len(list) == limit {
			return errors.New("too long a list")
		}
		list = append(list, value)
		return nil
	})

	return list, err
}

// unquote returns the decoded text: value itself without its quotes if nothing is escaped.
func unquote(value []byte) ([]byte, error) {
	if len(value) < 2 || value[0] != '"' {
		return nil, errors.New("not a text")
	}
	// Nearly no token has an escape, and without one nothing is copied.
	if bytes.IndexByte(value, '\\') < 0 {
		return value[1 : len(value)-1], nil
	}

	var s string
	if err := json.Unmarshal(value, &s); err != nil {
		return nil, errors.New("not a text")
	}

	return []byte(s), nil
}

// scanner splits JSON (RFC 8259) and checks its syntax in one pass. After an error, its
// position has no meaning.
type scanner struct {
	data []byte
	at   int
}

// space skips white space (RFC 8259, section 2).
func (s *scanner) space() {
	for s.at < len(s.data) &&
		(s.data[s.at] == ' ' || s.data[s.at] == '\t' || s.data[s.at] == '\n' || s.data[s.at] == '\r') {
		s.at++
	}
}

func (s *scanner) has(b byte) bool { return s.at < len(s.data) && s.data[s.at] == b }

// skip moves past a byte if it is the next one.
func (s *scanner) skip(b byte) bool {
	if s.has(b) {
		s.at++
		return true
	}
	return false
}

// each walks over the object or list that begins here and gives do, unless it is nil, the
// members or elements as they stand. Those of a list have no name.
func (s *scanner) each(depth int, do func(name, value []byte) error) error {
	// each and value call each other: without a limit, nested lists would exhaust the stack.
	if depth > maxDepth {
		return errors.New("it nests too deep")
	}

	named, end := s.has('{'), byte(']')
	if named {
		end = '}'
	}

	s.at++
	s.space()
	if s.skip(end) {
		return nil
	}

	for {
		var name []byte
		if named {
			s.space()
			start := s.at

			if !s.text() {
				return errJSON
			}

			name = s.data[start:s.at]
			s.space()
			if !s.skip(':') {
				return errJSON
			}
		}

		s.space()
		start := s.at

		if err := s.value(depth); err != nil {
			return err
		}

		if do != nil {
			if err := do(name, s.data[start:s.at]); err != nil {
				return err
			}
		}

		s.space()
		if s.skip(end) {
			return nil
		}
		if !s.skip(',') {
			return errJSON
		}
	}
}

// value moves past a value that is inside of depth objects and lists.
func (s *scanner) value(depth int) error {
	ok := false
	switch {
	case s.has('{'), s.has('['):
		return s.each(depth+1, nil)
	case s.has('"'):
		ok = s.text()
	case s.has('t'):
		ok = s.word("true")
	case s.has('f'):
		ok = s.word("false")
	case s.has('n'):
		ok = s.word("null")
	default:
		ok = s.number()
	}

	if !ok {
		return errJSON
	}

	return nil
}

func (s *scanner) word(word string) bool {
	if !bytes.HasPrefix(s.data[s.at:], []byte(word)) {
		return false
	}
	s.at += len(word)
	return true
}

// number skips a number (RFC 8259, section 6).
func (s *scanner) number() bool {
	s.skip('-')
	// RFC 8259, section 6: no leading zeros, so what follows a 0 is not part of the number.
	if !s.skip('0') && !s.digits() {
		return false
	}
	if s.skip('.') && !s.digits() {
		return false
	}

	if s.skip('e') || s.skip('E') {
		if !s.skip('+') {
			s.skip('-')
		}
		return s.digits()
	}

	return true
}

// digits moves past digits and reports whether there were any.
func (s *scanner) digits() bool {
	start := s.at
	for s.at < len(s.data) && '0' <= s.data[s.at] && s.data[s.at] <= '9' {
		s.at++
	}
	return s.at > start
}

// text moves past a text.
func (s *scanner) text() bool {
	if !s.skip('"') {
		return false
	}

	for s.at < len(s.data) {
		b := s.data[s.at]
		s.at++

		switch {
		case b == '"':
			return true
		case b < ' ':
			return false
		case b == '\\':
			if !s.escape() {
				return false
			}
		}
	}

	return false
}

// escape skips the characters after a backslash.
func (s *scanner) escape() bool {
	if s.at == len(s.data) {
		return false
	}

	b := s.data[s.at]
	s.at++

	switch b {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return true
	case 'u':
		r, ok := s.hex()
		// A surrogate is half a character: it needs its other half as the next escape.
		if !utf16.IsSurrogate(r) {
			return ok
		}
		if !s.skip('\\') || !s.skip('u') {
			return false
		}

		low, ok := s.hex()
		return ok && utf16.DecodeRune(r, low) != utf8.RuneError
	}

	return false
}

// hex reads four digits of base 16.
func (s *scanner) hex() (rune, bool) {
	if len(s.data)-s.at < 4 {
		return 0, false
	}

	n, err := strconv.ParseUint(string(s.data[s.at:s.at+4]), 16, 16)
	s.at += 4

	return rune(n), err == nil
}
