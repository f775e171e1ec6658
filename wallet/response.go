package wallet

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"

	"github.com/jeton-auth/jeton"
)

// usesRemaining reads the remaining uses from a response.
func usesRemaining(resp *http.Response) (int64, bool) {
	n, err := strconv.ParseInt(resp.Header.Get(jeton.HeaderUsesRemaining), 10, 64)
	return n, err == nil && n >= 0
}

// NeedsLogin reports whether a response says that its sender must log in, and why:
// jeton.ErrSpent, ErrExpired, ErrBadCredential or ErrNoCredential, to be tested with
// errors.Is. A 401 of another server is ErrBadCredential if cookies or a token of the
// identity were sent, and ErrNoCredential if not. If an automatic login failed, why wraps
// that error, too. For a token made elsewhere the text says that it cannot be renewed.
//
// It does not read the body.
func NeedsLogin(resp *http.Response) (why error, ok bool) {
	n := noteOf(resp)
	out := jeton.FromCode(resp.Header.Get(jeton.HeaderError))
	switch {
	case out == nil && resp.StatusCode != http.StatusUnauthorized:
		return nil, false
	// Another server names no reason: its 401 can only mean the credential that was sent.
	case out == nil && n.sent:
		why = jeton.ErrBadCredential
	case out == nil:
		why = jeton.ErrNoCredential
	case out == jeton.ErrSpent, out == jeton.ErrExpired, out == jeton.ErrBadCredential, out == jeton.ErrNoCredential:
		why = out
	default:
		return nil, false
	}

	if n.failure != nil {
		why = fmt.Errorf("%w; logging in again: %w", why, n.failure)
	}

	return why, true
}

// note is what RoundTrip passes to NeedsLogin with a response.
type note struct {
	sent    bool  // cookies or a token of the identity went with the request
	failure error // of the automatic login
}

// noteKey is the key of a note in the context of a response's request.
type noteKey struct{}

// annotate stores n in the request of resp: the only place of a response that carries values
// and that http.Client does not change.
func annotate(resp *http.Response, n note) *http.Response {
	resp.Request = resp.Request.WithContext(context.WithValue(resp.Request.Context(), noteKey{}, n))
	return resp
}

// noteOf returns the note of a response, or an empty one for a response that did not come
// from RoundTrip.
func noteOf(resp *http.Response) note {
	if resp.Request == nil {
		return note{}
	}
	n, _ := resp.Request.Context().Value(noteKey{}).(note)
	return n
}

// drain reads a little of a body and closes it, so that its connection can be reused.
func drain(body io.ReadCloser) {
	_, _ = io.CopyN(io.Discard, body, 64<<10)
	_ = body.Close()
}
