// Package access_test tests what a credential opens, at a whole server over HTTP: tokens, sign-ins, sessions and their
// limits. The tests of packages gate, signin and token alone stand beside them.
//
// It is a folder of its own for the time that the tests take. Where a package has tests of its insides, each package
// that imports it is compiled once more for its tests; here a whole server is compiled and linked once for all.
package access_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/jeton-auth/jeton/internal/config"
	"github.com/jeton-auth/jeton/jetontest"
)

// noThrottle keeps the limits on guessing out of tests of something else.
const noThrottle = `
throttle: {pair_burst: 1000000, account_burst: 1000000, source_burst: 1000000}
`

// everyKind has a route of every kind.
const everyKind = noThrottle + `
services:
  - name: shop
    listen: localhost:0
    login: {paths: [/login, /other/login]}
    logout: /logout
    session: {max_uses: 100}
    routes:
      - {match: GET /open, open: true, respond: {text: open}}
      - {match: GET /plain, respond: {text: plain}}
      - {match: GET /admins, allow: {groups: [admin]}, audit: true, respond: {text: admins}}
      - {match: GET /vip, allow: {}, max_uses: 2, respond: {text: vip}}
      - {match: GET /three, max_uses: 3, respond: {json: {n: {randInt: [1, 9]}}}}
      - {match: '/paid/{rest...}', max_uses: 3, upstream: {url: '${BACKEND}'}}
      - {match: '/files/{rest...}', upstream: {url: '${BACKEND}'}}
  - name: left
    listen: localhost:${SHARED}
    host: left.example.test
    login: {paths: [/login]}
    logout: /logout
    routes:
      - {match: GET /same, max_uses: 3, respond: {template: '{{.Name}} left'}}
      - {match: GET /free, respond: {template: '{{.Name}} left'}}
  - name: right
    listen: localhost:${SHARED}
    host: right.example.test
    login: {paths: [/login]}
    logout: /logout
    routes:
      - {match: GET /same, max_uses: 3, respond: {template: '{{.Name}} right'}}
      - {match: GET /free, respond: {template: '{{.Name}} right'}}
`

// fixture is a server with users and a backend that counts the requests that reach it.
type fixture struct {
	*jetontest.Server
	conf    *config.Config
	reached *atomic.Int64
	secrets map[string]string // passwords by user
}

func newFixture(t *testing.T, yaml string, options ...jetontest.Option) *fixture {
	t.Helper()
	f := &fixture{reached: &atomic.Int64{}, secrets: map[string]string{}}

	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.reached.Add(1)
		_, _ = w.Write([]byte("backend " + r.Method + " for " + r.Header.Get("Remote-User")))
	}))

	t.Cleanup(backend.Close)
	env := map[string]string{
		"BACKEND":    backend.URL,
		"SHARED":     freePort(t),
		"PORT":       "0",
		"ADMIN_PORT": "0",
	}

	for name, value := range env {
		options = append(options, jetontest.Env(name, value))
	}

	f.Server = jetontest.Start(t, yaml, options...)
	conf, err := config.Parse("jeton.yaml", []byte(yaml), func(name string) (string, bool) {
		value, ok := env[name]
		return value, ok
	})
	if err != nil {
		t.Fatal(err)
	}

	f.conf = conf
	for _, u := range conf.Users {
		f.secrets[u.Name] = strings.ToLower(u.Name) + "_pw"
	}

	return f
}

// add adds users, each with its own password.
func (f *fixture) add(names ...string) {
	for _, name := range names {
		f.secrets[name] = "password-of-" + name
		f.AddUser(name, f.secrets[name])
	}
}

// enter logs a user in and returns the cookies.
func (f *fixture) enter(service, name string) string { return f.Enter(service, name, f.secrets[name]) }

// freePort returns a port for services that share one.
func freePort(t *testing.T) string {
	t.Helper()
	port, err := jetontest.FreePort()
	if err != nil {
		t.Fatal(err)
	}

	return port
}

// example returns the configuration of an example.
func example(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile("../../../examples/" + name + "/jeton.yaml")
	if err != nil {
		t.Fatal(err)
	}

	return noThrottle + string(b)
}
