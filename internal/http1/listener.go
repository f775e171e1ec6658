// Package http1 answers the plainest requests of HTTP/1.1, and leaves every other connection to net/http.
//
// Most connections have one small GET after the other, without a body. For those the package has a reader of its own,
// which costs a third of the one of net/http. It promises that a request is never read in another way than net/http
// reads it: whatever is not plain, from a second header Host to a byte that is not ASCII, is given to net/http with all
// bytes that have arrived. It leaves all decisions to its handler, and TLS, HTTP/2 and bodies to net/http.
package http1

import (
	"context"
	"log"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// Config is what Listen needs.
type Config struct {
	// Handler answers plain requests. It must not use a response after it has returned, nor a request or its header
	// unless Keep is set. The context of a request does not end with its client: Left of the response reports that.
	Handler http.Handler
	// Answers reports whether the plain requests for a path are for Handler, and not for net/http. nil: all are.
	Answers func(path string) bool
	// Keep: requests and their headers are never used again for another request.
	Keep bool
	// Draining reports whether the server is stopping. Then net/http gets new connections.
	Draining func() bool
	Head     time.Duration // how long the header of a request may take
	Idle     time.Duration // how long a connection may wait for the next request
	Log      *log.Logger   // panics of Handler
}

// Listener accepts connections and answers their plain requests. Accept returns the other connections. It is safe for
// concurrent use.
type Listener struct {
	net.Listener
	c Config

	start  sync.Once
	others chan net.Conn
	failed chan error
	closed atomic.Bool
	done   chan struct{} // closed with the listener

	mu    sync.Mutex
	conns map[net.Conn]struct{}
	ended chan struct{} // closed when no connection is left after Close; nil: nothing waits
}

// Listen returns a listener that answers plain requests on the connections of another one.
func Listen(n net.Listener, c Config) *Listener {
	return &Listener{
		Listener: n,
		c:        c,
		others:   make(chan net.Conn),
		failed:   make(chan error),
		done:     make(chan struct{}),
		conns:    map[net.Conn]struct{}{},
	}
}

// Accept implements net.Listener. It returns connections whose next request is not plain.
func (l *Listener) Accept() (net.Conn, error) {
	l.start.Do(func() { go l.accept() })

	select {
	case c := <-l.others:
		return c, nil
	case err := <-l.failed:
		return nil, err
	case <-l.done:
		return nil, net.ErrClosed
	}
}

// accept accepts connections until the listener is closed.
func (l *Listener) accept() {
	for {
		c, err := l.Listener.Accept()
		switch {
		case err == nil:
			go l.serve(c)
			continue
		case l.closed.Load():
			return
		}

		// The caller of Accept decides whether to go on, and when.
		select {
		case l.failed <- err:
		case <-l.done:
			return
		}
	}
}

// serve answers the requests of a connection.
func (l *Listener) serve(c net.Conn) {
	if l.c.Draining() || !l.enter(c) {
		l.leaveTo(&replayed{Conn: c})
		return
	}
	defer l.leave(c)

	rest, other := newConn(l, c).serve()
	if other {
		l.leaveTo(&replayed{Conn: c, rest: rest})
		return
	}

	_ = c.Close()
}

// leaveTo gives a connection to net/http.
func (l *Listener) leaveTo(c *replayed) {
	select {
	case l.others <- c:
	case <-l.done:
		_ = c.Close()
	}
}

// enter notes a connection, unless the listener is closed.
func (l *Listener) enter(c net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed.Load() {
		return false
	}
	l.conns[c] = struct{}{}

	return true
}

// leave forgets a connection.
func (l *Listener) leave(c net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()

	delete(l.conns, c)
	if len(l.conns) == 0 && l.ended != nil {
		close(l.ended)
		l.ended = nil
	}
}

// past is a deadline that ends a blocked read at once.
var past = time.Unix(1, 0)

// Close implements net.Listener. Connections that wait for a request are closed, and the others after their response.
func (l *Listener) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()

	if !l.closed.Swap(true) {
		close(l.done)
	}
	for c := range l.conns {
		_ = c.SetReadDeadline(past)
	}

	return l.Listener.Close()
}

// Shutdown closes the listener and waits until the last response has been sent. When ctx ends before, it closes the
// connections that are left and returns the error of ctx.
func (l *Listener) Shutdown(ctx context.Context) error {
	_ = l.Close() // perhaps a second time

	l.mu.Lock()
	ended := make(chan struct{})
	if len(l.conns) == 0 {
		close(ended)
	} else {
		l.ended = ended
	}
	l.mu.Unlock()

	select {
	case <-ended:
		return nil
	case <-ctx.Done():
	}

	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.conns {
		_ = c.Close()
	}

	return ctx.Err()
}

// replayed is a connection of which some bytes have been read already.
type replayed struct {
	net.Conn
	rest []byte
}

// Read implements net.Conn.
func (c *replayed) Read(b []byte) (int, error) {
	if len(c.rest) == 0 {
		return c.Conn.Read(b)
	}

	n := copy(b, c.rest)
	c.rest = c.rest[n:]

	return n, nil
}

// CloseWrite lets net/http end a response before the client has sent its whole request.
func (c *replayed) CloseWrite() error {
	half, ok := c.Conn.(interface{ CloseWrite() error })
	if !ok {
		return nil
	}
	return half.CloseWrite()
}
