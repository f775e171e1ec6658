package web

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/jeton-auth/jeton"
)

// bodyTimeout bounds how long a body may take to arrive.
const bodyTimeout = 10 * time.Second

// Body reads the body of a request, of at most limit bytes, which must arrive within 10 seconds.
// what names the request in the text of a refusal. It returns jeton.ErrTooLarge for a longer body
// and jeton.ErrInvalid for one that ends early or arrives too slowly.
func Body(w *Reply, r *http.Request, what string, limit int64) ([]byte, error) {
	// A client that sends a byte now and then would otherwise hold the connection for ever. Where the
	// deadline cannot be set, as with the writers of tests, the pace still bounds each read.
	control := http.NewResponseController(w)
	if err := control.SetReadDeadline(time.Now().Add(bodyTimeout)); err == nil {
		w.timeBody(bodyTimeout)
	}

	b, err := readBody(w, r, limit)
	if err != nil {
		var large *http.MaxBytesError
		if errors.As(err, &large) {
			return nil, jeton.WithDetail(
				jeton.ErrTooLarge,
				fmt.Sprintf("the body of %s is over %d KiB", what, limit>>10),
			)
		}

		return nil, jeton.WithDetail(jeton.ErrInvalid, "the body of "+what+" is incomplete")
	}

	// If it passed while the handler works, net/http would cancel the request's context.
	_ = control.SetReadDeadline(time.Time{})

	return b, nil
}

// TooLarge returns the refusal of a body that is longer than a route permits.
func TooLarge(limit int64) error {
	return jeton.WithDetail(jeton.ErrTooLarge, fmt.Sprintf("the body is over %d bytes", limit))
}

// readBody reads at most limit bytes; a longer body is an *http.MaxBytesError.
func readBody(w *Reply, r *http.Request, limit int64) ([]byte, error) {
	// Memory for a small body of known length is allocated at once. For a large one it grows
	// as the body arrives: announcing a length costs an attacker nothing.
	const small = 4 << 10

	n := r.ContentLength
	if n > 0 && n <= min(small, limit) {
		b := make([]byte, n)
		_, err := io.ReadFull(r.Body, b)
		return b, err
	}

	return io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
}

// BufferBody reads the body of a request, of at most 64 KiB, and lets the handler read it again.
func BufferBody(w *Reply, r *http.Request) ([]byte, error) {
	b, err := Body(w, r, "the request", maxBody)
	if err == nil {
		r.Body = io.NopCloser(bytes.NewReader(b))
	}
	return b, err
}
