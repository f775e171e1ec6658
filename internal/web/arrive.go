package web

import (
	"context"
	"net/http"
	"sync/atomic"
	"time"
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

	if r.ProtoMajor == 1 {
		r = r.WithContext(context.WithoutCancel(r.Context()))
	}

	return r
}

// UntilGone calls gone when the client sends no more and takes no byte of the response for a time. It notices within
// twice that time. The caller calls stop when the response is complete.
func (w *Reply) UntilGone(patience time.Duration, gone func()) (stop func()) {
	d := &departure{reply: w, patience: patience, gone: gone}
	timer := time.AfterFunc(patience, d.look)

	return func() {
		timer.Stop()
		d.complete.Store(true)
	}
}

// departure looks from time to time whether a client has gone. To watch its context would cost every request more.
type departure struct {
	reply    *Reply
	patience time.Duration
	gone     func()
	complete atomic.Bool

	left    bool  // at the last look, the client sent no more
	written int64 // and this many bytes were written
}

// look calls gone, or looks again later.
func (d *departure) look() {
	if d.complete.Load() {
		return
	}

	left := d.reply.Client.Err() != nil
	written := d.reply.Bytes()
	if left && d.left && written == d.written {
		d.gone()
		return
	}

	d.left = left
	d.written = written
	time.AfterFunc(d.patience, d.look)
}
