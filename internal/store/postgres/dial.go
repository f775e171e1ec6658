package postgres

import (
	"context"
	"net"
	"time"
)

// dial connects to a server. Where the library has given up on an answer, it asks the server
// on another connection to stop working on it, and then listens whether the server ends the
// first one. It takes up to 15 s for that and keeps the place in the pool meanwhile: behind
// a line that has swallowed everything, the pool would be full of the dead for as long after
// the line is well again. So neither gets more time than an answer does.
func (c Config) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	d := net.Dialer{KeepAlive: 15 * time.Second}
	// Nobody else has more time than Connect.
	last, limited := ctx.Deadline()
	toCancel := limited && time.Until(last) > c.Connect
	if toCancel {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.Answer)
		defer cancel()
	}

	conn, err := d.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	if toCancel {
		err = conn.SetDeadline(time.Now().Add(c.Answer))
	}

	return boundedConn{conn, c.Answer}, err
}

// boundedConn is a connection that waits no longer than most for its own end.
type boundedConn struct {
	net.Conn
	limit time.Duration
}

// SetDeadline implements net.Conn. The library sets one that lies ahead only to end a
// connection.
func (h boundedConn) SetDeadline(t time.Time) error {
	most := time.Now().Add(h.limit)
	if t.After(most) {
		t = most
	}
	return h.Conn.SetDeadline(t)
}
