package pgtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

const (
	chunk  = 32 << 10 // bytes read at once
	flight = 64       // chunks under way in one direction; more waits at the sender
)

// Proxy forwards connections from clients to a server, and injects faults. A new one has none.
// Methods are safe for concurrent use.
type Proxy struct {
	target string
	addr   string
	work   sync.WaitGroup

	mu       sync.Mutex
	listener net.Listener // nil while the proxy is cut, and once it is closed
	links    map[*link]struct{}
	hang     bool
	delay    time.Duration
	healed   chan struct{} // closed when hang ends
	closed   bool
}

// link is one connection through the proxy.
type link struct {
	ctx    context.Context // done when the link has ended
	cancel context.CancelFunc
	client net.Conn
	server net.Conn // nil until the server accepts
}

// NewProxy listens on a free port of the loopback interface and forwards to target, a host
// and a port.
func NewProxy(target string) (*Proxy, error) {
	l, err := listen()
	if err != nil {
		return nil, fmt.Errorf("make a proxy for %s: %w", target, err)
	}

	p := &Proxy{
		target: target,
		addr:   l.Addr().String(),
		links:  map[*link]struct{}{},
		healed: make(chan struct{}),
	}
	p.mu.Lock()
	defer p.mu.Unlock()

	p.serve(l)

	return p, nil
}

// Addr returns the address of the proxy. It stays the same.
func (p *Proxy) Addr() string { return p.addr }

// Cut resets all connections, on both sides. New ones are refused.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut()
}

// cut closes the listener and resets every link. The caller holds the lock.
func (p *Proxy) cut() {
	if p.listener != nil {
		_ = p.listener.Close()
		p.listener = nil
	}

	for l := range p.links {
		p.end(l, reset)
	}
}

// Hang forwards nothing more in either direction, nor the end of a connection, as if a cable
// were unplugged. Connections are still accepted. What is just being written may arrive; the
// rest waits for Heal.
func (p *Proxy) Hang() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hang = true
}

// Delay forwards everything that is read from now on d later, in each direction. It reduces no
// throughput.
func (p *Proxy) Delay(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay = d
}

// Heal ends all faults. What waits is forwarded, and new connections are accepted; connections
// that were cut stay closed. It fails when another program has taken the port meanwhile.
func (p *Proxy) Heal() error {
	p.mu.Lock()
	defer p.mu.Unlock()

	if p.closed {
		return errors.New("heal a proxy: it is closed")
	}

	p.delay = 0
	if p.hang {
		p.hang = false
		close(p.healed)
		p.healed = make(chan struct{})
	}

	if p.listener != nil {
		return nil
	}

	l, err := net.Listen("tcp", p.addr)
	if err != nil {
		return fmt.Errorf("heal a proxy: %w", err)
	}

	p.serve(l)

	return nil
}

// Close cuts the proxy and waits until its goroutines have ended. Closing twice is not an
// error.
func (p *Proxy) Close() {
	p.mu.Lock()
	p.closed = true
	p.cut()
	p.mu.Unlock()
	p.work.Wait()
}

// serve accepts connections until the proxy is cut. The caller holds the lock.
func (p *Proxy) serve(l net.Listener) {
	p.listener = l
	p.work.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return // closed
			}
			p.take(l, conn)
		}
	})
}

// take starts a link, unless the proxy was cut meanwhile.
func (p *Proxy) take(from net.Listener, client net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()

	l := &link{client: client}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	p.links[l] = struct{}{}

	if p.listener != from {
		p.end(l, reset)
		return
	}

	p.work.Go(func() { p.run(l) })
}

// end removes a link, and closes both its connections in the given way. The caller holds the
// lock.
func (p *Proxy) end(l *link, how func(net.Conn)) {
	if _, ok := p.links[l]; !ok {
		return
	}

	delete(p.links, l)
	l.cancel()
	how(l.client)

	if l.server != nil {
		how(l.server)
	}
}

// closeGracefully delivers what was written. reset discards it, and the other side gets an error.
func closeGracefully(conn net.Conn) { _ = conn.Close() }

// reset closes a connection so that the other side gets ECONNRESET, as from a server that
// has crashed (SO_LINGER with 0).
func reset(conn net.Conn) {
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	closeGracefully(conn)
}

// run forwards in both directions. When both have ended, the link ends.
func (p *Proxy) run(l *link) {
	if !p.pass(l, time.Now()) {
		return
	}

	var dialer net.Dialer // a paused server may let it wait for minutes
	server, err := dialer.DialContext(l.ctx, "tcp", p.target)
	if err != nil {
		p.fail(l)
		return
	}

	p.mu.Lock()
	l.server = server
	if _, ok := p.links[l]; !ok { // cut while dialling
		reset(server)
	}
	p.mu.Unlock()

	var both sync.WaitGroup
	both.Go(func() { p.copy(l, server, l.client) })
	both.Go(func() { p.copy(l, l.client, server) })
	both.Wait()

	p.mu.Lock()
	defer p.mu.Unlock()

	p.end(l, closeGracefully)
}

// packet is what was read at once, and when it is to be forwarded.
type packet struct {
	b   []byte
	err error // of the read; nothing follows it
	due time.Time
}

// copy forwards one direction of a link until it ends. The end is forwarded in its turn: EOF as
// the end of this direction, another error as a reset of the link.
func (p *Proxy) copy(l *link, to, from net.Conn) {
	packets := make(chan packet, flight)
	var reader sync.WaitGroup
	defer reader.Wait()

	reader.Go(func() {
		defer close(packets)

		for {
			b := make([]byte, chunk)
			n, err := from.Read(b)
			p.mu.Lock()
			due := time.Now().Add(p.delay)
			p.mu.Unlock()

			select {
			case packets <- packet{b[:n], err, due}:
			case <-l.ctx.Done():
				return
			}

			if err != nil {
				return
			}
		}
	})

	for next := range packets {
		if !p.pass(l, next.due) {
			return
		}

		_, err := to.Write(next.b)
		if tcp, ok := to.(*net.TCPConn); ok && err == nil && errors.Is(next.err, io.EOF) {
			err = tcp.CloseWrite()
		} else if err == nil {
			err = next.err
		}

		if err != nil {
			p.fail(l)
			return
		}
	}
}

// fail ends a link of which one side has failed. While the proxy hangs, the other side does not
// notice.
func (p *Proxy) fail(l *link) {
	if p.pass(l, time.Now()) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.end(l, reset)
	}
}

// pass waits until what is due may be forwarded, and reports whether the link still exists.
func (p *Proxy) pass(l *link, due time.Time) bool {
	for {
		p.mu.Lock()
		hang, healed := p.hang, p.healed
		p.mu.Unlock()

		var timer <-chan time.Time
		if !hang {
			wait := time.Until(due)
			if wait <= 0 {
				select {
				case <-l.ctx.Done():
					return false
				default:
					return true
				}
			}

			timer, healed = time.After(wait), nil
		}

		select {
		case <-l.ctx.Done():
			return false
		case <-healed:
		case <-timer:
		}
	}
}
