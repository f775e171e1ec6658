package forward_test

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"net/textproto"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jeton-auth/jeton/internal/test/e2e"
)

// wire keeps the bytes that arrived at an address.
type wire struct {
	address string

	mu  sync.Mutex
	raw bytes.Buffer
}

// Write implements io.Writer.
func (w *wire) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()

	return w.raw.Write(b)
}

// head is a request as its bytes say it.
type head struct {
	method string
	target string
	header []field
}

// field is a line of a header, with its name as it was sent.
type field struct{ name, value string }

// get returns the values of a header.
func (h head) get(name string) []string {
	var list []string
	for _, f := range h.header {
		if strings.EqualFold(f.name, name) {
			list = append(list, f.value)
		}
	}

	return list
}

// heads returns the requests without a body since the last call.
func (w *wire) heads() []head {
	w.mu.Lock()
	text := w.raw.String()
	w.raw.Reset()
	w.mu.Unlock()

	var list []head
	for part := range strings.SplitSeq(text, "\r\n\r\n") {
		if part != "" {
			list = append(list, headOf(part))
		}
	}

	return list
}

// headOf returns a request from its lines.
func headOf(text string) head {
	lines := strings.Split(text, "\r\n")
	var h head
	h.method, h.target, _ = strings.Cut(lines[0], " ")
	h.target = strings.TrimSuffix(strings.TrimSuffix(h.target, " HTTP/1.1"), " HTTP/1.0")
	for _, line := range lines[1:] {
		name, value, _ := strings.Cut(line, ":")
		h.header = append(h.header, field{name, textproto.TrimString(value)})
	}

	return h
}

// startWire listens, and serves each connection.
func startWire(t *testing.T, serve func(w *wire, c net.Conn)) *wire {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })

	w := &wire{address: l.Addr().String()}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go serve(w, c)
		}
	}()

	return w
}

// rawBackend keeps the heads of requests, and answers each with 200 on a connection of its own.
func rawBackend(t *testing.T) *wire {
	t.Helper()
	return startWire(t, func(w *wire, c net.Conn) {
		defer func() { _ = c.Close() }()
		r := bufio.NewReader(c)
		var text []byte
		for !bytes.HasSuffix(text, []byte("\r\n\r\n")) {
			b, err := r.ReadByte()
			if err != nil {
				return
			}
			text = append(text, b)
		}

		_, _ = w.Write(text)
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
	})
}

// relay passes the bytes of a proxy on to Jeton, and keeps them.
func relay(t *testing.T, to string) *wire {
	t.Helper()
	return startWire(t, func(w *wire, c net.Conn) {
		defer func() { _ = c.Close() }()
		jeton, err := net.Dial("tcp", to)
		if err != nil {
			return
		}
		defer func() { _ = jeton.Close() }()

		go func() {
			_, _ = io.Copy(c, jeton)
			_ = c.Close()
		}()
		_, _ = io.Copy(jeton, io.TeeReader(c, w))
	})
}

// exchange sends bytes and returns the first response to them; nil if the connection ended without one.
func exchange(t *testing.T, address, text string) *http.Response {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()

	if err := c.SetDeadline(time.Now().Add(e2e.Patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, text); err != nil {
		return nil
	}

	method, _, _ := strings.Cut(text, " ")
	resp, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: method})
	if err != nil {
		return nil
	}

	// The whole of it: nothing of the request is on its way any more.
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()

	return resp
}
