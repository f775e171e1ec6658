package doctor

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// arrived is a request that the proxy passed on, byte for byte.
type arrived struct {
	head   string // all of it but the body
	method string
	target string
	header []field
	body   string
}

// field is a line of a header, with its name as it was sent.
type field struct{ name, value string }

// get returns the values of a header.
func (a arrived) get(name string) []string {
	var list []string
	for _, f := range a.header {
		if strings.EqualFold(f.name, name) {
			list = append(list, f.value)
		}
	}

	return list
}

// maxHead and maxBody bound what is read of a request, in bytes.
const (
	maxHead = 64 << 10
	maxBody = 64 << 10
)

// probeTimeout bounds one probe. A proxy that waits for a body answers after its own timeout.
const probeTimeout = 2 * time.Minute

// echo answers in the place of the application, and keeps what arrives of the current probe. net/http would hide how a
// header was spelled.
type echo struct {
	listener net.Listener

	mu    sync.Mutex
	nonce string // of the probe; "": there is none
	list  []arrived
}

// newEcho answers until end is called.
func newEcho(l net.Listener) *echo {
	e := &echo{listener: l}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go e.serve(c)
		}
	}()

	return e
}

// end closes the listener.
func (e *echo) end() { _ = e.listener.Close() }

// expect begins a probe, whose requests have a nonce in their head.
func (e *echo) expect(nonce string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.nonce, e.list = nonce, nil
}

// taken returns what has arrived of the probe, and ends it.
func (e *echo) taken() []arrived {
	e.mu.Lock()
	defer e.mu.Unlock()
	list := e.list
	e.nonce, e.list = "", nil

	return list
}

// keep keeps a request, unless it is one of others: users and health checks go on while the proxy is tested. It reports
// whether it was kept.
func (e *echo) keep(a arrived) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.nonce == "" || !strings.Contains(a.head, e.nonce) {
		return false
	}
	e.list = append(e.list, a)

	return true
}

// serve answers one request. It is kept before it is answered, so that a client with the answer finds it.
func (e *echo) serve(c net.Conn) {
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(probeTimeout))

	a, err := read(bufio.NewReader(c))
	if err != nil {
		return
	}
	status, text := "200 OK", "jeton doctor\n"
	if !e.keep(a) {
		status, text = "503 Service Unavailable\r\nRetry-After: 60", "a test of the proxy is running\n"
	}

	fmt.Fprintf(c, "HTTP/1.1 %s\r\nContent-Type: text/plain\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s",
		status, len(text), text)
}

// read reads a request.
func read(r *bufio.Reader) (arrived, error) {
	var head []byte
	for !bytes.HasSuffix(head, []byte("\r\n\r\n")) && len(head) < maxHead {
		b, err := r.ReadByte()
		if err != nil {
			return arrived{}, err
		}
		head = append(head, b)
	}

	lines := strings.Split(strings.TrimSuffix(string(head), "\r\n\r\n"), "\r\n")
	a := arrived{head: string(head)}
	a.method, a.target, _ = strings.Cut(lines[0], " ")
	a.target, _, _ = strings.Cut(a.target, " HTTP/")
	for _, line := range lines[1:] {
		name, value, _ := strings.Cut(line, ":")
		a.header = append(a.header, field{name, strings.TrimSpace(value)})
	}

	// A body in chunks is only looked at: none of the probes has one.
	n, _ := strconv.Atoi(strings.Join(a.get("Content-Length"), ""))
	body, err := io.ReadAll(io.LimitReader(r, int64(min(max(n, 0), maxBody))))
	a.body = string(body)

	return a, err
}

// exchange sends a request and returns its response with the body read.
func exchange(c net.Conn, method, text string) (*http.Response, error) {
	if err := c.SetDeadline(time.Now().Add(probeTimeout)); err != nil {
		return nil, err
	}
	if _, err := io.WriteString(c, text); err != nil {
		return nil, err
	}

	resp, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: method})
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	if method != http.MethodConnect {
		_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<20))
	}

	return resp, nil
}
