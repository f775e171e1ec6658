package web

import (
	"context"
	"net/http"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/trace"
)

// Reply is the response to one request, with what the server knows about the request. It is used
// by one goroutine at a time.
type Reply struct {
	http.ResponseWriter
	ID     string     // of the request
	Start  time.Time  // when the request arrived
	Source netip.Addr // address of the client; zero on a Unix socket
	Origin Origin     // where the client sent the request
	// Client is done when the client has gone, or sends no more; see Arrive.
	Client   context.Context
	Decision any        // of internal/gate, which reads it with From
	HSTS     []string   // Strict-Transport-Security (RFC 6797), unless the response has one; nil: none
	Route    string     // pattern of the route, for the log; "": none
	Scopes   []string   // that the route needs, for the challenge of a refusal
	Refused  string     // code of the refusal, for the log; "": none
	TraceID  string     // of the trace that is passed on, for the log; "": none
	Span     trace.Span // of the request, if requests are traced
	Upstream string     // host and port of the server that the request was sent to last, for the log; "": none
	Trusted  bool       // a trusted proxy sent the request
	Passes   bool       // the proxy that asked may pass the request on; see package forward
	Repeat   []string   // the same for a request and its repetitions by a proxy; see package gate

	id      [1]string   // value of the header with ID
	status  int         // 0 before there is one
	bytes   int64       // of the body, written so far; Departure reads it, too
	body    *clientBody // nil without a body
	pace    Pace        // of the client
	stream  bool        // of HTTP/2
	reading Allowance   // of the stream
	bounded bool        // there is a deadline for the rest of the body
}

const headerHSTS = "Strict-Transport-Security"

// Reset makes w the response to another request.
func (w *Reply) Reset(to http.ResponseWriter, id string, start time.Time, source netip.Addr) {
	*w = Reply{
		ResponseWriter: to,
		ID:             id,
		Start:          start,
		Source:         source,
	}
}

// ShowID sets the header with the request's id. Its value is a part of w: every request has one.
func (w *Reply) ShowID() {
	w.id[0] = w.ID
	w.Header()[jeton.HeaderRequestID] = w.id[:]
}

// WriteHeader implements http.ResponseWriter and keeps the status.
func (w *Reply) WriteHeader(status int) {
	// A 1xx is not the status of the response yet; of the others, net/http sends the first.
	if w.status == 0 || w.status < 200 {
		w.status = status
	}

	_, own := w.Header()[headerHSTS]
	if w.HSTS != nil && !own && status >= 200 {
		w.Header()[headerHSTS] = w.HSTS
	}

	spellNames(w.Header())
	w.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter and counts the bytes.
func (w *Reply) Write(b []byte) (int, error) {
	// A body without a status means 200, and a client never sees a body after a 1xx alone.
	if w.status < 200 {
		w.WriteHeader(http.StatusOK)
	}

	w.boundRest()
	n, err := w.write(b)
	atomic.AddInt64(&w.bytes, int64(n))
	w.freeRest()

	return n, err
}

// spellNames spells the names of headers as their RFCs do (RFC 9110, sections 8.8.3 and 11.6.1) where the
// canonical form of net/http differs. Names have no case, but programs exist that compare or print them as sent.
func spellNames(h http.Header) {
	for _, name := range [...]struct{ canonical, exact string }{
		{"Www-Authenticate", "WWW-Authenticate"},
		{"Etag", "ETag"},
	} {
		values, ok := h[name.canonical]
		if ok {
			delete(h, name.canonical)
			h[name.exact] = values
		}
	}
}

// Unwrap returns the writer of the connection, for http.ResponseController.
func (w *Reply) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Status returns the status of the response, or 0 before there is one.
func (w *Reply) Status() int { return w.status }

// Bytes returns the length of the body so far.
func (w *Reply) Bytes() int64 { return atomic.LoadInt64(&w.bytes) }
