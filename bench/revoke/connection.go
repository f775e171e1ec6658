package revoke

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/jeton-auth/jeton"
)

const (
	maxBody        = 1 << 20
	requestTimeout = time.Minute
	dialTimeout    = time.Minute
)

// connection is a connection to a node. It writes requests itself, because net/http does
// not report when the first byte of a request is sent. It is for one goroutine.
type connection struct {
	node  *url.URL
	trust *x509.CertPool
	conn  net.Conn // nil: not connected
	r     *bufio.Reader
	free  func() bool
}

// response is what a node answered.
type response struct {
	sent   time.Time // just before the first byte of the request
	status int
	header http.Header
	body   []byte
}

// accepted reports whether the node let the request in.
func (r response) accepted() bool { return r.status >= 200 && r.status < 300 }

// request formats a request of HTTP/1.1. The body is a form.
func (c *connection) request(method, path, cookies, form string) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: jeton-bench\r\n", method, path, c.node.Host)

	if cookies != "" {
		fmt.Fprintf(&b, "Cookie: %s\r\n", cookies)
	}
	if method == http.MethodPost {
		fmt.Fprintf(&b, "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n", len(form))
	}

	b.WriteString("\r\n" + form)

	return b.Bytes()
}

// do sends a request and reads the whole answer. After an error the next request makes a
// new connection.
func (c *connection) do(ctx context.Context, request []byte) (response, error) {
	if c.conn == nil {
		err := c.dial(ctx)
		if err != nil {
			return response{}, fmt.Errorf("%w: connect to %s: %w", jeton.ErrUnavailable, c.node, err)
		}
	}

	resp, err := c.exchange(request)
	if err != nil {
		c.close()
		return resp, fmt.Errorf("%w: %s: %w", jeton.ErrUnavailable, c.node, cmp.Or(ctx.Err(), err))
	}

	return resp, nil
}

// exchange sends one request and reads the answer. resp.sent is set also if it fails.
func (c *connection) exchange(request []byte) (response, error) {
	err := c.conn.SetDeadline(time.Now().Add(requestTimeout))
	if err != nil {
		return response{}, err
	}

	// Before the write: a later instant could make a use look as if it came after the
	// logout.
	resp := response{sent: time.Now()}
	_, err = c.conn.Write(request)
	if err != nil {
		return resp, err
	}

	got, err := http.ReadResponse(c.r, nil)
	if err != nil {
		return resp, err
	}
	defer got.Body.Close()

	resp.status = got.StatusCode
	resp.header = got.Header
	resp.body, err = io.ReadAll(io.LimitReader(got.Body, maxBody+1))
	if err != nil {
		return resp, err
	}
	if len(resp.body) > maxBody {
		return resp, errors.New("the answer is over 1 MiB")
	}

	if got.Close {
		c.close()
	}

	return resp, nil
}

// dial connects. The connection is closed when ctx ends.
func (c *connection) dial(ctx context.Context) error {
	address := net.JoinHostPort(c.node.Hostname(), cmp.Or(c.node.Port(), c.node.Scheme))
	dialer := net.Dialer{Timeout: dialTimeout}

	var conn net.Conn
	var err error
	if c.node.Scheme == "https" {
		t := tls.Dialer{NetDialer: &dialer, Config: &tls.Config{RootCAs: c.trust, MinVersion: tls.VersionTLS12}}
		conn, err = t.DialContext(ctx, "tcp", address)
	} else {
		conn, err = dialer.DialContext(ctx, "tcp", address)
	}
	if err != nil {
		return err
	}

	c.conn = conn
	c.r = bufio.NewReader(conn)
	c.free = context.AfterFunc(ctx, func() { _ = conn.Close() })

	return nil
}

// close closes the connection; the next request makes a new one.
func (c *connection) close() {
	if c.conn == nil {
		return
	}

	c.free()
	_ = c.conn.Close()
	c.conn = nil
}
