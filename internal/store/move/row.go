package move

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/jeton-auth/jeton/internal/store/statements"
)

// row is a row of a table: int64, bool, string or []byte by column, nil for NULL.
type row []any

// maxRow bounds a row, in bytes. What the server writes is far below.
const maxRow = 16 << 20

// scan reads the row that stands next. A text is taken as either engine can hold it: valid
// UTF-8 without NUL, so that a copy is equal to what it is of.
func (t table) scan(from statements.Row) (row, error) {
	into := make([]any, len(t.Columns))
	for i, c := range t.Columns {
		switch c.Kind {
		case integer:
			into[i] = new(int64)
		case boolean:
			into[i] = new(bool)
		case text:
			into[i] = new(string)
		default:
			into[i] = new([]byte)
		}
	}

	if err := from.Scan(into...); err != nil {
		return nil, fmt.Errorf("row of %s: %w", t.Name, err)
	}

	r := make(row, len(into))
	for i, c := range t.Columns {
		switch v := into[i].(type) {
		case *int64:
			r[i] = *v
		case *bool:
			r[i] = *v
		case *string:
			r[i] = plain(*v)
		case *[]byte:
			// A driver may return nil for a blob of no bytes.
			switch {
			case *v != nil:
				r[i] = *v
			case c.Kind == blob:
				r[i] = []byte{}
			}
		}
	}

	return r, nil
}

// plain returns s as either engine can hold it: SQLite stores any bytes as text, PostgreSQL
// only valid UTF-8 without NUL.
func plain(s string) string {
	if utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 {
		return s
	}
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}

// append writes a row so that no two differ and read the same. It is what is hashed, and
// what a backup holds.
func (t table) append(b []byte, r row) []byte {
	for i, c := range t.Columns {
		switch v := r[i].(type) {
		case int64:
			b = binary.AppendVarint(b, v)
		case bool:
			b = append(b, truth(v))
		case string:
			b = append(binary.AppendUvarint(b, uint64(len(v))), v...)
		case []byte:
			if c.Kind == maybe {
				b = append(b, 1)
			}
			b = append(binary.AppendUvarint(b, uint64(len(v))), v...)
		default: // NULL
			b = append(b, 0)
		}
	}

	return b
}

// truth is how a boolean is written: as 0 or 1, in one byte.
func truth(v bool) byte {
	if v {
		return 1
	}
	return 0
}

// errRow says no more, for a row may hold password hashes.
var errRow = errors.New("a row that cannot be read")

// parse reads what append wrote, all of it. The row shares no memory with b.
func (t table) parse(b []byte) (row, error) {
	r := make(row, len(t.Columns))
	rest := b
	for i, c := range t.Columns {
		var ok bool
		r[i], rest, ok = parseValue(c.Kind, rest)
		if !ok {
			return nil, fmt.Errorf("%w: column %s of %s", errRow, c.Name, t.Name)
		}
	}

	if len(rest) > 0 {
		return nil, fmt.Errorf("%w: %d extra bytes in a row of %s", errRow, len(rest), t.Name)
	}

	return r, nil
}

// parseValue reads one value from the beginning of b and returns what follows it.
func parseValue(k kind, b []byte) (value any, rest []byte, ok bool) {
	switch k {
	case integer:
		v, n := binary.Varint(b)
		if n <= 0 {
			return nil, nil, false
		}
		return v, b[n:], true
	case boolean:
		return parseBool(b)
	case text:
		head, rest, ok := cut(b)
		// An export writes only what both engines can store: anything else did not come
		// from one.
		s := string(head)
		return s, rest, ok && plain(s) == s
	case blob:
		return parseBlob(b)
	case maybe:
		present, rest, ok := parseBool(b)
		if !ok || !present {
			return nil, rest, ok
		}
		return parseBlob(rest)
	}

	return nil, nil, false
}

// parseBool accepts only 0 and 1, so that no two texts read the same.
func parseBool(b []byte) (v bool, rest []byte, ok bool) {
	if len(b) == 0 || b[0] > 1 {
		return false, nil, false
	}
	return b[0] == 1, b[1:], true
}

// parseBlob returns a copy: b is reused for the next row.
func parseBlob(b []byte) (v any, rest []byte, ok bool) {
	head, rest, ok := cut(b)
	return append([]byte{}, head...), rest, ok
}

// cut reads a length and splits b after that many bytes.
func cut(b []byte) (head, rest []byte, ok bool) {
	n, size := binary.Uvarint(b)
	// The subtraction cannot overflow, unlike size + n.
	if size <= 0 || n > uint64(len(b)-size) {
		return nil, nil, false
	}

	b = b[size:]
	return b[:n], b[n:], true
}

// less reports whether the key of a comes before that of b.
func (t table) less(a, b row) bool {
	for i := range t.keys {
		var c int
		switch v := a[i].(type) {
		case int64:
			c = cmp.Compare(v, b[i].(int64))
		case string:
			c = strings.Compare(v, b[i].(string))
		case []byte:
			c = bytes.Compare(v, b[i].([]byte))
		}

		if c != 0 {
			return c < 0
		}
	}

	return false
}
