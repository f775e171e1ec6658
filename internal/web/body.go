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

// bodyPatience bounds how long a body may take to arrive.
const bodyPatience = 10 * time.Second

// Body reads the whole body of a request, at most so many bytes of it. what names it in the
// text of the refusal.
func Body(w *Reply, r *http.Request, what string, most int64) ([]byte, error) {
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyPatience))
	b, err := readWhole(w, r, most)
	if err != nil {
		var large *http.MaxBytesError
		if errors.As(err, &large) {
			return nil, jeton.WithDetail(
				jeton.ErrTooLarge,
				fmt.Sprintf("the body of %s is over %d KiB", what, most>>10),
			)
		}
		return nil, jeton.WithDetail(jeton.ErrInvalid, "the body of "+what+" did not arrive whole")
	}

	_ = http.NewResponseController(w).SetReadDeadline(time.Time{})

	return b, nil
}

// BufferBody reads the whole body of a request, of 64 KiB at most, and puts it back for the
// handler to read.
func BufferBody(w *Reply, r *http.Request) ([]byte, error) {
	b, err := Body(w, r, "the request", maxBody)
	if err != nil {
		return nil, err
	}

	r.Body = io.NopCloser(bytes.NewReader(b))

	return b, nil
}

func readWhole(w *Reply, r *http.Request, most int64) ([]byte, error) {
	// Room for what is small and has said its size is made at once. What is large gets
	// room as it arrives: saying a size costs a stranger nothing.
	const small = 4 << 10

	n := r.ContentLength
	if n > 0 && n <= min(small, most) {
		b := make([]byte, n)
		_, err := io.ReadFull(r.Body, b)
		return b, err
	}

	return io.ReadAll(http.MaxBytesReader(w, r.Body, most))
}
