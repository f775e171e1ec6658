package api

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"net/http"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/account"
	"github.com/jeton-auth/jeton/internal/web"
)

// macSize cuts the HMAC to 128 bits, which no caller can guess. A cursor is no credential:
// a forged one would only show a page that the caller may list anyway.
const macSize = 16 // bytes

// cursor names the start of the page after an account. It works only for the search that it was made for, and
// callers cannot make one.
func (a *API) cursor(after int64, search string) string {
	b := binary.BigEndian.AppendUint64(nil, uint64(after))
	return base64.RawURLEncoding.EncodeToString(append(b, a.cursorMAC(b, search)...))
}

// cursorMAC authenticates a cursor together with the search that it belongs to.
func (a *API) cursorMAC(after []byte, search string) []byte {
	m := hmac.New(sha256.New, a.CursorKey)
	// after has a fixed length, so the two parts cannot be divided in another way.
	m.Write(after)
	m.Write([]byte(search))
	return m.Sum(nil)[:macSize]
}

// readCursor returns the number in a cursor, or jeton.ErrInvalid for one that was not made
// here for this search.
func (a *API) readCursor(text, search string) (after int64, err error) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	// hmac.Equal takes the same time for every wrong MAC, so it cannot be found byte by byte.
	if err != nil || len(b) != 8+macSize || !hmac.Equal(b[8:], a.cursorMAC(b[:8], search)) {
		return 0, jeton.WithDetail(jeton.ErrInvalid, "invalid cursor: want one from the header Link of this search")
	}

	return int64(binary.BigEndian.Uint64(b)), nil
}

// placeCursor names a place in the list of users with a prefix, as cursor does for numbers.
func (a *API) placeCursor(at account.Place, prefix string) string {
	b := append([]byte{0}, at.After...)
	if at.ByEmail {
		b[0] = 1
	}

	return base64.RawURLEncoding.EncodeToString(append(a.placeMAC(b, prefix), b...))
}

// placeMAC authenticates a place. Its size keeps it apart from the rest.
func (a *API) placeMAC(at []byte, prefix string) []byte {
	m := hmac.New(sha256.New, a.CursorKey)
	m.Write(binary.BigEndian.AppendUint64([]byte("prefix"), uint64(len(prefix))))
	m.Write([]byte(prefix))
	m.Write(at)

	return m.Sum(nil)[:macSize]
}

// readPlace returns the place in a cursor, or jeton.ErrInvalid for one that was not made here for this prefix. "" is
// the start.
func (a *API) readPlace(text, prefix string) (account.Place, error) {
	if text == "" {
		return account.Place{}, nil
	}

	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(b) <= macSize || !hmac.Equal(b[:macSize], a.placeMAC(b[macSize:], prefix)) {
		return account.Place{}, jeton.WithDetail(
			jeton.ErrInvalid,
			"invalid cursor: want one from the header Link of this search",
		)
	}

	return account.Place{ByEmail: b[macSize] == 1, After: string(b[macSize+1:])}, nil
}

// readPageOf reads how many entries a page has, and the number before which it begins. A cursor is valid only for
// the list that it was made for: list names it, with its filters.
func (a *API) readPageOf(r *http.Request, list string) (limit int, before int64, err error) {
	q := r.URL.Query()
	limit, err = pageLimit(q.Get("limit"), maxList)
	if err == nil && q.Get("cursor") != "" {
		before, err = a.readCursor(q.Get("cursor"), list)
	}

	return limit, before, err
}

// linkNext leads to the next page of a list (RFC 8288). next is 0 on the last page.
func (a *API) linkNext(w *web.Reply, r *http.Request, path string, next int64, list string) {
	if next == 0 {
		return
	}

	q := r.URL.Query()
	q.Set("cursor", a.cursor(next, list))
	w.Header().Set("Link", "<"+a.Prefix+path+"?"+q.Encode()+`>; rel="next"`)
}
