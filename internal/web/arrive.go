package web

import (
	"context"
	"net/http"
)

// Arrive prepares the request that w answers and returns it. A client of HTTP/1 may close its side of the connection
// after the request and still read the response (RFC 9112, section 9.6). net/http then cancels the context of the
// request, as if the client had gone; here it stays valid, and w.Client is the one that net/http cancels.
func (w *Reply) Arrive(r *http.Request, pace Pace) *http.Request {
	w.Client = r.Context()
	w.pace = pace
	w.stream = r.ProtoMajor == 2
	w.freeStream()
	w.watchBody(r, pace)

	// Package http1 has no context that could end. To ask Done would allocate a channel for each request.
	if r.ProtoMajor == 1 && w.Client != context.Background() {
		r = r.WithContext(context.WithoutCancel(r.Context()))
	}

	return r
}

// Departure finds out whether a client has gone, by looking from time to time: to watch its context would cost every
// request more. It is used by one goroutine at a time.
type Departure struct {
	left    bool  // at the last look, the client sent no more
	written int64 // and this many bytes were written
}

// Look reports whether the client of w sent no more at the last look, and has taken no byte of the response since.
func (d *Departure) Look(w *Reply) bool {
	left := w.Client.Err() != nil || w.left()
	written := w.Bytes()
	gone := left && d.left && written == d.written

	d.left = left
	d.written = written

	return gone
}

// left reports whether the client sends no more, where there is no context that ends with it: see package http1.
func (w *Reply) left() bool {
	c, ok := w.ResponseWriter.(interface{ Left() bool })
	return ok && c.Left()
}
