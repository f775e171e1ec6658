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
	w.watchBody(r, pace)

	if r.ProtoMajor == 1 {
		r = r.WithContext(context.WithoutCancel(r.Context()))
	}

	return r
}

// UntilGone calls gone when the client sends no more and takes no byte of the response for a time. The caller calls
// stop when the response is complete.
func (w *Reply) UntilGone(patience time.Duration, gone func()) (stop func()) {
	done := make(chan struct{})

	cancel := context.AfterFunc(w.Client, func() {
		tick := time.NewTicker(patience)
		defer tick.Stop()

		for written := atomic.LoadInt64(&w.bytes); ; {
			select {
			case <-done:
				return
			case <-tick.C:
			}

			now := atomic.LoadInt64(&w.bytes)
			if now == written {
				gone()
				return
			}
			written = now
		}
	})

	return func() {
		cancel()
		close(done)
	}
}
