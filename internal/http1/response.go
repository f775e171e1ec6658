package http1

import (
	"net/http"
	"net/textproto"
	"strconv"
	"strings"
)

// response is the response to one request. It is sent as a whole.
type response struct {
	header http.Header
	status int // 0 before there is one
	body   []byte
	out    []byte
}

// reset makes it the response to another request.
func (r *response) reset() {
	clear(r.header)
	r.status = 0
	r.body = r.body[:0]
}

// Header implements http.ResponseWriter.
func (r *response) Header() http.Header { return r.header }

// WriteHeader implements http.ResponseWriter. An interim response is not sent.
func (r *response) WriteHeader(status int) {
	if r.status == 0 && status >= http.StatusOK {
		r.status = status
	}
}

// Write implements http.ResponseWriter.
func (r *response) Write(b []byte) (int, error) {
	r.WriteHeader(http.StatusOK)
	if !hasBody(r.status) {
		return 0, http.ErrBodyNotAllowed
	}
	r.body = append(r.body, b...)

	return len(b), nil
}

// hasBody reports whether responses with a status have a body (RFC 9110, section 6.4.1).
func hasBody(status int) bool {
	return status != http.StatusNoContent && status != http.StatusNotModified
}

// closes reports whether the handler wants the connection to end.
func (r *response) closes() bool {
	for _, value := range r.header["Connection"] {
		if strings.EqualFold(value, "close") {
			return true
		}
	}
	return false
}

// append returns the bytes of the response. They are valid until the next one.
func (r *response) append(date []byte, closes bool) []byte {
	r.WriteHeader(http.StatusOK)

	b := append(r.out[:0], "HTTP/1.1 "...)
	b = strconv.AppendInt(b, int64(r.status), 10)
	b = append(b, ' ')
	b = append(b, http.StatusText(r.status)...)
	b = append(b, "\r\n"...)

	for name, values := range r.header {
		switch name {
		case "Connection", "Content-Length", "Transfer-Encoding", "Date", "Trailer":
			continue // they are ours
		}
		for _, value := range values {
			b = appendLine(b, name, value)
		}
	}

	if len(r.body) > 0 && r.header["Content-Type"] == nil {
		b = appendLine(b, "Content-Type", http.DetectContentType(r.body))
	}
	b = append(append(b, "Date: "...), date...)
	b = append(b, "\r\n"...)
	if closes {
		b = append(b, "Connection: close\r\n"...)
	}
	if hasBody(r.status) {
		b = append(b, "Content-Length: "...)
		b = strconv.AppendInt(b, int64(len(r.body)), 10)
		b = append(b, "\r\n"...)
	}

	b = append(b, "\r\n"...)
	r.out = append(b, r.body...)

	return r.out
}

// appendLine appends a line of the header. As in net/http, no value can end its line, and an invalid name has none.
func appendLine(b []byte, name, value string) []byte {
	if !isName(name) {
		return b
	}

	b = append(append(b, name...), ": "...)
	// Not ContainsAny, which is much slower: an assertion has hundreds of bytes.
	if strings.IndexByte(value, '\n') >= 0 || strings.IndexByte(value, '\r') >= 0 {
		value = strings.NewReplacer("\n", " ", "\r", " ").Replace(value)
	}
	b = append(b, textproto.TrimString(value)...)

	return append(b, "\r\n"...)
}
