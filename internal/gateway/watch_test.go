package gateway_test

import (
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/jeton-auth/jeton/internal/api"
	"github.com/jeton-auth/jeton/jetontest"
)

const watched = `
services:
  - name: app
    listen: localhost:0
    login: {paths: [/login]}
    logout: /logout
    accept: [session, basic]
    routes:
      - {match: '/do/{rest...}', upstream: {url: '${DO}', strip_prefix: /do}}
      - {match: '/last/{rest...}', max_uses: 1, accept: [session], upstream: {url: '${DO}', strip_prefix: /last}}
      - {match: '/staff/{rest...}', allow: {users: [diane]}, upstream: {url: '${DO}', strip_prefix: /staff}}
`

// begin sends a request and reads the first part of the response, which the backend does not end.
func begin(t *testing.T, s *jetontest.Server, client *http.Client, path, cookie string) *http.Response {
	t.Helper()
	return beginWith(t, s, client, path, "Cookie", cookie)
}

// beginWith is begin with any credential.
func beginWith(t *testing.T, s *jetontest.Server, client *http.Client, path, name, value string) *http.Response {
	t.Helper()

	r, err := http.NewRequestWithContext(t.Context(), "GET", s.URL("app")+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set(name, value)

	resp, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = resp.Body.Close() })

	first := make([]byte, len("first,"))
	_, err = io.ReadFull(resp.Body, first)
	if err != nil {
		t.Fatalf("the stream does not begin: %v", err)
	}

	return resp
}

// TestRequestsEndWithTheirSession has requests that last until their session ends.
func TestRequestsEndWithTheirSession(t *testing.T) {
	log := make(logLines, 1000)
	b := newBehaviours(t)
	s := jetontest.Start(t, easy+watched, jetontest.Env("DO", b.URL), jetontest.Log(log, slog.LevelInfo))
	for _, name := range []string{"diane", "eshana"} {
		s.AddUser(name, right)
	}

	// The last use of this one is taken. It is older than the others, and lives until they have ended.
	paid := begin(t, s, s.Client(), "/last/stream", s.Enter("app", "eshana", right))

	for _, tc := range []struct {
		name string
		end  func(cookie string)
	}{
		{"a logout", func(cookie string) { s.Ask("POST", "app", "/logout", "Cookie", cookie) }},
		{"a user who is disabled", func(string) {
			for _, disabled := range []bool{true, false} {
				s.MustControl("PUT", "/api/v1/users/diane/disabled", api.Disabled{Disabled: disabled}, nil)
			}
		}},
	} {
		for _, client := range []*http.Client{s.Client(), s.Client(jetontest.HTTP1())} {
			t.Run(tc.name, func(t *testing.T) {
				cookie := s.Enter("app", "diane", right)
				stream := begin(t, s, client, "/do/stream", cookie)
				tc.end(cookie)

				rest, err := io.ReadAll(stream.Body)
				if err == nil {
					t.Errorf("end of the stream after %q = nil, want an error: it was cut", rest)
				}
			})
		}
	}

	t.Run("a password that is changed", func(t *testing.T) {
		s.AddUser("clara", right)
		stream := beginWith(t, s, s.Client(), "/do/stream", "Authorization", basic("clara", right))
		before := len(s.Events())
		s.MustControl("PUT", "/api/v1/users/clara/password", api.NewPassword{Password: "another battery staple"}, nil)

		rest, err := io.ReadAll(stream.Body)
		if err == nil {
			t.Errorf("end of the stream after %q = nil, want an error: it was cut", rest)
		}
		// What is asked again and again must not count as attempts with a wrong password.
		for _, e := range s.Events()[before:] {
			if e.Action == "login" {
				t.Errorf("the audit log has %+v, want no login of a request in progress", e)
			}
		}
	})

	t.Run("a WebSocket", func(t *testing.T) {
		cookie := s.Enter("app", "diane", right)
		conn := dial(t, s, "app")
		resp, _ := conn.ask("GET /do/ws HTTP/1.1\r\nHost: localhost\r\n" + handshake + "Cookie: " + cookie + "\r\n\r\n")
		if resp.StatusCode != http.StatusSwitchingProtocols {
			t.Fatalf("the handshake is answered %d, want 101", resp.StatusCode)
		}

		s.Ask("POST", "app", "/logout", "Cookie", cookie)
		rest, _ := io.ReadAll(conn.r) // until the deadline of the connection, a minute
		if string(rest) != "hello diane\n" {
			t.Errorf("the connection has %q, want the greeting alone", rest)
		}
	})

	t.Run("a request that waits for its answer", func(t *testing.T) {
		cookie := s.Enter("app", "diane", right)
		before := b.reached.Load()
		answer := make(chan jetontest.Answer, 1)
		go func() { answer <- s.Ask("GET", "app", "/do/slow", "Cookie", cookie) }()
		for b.reached.Load() == before {
			// The request has to reach the backend first.
			s.Ask("GET", "app", "/absent")
		}

		s.Ask("POST", "app", "/logout", "Cookie", cookie)
		if a := <-answer; a.Status != 401 || a.Code() != "bad_credential" {
			t.Errorf("the answer is %d %s, want 401 bad_credential", a.Status, a.Code())
		}
	})

	line := log.await(t, "a request in progress ended with its credential")
	if !strings.Contains(line, `"outcome":"bad_credential"`) || !strings.Contains(line, `"request_id":`) {
		t.Errorf("the log has %s, want the outcome and the request id", line)
	}

	b.release()
	if rest, err := io.ReadAll(paid.Body); string(rest) != "last" || err != nil {
		t.Errorf("the stream that took the last use goes on with %q, %v, want its end", rest, err)
	}
}
