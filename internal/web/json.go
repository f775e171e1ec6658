package web

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/jeton-auth/jeton"
)

// Header values that never change are shared, so that setting one allocates no memory.
var (
	typeJSON    = []string{"application/json"}
	typeProblem = []string{"application/problem+json"}
	noStore     = []string{"no-store"}
	noSniff     = []string{"nosniff"}
)

// JSON writes a response with a JSON document.
func JSON(w http.ResponseWriter, status int, document any) error {
	// Encoded before the status is written, so that a failure can still become a 500.
	b, err := json.Marshal(document)
	if err != nil {
		return err
	}

	h := w.Header()
	h["Content-Type"] = typeJSON
	h["Cache-Control"] = noStore
	h["X-Content-Type-Options"] = noSniff
	w.WriteHeader(status)

	// An error means that the client has gone: there is no other caller to answer.
	_, _ = w.Write(append(b, '\n'))

	return nil
}

// NoContent writes a successful response without a body.
func NoContent(w http.ResponseWriter) error {
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// maxBody bounds the bodies that are read here, in bytes.
const maxBody = 64 << 10

// Read reads a JSON document of at most 64 KiB. It is strict: one document, without unknown or
// repeated members. It returns jeton.ErrMediaType, jeton.ErrTooLarge or jeton.ErrInvalid.
func Read[T any](r *http.Request) (T, error) {
	var in T

	// A page of another site can send a form or text without a preflight, but not this type.
	if MediaType(r.Header) != mediaJSON {
		return in, jeton.WithDetail(jeton.ErrMediaType, "send "+mediaJSON)
	}

	body, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, maxBody))
	if err != nil {
		return in, readError(err)
	}

	if err := CheckJSONText(body); err != nil {
		return in, err
	}

	d := json.NewDecoder(bytes.NewReader(body))
	// A misspelt member, for example of a limit, would silently mean no limit.
	d.DisallowUnknownFields()

	if err := d.Decode(&in); err != nil {
		return in, readError(err)
	}

	// Another reader may act on the second document.
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return in, jeton.WithDetail(jeton.ErrInvalid, "more than one JSON document")
	}

	return in, CheckMembers(body)
}

// readError returns the outcome of a body that cannot be read. No text quotes a value of
// the body, which may be a password.
func readError(err error) error {
	var large *http.MaxBytesError
	var wrongType *json.UnmarshalTypeError

	switch {
	case errors.As(err, &large):
		return jeton.WithDetail(jeton.ErrTooLarge, "the body is over "+strconv.Itoa(maxBody>>10)+" KiB")
	case errors.As(err, &wrongType):
		return jeton.WithDetail(
			jeton.ErrInvalid,
			"member "+strconv.Quote(wrongType.Field)+": want "+wrongType.Type.String(),
		)
	case errors.Is(err, io.EOF):
		return jeton.WithDetail(jeton.ErrInvalid, "the body is empty")
	}

	// A syntax error or an unknown member; the decoder's text quotes no value of the body.
	return jeton.WithDetail(jeton.ErrInvalid, err.Error())
}

// errRepeated refuses what two parsers could read differently (RFC 8259, section 4).
var errRepeated = jeton.WithDetail(jeton.ErrInvalid, "a member of the JSON object is given more than once")

// CheckMembers refuses a valid JSON document in which an object has two members of one name.
// encoding/json takes the last of them, another reader the first (RFC 8259, section 4). Names
// that differ in case alone are refused too, as encoding/json reads both into one field.
func CheckMembers(document []byte) error {
	type object struct {
		names map[string]bool // nil for a list
		value bool            // the next token is a value, not a name
	}

	open := []object{{}}
	d := json.NewDecoder(bytes.NewReader(document))

	for {
		t, err := d.Token()
		if err != nil {
			// The caller has decoded the document, so this can only be io.EOF.
			return nil // the end
		}

		last := &open[len(open)-1]
		name, text := t.(string)

		switch {
		case t == json.Delim('}') || t == json.Delim(']'):
			open = open[:len(open)-1]
		case last.names != nil && !last.value && text:
			// In this order ſ and the Kelvin sign become S and K, as encoding/json folds them.
			name = strings.ToUpper(strings.ToLower(name))
			if last.names[name] {
				return errRepeated
			}
			last.names[name] = true
			last.value = true
		default:
			last.value = false
			if t == json.Delim('{') {
				open = append(open, object{names: map[string]bool{}})
			} else if t == json.Delim('[') {
				open = append(open, object{})
			}
		}
	}
}
