package http1

import (
	"fmt"
	"net/http"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
)

const (
	// maxWhole is the longest body that is sent as a whole, in bytes, and the most of a longer one that waits for more.
	maxWhole = 8 << 10
	// maxOut bounds the memory for a response that a connection holds for the next one.
	maxOut = 16 << 10
	// sniffed is how much of a body http.DetectContentType looks at.
	sniffed = 512
)

// response is the response to one request. A short one is sent as a whole when the handler has returned, and a longer
// one in parts.
type response struct {
	conn   *conn
	header http.Header
	status int    // 0 before there is one
	out    []byte // what is sent next: first the head, from WriteHeader on
	body   []byte // what is sent after it

	typed   bool  // the head has a type of the body, or must not have one
	dated   bool  // and a date
	last    bool  // no other response follows on the connection
	begun   bool  // the head is complete
	chunked bool  // the body is sent in chunks
	length  int64 // of the body, as the handler gave it; -1: it did not
	written int64
	trailer []string // names of headers that follow the body
	err     error    // of the connection
}

// reset makes it the response to another request.
func (r *response) reset() {
	clear(r.header)
	*r = response{
		conn:   r.conn,
		header: r.header,
		out:    r.out[:0],
		body:   r.body[:0],
		length: -1,
	}
}

// Header implements http.ResponseWriter.
func (r *response) Header() http.Header { return r.header }

// WriteHeader implements http.ResponseWriter. As in net/http, what the handler changes in the header from then on is
// not sent, and a status that is none ends the connection. An interim response is not sent.
func (r *response) WriteHeader(status int) {
	if status < 100 || status > 999 {
		panic(fmt.Sprintf("http1: invalid status %d", status))
	}
	if r.status != 0 || status < http.StatusOK {
		return
	}
	r.status = status
	r.readHeader()

	b := append(r.out, "HTTP/1.1 "...)
	b = strconv.AppendInt(b, int64(status), 10)
	b = append(b, ' ')
	b = append(b, statusText(status)...)
	b = append(b, "\r\n"...)

	for name, values := range r.header {
		switch name {
		case "Connection", "Content-Length", "Transfer-Encoding", "Trailer":
			continue // they are ours
		case "Content-Type":
			if status == http.StatusNotModified {
				continue
			}
		}
		for _, value := range values {
			b = appendLine(b, name, value)
		}
	}

	r.out = b
}

// statusText returns the text of a status, as net/http sends it.
func statusText(status int) string {
	text := http.StatusText(status)
	if text == "" {
		return fmt.Sprintf("status code %d", status)
	}

	return text
}

// readHeader reads what the header of the handler means for the message.
func (r *response) readHeader() {
	h := r.header
	_, r.typed = h["Content-Type"]
	// A type is guessed of the content, not of its compressed form.
	r.typed = r.typed || len(h["Content-Encoding"]) > 0
	_, r.dated = h["Date"]

	length := h["Content-Length"]
	if len(length) == 1 {
		n, err := strconv.ParseUint(length[0], 10, 63)
		if err == nil {
			r.length = int64(n)
		}
	}

	for _, value := range h["Connection"] {
		r.last = r.last || strings.EqualFold(value, "close")
	}

	for _, list := range h["Trailer"] {
		for name := range strings.SplitSeq(list, ",") {
			name = http.CanonicalHeaderKey(textproto.TrimString(name))
			if isTrailer(name) {
				r.trailer = append(r.trailer, name)
			}
		}
	}
}

// isTrailer reports whether a header may follow the body (RFC 9110, section 6.5.1).
func isTrailer(name string) bool {
	switch name {
	case "Transfer-Encoding", "Content-Length", "Trailer":
		return false
	}
	return isToken(name)
}

// Write implements http.ResponseWriter.
func (r *response) Write(b []byte) (int, error) {
	r.WriteHeader(http.StatusOK)
	switch {
	case !hasBody(r.status):
		return 0, http.ErrBodyNotAllowed
	case r.length >= 0 && r.written+int64(len(b)) > r.length:
		r.last = true // as after every body that is not as long as its header says
		return 0, http.ErrContentLength
	}
	r.written += int64(len(b))

	if len(r.body)+len(b) <= maxWhole {
		r.body = append(r.body, b...)
		return len(b), nil
	}
	if err := r.send(b); err != nil {
		return 0, err
	}

	return len(b), nil
}

// FlushError implements what http.ResponseController looks for.
func (r *response) FlushError() error {
	r.WriteHeader(http.StatusOK)
	return r.send(nil)
}

// Left reports whether the client sends no more: it may have gone. Another goroutine may call it.
func (r *response) Left() bool { return left(r.conn.Conn) }

// hasBody reports whether responses with a status have a body (RFC 9110, section 6.4.1).
func hasBody(status int) bool {
	return status != http.StatusNoContent && status != http.StatusNotModified
}

// send sends what waits, and more after it, while the handler runs.
func (r *response) send(more []byte) error {
	if r.err != nil {
		return r.err
	}
	if !r.begun {
		r.chunked = hasBody(r.status) && r.length < 0
		r.begin(more)
	}

	r.part(more)
	return r.flush()
}

// finish sends the rest of the response. It reports whether the connection can have another one.
func (r *response) finish() (more bool) {
	r.WriteHeader(http.StatusOK)
	if r.err != nil {
		return false
	}

	// An incomplete response must not look complete.
	if hasBody(r.status) && r.length >= 0 && r.written < r.length {
		r.last = true
	}
	if !r.begun {
		r.chunked = r.length < 0 && hasBody(r.status) && len(r.trailer) > 0
		if r.length < 0 && !r.chunked {
			r.length = r.written
		}
		r.begin(nil)
	}

	r.part(nil)
	if r.chunked {
		r.out = append(r.out, "0\r\n"...)
		r.appendTrailer()
		r.out = append(r.out, "\r\n"...)
	}

	err := r.flush()
	if cap(r.out) > maxOut {
		r.out = nil // a connection may be idle for long
	}

	return err == nil && !r.last
}

// begin completes the head. more is what the handler writes after what waits.
func (r *response) begin(more []byte) {
	r.begun = true
	r.last = r.last || r.conn.in.request.Close || r.conn.l.closed.Load()
	b := r.out

	if !r.typed && hasBody(r.status) && r.written > 0 {
		content := r.body
		if len(content) < sniffed {
			content = append(slices.Clip(content), more[:min(len(more), sniffed)]...)
		}
		b = appendLine(b, "Content-Type", http.DetectContentType(content))
	}
	if !r.dated {
		b = append(append(b, "Date: "...), r.conn.now()...)
		b = append(b, "\r\n"...)
	}
	if r.last {
		b = append(b, "Connection: close\r\n"...)
	}

	switch {
	case !hasBody(r.status):
	case r.chunked:
		b = append(b, "Transfer-Encoding: chunked\r\n"...)
		if len(r.trailer) > 0 {
			b = appendLine(b, "Trailer", strings.Join(r.trailer, ", "))
		}
	default:
		b = append(b, "Content-Length: "...)
		b = strconv.AppendInt(b, r.length, 10)
		b = append(b, "\r\n"...)
	}

	r.out = append(b, "\r\n"...)
}

// part appends what waits of the body, and more after it.
func (r *response) part(more []byte) {
	n := len(r.body) + len(more)
	if n == 0 {
		return
	}

	if r.chunked {
		r.out = strconv.AppendInt(r.out, int64(n), 16)
		r.out = append(r.out, "\r\n"...)
	}
	r.out = append(append(r.out, r.body...), more...)
	if r.chunked {
		r.out = append(r.out, "\r\n"...)
	}
	r.body = r.body[:0]
}

// appendTrailer appends the headers that follow the body, as net/http finds them.
func (r *response) appendTrailer() {
	for _, name := range r.trailer {
		for _, value := range r.header[name] {
			r.out = appendLine(r.out, name, value)
		}
	}

	for name, values := range r.header {
		name, ok := strings.CutPrefix(name, http.TrailerPrefix)
		if !ok || !isTrailer(name) {
			continue
		}
		for _, value := range values {
			r.out = appendLine(r.out, name, value)
		}
	}
}

// flush sends what is ready.
func (r *response) flush() error {
	if len(r.out) == 0 {
		return r.err
	}
	_, r.err = r.conn.Write(r.out)
	r.out = r.out[:0]

	return r.err
}

// appendLine appends a line of the header. As in net/http, no value can end its line, and an invalid name has none.
func appendLine(b []byte, name, value string) []byte {
	if !isToken(name) {
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

// isToken reports whether text is a token (RFC 9110, section 5.6.2).
func isToken(text string) bool {
	for i := range len(text) {
		if !isAlphanumeric(text[i]) && strings.IndexByte("-!#$%&'*+.^_`|~", text[i]) < 0 {
			return false
		}
	}
	return text != ""
}
