package oauth_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/api"
	"github.com/jeton-auth/jeton/internal/jose"
	"github.com/jeton-auth/jeton/jetontest"
)

// many has a service for every kind of token. Nothing here is about TLS.
const many = `
issuer:
  url: 'http://localhost:${ISSUER_PORT}'
  listen: 'localhost:${ISSUER_PORT}'
  plain_http: true
  keyserver: /getkey
  publish_client_keys: true
services:
  - name: reports
    listen: localhost:0
    plain_http: true
    tokens: {}
    routes:
      - {match: GET /who, respond: {text: "{{.Name}}"}, accept: [token]}
      - {match: GET /write, scopes: [write], respond: {text: written}}
      - {match: GET /four, max_uses: 4, respond: {text: four}}
  - name: uncounted
    listen: localhost:0
    plain_http: true
    login: {paths: [/login]}
    tokens: {lifetime: 1m}
    routes: [{match: GET /who, respond: {text: "ok"}}]
  - name: opaque
    listen: localhost:0
    plain_http: true
    tokens: {format: opaque, lifetime: 1m}
    routes: [{match: GET /who, respond: {text: "ok"}}]
  - name: counted
    listen: localhost:0
    plain_http: true
    tokens: {max_uses: 3, lifetime: 1m}
    routes: [{match: GET /who, respond: {text: "ok"}}, {match: GET /one, max_uses: 1, respond: {text: "one"}}]
  - name: counted-opaque
    listen: localhost:0
    plain_http: true
    tokens: {format: opaque, max_uses: 3, lifetime: 1m}
    routes: [{match: GET /who, respond: {text: "ok"}}]
  - name: later
    listen: localhost:0
    plain_http: true
    tokens: {activation_delay: 30s, lifetime: 1m}
    routes: [{match: GET /who, respond: {text: "ok"}}]
  - name: later-opaque
    listen: localhost:0
    plain_http: true
    tokens: {format: opaque, activation_delay: 30s, lifetime: 1m, max_uses: 3}
    routes: [{match: GET /who, respond: {text: "ok"}}]
  - name: lesson
    listen: localhost:0
    plain_http: true
    tokens: {}
    teaching: {assertion_login: /assert, token_in_body: true}
    routes: [{match: POST /who, respond: {text: "ok"}}]
`

// services are those of many.
var services = []string{
	"counted",
	"counted-opaque",
	"later",
	"later-opaque",
	"lesson",
	"opaque",
	"reports",
	"uncounted",
}

// noon has no fraction of a second, as the times in tokens have none.
var noon = time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)

// clock is a time that only the test moves.
type clock struct{ at atomic.Int64 }

func (c *clock) now() time.Time       { return time.Unix(0, c.at.Load()).UTC() }
func (c *clock) set(t time.Time)      { c.at.Store(t.UnixNano()) }
func (c *clock) move(d time.Duration) { c.at.Add(int64(d)) }

// fixture is an authorization server with services, with a clock that only the test moves, as a subtest
// sees it.
type fixture struct {
	*world
	t testing.TB // of this subtest
}

// world is what all subtests of a test share.
type world struct {
	*jetontest.Server
	parent testing.TB
	clock  *clock
	plain  *http.Client
	again  []jetontest.Option // to start it again on the same folder
	yaml   string
}

func newFixture(t testing.TB, yaml string, options ...jetontest.Option) *fixture {
	t.Helper()
	f := &fixture{&world{parent: t, clock: &clock{}, yaml: yaml}, t}
	f.clock.set(noon)
	f.Server = jetontest.Start(t, yaml, append([]jetontest.Option{jetontest.Clock(f.clock.now)}, options...)...)
	u, err := url.Parse(f.Issuer())
	if err != nil {
		t.Fatal(err)
	}

	f.again = append(
		options, jetontest.Clock(f.clock.now), jetontest.DataDir(f.Dir()),
		jetontest.Env("ISSUER_PORT", u.Port()),
	)
	f.plain = f.Client()

	return f
}

// restart stops the server and starts another on its data directory.
func (f *fixture) restart() {
	f.t.Helper()
	f.Stop()
	f.Server = jetontest.Start(f.parent, f.yaml, f.again...)
	f.plain = f.Client()
}

// on returns the fixture for a subtest.
func (f *fixture) on(t testing.TB) *fixture { return &fixture{f.world, t} }

// client registers software that may have tokens for every service and look them up. It
// has a secret, too, which comes with it.
func (f *fixture) client(name string) jetontest.Key {
	f.t.Helper()
	k := f.AddClient(name, services...)
	f.MustControl("PUT", "/api/v1/clients/"+name+"/terms", map[string]any{
		"introspects": services,
		"scopes":      []string{"read", "write"},
	}, nil)
	return k
}

func (f *fixture) secret(name string) string {
	f.t.Helper()
	var out api.ClientSecret
	f.MustControl("POST", "/api/v1/clients/"+name+"/secret", nil, &out)
	return out.Secret
}

// claims returns valid claims at the time of the clock.
func (f *fixture) claims(k jetontest.Key) map[string]any { return k.Claims(f.Issuer(), f.clock.now()) }

// right returns a new, valid assertion.
func (f *fixture) right(k jetontest.Key) string { return k.Assertion("", f.claims(k)) }

// checks returns the checks that the operator sees of a request, and its event: what was
// refused, where something was.
func (f *fixture) checks(request string) ([]jeton.Check, jeton.Event) {
	f.t.Helper()

	for end := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		events, err := f.Explain(request)
		if err == nil && len(events) > 0 {
			at := max(slices.IndexFunc(events, func(e jeton.Event) bool { return e.Outcome != "ok" }), 0)
			return events[at].Checks, events[at]
		}

		if !errors.Is(err, jeton.ErrNotFound) || time.Now().After(end) {
			f.t.Fatalf("explain %s: %d events, %v", request, len(events), err)
		}
	}
}

// failed returns the one check of a request that failed, with its value.
func (f *fixture) failed(request string) (name, value string) {
	f.t.Helper()
	list, _ := f.checks(request)
	for _, c := range list {
		if c.Result != "fail" {
			continue
		}
		if name != "" {
			f.t.Errorf("two checks of a request failed: %v", list)
		}

		name, value = c.Name, c.Value
	}

	return name, value
}

// bare checks that an answer is a refusal with its code and nothing else.
func bare(t testing.TB, a jetontest.Answer, status int, code string) {
	t.Helper()
	if a.Status != status || strings.TrimSpace(a.Body) != `{"error":"`+code+`"}` {
		t.Errorf("answer %d %q, want %d and the code %s alone", a.Status, a.Body, status, code)
	}
	if a.Header.Get("Content-Type") != "application/json" || a.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("header of a refusal: %v, want JSON and no-store", a.Header)
	}

	for name := range a.Header {
		if !slices.Contains([]string{
			"Content-Type",
			"Cache-Control",
			"Content-Length",
			"Date",
			"Jeton-Error",
			"X-Request-Id",
			"Www-Authenticate",
			"Connection",
		}, name) {
			t.Errorf("a refusal has the header %s: %v, want none but those of the list", name, a.Header[name])
		}
	}
}

// The two ways in which an assertion is sent to the token endpoint.
const (
	grantClient    = "client_credentials"
	grantAssertion = "urn:ietf:params:oauth:grant-type:jwt-bearer"
)

// way is how an assertion is sent, and how its refusal looks.
type way struct {
	name   string
	typ    string // that an assertion for it may have
	other  string // that one for another purpose has
	status int
	code   string
}

var ways = []way{
	{grantClient, "client-authentication+jwt", "authorization-grant+jwt", http.StatusUnauthorized, "invalid_client"},
	{grantAssertion, "authorization-grant+jwt", "client-authentication+jwt", http.StatusBadRequest, "invalid_grant"},
}

// show sends an assertion in one of the two ways.
func (f *fixture) show(w way, assertion string, fields ...string) jetontest.Answer {
	f.t.Helper()
	if w.name == grantClient {
		return f.TryToken(assertion, append([]string{"audience", "reports"}, fields...)...)
	}
	return f.Post("/oauth2/token", append([]string{
		"grant_type",
		grantAssertion,
		"assertion",
		assertion,
		"audience",
		"reports",
	}, fields...)...)
}

// opens checks that an answer holds a token.
func opens(t testing.TB, what string, a jetontest.Answer) string {
	t.Helper()
	var out struct {
		Token string `json:"access_token"`
		Type  string `json:"token_type"`
	}
	if a.Status != http.StatusOK || json.Unmarshal(
		[]byte(a.Body),
		&out,
	) != nil || out.Token == "" || out.Type != "Bearer" || a.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("%s: %d %s, want a token", what, a.Status, a.Body)
	}

	return out.Token
}

func b64(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }

// signed is a JWS of exactly this header and payload, signed with a key.
func signed(t testing.TB, s *jose.Signer, header, payload string) string {
	t.Helper()
	text, err := s.SignHead(b64(header)+".", []byte(payload))
	if err != nil {
		t.Fatal(err)
	}

	return text
}

func object(t testing.TB, members map[string]any) string {
	t.Helper()
	b, err := json.Marshal(members)
	if err != nil {
		t.Fatal(err)
	}

	return string(b)
}

// with returns a copy of claims with changes; nil removes a claim.
func with(claims map[string]any, changes map[string]any) map[string]any {
	out := maps.Clone(claims)
	for name, value := range changes {
		out[name] = value
		if value == nil {
			delete(out, name)
		}
	}

	return out
}

// bearer requests a route with a token.
func (f *fixture) bearer(service, path, token string) jetontest.Answer {
	f.t.Helper()
	return f.Ask("GET", service, path, "Authorization", "Bearer "+token)
}

// introspect introspects a token as a client does.
func (f *fixture) introspect(k jetontest.Key, token string, fields ...string) jetontest.Answer {
	f.t.Helper()
	return f.called("/oauth2/introspect", k, token, fields...)
}

// revoke revokes a token as a client does.
func (f *fixture) revoke(k jetontest.Key, token string) jetontest.Answer {
	f.t.Helper()
	return f.called("/oauth2/revoke", k, token)
}

func (f *fixture) called(path string, k jetontest.Key, token string, fields ...string) jetontest.Answer {
	f.t.Helper()
	return f.Post(path, append([]string{
		"token",
		token,
		"client_assertion",
		f.right(k),
		"client_assertion_type",
		assertionType,
	}, fields...)...)
}

const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// active reports whether a token is active, by introspection.
func (f *fixture) active(k jetontest.Key, token string) bool {
	f.t.Helper()
	a := f.introspect(k, token)
	if a.Status == http.StatusOK && a.Body == inactive {
		return false
	}

	var out struct{ Active bool }
	if a.Status != http.StatusOK || json.Unmarshal([]byte(a.Body), &out) != nil || !out.Active {
		f.t.Errorf("introspection: got %d %s, want 200", a.Status, a.Body)
	}

	return out.Active
}

const formType = "application/x-www-form-urlencoded"

const inactive = "{\"active\":false}\n"

// signerOf returns the signer of a key, which tests of this package need to forge tokens.
func signerOf(k jetontest.Key) *jose.Signer { return k.Signer.(*jose.Signer) }
