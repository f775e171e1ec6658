package gateway_test

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/jeton-auth/jeton/jetontest"
)

const counted = `
services:
  - name: app
    listen: localhost:0
    plain_http: true
    login: {paths: [/login]}
    routes:
      - {match: '/paid/{rest...}', max_uses: 5, upstream: {url: '${DO}', strip_prefix: /paid}}
      - {match: '/open/{rest...}', open: true, upstream: {url: '${DO}', strip_prefix: /open}}
`

func TestClientMayCloseItsSide(t *testing.T) {
	b := newBehaviours(t)
	s := jetontest.Start(t, easy+counted, jetontest.Env("DO", b.URL))
	s.AddUser("diane", right)
	c := s.Enter("app", "diane", right)

	conn := dial(t, s, "app")
	_, err := io.WriteString(conn, "GET /paid/stream HTTP/1.1\r\nHost: localhost\r\nCookie: "+c+"\r\n\r\n")
	if err != nil {
		t.Fatal(err)
	}

	closer, ok := conn.Conn.(interface{ CloseWrite() error })
	if !ok {
		t.Fatal("the connection has no CloseWrite, want one")
	}
	if err := closer.CloseWrite(); err != nil {
		t.Fatal(err)
	}

	resp, err := http.ReadResponse(conn.r, nil)
	if err != nil {
		t.Fatal(err)
	}

	first := make([]byte, 6)
	_, err = io.ReadFull(resp.Body, first)
	b.release()
	rest, restErr := io.ReadAll(resp.Body)
	if err != nil || restErr != nil || string(first)+string(rest) != "first,last" || resp.StatusCode != 200 {
		t.Errorf("response is %d %q %q, %v, %v, want 200 first,last", resp.StatusCode, first, rest, err, restErr)
	}
}

func TestMalformedBodyIsTheClientsFault(t *testing.T) {
	var log bytes.Buffer
	b := newBehaviours(t)
	s := jetontest.Start(t, easy+counted, jetontest.Env("DO", b.URL), jetontest.Log(&log, slog.LevelInfo))

	for _, tc := range []struct{ name, body string }{
		{"no chunk size", "xyz\r\n"},
		{"a chunk without its end", "1\r\nabc"},
		{"a chunk size over 64 bits", "fffffffffffffffff\r\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			resp, body := dial(t, s, "app").ask("POST /open/upload HTTP/1.1\r\nHost: localhost\r\n" +
				"Transfer-Encoding: chunked\r\n\r\n" + tc.body)
			if resp.StatusCode != 400 || !strings.Contains(body, "malformed") {
				t.Errorf("response is %d %s, want 400 malformed", resp.StatusCode, body)
			}
		})
	}

	if strings.Contains(log.String(), "level=ERROR") {
		t.Errorf("log, want no error in it:\n%s", log.String())
	}
}
