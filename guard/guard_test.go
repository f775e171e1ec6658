package guard_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/guard"
	"github.com/jeton-auth/jeton/internal/api"
	"github.com/jeton-auth/jeton/jetontest"
)

const conf = `
issuer:
  url: https://localhost:${ISSUER_PORT}
  listen: localhost:${ISSUER_PORT}
services:
  - name: reports
    listen: localhost:0
    tokens: {}
    routes: [{match: GET /, respond: {text: hello}}]
  - name: other
    listen: localhost:0
    tokens: {}
    routes: [{match: GET /, respond: {text: hello}}]
  - name: thrice
    listen: localhost:0
    tokens: {max_uses: 3}
    routes: [{match: GET /, respond: {text: hello}}]
  - name: opaque
    listen: localhost:0
    tokens: {format: opaque, max_uses: 3}
    routes: [{match: GET /, respond: {text: hello}}]
  - name: plain
    listen: localhost:0
    tokens: {format: opaque}
    routes: [{match: GET /, respond: {text: hello}}]
`

// newGuard returns a guard for a service of a real server, with its keys and revocations.
func newGuard(t *testing.T, s *jetontest.Server, audience string, change ...func(*guard.Config)) *guard.Guard {
	t.Helper()
	c := guard.Config{Issuer: s.Issuer(), Audience: audience, Client: s.Client()}
	for _, f := range change {
		f(&c)
	}

	g, err := guard.New(c)
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Step(t.Context()); err != nil {
		t.Fatal(err)
	}

	return g
}

// accessor returns the jti of a token.
func accessor(t *testing.T, text string) string {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(strings.Split(text, ".")[1])
	var c struct {
		ID string `json:"jti"`
	}
	if err != nil || json.Unmarshal(b, &c) != nil || c.ID == "" {
		t.Fatalf("no jti in %s", b)
	}

	return c.ID
}

func TestCheckAcceptsTokensOfARealServer(t *testing.T) {
	s := jetontest.Start(t, conf)
	g := newGuard(t, s, "reports")
	ci := s.AddClient("ci", "reports", "other", "thrice", "plain")
	text := s.Token(ci, "audience", "reports")
	tok, err := g.Check(t.Context(), text)
	if err != nil || tok.Principal.Name != "ci" || tok.Principal.Kind != jeton.KindClient ||
		tok.ID != accessor(t, text) {
		t.Errorf("Check = %+v, %v; want the client ci", tok, err)
	}

	for _, audience := range []string{"other", "thrice", "plain"} {
		if _, err := g.Check(t.Context(), s.Token(ci, "audience", audience)); !errors.Is(err, jeton.ErrBadCredential) {
			t.Errorf("a token for %s: Check = %v, want ErrBadCredential", audience, err)
		}
	}

	// An assertion is signed by its client, not by the issuer.
	assertion := ci.Assertion("at+jwt", ci.Claims(s.Issuer(), time.Now()))
	if _, err := g.Check(t.Context(), assertion); !errors.Is(err, jeton.ErrBadCredential) {
		t.Errorf("an assertion: Check = %v, want ErrBadCredential", err)
	}
}

func TestARevokedTokenIsRefusedAfterTheNextFetch(t *testing.T) {
	s := jetontest.Start(t, conf)
	g := newGuard(t, s, "reports")
	const jwtBearer = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
	for _, tc := range []struct {
		name   string
		client string
		all    bool // revokes all tokens of the client
		revoke func(t *testing.T, k jetontest.Key, text string)
	}{
		{"by its client (RFC 7009)", "ci-1", false, func(t *testing.T, k jetontest.Key, text string) {
			a := s.Post(
				"/oauth2/revoke", "token", text, "client_assertion",
				k.Assertion("", k.Claims(s.Issuer(), time.Now())), "client_assertion_type", jwtBearer,
			)
			if a.Status != http.StatusOK {
				t.Fatalf("revoke = %d %s, want 200", a.Status, a.Body)
			}
		}},
		{"by an operator", "ci-2", false, func(t *testing.T, _ jetontest.Key, text string) {
			s.MustControl("DELETE", "/api/v1/tokens/"+accessor(t, text), nil, nil)
		}},
		{"by disabling its owner", "ci-3", true, func(_ *testing.T, k jetontest.Key, _ string) {
			s.MustControl("PUT", "/api/v1/clients/"+k.Client+"/disabled", map[string]bool{"disabled": true}, nil)
		}},
		{"by revoking all tokens of its owner", "ci-4", true, func(_ *testing.T, k jetontest.Key, _ string) {
			s.MustControl("POST", "/api/v1/clients/"+k.Client+"/end-tokens", nil, nil)
		}},
		{"by deleting its owner", "ci-5", true, func(_ *testing.T, k jetontest.Key, _ string) {
			s.MustControl("DELETE", "/api/v1/clients/"+k.Client, nil, nil)
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			k := s.AddClient(tc.client, "reports")
			bystander := s.AddClient("bystander-of-"+tc.client, "reports")
			seen := s.Token(k, "audience", "reports")
			unseen := s.Token(k, "audience", "reports")
			others := s.Token(bystander, "audience", "reports")

			if _, err := g.Check(t.Context(), seen); err != nil {
				t.Fatal(err)
			}

			tc.revoke(t, k, seen)
			if err := g.Step(t.Context()); err != nil {
				t.Fatal(err)
			}
			if _, err := g.Check(t.Context(), seen); !errors.Is(err, jeton.ErrBadCredential) {
				t.Errorf("Check = %v, want ErrBadCredential", err)
			}

			if _, err := g.Check(t.Context(), unseen); (err != nil) != tc.all {
				t.Errorf("another token of the same owner: Check = %v, want an error: %t", err, tc.all)
			}
			if _, err := g.Check(t.Context(), others); err != nil {
				t.Errorf("a token of another owner: Check = %v, want nil", err)
			}
		})
	}
}

func TestAServerStopsAndStartsAgain(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	s := jetontest.Start(t, conf, jetontest.DataDir(dir))
	clock := &clock{at: time.Now()}
	g := newGuard(t, s, "reports", func(c *guard.Config) { c.Now = clock.Now })
	ci := s.AddClient("ci", "reports")
	text := s.Token(ci, "audience", "reports")

	u, err := url.Parse(s.Issuer())
	if err != nil {
		t.Fatal(err)
	}

	s.Stop()
	clock.Add(10 * time.Second)

	if err := g.Step(t.Context()); err == nil {
		t.Fatal("Step succeeds without a server")
	}
	if _, err := g.Check(t.Context(), text); err != nil {
		t.Errorf("within the bound: Check = %v, want nil", err)
	}

	clock.Add(1)
	if _, err := g.Check(t.Context(), text); !errors.Is(err, jeton.ErrUnavailable) {
		t.Errorf("beyond the bound: Check = %v, want ErrUnavailable", err)
	}

	s = jetontest.Start(t, conf, jetontest.DataDir(dir), jetontest.Env("ISSUER_PORT", u.Port()))
	s.MustControl("POST", "/api/v1/clients", api.NewClient{Name: "later"}, nil) // the store accepts changes

	if err := g.Step(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := g.Check(t.Context(), text); err != nil {
		t.Errorf("after the restart: Check = %v, want nil", err)
	}
}

// introspecting sets the credentials of a client that may introspect for services.
func introspecting(s *jetontest.Server, services ...string) func(*guard.Config) {
	var client api.MadeClient
	s.MustControl("POST", "/api/v1/clients", api.NewClient{Name: "guard", Introspects: services, Secret: true}, &client)
	return func(c *guard.Config) {
		c.Introspect = &guard.Credentials{ClientID: "guard", Secret: jeton.NewSecret(client.Secret)}
	}
}

// TestThreeOfFiftyRequestsAreAccepted sends a token of three uses to two instances of a
// service at the same time.
func TestThreeOfFiftyRequestsAreAccepted(t *testing.T) {
	s := jetontest.Start(t, conf)
	ci, creds := s.AddClient("ci", "thrice", "opaque"), introspecting(s, "thrice", "opaque")
	for _, service := range []string{"thrice", "opaque"} {
		t.Run(service, func(t *testing.T) {
			// Two guards, as in two instances of a service.
			handlers := []http.Handler{
				newGuard(t, s, service, creds).Require()(hello),
				newGuard(t, s, service, creds).Require()(hello),
			}
			text := s.Token(ci, "audience", service)
			var mu sync.Mutex
			left := map[string]int{}
			var wg sync.WaitGroup
			for n := range 50 {
				wg.Go(func() {
					r := httptest.NewRequestWithContext(t.Context(), "GET", "/", nil)
					r.Header.Set("Authorization", "Bearer "+text)
					w := httptest.NewRecorder()
					handlers[n%2].ServeHTTP(w, r)

					switch {
					case w.Code == 200:
						mu.Lock()
						left[w.Header().Get(jeton.HeaderUsesRemaining)]++
						mu.Unlock()
					case w.Code != 401 || w.Header().Get(jeton.HeaderError) != "bad_credential":
						t.Errorf("got %d %v, want 200 or 401 bad_credential", w.Code, w.Header())
					}
				})
			}

			wg.Wait()
			if len(left) != 3 || left["2"] != 1 || left["1"] != 1 || left["0"] != 1 {
				t.Errorf("accepted requests by uses left: %v, want 2, 1 and 0 once each", left)
			}
		})
	}
}

func TestOpaqueAndCountedTokensNeedTheIssuer(t *testing.T) {
	s := jetontest.Start(t, conf)
	ci, creds := s.AddClient("ci", "thrice", "opaque", "plain"), introspecting(s, "opaque", "plain")
	s.MustControl("PUT", "/api/v1/clients/ci/terms", map[string]any{"scopes": []string{"read"}}, nil)

	for _, service := range []string{"thrice", "opaque", "plain"} {
		_, err := newGuard(t, s, service).Check(t.Context(), s.Token(ci, "audience", service))
		if !errors.Is(err, jeton.ErrBadCredential) || !strings.Contains(err.Error(), "Config.Introspect") {
			t.Errorf("%s, without credentials: Check = %v, want ErrBadCredential", service, err)
		}
	}

	plain, opaque := newGuard(t, s, "plain", creds), newGuard(t, s, "opaque", creds)
	thrice := s.Token(ci, "audience", "thrice")
	if _, err := newGuard(t, s, "thrice", creds).Check(t.Context(), thrice); !errors.Is(err, jeton.ErrBadCredential) {
		t.Errorf("a service that the client may not introspect for: Check = %v, want ErrBadCredential", err)
	}

	text := s.Token(ci, "audience", "plain", "scope", "read")
	for range 2 {
		tok, err := plain.Check(t.Context(), text)
		if err != nil || tok.UsesRemaining != nil || tok.Principal.Name != "ci" || tok.ID == "" {
			t.Errorf("not counted: Check = %+v, %v; want a token of ci without a count", tok, err)
		}
	}

	w := request(t, plain.Require("read")(hello), "/", "Authorization", "Bearer "+text)
	if w.Code != 200 || w.Header().Get(jeton.HeaderUsesRemaining) != "" {
		t.Errorf("not counted, with its scope: %d %v, want 200", w.Code, w.Header())
	}

	if _, err := opaque.Check(t.Context(), text); !errors.Is(err, jeton.ErrBadCredential) {
		t.Errorf("for another service: Check = %v, want ErrBadCredential", err)
	}

	tok, err := plain.Check(t.Context(), text)
	if err != nil {
		t.Fatal(err)
	}

	s.MustControl("DELETE", "/api/v1/tokens/"+tok.ID, nil, nil)
	if _, err := plain.Check(t.Context(), text); !errors.Is(err, jeton.ErrBadCredential) {
		t.Errorf("revoked: Check = %v, want ErrBadCredential", err)
	}

	text = s.Token(ci, "audience", "opaque", "scope", "read")
	bearer := []string{"Authorization", "Bearer " + text}
	if w := request(t, opaque.Require("write")(hello), "/", bearer...); w.Code != 403 {
		t.Errorf("a scope is missing: %d, want 403", w.Code)
	}

	// The refusal has cost nothing, and two nested Requires take one use.
	w = request(t, opaque.Require()(opaque.Require("read")(hello)), "/", bearer...)
	if w.Code != 200 || w.Header().Get(jeton.HeaderUsesRemaining) != "2" {
		t.Errorf("nested Requires: %d %v, want 200 with 2 uses left", w.Code, w.Header())
	}

	w = request(t, opaque.Require("read")(hello), "/", bearer...)
	if w.Code != 200 || w.Header().Get(jeton.HeaderUsesRemaining) != "1" {
		t.Errorf("the second use: %d %v, want 200 with 1 use left", w.Code, w.Header())
	}
}

func TestARevokedKeyOfARealServerIsRefused(t *testing.T) {
	s := jetontest.Start(t, conf)
	ci := s.AddClient("ci", "reports")
	text := s.Token(ci, "audience", "reports")
	clock := &clock{at: time.Now()} // not before the server's time, when the token becomes valid
	g := newGuard(t, s, "reports", func(c *guard.Config) { c.Now = clock.Now })
	if _, err := g.Check(t.Context(), text); err != nil {
		t.Fatal(err)
	}

	var keys []jeton.SigningKey
	s.MustControl("GET", "/api/v1/keys", nil, &keys)

	for _, k := range keys {
		if k.Status == "current" {
			s.MustControl("DELETE", "/api/v1/keys/"+k.ID+"?reason=stolen", nil, nil)
		}
	}

	clock.Add(150 * time.Second) // half of the server's max-age
	if err := g.Step(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := g.Check(t.Context(), text); !errors.Is(err, jeton.ErrBadCredential) {
		t.Errorf("Check = %v, want ErrBadCredential", err)
	}

	clock.Set(time.Now())
	if _, err := g.Check(t.Context(), s.Token(ci, "audience", "reports")); err != nil {
		t.Errorf("by the new current key: Check = %v, want nil", err)
	}
}

// Keys rotate under load, and no valid token is refused. Then a token is revoked.
func TestRunUnderLoad(t *testing.T) {
	s := jetontest.Start(t, conf)
	g, err := guard.New(guard.Config{
		Issuer:   s.Issuer(),
		Audience: "reports",
		CACert:   certificates(t, s),
		Bound:    15 * time.Second, // beside other work an answer may take seconds
	})
	if err != nil {
		t.Fatal(err)
	}

	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- g.Run(ctx) }()
	await(t, func() bool { return g.Ready() == nil })

	if err := g.Run(ctx); err == nil {
		t.Error("a second Run = nil, want an error")
	}

	ci := s.AddClient("ci", "reports")
	var newest atomic.Pointer[string]
	set := func() string {
		text := s.Token(ci, "audience", "reports")
		newest.Store(&text)
		return text
	}
	set()

	stop := make(chan struct{})

	var checked atomic.Int64
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}

				if _, err := g.Check(ctx, *newest.Load()); err != nil {
					t.Errorf("under load: Check = %v, want nil", err)
					return
				}

				checked.Add(1)
			}
		})
	}

	s.MustControl("POST", "/api/v1/keys/rotate", map[string]bool{"now": true}, nil)
	last := set()
	before := checked.Load()
	await(t, func() bool { return checked.Load() > before+100 })
	close(stop)

	wg.Wait()

	s.MustControl("DELETE", "/api/v1/tokens/"+accessor(t, last), nil, nil)
	await(t, func() bool {
		_, err := g.Check(ctx, last)
		return errors.Is(err, jeton.ErrBadCredential)
	})

	cancel()
	if err := <-ended; err != nil {
		t.Errorf("Run = %v, want nil", err)
	}
}

// await waits until done returns true, at most a minute.
func await(t *testing.T, done func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()

	for end := time.After(time.Minute); !done(); {
		select {
		case <-tick.C:
		case <-end:
			t.Fatal("not done after a minute")
		}
	}
}

// certificates returns those that a server made in its data directory.
func certificates(t *testing.T, s *jetontest.Server) []byte {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(s.Dir(), "*.pem"))
	if err != nil {
		t.Fatal(err)
	}

	var all []byte
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(b, []byte("BEGIN CERTIFICATE")) {
			all = append(all, b...)
		}
	}

	return all
}
