package web

import (
	"bytes"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"unicode/utf8"

	"github.com/jeton-auth/jeton"
)

const (
	mediaForm = "application/x-www-form-urlencoded"
	mediaJSON = "application/json"
)

// maxLogin bounds the body of a login or logout, in bytes.
const maxLogin = 16 << 10

// maxSeparators bounds how many fields a form may have.
const maxSeparators = 100

// MediaType returns the media type of a request's body, without parameters, or "".
func MediaType(h http.Header) string {
	media, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	if err != nil {
		return ""
	}
	return media
}

// IsForm reports whether the body of a request is said to be a form.
func IsForm(h http.Header) bool {
	// The common spelling is compared first, because parsing allocates memory.
	return h.Get("Content-Type") == mediaForm || MediaType(h) == mediaForm
}

// LoginFields reads fields of a login or logout: of a form, or the members of a JSON object
// whose values are strings. A field that is absent is "", and without a body all are. It returns
// jeton.ErrInvalid for a field that is given more than once, because another reader could take the
// other value, jeton.ErrTooLarge for more than 16 KiB and jeton.ErrMediaType for another media type.
func LoginFields(w *Reply, r *http.Request, what string, names ...string) (map[string]string, error) {
	body, err := Body(w, r, what, maxLogin)
	if err != nil || len(body) == 0 {
		return nil, err
	}

	var fields url.Values

	switch MediaType(r.Header) {
	case mediaForm:
		fields, err = ParseForm(body)
	case mediaJSON:
		fields, err = parseObject(body)
	default:
		err = jeton.WithDetail(jeton.ErrMediaType, "send "+mediaForm+" or "+mediaJSON)
	}

	if err != nil {
		return nil, err
	}

	out := map[string]string{}
	for _, name := range names {
		if len(fields[name]) > 1 {
			return nil, jeton.WithDetail(jeton.ErrInvalid, "field "+name+" is given more than once")
		}
		out[name] = fields.Get(name)
	}

	return out, nil
}

// ParseForm reads a form of at most 100 fields, or returns jeton.ErrInvalid. The text of the error
// quotes nothing of the body.
func ParseForm(body []byte) (url.Values, error) {
	// Counted before parsing: each field costs memory of its own.
	if bytes.Count(body, []byte("&")) > maxSeparators {
		return nil, jeton.WithDetail(jeton.ErrInvalid, "the form has more than 100 fields")
	}

	fields, err := url.ParseQuery(string(body))
	if err != nil {
		// The text of err quotes the body, which may be a secret.
		return nil, jeton.WithDetail(jeton.ErrInvalid, "the form is not properly encoded")
	}

	if isUTF8(fields) {
		return fields, nil
	}

	return fields, checkFields(body)
}

// isUTF8 reports whether all names and values are UTF-8. It allocates no memory, unlike checkFields, which names the
// first field that is not.
func isUTF8(fields url.Values) bool {
	for name, values := range fields {
		invalid := func(value string) bool { return !utf8.ValidString(value) }
		if invalid(name) || slices.ContainsFunc(values, invalid) {
			return false
		}
	}

	return true
}

// checkFields returns jeton.ErrInvalid, with the position, for a form that can be parsed and has
// a field that is not UTF-8.
func checkFields(body []byte) error {
	n := 0
	for pair := range bytes.SplitSeq(body, []byte("&")) {
		n++

		for part := range bytes.SplitSeq(pair, []byte("=")) {
			text, err := url.QueryUnescape(string(part))
			if err == nil {
				err = CheckUTF8([]byte(text))
			}
			if err != nil {
				return jeton.WithDetail(jeton.ErrInvalid, fmt.Sprintf("field %d of the form: %s", n, jeton.Detail(err)))
			}
		}
	}

	return nil
}

// parseObject reads the members of a JSON object whose values are strings; the value of any
// other member is "".
func parseObject(body []byte) (url.Values, error) {
	if err := CheckJSONText(body); err != nil {
		return nil, err
	}

	var members map[string]any
	if json.Unmarshal(body, &members) != nil || members == nil {
		return nil, jeton.WithDetail(jeton.ErrInvalid, "the body is not a JSON object")
	}

	if err := CheckMembers(body); err != nil {
		return nil, err
	}

	// A number is no password: it would depend on how a reader prints it.
	fields := url.Values{}
	for name, value := range members {
		text, _ := value.(string)
		fields.Set(name, text)
	}

	return fields, nil
}
