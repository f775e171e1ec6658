package server_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/jeton-auth/jeton/internal/api"
	"github.com/jeton-auth/jeton/jetontest"
)

// lines is a log that a test reads while it is written.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

func (l *lines) bytes() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return bytes.Clone(l.buf.Bytes())
}

// watched is the configuration of the services whose log and files are searched.
const watched = `
throttle: {pair_burst: 5, source_burst: 1000000}
services:
  - name: shop
    listen: localhost:0
    login: {paths: [/login]}
    logout: /logout
    session: {max_sessions: 2}
    routes:
      - {match: GET /me, respond: {template: '{{.Name}}'}}
      - {match: GET /three, max_uses: 3, audit: true, respond: {text: three}}
      - {match: GET /admins, allow: {groups: [admin]}, respond: {text: admins}}
      - {match: '/files/{rest...}', respond: {text: file}}
      - {match: '/down/{rest...}', open: true, upstream: {url: 'http://127.0.0.1:1'}}
  - name: old
    listen: localhost:0
    login: {paths: [/login]}
    logout: /logout
    teaching:
      cookies: {name: app1-username, token: app1-token, login_time: app1-login-timestamp}
      reveal_login_failure: true
      denied_text: "{{.Name}} denied access to resource"
    routes: [{match: GET /me, respond: {template: '{{.Name}}'}}]
`

// TestNoSecretIsShown sends secrets in every field where a client or a user by mistake could,
// and searches all that the server writes.
func TestNoSecretIsShown(t *testing.T) {
	log := &lines{}
	s := jetontest.Start(t, watched, jetontest.Log(log, slog.LevelDebug))
	var canaries []string

	canary := func(what string) string {
		c := fmt.Sprintf("Canary-%s-%d", what, 4711+len(canaries))
		canaries = append(canaries, c)
		return c
	}

	var shown strings.Builder // every answer but those that are to carry a secret
	note := func(a jetontest.Answer) { fmt.Fprintln(&shown, a.Status, a.Header, a.Body) }

	pw := canary("password")
	s.AddUser("diane", pw)
	sessions := []string{s.Enter("shop", "diane", pw), s.Enter("old", "diane", pw)}

	var secrets []string
	for _, c := range sessions {
		for _, pair := range strings.Split(c, "; ") {
			_, value, _ := strings.Cut(pair, "=")
			if strings.HasPrefix(value, "jtn_") {
				secrets = append(secrets, value)
			}
		}
	}

	canaries = append(canaries, secrets...)
	if len(secrets) != 2 {
		t.Fatalf("%d session secrets, want 2", len(secrets))
	}

	secret := secrets[0]
	for _, service := range []string{"shop", "old"} {
		post := func(kind, body string, header ...string) {
			note(s.Send(s.Client(), "POST", s.URL(service)+"/login", body, append(header, "Content-Type", kind)...))
		}

		const form = "application/x-www-form-urlencoded"

		note(s.TryEnter(service, "diane", canary("wrong")))
		note(s.TryEnter(service, "absent", canary("of-absent")))

		for range 7 { // until it is throttled
			note(s.TryEnter(service, canary("as-a-name"), "x"))
			note(s.TryEnter(service, canaries[len(canaries)-1], "x"))
		}

		same := canary("the-same-name")
		for range 7 {
			note(s.TryEnter(service, same, "x"))
		}

		note(s.TryEnter(service, canary("name-alone"), ""))
		note(s.TryEnter(service, secret, secret))
		post(form, "username=diane&password=%zz"+canary("broken-form"))
		post(form, url.Values{"username": {"diane"}, "password": {canary("one"), canary("two")}}.Encode())
		post(form, "username=diane&password="+canary("long")+strings.Repeat("x", 20_000))

		post("application/json", `{"username":"diane","password":"`+canary("broken-json"))
		post("application/json", `{"username":"diane","password":["`+canary("list")+`"]}`)
		post("application/json", `{"username":"diane","`+canary("member")+`":1}`)
		post("text/plain", canary("plain"))
		post(
			form, "",
			"Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte("diane:"+canary("basic"))),
			"X-Password", canary("header"),
		)

		note(s.Ask("POST", service, "/login?password="+canary("query")+"&token="+secret))
		note(s.Ask("GET", service, "/"+canary("path")))
		note(s.Ask("GET", service, "/me?token="+secret, "Cookie", "__Host-jeton="+canary("cookie")))
		note(s.Ask("GET", service, "/me", "Cookie", "app1-username=diane; app1-token="+canary("token")))
		note(s.Ask(
			"GET", service, "/me", "Authorization", "Bearer "+secret, "X-Request-Id", secret,
			"Referer", "https://x/?"+secret, "User-Agent", secret,
		))

		note(s.Ask("GET", service, "/me", "Cookie", "a="+secret+"; a="+secret))
		note(s.Ask(strings.ToUpper("x"+canary("method")), service, "/me"))
	}

	good := sessions[0]
	jwt := "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJkaWFuZSJ9.c2lnbmF0dXJl"
	canaries = append(canaries, jwt[20:])

	paths := []string{"/me", "/three", "/three", "/three", "/three", "/admins"}
	for _, text := range []string{secret, jwt} {
		paths = append(
			paths, "/files/"+text, "/files/x/"+text+"/y?"+text, "/down/"+text, "/down/x?"+text,
			"/nothing/"+text, "/"+text,
		)
	}

	for _, path := range paths {
		for _, header := range [][]string{{"Cookie", good}, nil} {
			a := s.Ask("GET", "shop", path, header...)
			note(a)

			var why any
			err := s.Control("GET", "/api/v1/explain/"+a.Header.Get("X-Request-Id"), nil, &why)
			fmt.Fprintln(&shown, why, err)
		}
	}

	note(s.Ask("GET", "shop", "/me", "Cookie", good+"; "+good))

	for _, err := range []error{
		s.Control("POST", "/api/v1/users", api.NewUser{Name: "diane", Password: canary("taken")}, nil),
		s.Control("POST", "/api/v1/users", `{"name":"x","password":"`+canary("control-json"), nil),
		s.Control("POST", "/api/v1/users", `{"name":"x","password":{"`+canary("control-object")+`":1}}`, nil),
		s.Control("PUT", "/api/v1/users/absent/password", api.NewPassword{Password: canary("control-absent")}, nil),
		s.Control("PUT", "/api/v1/users/diane/password", api.NewPassword{Password: canary("changed")}, nil),
	} {
		fmt.Fprintln(&shown, err)
	}

	var listed []any
	s.MustControl("GET", "/api/v1/sessions", nil, &listed)
	fmt.Fprintln(&shown, listed, s.Events())
	note(s.Ask("POST", "shop", "/logout", "Cookie", good))
	metrics := s.Send(http.DefaultClient, "GET", s.Admin()+"/metrics", "")

	places := map[string][]byte{"answers and the record": []byte(shown.String()), "metrics": []byte(metrics.Body)}
	readFiles(t, s.Dir(), "running", places)

	s.Stop()
	readFiles(t, s.Dir(), "stopped", places)
	places["the log"] = log.bytes()

	if len(places["the log"]) < 500 || !strings.Contains(metrics.Body, "jeton_requests_total") {
		t.Fatalf("log of %d bytes, metrics %q; want 500, and requests", len(places["the log"]), metrics.Body)
	}

	for where, content := range places {
		for _, c := range canaries {
			for form, text := range map[string]string{
				"":               c,
				" in hex":        hex.EncodeToString([]byte(c)),
				" in base64":     base64.StdEncoding.EncodeToString([]byte(c))[:len(c)],
				" in upper case": strings.ToUpper(c),
			} {
				at := bytes.Index(content, []byte(text))
				if at >= 0 {
					around := content[max(0, at-100):min(len(content), at+100)]
					t.Errorf("%s has …%s…, want no %s%s", where, around, c, form)
				}
			}
		}
	}
}

// readFiles adds the contents of the files of a data directory.
func readFiles(t *testing.T, dir, when string, into map[string][]byte) {
	t.Helper()
	found := 0

	_ = filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return nil
		}

		b, err := os.ReadFile(path)
		if err != nil {
			t.Error(err)
		}

		into[when+" "+filepath.Base(path)] = b
		found += len(b)

		return nil
	})

	if found < 4096 {
		t.Errorf("the files of %s have %d bytes, want at least 4096", dir, found)
	}
}
