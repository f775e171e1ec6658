package gateway_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jeton-auth/jeton/jetontest"
)

// echo starts a backend that answers with the bytes of the request: head, body and trailer.
func echo(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}

	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go echoOne(conn)
		}
	}()

	return "http://" + l.Addr().String()
}

func echoOne(conn net.Conn) {
	defer conn.Close()

	var raw bytes.Buffer
	r := bufio.NewReader(io.TeeReader(conn, &raw))
	for {
		raw.Reset()
		req, err := http.ReadRequest(r)
		if err != nil {
			return
		}

		_, _ = io.Copy(io.Discard, req.Body)
		body := raw.String()
		if req.Method == http.MethodHead {
			body = ""
		}

		fmt.Fprintf(
			conn, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n%s", len(body),
			body,
		)
	}
}

// behaviours is a backend that does what its path says.
type behaviours struct {
	*httptest.Server
	reached  atomic.Int64
	released chan struct{} // closed to end slow responses
	seen     chan int      // sizes of the parts of a body as they arrive
}

func newBehaviours(t *testing.T) *behaviours {
	t.Helper()
	b := &behaviours{released: make(chan struct{}), seen: make(chan int, 1000)}
	mux := http.NewServeMux()
	mux.HandleFunc("/cookies", func(w http.ResponseWriter, _ *http.Request) {
		for _, line := range []string{
			"before=1",
			"__Host-jeton=evil; Path=/; Secure",
			// Browsers trim names, and have sent a cookie without a name as its value
			// alone: =__Host-jeton=evil came back as ours.
			"__Host-jeton =evil",
			"=__Host-jeton=evil",
			"= __Host-jeton = evil",
			"==__Host-jeton=evil",
			"__Host-jeton=; Max-Age=0",
			"__Host-jeton",
			"theirs__Host-jeton=1; Path=/x",
			"after=__Host-jeton=1",
			"__Host-jeton-app=evil; Path=/; Secure",
			"__Host-jeton-other=evil; Path=/; Secure",
			"jeton-other=evil",
			"jeton=evil",
			"other_session=evil; Path=/",
			"jetonic=1",
		} {
			w.Header().Add("Set-Cookie", line)
		}

		w.Header().Set("Jeton-Uses-Remaining", "99")
		w.Header().Set("Jeton-Error", "spent")
		w.Header().Set("X-Request-Id", "theirs")
		w.Header().Set("X-Theirs", "kept")
	})

	mux.HandleFunc("/early", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Link", "</style.css>; rel=preload")
		w.Header().Set("Set-Cookie", "__Host-jeton=evil")
		// These headers leave before the final response is there to be filtered.
		w.WriteHeader(http.StatusEarlyHints)
		w.Header().Del("Set-Cookie")
		_, _ = io.WriteString(w, "late")
	})

	mux.HandleFunc("/slow", func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-b.released:
		}
	})

	mux.HandleFunc("/upload", func(w http.ResponseWriter, r *http.Request) {
		total, piece := 0, make([]byte, 64<<10)
		for {
			n, err := r.Body.Read(piece)
			total += n

			select {
			case b.seen <- n:
			default:
			}

			if err != nil {
				break
			}
		}

		fmt.Fprint(w, total)
	})

	mux.HandleFunc("/stream", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "first,")
		_ = http.NewResponseController(w).Flush()
		<-b.released
		_, _ = io.WriteString(w, "last")
	})

	mux.HandleFunc("/cut", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "half of")
		_ = http.NewResponseController(w).Flush()
		// It ends the connection within the body, and net/http logs no stack.
		panic(http.ErrAbortHandler)
	})

	mux.HandleFunc("/ws", func(w http.ResponseWriter, r *http.Request) {
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()

		fmt.Fprintf(
			rw,
			"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
				"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\nhello %s\n",
			r.Header.Get("Remote-User"),
		)

		_ = rw.Flush()
		line, _ := rw.ReadString('\n')
		_, _ = io.WriteString(conn, "you said "+line)
	})

	b.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b.reached.Add(1)
		mux.ServeHTTP(w, r)
	}))

	t.Cleanup(func() {
		b.release()
		b.CloseClientConnections()
		b.Close()
	})

	return b
}

// release ends slow responses.
func (b *behaviours) release() {
	select {
	case <-b.released:
	default:
		close(b.released)
	}
}

// raw is a connection to a service that a test writes to.
type raw struct {
	net.Conn
	r *bufio.Reader
	t *testing.T
}

func dial(t *testing.T, s *jetontest.Server, service string) *raw {
	t.Helper()
	var conn net.Conn
	var err error
	if strings.HasPrefix(s.URL(service), "https") {
		conf := s.TLS()
		conf.ServerName = "localhost"
		conn, err = tls.Dial("tcp", s.Addr(service), conf)
	} else {
		conn, err = net.Dial("tcp", s.Addr(service))
	}

	if err != nil {
		t.Fatal(err)
	}

	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	t.Cleanup(func() { _ = conn.Close() })

	return &raw{conn, bufio.NewReader(conn), t}
}

// ask writes a request and reads one response.
func (c *raw) ask(text string) (*http.Response, string) {
	c.t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		c.t.Fatal(err)
	}

	method, _, _ := strings.Cut(text, " ")
	resp, err := http.ReadResponse(c.r, &http.Request{Method: method})
	if err != nil {
		c.t.Fatalf("%q: %v", text[:min(len(text), 200)], err)
	}

	if resp.StatusCode == http.StatusSwitchingProtocols {
		return resp, ""
	}

	body, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatal(err)
	}

	return resp, string(body)
}
