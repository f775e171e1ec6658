package guard_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/guard"
)

// request sends a request to a handler. Header names and values alternate.
func request(t *testing.T, h http.Handler, target string, header ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), "GET", target, nil)
	for n := 0; n+1 < len(header); n += 2 {
		r.Header.Add(header[n], header[n+1])
	}

	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)

	return w
}

var hello = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	tok, ok := guard.From(r.Context())
	_, _ = fmt.Fprintf(w, "hello %s %t", tok.Principal.Name, ok)
})

func TestRequireResponses(t *testing.T) {
	i := newIssuer(t)
	var log bytes.Buffer
	g := i.guard(func(c *guard.Config) { c.Log = slog.New(slog.NewTextHandler(&log, nil)) })
	open, admin := g.Require("read")(hello), g.Require("read", "admin")(hello)
	good := i.token(nil)
	for _, tc := range []struct {
		name      string
		handler   http.Handler
		target    string
		header    []string
		status    int
		code      string
		challenge string
	}{
		{"a valid token", open, "/", []string{"Authorization", "Bearer " + good}, 200, "", ""},
		{"the scheme in another case", open, "/", []string{"Authorization", "bEARER  " + good}, 200, "", ""},
		{"no header", open, "/", nil, 401, "no_credential", `Bearer realm="reports"`},
		{
			"another scheme",
			open,
			"/",
			[]string{"Authorization", "Basic " + good},
			401,
			"no_credential",
			`Bearer realm="reports"`,
		},
		{
			"a token without a scheme",
			open,
			"/",
			[]string{"Authorization", good},
			401,
			"no_credential",
			`Bearer realm="reports"`,
		},
		// Addresses are logged, and kept in histories (RFC 6750, section 2.3).
		{"in the query", open, "/?access_token=" + good, nil, 401, "no_credential", `Bearer realm="reports"`},
		{
			// A browser attaches cookies by itself, to requests of other sites as well.
			"in a cookie",
			open,
			"/",
			[]string{"Cookie", "access_token=" + good},
			401,
			"no_credential",
			`Bearer realm="reports"`,
		},
		{
			"a scheme without a token",
			open,
			"/",
			[]string{"Authorization", "Bearer "},
			401,
			"bad_credential",
			`Bearer realm="reports", error="invalid_token"`,
		},
		{
			"an invalid token",
			open,
			"/",
			[]string{"Authorization", "Bearer x"},
			401,
			"bad_credential",
			`Bearer realm="reports", error="invalid_token"`,
		},
		{
			"two tokens",
			open,
			"/",
			[]string{"Authorization", "Bearer " + good, "Authorization", "Bearer " + good},
			400,
			"ambiguous_credential",
			`Bearer realm="reports", error="invalid_request"`,
		},
		{
			"two headers of different schemes",
			open,
			"/",
			[]string{"Authorization", "Basic eDp5", "Authorization", "Bearer " + good},
			400,
			"ambiguous_credential",
			`Bearer realm="reports", error="invalid_request"`,
		},
		{
			"a scope is missing",
			admin,
			"/",
			[]string{"Authorization", "Bearer " + good},
			403,
			"insufficient_scope",
			`Bearer realm="reports", error="insufficient_scope", scope="read admin"`,
		},
		{
			"expired",
			open,
			"/",
			[]string{"Authorization", "Bearer " + i.token(map[string]any{"exp": noon.Unix()})},
			401,
			"expired",
			`Bearer realm="reports", error="invalid_token"`,
		},
		{
			"too early",
			open,
			"/",
			[]string{"Authorization", "Bearer " + i.token(map[string]any{"nbf": noon.Unix() + 1})},
			401,
			"too_early",
			`Bearer realm="reports", error="invalid_token"`,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := request(t, tc.handler, tc.target, tc.header...)
			if w.Code != tc.status || w.Header().Get(jeton.HeaderError) != tc.code ||
				strings.Join(challenges(w.Header()), ", ") != tc.challenge {
				t.Errorf("got %d %v, want %d, %s, %s", w.Code, w.Header(), tc.status, tc.code, tc.challenge)
			}

			if tc.status == 200 {
				if w.Body.String() != "hello ci true" {
					t.Errorf("body = %q, want hello ci true", w.Body)
				}
				return
			}

			var p jeton.Problem
			err := json.Unmarshal(w.Body.Bytes(), &p)
			if err != nil || p.Status != tc.status || p.Code != tc.code || p.Type != "about:blank" || p.Title == "" {
				t.Errorf("body = %s, %v; want a problem with status %d", w.Body, err, tc.status)
			}

			kind := w.Header().Get("Content-Type")
			if kind != "application/problem+json" || w.Header().Get("Cache-Control") != "no-store" {
				t.Errorf("header = %v, want a problem that is not stored", w.Header())
			}
		})
	}

	text := log.String()
	if strings.Contains(text, good) || !strings.Contains(text, "scope admin is missing") {
		t.Errorf("the log contains a token, or no reason:\n%s", text)
	}
}

// challenges returns the values of the header WWW-Authenticate in exactly this case. Get would
// look for another one.
func challenges(h http.Header) []string {
	for name, values := range h {
		if name == "WWW-Authenticate" {
			return values
		}
	}

	return nil
}

func TestRequireAnswers503BeforeTheFirstFetch(t *testing.T) {
	i := newIssuer(t)
	g := i.emptyGuard()
	h := g.Require()(hello)
	w := request(t, h, "/", "Authorization", "Bearer "+i.token(nil))
	if w.Code != 503 || w.Header().Get("Retry-After") != "4" || w.Header().Get(jeton.HeaderError) != "unavailable" ||
		len(challenges(w.Header())) != 0 {
		t.Errorf("got %d %v, want 503 with Retry-After 4", w.Code, w.Header())
	}

	if strings.Contains(w.Body.String(), "127.0.0.1") {
		t.Errorf("the response contains the issuer's address: %s", w.Body)
	}
	if w := request(t, h, "/"); w.Code != 401 {
		t.Errorf("without a token: %d, want 401", w.Code)
	}
}

func TestRequireWithinRequire(t *testing.T) {
	i := newIssuer(t)
	g, other := i.guard(), i.guard(func(c *guard.Config) { c.Audience = "other" })
	token := "Bearer " + i.token(nil)
	if w := request(t, g.Require()(g.Require("read")(hello)), "/", "Authorization", token); w.Code != 200 {
		t.Errorf("an inner scope that the token has: %d, want 200", w.Code)
	}

	if w := request(t, g.Require()(g.Require("admin")(hello)), "/", "Authorization", token); w.Code != 403 {
		t.Errorf("an inner scope that the token lacks: %d, want 403", w.Code)
	}
	if w := request(t, g.Require()(other.Require()(hello)), "/", "Authorization", token); w.Code != 401 {
		t.Errorf("an inner Require of another guard: %d, want 401", w.Code)
	}
}

func TestRequirePanicsAtAnInvalidScope(t *testing.T) {
	g := newIssuer(t).emptyGuard()
	for _, scope := range []string{"", "a b", `a"b`, "a\\b", "ä", "a\n"} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("Require(%q) does not panic", scope)
				}
			}()

			g.Require(scope)
		}()
	}
}

func TestFromWithoutARequest(t *testing.T) {
	if tok, ok := guard.From(context.Background()); ok || tok.ID != "" {
		t.Errorf("From = %+v, %v; want the zero Token and false", tok, ok)
	}
}

func TestNewRefusesInvalidConfigurations(t *testing.T) {
	valid := func() guard.Config { return guard.Config{Issuer: "https://jeton.example", Audience: "reports"} }
	for _, tc := range []struct {
		name   string
		change func(*guard.Config)
		good   bool
	}{
		{"a valid one", func(*guard.Config) {}, true},
		{"a port", func(c *guard.Config) { c.Issuer = "https://jeton.example:8443" }, true},
		{"no issuer", func(c *guard.Config) { c.Issuer = "" }, false},
		{"an issuer with a slash", func(c *guard.Config) { c.Issuer += "/" }, false},
		{"an issuer with a path", func(c *guard.Config) { c.Issuer += "/a" }, false},
		{"an issuer with a query", func(c *guard.Config) { c.Issuer += "?" }, false},
		{"an issuer with a user", func(c *guard.Config) { c.Issuer = "https://x@jeton.example" }, false},
		{"an issuer without a scheme", func(c *guard.Config) { c.Issuer = "jeton.example" }, false},
		{"plain HTTP", func(c *guard.Config) { c.Issuer = "http://jeton.example" }, false},
		{"plain HTTP, permitted", func(c *guard.Config) { c.Issuer, c.PlainHTTP = "http://jeton.example", true }, true},
		{
			"another scheme, permitted",
			func(c *guard.Config) { c.Issuer, c.PlainHTTP = "ftp://jeton.example", true },
			false,
		},
		{"no audience", func(c *guard.Config) { c.Audience = "" }, false},
		{"the shortest bound", func(c *guard.Config) { c.Bound = time.Second }, true},
		{"a shorter bound", func(c *guard.Config) { c.Bound = time.Second - 1 }, false},
		{"a negative bound", func(c *guard.Config) { c.Bound = -time.Minute }, false},
		{"the longest bound", func(c *guard.Config) { c.Bound = time.Hour }, true},
		{"a longer bound", func(c *guard.Config) { c.Bound = time.Hour + 1 }, false},
		{"the longest leeway", func(c *guard.Config) { c.Leeway = 5 * time.Second }, true},
		{"a longer leeway", func(c *guard.Config) { c.Leeway = 5*time.Second + 1 }, false},
		{"a negative leeway", func(c *guard.Config) { c.Leeway = -1 }, false},
		{
			"credentials",
			func(c *guard.Config) { c.Introspect = &guard.Credentials{ClientID: "r", Secret: jeton.NewSecret("s")} },
			true,
		},
		{
			"credentials without a name",
			func(c *guard.Config) { c.Introspect = &guard.Credentials{Secret: jeton.NewSecret("s")} },
			false,
		},
		{
			"credentials without a secret",
			func(c *guard.Config) { c.Introspect = &guard.Credentials{ClientID: "r"} },
			false,
		},
		{"an invalid certificate", func(c *guard.Config) { c.CACert = []byte("x") }, false},
		{
			"a certificate and a client",
			func(c *guard.Config) { c.CACert, c.Client = []byte("x"), &http.Client{} },
			false,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := valid()
			tc.change(&c)
			g, err := guard.New(c)
			if (err == nil) != tc.good || err != nil && !errors.Is(err, jeton.ErrInvalid) || (g != nil) != tc.good {
				t.Errorf("New = %v, %v; want success: %t", g, err, tc.good)
			}
		})
	}
}

func TestIntrospectionOfACountedToken(t *testing.T) {
	full := func(change string) string {
		return `{"active":true,"iss":"ISSUER","aud":["reports"],"sub":"ci","client_id":"ci",` +
			`"jti":"t_1","iat":1,"exp":9000000000,"uses_remaining":2` + change + `}`
	}

	for _, tc := range []struct {
		name    string
		handler func(issuer string) http.HandlerFunc
		want    error
	}{
		{
			"two are left",
			func(iss string) http.HandlerFunc { return respond(200, strings.Replace(full(""), "ISSUER", iss, 1)) },
			nil,
		},
		{
			"not active",
			func(string) http.HandlerFunc { return respond(200, `{"active":false}`) },
			jeton.ErrBadCredential,
		},
		{"another issuer", func(string) http.HandlerFunc { return respond(200, full("")) }, jeton.ErrBadCredential},
		{"another service", func(iss string) http.HandlerFunc {
			return respond(200, strings.Replace(full(`,"aud":["other"]`), "ISSUER", iss, 1))
		}, jeton.ErrBadCredential},
		{"another token", func(iss string) http.HandlerFunc {
			return respond(200, strings.Replace(full(`,"jti":"t_2"`), "ISSUER", iss, 1))
		}, jeton.ErrUnavailable},
		{"not counted", func(iss string) http.HandlerFunc {
			return respond(200, strings.Replace(full(`,"uses_remaining":null`), "ISSUER", iss, 1))
		}, jeton.ErrUnavailable},
		{"negative uses left", func(iss string) http.HandlerFunc {
			return respond(200, strings.Replace(full(`,"uses_remaining":-1`), "ISSUER", iss, 1))
		}, jeton.ErrUnavailable},
		{"an empty object", func(string) http.HandlerFunc { return respond(200, `{}`) }, jeton.ErrUnavailable},
		{"not an object", func(string) http.HandlerFunc { return respond(200, `true`) }, jeton.ErrUnavailable},
		{
			"status 401",
			func(string) http.HandlerFunc { return respond(401, `{"error":"invalid_client"}`) },
			jeton.ErrUnavailable,
		},
		{"status 500", func(string) http.HandlerFunc { return respond(500, "") }, jeton.ErrUnavailable},
		{"a redirect", func(string) http.HandlerFunc {
			return http.RedirectHandler("/", http.StatusTemporaryRedirect).ServeHTTP
		}, jeton.ErrUnavailable},
	} {
		t.Run(tc.name, func(t *testing.T) {
			i := newIssuer(t)
			i.override(pathIntrospect, tc.handler(i.srv.URL))

			g := i.guard(func(c *guard.Config) {
				c.Introspect = &guard.Credentials{ClientID: "r", Secret: jeton.NewSecret("the secret of r")}
			})

			tok, err := g.Check(t.Context(), i.token(map[string]any{"max_uses": 3}))
			if !errors.Is(err, tc.want) || tc.want == nil && (tok.UsesRemaining == nil || *tok.UsesRemaining != 2) {
				t.Errorf("Check = %+v, %v; want %v", tok, err, tc.want)
			}
			if err != nil && strings.Contains(err.Error(), "the secret of r") {
				t.Errorf("the error contains the secret: %v", err)
			}

			n := i.count(pathIntrospect)
			if n != 1 {
				t.Errorf("%d requests, want 1", n)
			}
		})
	}
}

// The guard refuses without a request to the issuer.
func TestARefusalTakesNoUse(t *testing.T) {
	i := newIssuer(t)
	i.revoke(1, "jti:t_void")

	g := i.guard(func(c *guard.Config) {
		c.Introspect = &guard.Credentials{ClientID: "r", Secret: jeton.NewSecret("s")}
	})

	for name, change := range map[string]map[string]any{
		"a scope is missing": {"scope": "read"},
		"revoked":            {"jti": "t_void"},
		"expired":            {"exp": noon.Unix()},
		"another service":    {"aud": "other"},
	} {
		change["max_uses"] = 3
		w := request(t, g.Require("write")(hello), "/", "Authorization", "Bearer "+i.token(change))
		if w.Code == 200 {
			t.Errorf("%s: got 200, want a refusal", name)
		}
	}

	for name, text := range map[string]string{
		"too long":           "jtn_a_" + strings.Repeat("0", 130),
		"invalid characters": "jtn_a_/../x",
	} {
		if _, err := g.Check(t.Context(), text); !errors.Is(err, jeton.ErrBadCredential) {
			t.Errorf("%s: Check = %v, want ErrBadCredential", name, err)
		}
	}

	n := i.count(pathIntrospect)
	if n != 0 {
		t.Errorf("%d requests to the issuer, want 0", n)
	}
}

func TestConcurrentIntrospectionsAreLimited(t *testing.T) {
	i := newIssuer(t)
	g := i.guard(func(c *guard.Config) {
		c.Introspect = &guard.Credentials{ClientID: "r", Secret: jeton.NewSecret("s")}
	})

	const text = "jtn_a_0000000000000000000000000000000000000000000000000"

	i.override(pathIntrospect, respond(200, `{"active":false}`))

	for range guard.MaxLookups + 1 { // each lookup is released
		if _, err := g.Check(t.Context(), text); !errors.Is(err, jeton.ErrBadCredential) {
			t.Fatal(err)
		}
	}

	arrived, proceed := make(chan struct{}), make(chan struct{})
	i.override(pathIntrospect, func(w http.ResponseWriter, _ *http.Request) {
		arrived <- struct{}{}
		<-proceed
		_, _ = fmt.Fprint(w, `{"active":false}`)
	})

	var wg sync.WaitGroup
	for range guard.MaxLookups {
		wg.Go(func() { _, _ = g.Check(t.Context(), text) })
	}

	for range guard.MaxLookups {
		<-arrived
	}

	ctx, cancel := context.WithCancel(t.Context())
	cancel()

	if _, err := g.Check(ctx, text); !errors.Is(err, jeton.ErrBusy) {
		t.Errorf("one more: Check = %v, want ErrBusy", err)
	}

	close(proceed)
	wg.Wait()
}
