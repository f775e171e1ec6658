package oauth_test

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/jeton-auth/jeton/internal/jose"
	"github.com/jeton-auth/jeton/jetontest"
)

// chain has services that call one another: front, reports, archive, and so on.
const chain = `
issuer:
  url: 'http://localhost:${ISSUER_PORT}'
  listen: 'localhost:${ISSUER_PORT}'
  plain_http: true
clients:
  - {name: ci, secret_hash: '${HASH}', services: [reports, counted], scopes: [read, write]}
  - name: front
    secret_hash: ${HASH}
    exchanges: [{from: front, to: reports, scopes: [read, write]}, {from: archive, to: reports, scopes: [read]}]
  - name: reports
    secret_hash: ${HASH}
    introspects: [archive]
    exchanges:
      - {from: reports, to: archive, scopes: [read, delete], max_lifetime: 1m}
      - {from: counted, to: archive, scopes: [read], shared_uses: true}
      - {from: reports, to: counted, scopes: [read], max_uses: 2}
      - {from: counted, to: limited, scopes: [read], allows: ["GET /files/*"]}
      - {from: reports, to: vault, scopes: [read]}
      - {from: reports, to: closed, scopes: [read]}
      - {from: reports, to: later, scopes: [read]}
  - name: archive
    secret_hash: ${HASH}
    exchanges: [{from: archive, to: reports, scopes: [read]}, {from: archive, to: counted, scopes: [read]}]
  - {name: other, secret_hash: '${HASH}'}
services:
  - name: front
    listen: localhost:0
    plain_http: true
    login: {token: /token}
    user_scopes: [{scopes: [read, write]}]
    tokens: {lifetime: 10m}
    routes: [{match: GET /who, respond: {template: "{{.Name}}"}}]
  - name: reports
    listen: localhost:0
    plain_http: true
    login: {token: /token}
    user_scopes: [{scopes: [read, write]}]
    tokens: {lifetime: 10m}
    routes:
      - {match: GET /who, respond: {template: "{{.Name}}"}}
  - name: archive
    listen: localhost:0
    plain_http: true
    user_scopes: [{scopes: [read]}]
    tokens: {lifetime: 10m}
    routes:
      - {match: GET /who, respond: {template: "{{.Name}}"}}
      - {match: GET /read, scopes: [read], respond: {template: "{{.Name}}"}}
  - name: counted
    listen: localhost:0
    plain_http: true
    user_scopes: [{scopes: [read, write]}]
    tokens: {lifetime: 10m, max_uses: 6}
    routes: [{match: GET /who, respond: {template: "{{.Name}}"}}]
  - name: limited
    listen: localhost:0
    plain_http: true
    tokens: {}
    routes: [{match: "GET /files/{name}", respond: {text: file}}, {match: GET /who, respond: {text: who}}]
  - name: vault
    listen: localhost:0
    plain_http: true
    require: {factors: 2}
    tokens: {}
    routes: [{match: GET /who, respond: {text: who}}]
  - name: closed
    listen: localhost:0
    plain_http: true
    login: {paths: [/login], allow: {groups: [staff]}}
    tokens: {}
    routes: [{match: GET /who, respond: {text: who}}]
  - name: later
    listen: localhost:0
    plain_http: true
    tokens: {activation_delay: 5m, lifetime: 20m}
    routes: [{match: GET /who, respond: {text: who}}]
`

const (
	grantExchange = "urn:ietf:params:oauth:grant-type:token-exchange"
	typeAccess    = "urn:ietf:params:oauth:token-type:access_token"
	chainSecret   = "a secret of every client here"
)

// chained is a server whose services call one another, with the user diane.
type chained struct{ *fixture }

func newChained(t *testing.T) *chained {
	t.Helper()
	hash := fmt.Sprintf("%x", sha256.Sum256([]byte(chainSecret)))
	c := &chained{newFixture(t, chain, jetontest.Env("HASH", hash))}
	c.AddUser("diane", "correct horse battery")

	return c
}

// on returns the services for a subtest.
func (c *chained) on(t *testing.T) *chained { return &chained{c.fixture.on(t)} }

// signed returns a signed token of diane, which is not stored.
func (c *chained) signed(service string) string {
	c.t.Helper()
	return c.signedOf("diane", service)
}

// signedOf returns a signed token of a user, which is not stored.
func (c *chained) signedOf(user, service string) string {
	c.t.Helper()
	a := c.Ask("GET", service, "/token", "Authorization", basicOf(user+":correct horse battery"))
	var out struct{ Token string }
	if err := json.Unmarshal([]byte(a.Body), &out); err != nil || out.Token == "" {
		c.t.Fatalf("token of %s: got %d %s, want a token", user, a.Status, a.Body)
	}

	return out.Token
}

// personal returns an opaque token of diane.
func (c *chained) personal(uses int64, services ...string) jetontest.MadeToken {
	c.t.Helper()
	return c.AddToken(jetontest.NewToken{
		User:     "diane",
		Name:     "laptop",
		Services: services,
		Scopes:   []string{"read", "write"},
		MaxUses:  uses,
		Expires:  c.clock.now().Add(time.Hour),
	})
}

// exchange sends a token to the token endpoint as a client.
func (c *chained) exchange(by, token, to string, fields ...string) jetontest.Answer {
	c.t.Helper()
	return c.Post("/oauth2/token", append([]string{
		"grant_type", grantExchange, "client_id", by, "client_secret", chainSecret, "subject_token", token,
		"subject_token_type", typeAccess, "audience", to,
	}, fields...)...)
}

// acted is what introspection shows of an exchanged token.
type acted struct {
	Subject string `json:"sub"`
	Client  string `json:"client_id"`
	Scope   string
	Expires int64 `json:"exp"`
	MaxUses int64 `json:"max_uses"`
	Left    int64 `json:"uses_remaining"`
	Act     json.RawMessage
}

func (c *chained) introspected(token string) acted {
	c.t.Helper()
	a := c.Post("/oauth2/introspect", "client_id", "reports", "client_secret", chainSecret, "token", token)
	var out acted
	if err := json.Unmarshal([]byte(a.Body), &out); err != nil || a.Status != http.StatusOK {
		c.t.Fatalf("introspection: got %d %s, want 200", a.Status, a.Body)
	}

	return out
}

func TestAServiceActsForItsCallerAtTheNext(t *testing.T) {
	c := newChained(t)
	for _, tc := range []struct {
		name  string
		token string
	}{
		{"a signed token", c.signed("reports")},
		{"an opaque token", c.personal(0, "reports").Secret},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := c.on(t)
			a := c.exchange("reports", tc.token, "archive")
			token := opens(t, "exchange", a)
			if !strings.Contains(a.Body, `"issued_token_type":"`+typeAccess+`"`) {
				t.Errorf("exchange: got %s, want the type of the token", a.Body)
			}

			got := c.bearer("archive", "/who", token)
			if got.Status != http.StatusOK || got.Body != "diane" {
				t.Errorf("at archive: got %d %q, want diane", got.Status, got.Body)
			}
			if got := c.bearer("reports", "/who", token); got.Code() != "bad_credential" {
				t.Errorf("at reports: got %d %q, want bad_credential", got.Status, got.Code())
			}

			seen := c.introspected(token)
			end := c.clock.now().Add(time.Minute).Unix()
			if seen.Subject != "diane" || seen.Client != "reports" || string(seen.Act) != `{"sub":"reports"}` ||
				seen.Expires != end {
				t.Errorf("introspection: got %+v %s, want diane, acted for by reports, for a minute", seen, seen.Act)
			}

			checks, ev := c.checks(a.Request())
			if ev.Actor != "client:reports" || ev.Action != "token.exchange" || ev.Target != "user:diane" ||
				ev.Service != "archive" || len(checks) == 0 {
				t.Errorf("audit event %+v, want token.exchange by client:reports for user:diane", ev)
			}
		})
	}
}

func TestScopesOfAnExchangeAreThoseOfTheTokenAndTheRule(t *testing.T) {
	c := newChained(t)
	token := c.personal(0, "reports").Secret
	for _, tc := range []struct {
		name, scope, want string
	}{
		{"none is requested", "", "read"},
		{"one that both have", "read", "read"},
		{"one that the rule lacks", "write", ""},
		{"one that the token lacks", "delete", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := c.on(t)
			a := c.exchange("reports", token, "archive", "scope", tc.scope)
			if tc.want == "" {
				bare(t, a, http.StatusBadRequest, "invalid_scope")
				return
			}
			seen := c.introspected(opens(t, "exchange", a))
			if seen.Scope != tc.want {
				t.Errorf("scope %q, want %q", seen.Scope, tc.want)
			}
		})
	}
}

func TestAChainOfExchangesNamesAllActors(t *testing.T) {
	c := newChained(t)
	first := opens(t, "front to reports", c.exchange("front", c.personal(0, "front").Secret, "reports"))
	second := opens(t, "reports to archive", c.exchange("reports", first, "archive"))

	seen := c.introspected(second)
	if seen.Subject != "diane" || string(seen.Act) != `{"sub":"reports","act":{"sub":"front"}}` {
		t.Errorf("introspection: got %+v %s, want reports for front for diane", seen, seen.Act)
	}

	a := c.bearer("archive", "/read", second)
	checks, _ := c.checks(a.Request())
	if text := fmt.Sprint(checks); !strings.Contains(text, "with which client reports for client front acts") {
		t.Errorf("explain: got %s, want both clients", text)
	}

	for _, tc := range []struct {
		name, by, to string
	}{
		{"back to the first service, by another client", "archive", "reports"},
		{"by a client that acts already", "front", "reports"},
	} {
		a := c.exchange(tc.by, second, tc.to)
		bare(t, a, http.StatusBadRequest, "invalid_request")
		if check, says := c.failed(a.Request()); check != "actors" {
			t.Errorf("%s: refused by %q: %q, want actors", tc.name, check, says)
		}
	}
}

func TestAnExchangedTokenEndsWithWhatItCameFrom(t *testing.T) {
	c := newChained(t)
	disable := map[string]any{"disabled": true}
	change := map[string]any{"password": "battery horse correct"}
	for i, tc := range []struct {
		name string
		end  func(c *chained, user, subject string)
	}{
		{"the signed token is revoked", func(c *chained, _, subject string) {
			c.MustControl("DELETE", "/api/v1/tokens/"+jtiOf(c.t, subject), nil, nil)
		}},
		{"all tokens of the user are revoked", func(c *chained, user, _ string) {
			c.MustControl("POST", "/api/v1/users/"+user+"/end-tokens", nil, nil)
		}},
		{"the client revokes it", nil},
		{"the user is disabled", func(c *chained, user, _ string) {
			c.MustControl("PUT", "/api/v1/users/"+user+"/disabled", disable, nil)
		}},
		{"the password is changed", func(c *chained, user, _ string) {
			c.MustControl("PUT", "/api/v1/users/"+user+"/password", change, nil)
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := c.on(t)
			user := fmt.Sprintf("user-%d", i) // the others go on
			c.AddUser(user, "correct horse battery")
			subject := c.signedOf(user, "reports")
			token := opens(t, "exchange", c.exchange("reports", subject, "archive"))
			if a := c.bearer("archive", "/who", token); a.Status != http.StatusOK {
				t.Fatalf("before: got %d, want 200", a.Status)
			}

			if tc.end != nil {
				tc.end(c, user, subject)
			} else {
				c.Post("/oauth2/revoke", "client_id", "reports", "client_secret", chainSecret, "token", token)
			}
			if a := c.bearer("archive", "/who", token); a.Code() != "bad_credential" {
				t.Errorf("afterwards: got %d %q, want bad_credential", a.Status, a.Code())
			}
		})
	}
}

func TestAnExchangedTokenEndsWithAnOpaqueOne(t *testing.T) {
	c := newChained(t)
	subject := c.personal(0, "reports")
	token := opens(t, "exchange", c.exchange("reports", subject.Secret, "archive"))
	if a := c.bearer("archive", "/who", token); a.Status != http.StatusOK {
		t.Fatalf("before: got %d, want 200", a.Status)
	}

	c.MustControl("DELETE", "/api/v1/tokens/"+subject.Accessor, nil, nil)
	if a := c.bearer("archive", "/who", token); a.Code() != "bad_credential" {
		t.Errorf("afterwards: got %d %q, want bad_credential", a.Status, a.Code())
	}
}

func TestAnExchangedTokenEndsWithTheClientThatActs(t *testing.T) {
	c := newChained(t)
	token := opens(t, "exchange", c.exchange("reports", c.signed("reports"), "archive"))
	if a := c.bearer("archive", "/who", token); a.Status != http.StatusOK {
		t.Fatalf("before: got %d, want 200", a.Status)
	}

	hash := fmt.Sprintf("%x", sha256.Sum256([]byte(chainSecret)))
	const before = "  - name: reports\n"
	yaml := strings.Replace(chain, before, before+"    disabled: true\n", 1)
	if err := c.Reload(strings.ReplaceAll(yaml, "${HASH}", hash)); err != nil {
		t.Fatal(err)
	}
	if a := c.bearer("archive", "/who", token); a.Code() != "bad_credential" {
		t.Errorf("after the client was disabled: got %d %q, want bad_credential", a.Status, a.Code())
	}
}

// jtiOf returns the jti of a signed token.
func jtiOf(t testing.TB, token string) string {
	t.Helper()
	s, err := jose.Parse(token)
	if err != nil {
		t.Fatal(err)
	}
	claims, err := jose.ParseClaims(s.Payload)
	if err != nil {
		t.Fatal(err)
	}

	return claims.ID
}
