package server_test

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"time"

	"github.com/jeton-auth/jeton/jetontest"
)

const slow = `
services:
  - name: app
    listen: localhost:0
    routes: [{match: '/{rest...}', open: true, upstream: {url: '${UP}'}}]
`

// cutPatience is how long the end of a slow client may take on a busy machine.
const cutPatience = 2 * time.Minute

// dribble is a body that has a byte every now and then, for ever.
type dribble struct{}

func (*dribble) Read(p []byte) (int, error) {
	time.Sleep(20 * time.Millisecond) // it is slow, whenever it is read
	p[0] = 'x'

	return 1, nil
}

// TestSlowClientsAreCut uses clients that stop reading, or sending, while their connection stays open. The limits come
// with a reload.
func TestSlowClientsAreCut(t *testing.T) {
	gone := make(chan struct{}, 10)
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, err := io.Copy(io.Discard, r.Body)
		for block := make([]byte, 64<<10); err == nil; {
			_, err = w.Write(block)
		}
		gone <- struct{}{}
	}))
	t.Cleanup(up.Close)

	s := jetontest.Start(t, "limits: {min_rate: 0}\n"+slow, jetontest.Env("UP", up.URL))
	if err := s.Reload("limits: {min_rate: 1000000, behind: 1s}\n" + slow); err != nil {
		t.Fatal(err)
	}

	h1, h2 := s.Client(jetontest.HTTP1()), s.Client()
	stuck, _ := net.Pipe() // never sends
	t.Cleanup(func() { _ = stuck.Close() })

	for _, tc := range []struct {
		name   string
		client *http.Client
		body   io.Reader
	}{
		{"a reader of HTTP/1", h1, nil},
		{"a reader of one stream of HTTP/2", h2, nil},
		{"a sender of HTTP/1", h1, stuck},
		{"a sender of HTTP/2", h2, stuck},
		{"a sender of a byte now and then", h1, &dribble{}},
		{"a sender of a byte now and then over HTTP/2", h2, &dribble{}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL("app")+"/x", tc.body)
			if err != nil {
				t.Fatal(err)
			}

			resp, err := tc.client.Do(r)
			if err == nil {
				defer resp.Body.Close() // and nothing is read
			}

			select {
			case <-gone:
			case <-time.After(cutPatience):
				t.Errorf("the client is still served after %v, want it cut after about 1s", cutPatience)
			}
		})
	}
}

// TestConnectionsWithoutARequestAreClosed opens connections whose client does not go on. Each is closed after the ten
// seconds that the headers of a request may take, and the one that sends trailers after min_rate.
func TestConnectionsWithoutARequestAreClosed(t *testing.T) {
	up := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
	}))
	t.Cleanup(up.Close)
	s := jetontest.Start(t, "limits: {min_rate: 1000000, behind: 1s}\n"+slow, jetontest.Env("UP", up.URL))

	for _, tc := range []struct {
		name     string
		protocol string // "": no TLS handshake is made
		sends    string
	}{
		{"before a TLS handshake", "", ""},
		{"within a TLS handshake", "", "\x16\x03\x01\x01\x00\x01"},
		{"before a request", "http/1.1", ""},
		{"within headers", "http/1.1", "GET / HTTP/1.1\r\nHost: localhost\r\nX-Long: a"},
		{"before the preface of HTTP/2", "h2", ""},
		{"within the preface of HTTP/2", "h2", "PRI * HTTP/2.0\r\n"},
		{
			"within trailers",
			"http/1.1",
			"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX-Trailer: a",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel() // they wait

			conn, err := net.Dial("tcp", s.Addr("app"))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()

			if tc.protocol != "" {
				conf := s.TLS()
				conf.ServerName = "localhost"
				conf.NextProtos = []string{tc.protocol}
				conn = tls.Client(conn, conf)
			}
			if _, err := io.WriteString(conn, tc.sends); err != nil {
				t.Fatal(err)
			}

			// What the server sends before, such as a refusal, does not matter.
			_ = conn.SetReadDeadline(time.Now().Add(cutPatience))
			_, err = io.Copy(io.Discard, conn)
			if errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("the connection is open after %v, want it closed after about 10s", cutPatience)
			}
		})
	}
}
