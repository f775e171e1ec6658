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

const heldConf = `
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

func heldServer(t *testing.T, backend string) *jetontest.Server {
	s := jetontest.Start(t, heldConf, jetontest.Env("BACKEND", backend))
	s.AddUser("diane", "correct horse battery")
	return s
}

func personalOf(s *jetontest.Server, uses int64) api.MadeToken {
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

// held posts a document whose body it holds back until something has happened.
func held(t *testing.T, s *jetontest.Server, path, secret, body string, meanwhile func()) (int, string) {
	t.Helper()
	conn, err := tls.Dial("tcp", s.Addr("app"), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"http/1.1"}})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()

	fmt.Fprintf(
		conn,
		"POST %s HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n",
		path,
		secret,
		len(body),
	)
	in := bufio.NewReader(conn)
	line, err := in.ReadString('\n') // 100: the body is being waited for
	if err != nil || !strings.Contains(line, "100") {
		t.Fatalf("%q, %v", line, err)
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

// Whoever is let through while the body is still on its way must not keep the permission.
func TestWhatEndsWhileTheBodyIsOnItsWayActs(t *testing.T) {
	s := heldServer(t, "http://127.0.0.1:1")
	made := personalOf(s, 0)
	body := fmt.Sprintf(`{"name":"late","expires_at":%q}`, time.Now().Add(30*time.Minute).UTC().Format(time.RFC3339))

	status, answer := held(t, s, "/api/v1/users/me/tokens", made.Secret, body, func() {
		s.MustControl("DELETE", "/api/v1/tokens/"+made.Accessor, nil, nil)
	})
	if status != http.StatusUnauthorized {
		t.Errorf("a token that was revoked makes another: %d %s", status, answer)
	}

	var list []any
	s.MustControl("GET", "/api/v1/tokens?user=diane", nil, &list)

	if len(list) != 0 {
		t.Errorf("there are tokens: %v", list)
	}

	s.MustControl("PUT", "/api/v1/users/diane/groups", api.Groups{Groups: []string{"admin"}}, nil)
	status, answer = held(t, s, "/api/v1/users", personalOf(
		s,
		0,
	).Secret, `{"name":"mallory","password":"correct horse battery","groups":["admin"]}`, func() {
		s.MustControl("PUT", "/api/v1/users/diane/groups", api.Groups{Groups: []string{}}, nil)
	})
	if status != http.StatusForbidden {
		t.Errorf("who managed a moment ago makes a user: %d %s", status, answer)
	}
}

func TestWhatABrowserSendsByItselfIsAskedForItsOrigin(t *testing.T) {
	s := heldServer(t, "http://127.0.0.1:1")
	made := personalOf(s, 0)
	other := personalOf(s, 0)
	for name, tc := range map[string]struct {
		header string
		want   int
	}{
		"a token as Basic":  {"Basic " + base64.StdEncoding.EncodeToString([]byte("x:"+made.Secret)), 403},
		"a token as Bearer": {"Bearer " + made.Secret, 204},
	} {
		a := s.Ask(
			"DELETE",
			"app",
			"/api/v1/users/me/tokens/"+other.Accessor,
			"Authorization",
			tc.header,
			"Sec-Fetch-Site",
			"cross-site",
			"Origin",
			"https://evil.example",
		)
		if a.Status != tc.want {
			t.Errorf("%s from another site: %d %s, want %d", name, a.Status, a.Body, tc.want)
		}
		other = personalOf(s, 0)
	}
}

func TestAHeadTakesNoUseAndGetsNothing(t *testing.T) {
	s := heldServer(t, "http://127.0.0.1:1")
	made := personalOf(s, 1)
	a := s.Ask("HEAD", "app", "/api/v1/users/me", "Authorization", "Bearer "+made.Secret)
	if a.Status != 200 || a.Left() != "1" || a.Header.Get("ETag") != "" || a.Header.Get("Content-Length") != "" {
		t.Errorf("%d %v", a.Status, a.Header)
	}

	if a := s.Ask(
		"GET",
		"app",
		"/api/v1/users/me",
		"Authorization",
		"Bearer "+made.Secret,
	); a.Status != 200 || a.Left() != "0" {
		t.Errorf("%d %s", a.Status, a.Left())
	}
}

func TestACountedTokenBuysNoConnection(t *testing.T) {
	var upgrade string
	backend := httptest.NewServer(http.HandlerFunc(func(
		w http.ResponseWriter,
		r *http.Request,
	) {
		upgrade = r.Header.Get("Upgrade")
	}))
	defer backend.Close()

	s := heldServer(t, backend.URL)
	for uses, want := range map[int64]string{0: "websocket", 1: ""} {
		upgrade = "not asked"
		c := s.Client(jetontest.HTTP1())
		a := s.Send(
			c,
			"GET",
			s.URL("app")+"/up/x",
			"",
			"Authorization",
			"Bearer "+personalOf(s, uses).Secret,
			"Connection",
			"Upgrade",
			"Upgrade",
			"websocket",
		)
		if a.Status != 200 || upgrade != want {
			t.Errorf(
				"with max_uses %d: %d, the service behind was asked for %q, want %q",
				uses,
				a.Status,
				upgrade,
				want,
			)
		}
	}
}

func TestATokenThatWasIssuedMakesNoOther(t *testing.T) {
	s := heldServer(t, "http://127.0.0.1:1")
	a := s.Ask(
		"GET",
		"app",
		"/token",
		"Authorization",
		"Basic "+base64.StdEncoding.EncodeToString([]byte("diane:correct horse battery")),
	)
	var short struct{ Token string }
	if json.Unmarshal([]byte(a.Body), &short) != nil || short.Token == "" {
		t.Fatalf("%d %s", a.Status, a.Body)
	}

	body := fmt.Sprintf(`{"name":"late","expires_at":%q}`, time.Now().Add(5*time.Minute).UTC().Format(time.RFC3339))
	if a := s.Send(
		s.Client(),
		"POST",
		s.URL("app")+"/api/v1/users/me/tokens",
		body,
		"Authorization",
		"Bearer "+short.Token,
		"Content-Type",
		"application/json",
	); a.Status != 403 {
		t.Errorf("%d %s", a.Status, a.Body)
	}
}
