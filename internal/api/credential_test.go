package api_test

import (
	"bufio"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/jeton-auth/jeton/internal/api"
	"github.com/jeton-auth/jeton/jetontest"
)

const appConf = `
issuer: {url: "https://localhost:${ISSUER_PORT}", listen: "localhost:${ISSUER_PORT}"}
services:
  - name: app
    listen: localhost:0
    login: {paths: [/login], token: /token}
    accept: [session, token, basic]
    tokens: {format: opaque}
    users_api: {}
    routes:
      - {match: '/up/{rest...}', upstream: {url: '${BACKEND}'}}
`

// startApp starts a service whose routes go to a backend, which sees what passes.
func startApp(t *testing.T, backend string) *jetontest.Server {
	s := jetontest.Start(t, appConf, jetontest.Env("BACKEND", backend))
	s.AddUser("diane", "correct horse battery")
	return s
}

func newToken(s *jetontest.Server, uses int64) api.MadeToken {
	var made api.MadeToken
	s.MustControl("POST", "/api/v1/tokens", api.NewToken{
		User:     "diane",
		Name:     "x",
		Services: []string{"app"},
		MaxUses:  uses,
		Expires:  time.Now().Add(time.Hour),
	}, &made)

	return made
}

// postSlowly sends the headers of a request, calls meanwhile, and sends the body.
func postSlowly(t *testing.T, s *jetontest.Server, path, secret, body string, meanwhile func()) (int, string) {
	t.Helper()
	conn, err := tls.Dial("tcp", s.Addr("app"), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"http/1.1"}})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()

	fmt.Fprintf(
		conn,
		"POST %s HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\n"+
			"Content-Length: %d\r\nExpect: 100-continue\r\n\r\n",
		path,
		secret,
		len(body),
	)

	in := bufio.NewReader(conn)
	line, err := in.ReadString('\n') // 100: the server waits for the body
	if err != nil || !strings.Contains(line, "100") {
		t.Fatalf("status line %q, %v, want 100", line, err)
	}

	meanwhile()
	fmt.Fprint(conn, body)
	_, _ = in.ReadString('\n')
	resp, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatal(err)
	}

	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}

	return resp.StatusCode, string(b)
}

// A permission that ends while the body is on its way must not be used.
func TestRevocationDuringASlowBody(t *testing.T) {
	s := startApp(t, "http://127.0.0.1:1")
	made := newToken(s, 0)
	body := fmt.Sprintf(`{"name":"late","expires_at":%q}`, time.Now().Add(30*time.Minute).UTC().Format(time.RFC3339))

	status, answer := postSlowly(t, s, "/api/v1/users/me/tokens", made.Secret, body, func() {
		s.MustControl("DELETE", "/api/v1/tokens/"+made.Accessor, nil, nil)
	})
	if status != http.StatusUnauthorized {
		t.Errorf("POST with a revoked token = %d %s, want 401", status, answer)
	}

	var list []any
	s.MustControl("GET", "/api/v1/tokens?user=diane", nil, &list)

	if len(list) != 0 {
		t.Errorf("tokens = %v, want none", list)
	}

	s.MustControl("PUT", "/api/v1/users/diane/groups", api.Groups{Groups: []string{"admin"}}, nil)
	status, answer = postSlowly(t, s, "/api/v1/users", newToken(
		s,
		0,
	).Secret, `{"name":"mallory","password":"correct horse battery","groups":["admin"]}`, func() {
		s.MustControl("PUT", "/api/v1/users/diane/groups", api.Groups{Groups: []string{}}, nil)
	})
	if status != http.StatusForbidden {
		t.Errorf("POST /users after losing admin = %d %s, want 403", status, answer)
	}
}

// TestCredentialsThatBrowsersAttachNeedTheSameOrigin stands for cross-site request forgery.
// A browser attaches cookies and Basic credentials by itself, and never a Bearer token.
func TestCredentialsThatBrowsersAttachNeedTheSameOrigin(t *testing.T) {
	s := startApp(t, "http://127.0.0.1:1")
	made := newToken(s, 0)
	other := newToken(s, 0)
	for name, tc := range map[string]struct {
		header string
		want   int
	}{
		"a token as Basic":  {"Basic " + base64.StdEncoding.EncodeToString([]byte("x:"+made.Secret)), 403},
		"a token as Bearer": {"Bearer " + made.Secret, 204},
	} {
		a := s.Ask(
			"DELETE", "app", "/api/v1/users/me/tokens/"+other.Accessor, "Authorization", tc.header,
			"Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example",
		)
		if a.Status != tc.want {
			t.Errorf("%s from another site = %d %s, want %d", name, a.Status, a.Body, tc.want)
		}

		other = newToken(s, 0)
	}
}

func TestHeadTakesNoUseAndGetsNoHeaders(t *testing.T) {
	s := startApp(t, "http://127.0.0.1:1")
	made := newToken(s, 1)
	a := s.Ask("HEAD", "app", "/api/v1/users/me", "Authorization", "Bearer "+made.Secret)
	if a.Status != 200 || a.Left() != "1" || a.Header.Get("ETag") != "" || a.Header.Get("Content-Length") != "" {
		t.Errorf("HEAD = %d %v, want 200, one use left, no ETag and no length", a.Status, a.Header)
	}

	if a := s.Ask(
		"GET", "app", "/api/v1/users/me", "Authorization", "Bearer "+made.Secret,
	); a.Status != 200 || a.Left() != "0" {
		t.Errorf("GET = %d with %s uses left, want 200 and 0", a.Status, a.Left())
	}
}

func TestCountedTokenCannotUpgrade(t *testing.T) {
	var upgrade string
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		upgrade = r.Header.Get("Upgrade")
	}))
	defer backend.Close()

	s := startApp(t, backend.URL)
	for uses, want := range map[int64]string{0: "websocket", 1: ""} {
		upgrade = "not called"
		c := s.Client(jetontest.HTTP1())

		a := s.Send(
			c, "GET", s.URL("app")+"/up/x", "",
			"Authorization", "Bearer "+newToken(s, uses).Secret,
			"Connection", "Upgrade",
			"Upgrade", "websocket",
			"Sec-WebSocket-Version", "13",
			"Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==", // the key of RFC 6455, section 1.3
		)
		if a.Status != 200 || upgrade != want {
			t.Errorf(
				"max_uses %d: status %d, Upgrade at the upstream %q, want %q",
				uses, a.Status, upgrade, want,
			)
		}
	}
}

// TestAccessTokenCannotCreateTokens keeps a short-lived token from making one that lives
// longer.
func TestAccessTokenCannotCreateTokens(t *testing.T) {
	s := startApp(t, "http://127.0.0.1:1")
	a := s.Ask(
		"GET", "app", "/token",
		"Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte("diane:correct horse battery")),
	)

	var short struct{ Token string }
	if json.Unmarshal([]byte(a.Body), &short) != nil || short.Token == "" {
		t.Fatalf("GET /token = %d %s, want a token", a.Status, a.Body)
	}

	body := fmt.Sprintf(`{"name":"late","expires_at":%q}`, time.Now().Add(5*time.Minute).UTC().Format(time.RFC3339))
	if a := s.Send(
		s.Client(), "POST", s.URL("app")+"/api/v1/users/me/tokens", body,
		"Authorization", "Bearer "+short.Token, "Content-Type", "application/json",
	); a.Status != 403 {
		t.Errorf("POST with an access token = %d %s, want 403", a.Status, a.Body)
	}
}
