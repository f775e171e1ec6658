package http1

import (
	"bytes"
	"net"
	"net/http"
	"net/url"
	"runtime/debug"
	"strings"
	"time"
)

const (
	// maxHead bounds the header of a plain request, in bytes. net/http has a limit of its own for the others.
	maxHead = 16 << 10
	// firstHead is how much of it a connection holds in memory until one has been longer.
	firstHead = 4 << 10
	// rearm is how much earlier than after Config.Idle a connection may be closed: to move the deadline for each
	// request would cost as much as to read one.
	rearm = 10 * time.Second
)

// conn is a connection whose requests are plain so far.
type conn struct {
	net.Conn
	l      *Listener
	remote string

	buf   []byte // what has arrived and has not been answered
	armed time.Time
	date  time.Time // that text has
	text  []byte    // header Date

	names  map[string]string // canonical form of names as they are sent; bounded
	header http.Header
	values []string
	in     *received
	began  bool // the first request has been read
	served bool // and has been answered
	reply  response
}

// received is a request and its address, in one allocation.
type received struct {
	request http.Request
	url     url.URL
}

// newConn returns a connection without a request.
func newConn(l *Listener, c net.Conn) *conn {
	k := &conn{
		Conn:   c,
		l:      l,
		remote: c.RemoteAddr().String(),
		buf:    make([]byte, 0, firstHead),
		names:  map[string]string{},
		header: http.Header{},
		in:     &received{},
	}
	k.reply = response{conn: k, header: http.Header{}}

	return k
}

// serve answers requests until the connection ends, or until a request is not plain: then it returns the bytes that
// have not been answered.
func (k *conn) serve() (rest []byte, other bool) {
	patience := k.l.c.Head // a new connection has no time to be idle
	for {
		head, plain := k.next(patience)
		patience = k.l.c.Idle

		switch {
		case head == 0:
			return nil, false
		case !plain && k.served && strings.HasPrefix(string(k.buf), preface):
			return nil, false // net/http would take it for the first request, and go on in HTTP/2
		case !plain:
			// net/http sets its own.
			if k.SetReadDeadline(time.Time{}) != nil {
				return nil, false
			}
			// Checked last: Close may have set a deadline before this one.
			return k.buf, !k.l.closed.Load()
		}

		if !k.answer(head) {
			return nil, false
		}

		k.served = true
		k.drop(head)
	}
}

// drop removes a header from what has arrived. The room that a long one needed is given back.
func (k *conn) drop(head int) {
	if len(k.buf) == head && cap(k.buf) > firstHead {
		k.buf = make([]byte, 0, firstHead)
		return
	}
	k.buf = k.buf[:copy(k.buf, k.buf[head:])]
}

const (
	// start is how every plain request begins.
	start = "GET /"
	// preface is how a connection in HTTP/2 begins (RFC 9113, section 3.4).
	preface = "PRI "
)

// mayBePreface reports whether what has arrived on a connection that was in HTTP/1 begins like one in HTTP/2, so far.
func (k *conn) mayBePreface() bool {
	return k.served && len(k.buf) < len(preface) && strings.HasPrefix(preface, string(k.buf))
}

// next waits for the header of a request. It returns its length and whether it can be plain; 0 if the connection ended.
func (k *conn) next(patience time.Duration) (head int, plain bool) {
	if len(k.buf) == 0 && !k.await(patience) {
		return 0, false
	}

	// On a new connection, the deadline for the first bytes is that of the whole header.
	waits := !k.began
	k.began = true
	for from := 0; ; {
		begins := min(len(start), len(k.buf))
		if string(k.buf[:begins]) != start[:begins] && !k.mayBePreface() {
			return len(k.buf), false
		}

		i := bytes.Index(k.buf[from:], []byte("\r\n\r\n"))
		if i >= 0 {
			head = from + i + len("\r\n\r\n")
			return head, k.parse(string(k.buf[:head]))
		}
		if len(k.buf) >= maxHead {
			return len(k.buf), false
		}
		from = max(0, len(k.buf)-len("\r\n\r")) // the end may have arrived in part

		// Once, and not for each byte of a slow client.
		if !waits {
			waits = true
			k.armed = time.Time{}
			if k.SetReadDeadline(time.Now().Add(k.l.c.Head)) != nil || k.l.closed.Load() {
				return 0, false
			}
		}
		if !k.fill() {
			return 0, false
		}
	}
}

// await waits for the first bytes of a request.
func (k *conn) await(patience time.Duration) bool {
	now := time.Now()
	until := now.Add(patience)
	if until.Sub(k.armed) > min(rearm, patience) || k.armed.After(until) {
		k.armed = until
		if k.SetReadDeadline(until) != nil {
			return false
		}
	}
	// After the deadline was set, as Close may have set one before.
	if k.l.closed.Load() {
		return false
	}

	return k.fill()
}

// fill reads what has arrived.
func (k *conn) fill() bool {
	if len(k.buf) == cap(k.buf) {
		k.buf = append(make([]byte, 0, 2*cap(k.buf)), k.buf...)
	}

	n, err := k.Read(k.buf[len(k.buf):cap(k.buf)])
	k.buf = k.buf[:len(k.buf)+n]

	// What came with the end of the connection has no reader any more.
	return err == nil && n > 0
}

// answer calls the handler and sends its response. It reports whether the connection can have another request.
func (k *conn) answer(head int) (more bool) {
	defer func() {
		p := recover()
		if p == nil {
			return
		}
		if p != http.ErrAbortHandler {
			k.l.c.Log.Printf("panic serving %s: %v\n%s", k.remote, p, debug.Stack())
		}
		more = false
	}()

	k.reply.reset()
	k.l.c.Handler.ServeHTTP(&k.reply, &k.in.request)

	return k.reply.finish() && !k.l.closed.Load()
}

// now returns the header Date, which has seconds.
func (k *conn) now() []byte {
	now := time.Now()
	if now.Sub(k.date) >= time.Second || now.Before(k.date) {
		k.date = now.Truncate(time.Second)
		k.text = now.UTC().AppendFormat(k.text[:0], http.TimeFormat)
	}

	return k.text
}
