package gateway_test

import (
	"bufio"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jeton-auth/jeton/jetontest"
)

const severalServers = `
services:
  - name: app
    listen: localhost:0
    plain_http: true
    login: {paths: [/login]}
    routes:
      - {match: '/open/{rest...}', open: true, upstream: {urls: ['${BAD}', '${GOOD}'], timeout: 5m}}
      - {match: '/once/{rest...}', open: true, upstream: {urls: ['${BAD}', '${GOOD}'], attempts: 1, timeout: 5m}}
      - {match: '/paid/{rest...}', max_uses: 100, upstream: {urls: ['${BAD}', '${GOOD}'], timeout: 5m}}
`

// cutter starts a server that closes each connection when a request has arrived, and counts the requests.
func cutter(t *testing.T) (address string, reached *atomic.Int64) {
	t.Helper()

	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })

	reached = &atomic.Int64{}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}

			_, err = http.ReadRequest(bufio.NewReader(conn))
			if err == nil {
				reached.Add(1)
			}
			_ = conn.Close()
		}
	}()

	return "http://" + l.Addr().String(), reached
}

// good starts a server that answers, and counts the requests.
func good(t *testing.T) (address string, reached *atomic.Int64) {
	t.Helper()

	reached = &atomic.Int64{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		reached.Add(1)
		w.Header().Set("Location", "http://"+r.Host+"/next")
	}))
	t.Cleanup(s.Close)

	return s.URL, reached
}

// statuses returns the statuses of n requests, sorted.
func statuses(s *jetontest.Server, n int, method, path, body string, header ...string) string {
	var list []string
	for range n {
		a := s.Send(s.Client(), method, s.URL("app")+path, body, header...)
		list = append(list, strconv.Itoa(a.Status))
	}
	slices.Sort(list)

	return strings.Join(list, " ")
}

// TestWhatIsSentToAnotherServer has two servers, of which one closes every connection instead of an answer. They take
// turns, so it gets at least one of two requests.
func TestWhatIsSentToAnotherServer(t *testing.T) {
	for _, tc := range []struct {
		name, method, path, body string
		statuses                 string
	}{
		{"GET", "GET", "/open/x", "", "200 200"},
		{"HEAD", "HEAD", "/open/x", "", "200 200"},
		{"PUT without a body", "PUT", "/open/x", "", "200 200"},
		{"DELETE", "DELETE", "/open/x", "", "200 200"},
		{"GET that may be sent once", "GET", "/once/x", "", "200 502"},
		{"PUT with a body", "PUT", "/open/x", "body", "200 502"},
		{"POST without a body", "POST", "/open/x", "", "200 502"},
		{"PATCH", "PATCH", "/open/x", "body", "200 502"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			bad, cut := cutter(t)
			answers, reached := good(t)
			s := jetontest.Start(t, easy+severalServers, jetontest.Env("BAD", bad), jetontest.Env("GOOD", answers))

			got := statuses(s, 2, tc.method, tc.path, tc.body)
			if got != tc.statuses {
				t.Errorf("two requests are answered %s, want %s", got, tc.statuses)
			}

			want := int64(strings.Count(tc.statuses, "200"))
			if cut.Load() < 1 || reached.Load() != want {
				t.Errorf("%d requests reach the server that fails and %d the other one, want at least 1 and %d",
					cut.Load(), reached.Load(), want)
			}
		})
	}
}

func TestACountedRequestTakesOneUseForAllServers(t *testing.T) {
	bad, cut := cutter(t)
	answers, reached := good(t)
	s := jetontest.Start(t, easy+severalServers, jetontest.Env("BAD", bad), jetontest.Env("GOOD", answers))
	s.AddUser("diane", right)
	c := s.Enter("app", "diane", right)

	for n := range 10 {
		a := s.Ask("GET", "app", "/paid/x", "Cookie", c)
		if want := strconv.Itoa(99 - n); a.Status != 200 || a.Left() != want {
			t.Fatalf("request %d is answered %d with %s uses left, want 200 with %s", n, a.Status, a.Left(), want)
		}
	}

	if cut.Load() < 5 || reached.Load() != 10 {
		t.Errorf("%d requests reach the server that fails and %d the other one, want at least 5 and 10",
			cut.Load(), reached.Load())
	}
}

func TestAServerThatTakesNoConnectionsRests(t *testing.T) {
	answers, reached := good(t)
	log := make(logLines, 1000)
	s := jetontest.Start(t, easy+severalServers, jetontest.Env("BAD", "http://127.0.0.1:1"),
		jetontest.Env("GOOD", answers), jetontest.Log(log, 0))

	if got := statuses(s, 2, "GET", "/open/x", ""); got != "200 200" {
		t.Errorf("two GETs are answered %s, want 200 200", got)
	}
	if line := log.await(t, "could be opened"); !strings.Contains(line, "127.0.0.1:1") {
		t.Errorf("the log has %s, want the address of the server", line)
	}

	// What may not be sent twice goes to the server that answers.
	if got := statuses(s, 4, "POST", "/open/x", "body"); got != "200 200 200 200" || reached.Load() != 6 {
		t.Errorf("four POSTs are answered %s after %d requests, want 200 four times after 6", got, reached.Load())
	}
}

// TestASlowServerIsNotLeft has a server that answers after the timeout of its route: the request is not sent again.
func TestASlowServerIsNotLeft(t *testing.T) {
	var reached atomic.Int64
	ended := make(chan struct{})
	slow := func() string {
		server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
			reached.Add(1)
			<-ended
		}))
		t.Cleanup(server.Close)

		return server.URL
	}

	conf := strings.ReplaceAll(severalServers, "5m", "100ms")
	s := jetontest.Start(t, easy+conf, jetontest.Env("BAD", slow()), jetontest.Env("GOOD", slow()))
	got := statuses(s, 1, "GET", "/open/x", "")
	close(ended)

	if got != "502" || reached.Load() != 1 {
		t.Errorf("the answer is %s after %d requests, want 502 after 1", got, reached.Load())
	}
}

func TestARedirectOfOneOfTheServersIsPublic(t *testing.T) {
	first, _ := good(t)
	second, _ := good(t)
	s := jetontest.Start(t, easy+severalServers, jetontest.Env("BAD", first), jetontest.Env("GOOD", second))

	for range 2 {
		a := s.Ask("GET", "app", "/open/x")
		if got, want := a.Header.Get("Location"), s.URL("app")+"/next"; got != want {
			t.Errorf("Location is %s, want %s", got, want)
		}
	}
}

// logLines passes on each line of a log.
type logLines chan string

func (l logLines) Write(line []byte) (int, error) {
	l <- string(line)
	return len(line), nil
}

// await waits for a line with a text, and returns it.
func (l logLines) await(t *testing.T, text string) string {
	t.Helper()

	for {
		select {
		case line := <-l:
			if strings.Contains(line, text) {
				return line
			}
		case <-time.After(time.Minute):
			t.Fatalf("no such line within a minute, want %q", text)
		}
	}
}

const checkedServers = `
services:
  - name: app
    listen: localhost:0
    plain_http: true
    routes:
      - match: /a
        open: true
        upstream: {urls: ['${A}', '${B}'], health: {path: /health, interval: 100ms}}
      - match: /b
        open: true
        upstream: {urls: ['${A}', '${B}'], health: {path: /health, interval: 100ms}}
`

// TestHealthChecksFollowTheConfiguration has a server that is not healthy. After a reload, the checks are new ones.
func TestHealthChecksFollowTheConfiguration(t *testing.T) {
	sick := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Remote-User") != "" || r.Header.Get("Cookie") != "" {
			t.Errorf("a check has headers %v, want no identity", r.Header)
		}
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	t.Cleanup(sick.Close)
	well, _ := good(t)

	log := make(logLines, 1000)
	s := jetontest.Start(t, easy+checkedServers, jetontest.Env("A", sick.URL), jetontest.Env("B", well),
		jetontest.Log(log, 0))
	log.await(t, "unhealthy")
	wantUp := func(host, value string) {
		t.Helper()
		host = strings.TrimPrefix(host, "http://")
		line := `jeton_upstream_up{service="app",upstream="` + host + `"} ` + value + "\n"
		metrics := s.Send(http.DefaultClient, "GET", s.Admin()+"/metrics", "").Body
		if strings.Count(metrics, line) != 1 {
			t.Errorf("%d times in the metrics, want once: %s", strings.Count(metrics, line), line)
		}
	}
	wantUp(well, "1")
	wantUp(sick.URL, "0")

	for _, path := range []string{"/a", "/b", "/a"} {
		if a := s.Ask("GET", "app", path); a.Status != 200 {
			t.Errorf("GET %s is %d, want 200 of the server that is healthy", path, a.Status)
		}
	}

	if err := s.Reload(easy + strings.ReplaceAll(checkedServers, "'${B}'", "'${B}/base'")); err != nil {
		t.Fatal(err)
	}
	log.await(t, "unhealthy")
	wantUp(sick.URL, "0")
}
