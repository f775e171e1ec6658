package web

import (
	"errors"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// Pace is the lowest rate at which a client may send a body or read a response, on average. Only the time counts in
// which the server waits for the client: neither an idle upstream nor an idle connection is a slow client. The zero
// value has no limit.
type Pace struct {
	Rate  int64         // bytes a second
	Grace time.Duration // how far a client may be behind
}

// Allowance is how far one transfer is behind its pace. It is used by one goroutine at a time.
type Allowance struct {
	behind time.Duration
}

// For returns how long the server may wait for the client to take n bytes, or to send the next ones if n is 0.
func (a *Allowance) For(p Pace, n int) time.Duration { return p.Grace - a.behind + p.needs(n) }

// Took notes that the client needed a time for n bytes.
func (a *Allowance) Took(p Pace, d time.Duration, n int) { a.behind = max(0, a.behind+d-p.needs(n)) }

// needs returns how long n bytes take at the lowest rate.
func (p Pace) needs(n int) time.Duration {
	if p.Rate == 0 {
		return 0
	}
	return time.Duration(n) * time.Second / time.Duration(p.Rate)
}

// watch calls cut if it is not stopped within the time. When stop has returned, cut does not run any more.
func watch(d time.Duration, cut func()) (stop func()) {
	var mu sync.Mutex
	stopped := false

	timer := time.AfterFunc(d, func() {
		mu.Lock()
		defer mu.Unlock()
		if !stopped {
			cut()
		}
	})

	return func() {
		timer.Stop()
		mu.Lock()
		defer mu.Unlock()
		stopped = true
	}
}

// past is a deadline that ends a blocked read or write at once.
var past = time.Unix(1, 0)

// clientBody is the body of a request. It keeps what went wrong while the client sent it.
type clientBody struct {
	io.ReadCloser
	control   *http.ResponseController
	http1     bool // net/http reads what is left of the body
	pace      Pace
	allowance Allowance
	timed     bool // a deadline for the whole body comes before any of the pace
	closed    atomic.Bool
	failed    atomic.Bool
	ended     atomic.Bool // read to its end
}

// watchBody makes reads of the request's body fail when the client is slower than the pace, and BodyFailed report
// what the client did wrong.
func (w *Reply) watchBody(r *http.Request, pace Pace) {
	if r.Body == nil || r.Body == http.NoBody {
		return
	}

	w.body = &clientBody{
		ReadCloser: r.Body,
		control:    http.NewResponseController(w.ResponseWriter),
		http1:      r.ProtoMajor == 1,
		pace:       pace,
	}
	r.Body = w.body
}

// timeBody notes that all of the body has to arrive within a time, by a deadline of the connection. A client that may
// be behind for as long cannot be too slow before: then the pace needs no timer for each read.
func (w *Reply) timeBody(limit time.Duration) {
	if w.body != nil {
		w.body.timed = limit <= w.pace.Grace
	}
}

// restPatience bounds how long net/http reads the rest of a body before it sends a response.
const restPatience = 5 * time.Second

// boundRest bounds the time in which net/http reads the rest of a body that the handler has not read. It does so
// before it sends the header of a response, and would wait for a slow client for ever.
func (w *Reply) boundRest() {
	if w.body == nil || !w.body.http1 || w.body.ended.Load() {
		return
	}

	until := time.Now().Add(restPatience)
	if w.BodyFailed() {
		until = past
	}

	w.bounded = w.body.control.SetReadDeadline(until) == nil
}

// freeRest takes the bound back: the handler may go on reading.
func (w *Reply) freeRest() {
	if w.bounded {
		w.bounded = w.body.control.SetReadDeadline(time.Time{}) != nil
	}
}

// buffered is how much of a response net/http may hold until its handler has returned.
const buffered = 4 << 10

// Finish ends the response. The handler has returned.
func (w *Reply) Finish() {
	w.boundRest()

	// What is buffered is written after the handler, and waits for a client that opens no window for the stream.
	if w.stream && w.pace.Rate > 0 {
		until := time.Now().Add(w.reading.For(w.pace, buffered))
		_ = http.NewResponseController(w.ResponseWriter).SetWriteDeadline(until)
	}
}

// freeStream removes the deadline that net/http gives a new stream of HTTP/2: a download may take hours.
func (w *Reply) freeStream() {
	if w.stream {
		_ = http.NewResponseController(w.ResponseWriter).SetWriteDeadline(time.Time{})
	}
}

// FlushError implements what http.ResponseController looks for.
func (w *Reply) FlushError() error {
	w.boundRest()
	start := time.Now()
	stop := w.watchStream(0)
	err := http.NewResponseController(w.ResponseWriter).Flush()
	stop()
	w.reading.Took(w.pace, time.Since(start), 0)
	w.freeRest()

	return err
}

// write writes a part of the body. On a stream of HTTP/2 the client has to keep up.
func (w *Reply) write(b []byte) (int, error) {
	if !w.stream {
		return w.ResponseWriter.Write(b) // the connection looks after the pace
	}

	start := time.Now()
	stop := w.watchStream(len(b))
	n, err := w.ResponseWriter.Write(b)
	stop()
	w.reading.Took(w.pace, time.Since(start), n)

	return n, err
}

// watchStream makes a write on a stream of HTTP/2 fail when the client reads the stream more slowly than the pace: the
// connection does not, while the client reads other streams. Where the stream is a connection, the server does it.
func (w *Reply) watchStream(n int) (stop func()) {
	if !w.stream || w.pace.Rate == 0 {
		return func() {}
	}

	control := http.NewResponseController(w.ResponseWriter)

	return watch(w.reading.For(w.pace, n), func() { _ = control.SetWriteDeadline(past) })
}

// BodyFailed reports whether the client sent a malformed or incomplete body, or sent it too slowly.
func (w *Reply) BodyFailed() bool { return w.body != nil && w.body.failed.Load() }

// Read implements io.Reader.
func (b *clientBody) Read(p []byte) (int, error) {
	stop := func() {}
	if b.pace.Rate > 0 && !b.timed {
		stop = watch(b.allowance.For(b.pace, 0), func() { _ = b.control.SetReadDeadline(past) })
	}

	start := time.Now()
	n, err := b.ReadCloser.Read(p)
	stop()
	b.allowance.Took(b.pace, time.Since(start), n)

	if errors.Is(err, io.EOF) {
		b.ended.Store(true)
	}

	// A read after Close is the proxy's, which has an answer already.
	if err != nil && !errors.Is(err, io.EOF) && !b.closed.Load() {
		b.failed.Store(true)
	}

	return n, err
}

// Close implements io.Closer.
func (b *clientBody) Close() error {
	b.closed.Store(true)
	return b.ReadCloser.Close()
}
