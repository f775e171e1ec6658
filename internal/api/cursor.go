package api

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"

	"github.com/jeton-auth/jeton"
)

// cursors makes and reads where a page of the list begins. A cursor is good for the search
// that it was made for, and nobody else can make one: what is in it is nobody's business.
type cursors struct{ key []byte }

const cursorMAC = 16 // bytes

func (c cursors) mac(after []byte, search string) []byte {
	m := hmac.New(sha256.New, c.key)
	m.Write(after)
	m.Write([]byte(search))
	return m.Sum(nil)[:cursorMAC]
}

func (c cursors) make(after int64, search string) string {
	b := binary.BigEndian.AppendUint64(nil, uint64(after))
	return base64.RawURLEncoding.EncodeToString(append(b, c.mac(b, search)...))
}

func (c cursors) read(text, search string) (after int64, err error) {
	bad := jeton.WithDetail(jeton.ErrInvalid, "cursor is not one that this search gave")
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(b) != 8+cursorMAC || !hmac.Equal(b[8:], c.mac(b[:8], search)) {
		return 0, bad
	}

	return int64(binary.BigEndian.Uint64(b)), nil
}
