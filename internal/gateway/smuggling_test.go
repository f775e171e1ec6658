package gateway_test

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/jeton-auth/jeton/internal/test/e2e"
	"github.com/jeton-auth/jeton/internal/test/need"
	"github.com/jeton-auth/jeton/jetontest"
)

const smuggled = `
log: {requests: all}
services:
  - name: app
    listen: localhost:0
    plain_http: true
    routes: [{match: '/{rest...}', open: true, upstream: {url: '${UP}'}}]
`

// framings returns ways to say how long a body is that programs read in different ways. {TE} is Transfer-Encoding:
// chunked, {CL} the right Content-Length. The changes are those of public lists: a byte before, within and after the
// name and the value, line endings, repetitions.
func framings() (list []string) {
	bytes := []byte{0x00, 0x01, 0x04, 0x08, 0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x1f, 0x20, 0x7f, 0x85, 0xa0, 0xff}
	if need.Soaking() {
		bytes = nil
		for b := range 256 {
			bytes = append(bytes, byte(b))
		}
	}

	for _, b := range bytes {
		c := string([]byte{b})
		for _, form := range []string{
			"%sTransfer-Encoding: chunked", "Transfer-Encoding%s: chunked", "Transfer-Encoding:%schunked",
			"Transfer-Encoding: chunked%s", "Transfer%sEncoding: chunked", "X: X%sTransfer-Encoding: chunked",
			"Transfer-Encoding: chunked%sX: X", "X: X\r%sTransfer-Encoding: chunked",
			"X: X%s\nTransfer-Encoding: chunked", "Transfer-Encoding: chunked\r%sX: X",
			"Transfer-Encoding: chunked%s\nX: X", "Transfer-Encoding: %schunked%[1]s",
		} {
			list = append(list, "Content-Length: {CL}\r\n"+fmt.Sprintf(form, c))
		}
		for _, form := range []string{
			"%sContent-Length: {CL}", "Content-Length%s: {CL}", "Content-Length:%s{CL}", "Content-Length: {CL}%s",
		} {
			list = append(list, "Transfer-Encoding: chunked\r\n"+fmt.Sprintf(form, c), fmt.Sprintf(form, c))
		}
	}

	for _, te := range []string{
		"chunked", "xchunked", "chunkedx", "identity", "chunked, identity", "identity, chunked", "chunked, chunked",
		"gzip, chunked", "\"chunked\"", "'chunked'", "CHUNKED", "chunked;q=1", ", chunked", "chunked,", "",
		"\r\n chunked", "identity\r\nTransfer-Encoding: chunked", "chunked\r\nTransfer-Encoding: identity",
		"chunked\r\nTransfer-Encoding: chunked",
	} {
		list = append(list, "Content-Length: {CL}\r\nTransfer-Encoding: "+te, "Transfer-Encoding: "+te,
			"Transfer_Encoding: "+te+"\r\nContent-Length: {CL}")
	}

	for _, cl := range []string{
		"0", "+{CL}", "-{CL}", "0{CL}", "0x{CL}", "{CL},{CL}", "{CL}, 0", "{CL} 0", "{CL}.0", "{CL}e0", "1",
		"99999999999999999999", "{CL}\r\nContent-Length: 0", "0\r\nContent-Length: {CL}",
		"{CL}\r\nContent-Length: {CL}",
		"{CL}\r\n 0", "", "{CL};", "\t{CL}", "0\r\nContent_Length: {CL}",
	} {
		list = append(list, "Content-Length: "+cl)
	}

	return list
}

// hidden is a request within the body of another one.
const hidden = "GET /hidden HTTP/1.1\r\nHost: localhost\r\nX-Request-Id: forged-request-id\r\n\r\n"

// bodies are read to different ends by programs that read a framing in different ways.
var bodies = []string{
	"0\r\n\r\n" + hidden, // ends at once if it has chunks
	fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(hidden), hidden), // its Content-Length could be that of the first line
	"1;a\r\nZ\r\n0\r\n\r\n" + hidden,
	"1\nZ\n0\n\n" + hidden,
	"1\r\nZ\r\n0\r\nX: y\r\n\r\n" + hidden,
	"1 \r\nZ\r\n0\r\n\r\n" + hidden,
	"0x1\r\nZ\r\n0\r\n\r\n" + hidden,
	"1\r\nZ0\r\n\r\n" + hidden,
	"ffffffffffffffff1\r\nZ\r\n0\r\n\r\n" + hidden,
}

// attacks returns requests that could be two to a program behind the gateway.
func attacks() (list []string) {
	for _, framing := range framings() {
		for i, body := range bodies {
			// All bodies with the framing that is plain, and else the two that differ most.
			if i > 1 && !strings.HasPrefix(framing, "Transfer-Encoding: chunked") && !need.Soaking() {
				break
			}

			head := strings.ReplaceAll(framing, "{CL}", fmt.Sprint(len(body)))
			list = append(list, "POST /attack HTTP/1.1\r\nHost: localhost\r\n"+head+"\r\n\r\n"+body)
		}
	}

	return list
}

// seen is a request at the upstream: the id that the gateway has given it, and its path.
type seen struct{ id, path string }

// nginxUpstream starts nginx on a socket. stop ends it and returns the requests that it has seen.
func nginxUpstream(t *testing.T) (address string, stop func() []seen) {
	t.Helper()

	dir, err := os.MkdirTemp("", "jeton")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })

	const conf = `daemon off; master_process off; pid nginx.pid; error_log error.log;
events {}
http {
	log_format seen '$http_x_request_id $request_uri';
	access_log requests.log seen;
	client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path f; uwsgi_temp_path u; scgi_temp_path s;
	server { listen unix:nginx.sock; location / { return 200 "$http_x_request_id $request_uri"; } }
}
`
	if err := os.WriteFile(filepath.Join(dir, "nginx.conf"), []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}

	nginx := exec.Command(need.Program(t, "nginx", "/usr/sbin/nginx"), "-p", dir, "-c", "nginx.conf", "-e", "error.log")
	nginx.Dir = dir
	if err := nginx.Start(); err != nil {
		t.Fatal(err)
	}

	quit := sync.OnceFunc(func() {
		_ = nginx.Process.Signal(syscall.SIGTERM)
		_ = nginx.Wait()
	})
	t.Cleanup(quit)

	socket := filepath.Join(dir, "nginx.sock")
	e2e.Wait(t, "nginx to answer", func() bool {
		conn, err := net.Dial("unix", socket)
		if err == nil {
			_ = conn.Close()
		}

		return err == nil
	})

	return relay(t, socket), func() (list []seen) {
		quit()
		text, err := os.ReadFile(filepath.Join(dir, "requests.log"))
		if err != nil {
			t.Fatal(err)
		}

		for line := range strings.Lines(string(text)) {
			id, path, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
			list = append(list, seen{id, path})
		}

		return list
	}
}

// relay connects a port of this machine to a socket.
func relay(t *testing.T, socket string) (address string) {
	t.Helper()

	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })

	pass := func(conn net.Conn) {
		defer conn.Close()
		to, err := net.Dial("unix", socket)
		if err != nil {
			return
		}
		defer to.Close()

		go func() {
			_, _ = io.Copy(to, conn)
			_ = to.Close()
		}()
		_, _ = io.Copy(conn, to)
	}

	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go pass(conn)
		}
	}()

	return "http://" + l.Addr().String()
}

// goUpstream starts a server of net/http.
func goUpstream(t *testing.T) (address string, stop func() []seen) {
	t.Helper()

	var mu sync.Mutex
	var list []seen
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		list = append(list, seen{strings.Join(r.Header["X-Request-Id"], ","), r.RequestURI})
		mu.Unlock()
		fmt.Fprintf(w, "%s %s", r.Header.Get("X-Request-Id"), r.RequestURI)
	}))
	t.Cleanup(s.Close)

	return s.URL, func() []seen {
		s.CloseClientConnections()
		s.Close()

		return list
	}
}

// TestNoRequestIsSmuggled sends requests that programs could read as two. Each request at the upstream must be one that
// the gateway has judged, and other clients get the answers to their own requests.
func TestNoRequestIsSmuggled(t *testing.T) {
	for name, start := range map[string]func(*testing.T) (string, func() []seen){
		"net/http": goUpstream, "nginx": nginxUpstream,
	} {
		t.Run(name, func(t *testing.T) {
			upstream, stop := start(t)
			log := &lockedText{}
			s := jetontest.Start(t, easy+smuggled, jetontest.Env("UP", upstream), jetontest.Log(log, slog.LevelInfo))

			list := attacks()
			next := make(chan string)
			var wg sync.WaitGroup
			for range 8 {
				wg.Go(func() { attackAndAsk(t, s, next) })
			}
			for _, attack := range list {
				next <- attack
			}
			close(next)
			wg.Wait()
			s.Stop() // a line is written after the response

			judged := log.requests(t)
			reached := 0
			for _, r := range stop() {
				if !judged[r] {
					t.Errorf("the upstream gets %s as %q, want only what the gateway has judged", r.path, r.id)
				}
				if r.path == "/attack" {
					reached++
				}
			}

			t.Logf("%d attacks, %d of them valid requests that reach the upstream", len(list), reached)
			if reached < 10 || reached == len(list) {
				t.Errorf("%d of %d attacks reach the upstream, want some and not all", reached, len(list))
			}
		})
	}
}

// attackAndAsk sends each attack on a connection of its own, and then a request of another client, which is likely to
// use the connection to the upstream that the attack has used.
func attackAndAsk(t *testing.T, s *jetontest.Server, attacks <-chan string) {
	client := s.Client()
	for attack := range attacks {
		conn := dial(t, s, "app")
		_, _ = io.WriteString(conn, attack)
		half, ok := conn.Conn.(*net.TCPConn)
		if !ok {
			t.Error("the connection has no CloseWrite, want one")
			return
		}
		_ = half.CloseWrite()
		_, _ = io.Copy(io.Discard, conn) // until the gateway closes it
		_ = conn.Close()

		a := s.Send(client, "GET", s.URL("app")+"/victim", "")
		if want := a.Request() + " /victim"; a.Body != want {
			t.Errorf("after %q, another client gets %q, want %q", attack, a.Body, want)
		}
	}
}

// lockedText keeps a log.
type lockedText struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lockedText) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(line)
}

// requests returns the requests that the gateway has judged.
func (l *lockedText) requests(t *testing.T) map[seen]bool {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()

	judged := map[seen]bool{}
	for line := range strings.Lines(l.text.String()) {
		if !strings.Contains(line, `"msg":"request"`) {
			continue
		}

		var f struct {
			Path string `json:"path"`
			ID   string `json:"request_id"`
		}
		if err := json.Unmarshal([]byte(line), &f); err != nil {
			t.Fatal(err)
		}
		judged[seen{f.ID, f.Path}] = true
	}

	return judged
}
