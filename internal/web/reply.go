package web

import (
	"net/http"
	"net/netip"
	"time"
)

// Reply is the answer to one request, with what the server knows about the request
// beside it. It is used by one goroutine at a time.
type Reply struct {
	http.ResponseWriter
	ID       string     // of the request
	Start    time.Time  // when it came
	Source   netip.Addr // who sent it, after trusted proxies; invalid on a Unix socket
	Decision any        // what internal/gate let it through with

	status int
	bytes  int64
}

// Reset makes w the answer of another request.
func (w *Reply) Reset(to http.ResponseWriter, id string, start time.Time, source netip.Addr) {
	*w = Reply{
		ResponseWriter: to,
		ID:             id,
		Start:          start,
		Source:         source,
	}
}

// WriteHeader notes the status.
func (w *Reply) WriteHeader(status int) {
	if w.status == 0 || w.status < 200 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write counts the bytes.
func (w *Reply) Write(b []byte) (int, error) {
	if w.status < 200 {
		w.status = http.StatusOK
	}

	n, err := w.ResponseWriter.Write(b)
	w.bytes += int64(n)

	return n, err
}

// Unwrap lets http.ResponseController reach the connection.
func (w *Reply) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Status returns the status that was answered, or 0 when none was.
func (w *Reply) Status() int { return w.status }

// Bytes returns how much body was answered.
func (w *Reply) Bytes() int64 { return w.bytes }
