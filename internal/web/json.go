package web

import (
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"strconv"

	"github.com/jeton-auth/jeton"
)

// Header values that never change are shared, so that setting one takes no memory.
var (
	typeJSON    = []string{"application/json"}
	typeProblem = []string{"application/problem+json"}
	noStore     = []string{"no-store"}
	noSniff     = []string{"nosniff"}
)

// JSON answers with a document.
func JSON(w http.ResponseWriter, status int, document any) error {
	b, err := json.Marshal(document)
	if err != nil {
		return err
	}

	h := w.Header()
	h["Content-Type"] = typeJSON
	h["Cache-Control"] = noStore
	h["X-Content-Type-Options"] = noSniff
	w.WriteHeader(status)

	_, _ = w.Write(append(b, '\n'))

	return nil
}

// NoContent answers with nothing but success.
func NoContent(w http.ResponseWriter) error {
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// maxBody bounds the bodies that we read ourselves, in bytes.
const maxBody = 64 << 10

// Read reads a JSON document strictly: one document, no unknown members, at most 64 KiB.
func Read[T any](r *http.Request) (T, error) {
	var in T

	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "application/json" {
		return in, jeton.WithDetail(jeton.ErrMediaType, "send application/json")
	}

	d := json.NewDecoder(http.MaxBytesReader(nil, r.Body, maxBody))
	d.DisallowUnknownFields()

	if err := d.Decode(&in); err != nil {
		return in, readError(err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return in, jeton.WithDetail(jeton.ErrInvalid, "more than one JSON document")
	}

	return in, nil
}

func readError(err error) error {
	var large *http.MaxBytesError
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &large):
		return jeton.WithDetail(jeton.ErrTooLarge, "the body is over "+strconv.Itoa(maxBody>>10)+" KiB")
	case errors.As(err, &kind):
		return jeton.WithDetail(jeton.ErrInvalid, "member "+strconv.Quote(kind.Field)+": want "+kind.Type.String())
	case errors.Is(err, io.EOF):
		return jeton.WithDetail(jeton.ErrInvalid, "the body is empty")
	}

	// A syntax error or an unknown member; the decoder's words hold no value of the body.
	return jeton.WithDetail(jeton.ErrInvalid, err.Error())
}
