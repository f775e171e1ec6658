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

// guardOf returns a guard for a service of a real server that has heard from it.
func guardOf(t *testing.T, s *jetontest.Server, audience string, change ...func(*guard.Config)) *guard.Guard {
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

func TestATokenOfAServer(t *testing.T) {
	s := jetontest.Start(t, conf)
	g := guardOf(t, s, "reports")
	ci := s.AddClient("ci", "reports", "other", "thrice", "plain")
	text := s.Token(ci, "audience", "reports")
	tok, err := g.Check(t.Context(), text)
	if err != nil || tok.Principal.Name != "ci" || tok.Principal.Kind != jeton.KindClient || tok.ID != accessor(
		t,
		text,
	) {
		t.Errorf("its own: %+v, %v", tok, err)
	}

	for _, audience := range []string{"other", "thrice", "plain"} {
		if _, err := g.Check(t.Context(), s.Token(ci, "audience", audience)); !errors.Is(err, jeton.ErrBadCredential) {
			t.Errorf("a token for %s: %v, want ErrBadCredential", audience, err)
		}
	}

	// An assertion is signed by its client and is no token.
	if _, err := g.Check(
		t.Context(),
		ci.Assertion("at+jwt", ci.Claims(s.Issuer(), time.Now())),
	); !errors.Is(err, jeton.ErrBadCredential) {
		t.Errorf("an assertion: %v, want ErrBadCredential", err)
	}
}

func TestRevokedIsRefusedAfterTheNextQuestion(t *testing.T) {
	s := jetontest.Start(t, conf)
	g := guardOf(t, s, "reports")
	const jwtBearer = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
	for _, tc := range []struct {
		name   string
		client string
		all    bool // tokens of the client, and not this one alone
		revoke func(t *testing.T, k jetontest.Key, text string)
	}{
		{"by its client (RFC 7009)", "ci-1", false, func(t *testing.T, k jetontest.Key, text string) {
			a := s.Post(
				"/oauth2/revoke",
				"token",
				text,
				"client_assertion",
				k.Assertion("", k.Claims(s.Issuer(), time.Now())),
				"client_assertion_type",
				jwtBearer,
			)
			if a.Status != http.StatusOK {
				t.Fatalf("revoke: %d %s", a.Status, a.Body)
			}
		}},
		{"by an operator", "ci-2", false, func(t *testing.T, _ jetontest.Key, text string) {
			s.MustControl("DELETE", "/api/v1/tokens/"+accessor(t, text), nil, nil)
		}},
		{"by disabling its owner", "ci-3", true, func(_ *testing.T, k jetontest.Key, _ string) {
			s.MustControl("PUT", "/api/v1/clients/"+k.Client+"/disabled", map[string]bool{"disabled": true}, nil)
		}},
		{"by ending all tokens of its owner", "ci-4", true, func(_ *testing.T, k jetontest.Key, _ string) {
			s.MustControl("POST", "/api/v1/clients/"+k.Client+"/end-tokens", nil, nil)
		}},
		{"by removing its owner", "ci-5", true, func(_ *testing.T, k jetontest.Key, _ string) {
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
				t.Errorf("another token of the same owner: %v", err)
			}
			if _, err := g.Check(t.Context(), others); err != nil {
				t.Errorf("a token of somebody else: %v", err)
			}
		})
	}
}

func TestAServerThatGoesAwayAndComesBack(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	s := jetontest.Start(t, conf, jetontest.DataDir(dir))
	clock := &clock{at: time.Now()}
	g := guardOf(t, s, "reports", func(c *guard.Config) { c.Now = clock.Now })
	ci := s.AddClient("ci", "reports")
	text := s.Token(ci, "audience", "reports")

	u, err := url.Parse(s.Issuer())
	if err != nil {
		t.Fatal(err)
	}

	s.Stop()
	clock.Add(10 * time.Second)

	if err := g.Step(t.Context()); err == nil {
		t.Fatal("a server that is gone answers")
	}
	if _, err := g.Check(t.Context(), text); err != nil {
		t.Errorf("within the bound: %v", err)
	}

	clock.Add(1)
	if _, err := g.Check(t.Context(), text); !errors.Is(err, jeton.ErrUnavailable) {
		t.Errorf("beyond the bound: %v, want ErrUnavailable", err)
	}

	s = jetontest.Start(t, conf, jetontest.DataDir(dir), jetontest.Env("ISSUER_PORT", u.Port()))
	s.MustControl("POST", "/api/v1/clients", api.NewClient{Name: "later"}, nil) // it is the same store, and works

	if err := g.Step(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := g.Check(t.Context(), text); err != nil {
		t.Errorf("when it is back: %v", err)
	}
}

// countedBy returns credentials of a client that may look up tokens for services.
func countedBy(s *jetontest.Server, services ...string) func(*guard.Config) {
	var made api.MadeClient
	s.MustControl("POST", "/api/v1/clients", api.NewClient{Name: "guard", Introspects: services, Secret: true}, &made)
	return func(c *guard.Config) {
		c.Introspect = &guard.Credentials{ClientID: "guard", Secret: jeton.NewSecret(made.Secret)}
	}
}

func TestThreeUsesFiftyRequests(t *testing.T) {
	s := jetontest.Start(t, conf)
	ci, creds := s.AddClient("ci", "thrice", "opaque"), countedBy(s, "thrice", "opaque")
	for _, service := range []string{"thrice", "opaque"} {
		t.Run(service, func(t *testing.T) {
			// Two guards, as of two instances of a service.
			handlers := []http.Handler{
				guardOf(t, s, service, creds).Require()(hello),
				guardOf(t, s, service, creds).Require()(hello),
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
						t.Errorf("%d %v", w.Code, w.Header())
					}
				})
			}

			wg.Wait()
			if len(left) != 3 || left["2"] != 1 || left["1"] != 1 || left["0"] != 1 {
				t.Errorf("let through with so many left: %v, want 2, 1 and 0", left)
			}
		})
	}
}

func TestOpaqueAndCountedTokensNeedTheIssuer(t *testing.T) {
	s := jetontest.Start(t, conf)
	ci, creds := s.AddClient("ci", "thrice", "opaque", "plain"), countedBy(s, "opaque", "plain")
	s.MustControl("PUT", "/api/v1/clients/ci/terms", map[string]any{"scopes": []string{"read"}}, nil)

	for _, service := range []string{"thrice", "opaque", "plain"} {
		if _, err := guardOf(t, s, service).Check(
			t.Context(),
			s.Token(ci, "audience", service),
		); !errors.Is(err, jeton.ErrBadCredential) || !strings.Contains(err.Error(), "Config.Introspect") {
			t.Errorf("%s, without credentials: %v", service, err)
		}
	}

	plain, opaque := guardOf(t, s, "plain", creds), guardOf(t, s, "opaque", creds)
	if _, err := guardOf(t, s, "thrice", creds).Check(
		t.Context(),
		s.Token(ci, "audience", "thrice"),
	); !errors.Is(err, jeton.ErrBadCredential) {
		t.Errorf("for a service that the client may not look up: %v", err)
	}

	text := s.Token(ci, "audience", "plain", "scope", "read")
	for range 2 {
		tok, err := plain.Check(t.Context(), text)
		if err != nil || tok.UsesRemaining != nil || tok.Principal.Name != "ci" || tok.ID == "" {
			t.Errorf("uncounted: %+v, %v", tok, err)
		}
	}

	if w := ask(
		t,
		plain.Require("read")(hello),
		"/",
		"Authorization",
		"Bearer "+text,
	); w.Code != 200 || w.Header().Get(jeton.HeaderUsesRemaining) != "" {
		t.Errorf("uncounted, with its scope: %d %v", w.Code, w.Header())
	}
	if _, err := opaque.Check(t.Context(), text); !errors.Is(err, jeton.ErrBadCredential) {
		t.Errorf("for another service: %v", err)
	}

	tok, err := plain.Check(t.Context(), text)
	if err != nil {
		t.Fatal(err)
	}

	s.MustControl("DELETE", "/api/v1/tokens/"+tok.ID, nil, nil)
	if _, err := plain.Check(t.Context(), text); !errors.Is(err, jeton.ErrBadCredential) {
		t.Errorf("revoked, at once: %v", err)
	}

	text = s.Token(ci, "audience", "opaque", "scope", "read")
	bearer := []string{"Authorization", "Bearer " + text}
	if w := ask(t, opaque.Require("write")(hello), "/", bearer...); w.Code != 403 {
		t.Errorf("a scope is missing: %d", w.Code)
	}

	if w := ask(
		t,
		opaque.Require()(opaque.Require("read")(hello)),
		"/",
		bearer...,
	); w.Code != 200 || w.Header().Get(jeton.HeaderUsesRemaining) != "2" {
		t.Errorf("two Requires take %v of 3: the refusal was to cost nothing, and the two one use", w.Header())
	}
	if w := ask(
		t,
		opaque.Require("read")(hello),
		"/",
		bearer...,
	); w.Code != 200 || w.Header().Get(jeton.HeaderUsesRemaining) != "1" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
}

func TestRevokedKeysOfAServer(t *testing.T) {
	s := jetontest.Start(t, conf)
	ci := s.AddClient("ci", "reports")
	text := s.Token(ci, "audience", "reports")
	clock := &clock{at: time.Now()} // the server has its own: here the token must be good already
	g := guardOf(t, s, "reports", func(c *guard.Config) { c.Now = clock.Now })
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

	clock.Add(150 * time.Second) // half of what the server gives for a copy
	if err := g.Step(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := g.Check(t.Context(), text); !errors.Is(err, jeton.ErrBadCredential) {
		t.Errorf("Check = %v, want ErrBadCredential", err)
	}

	clock.Set(time.Now())
	if _, err := g.Check(t.Context(), s.Token(ci, "audience", "reports")); err != nil {
		t.Errorf("by the key that signs now: %v", err)
	}
}

// Run as it is used: keys rotate while many ask, and nobody is refused; then a token is
// revoked, and refused from then on.
func TestRunUnderLoad(t *testing.T) {
	s := jetontest.Start(t, conf)
	g, err := guard.New(guard.Config{
		Issuer:   s.Issuer(),
		Audience: "reports",
		CACert:   certOf(t, s),
		Bound:    time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}

	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- g.Run(ctx) }()
	await(t, func() bool { return g.Ready() == nil })

	if err := g.Run(ctx); err == nil {
		t.Error("it runs twice")
	}

	ci := s.AddClient("ci", "reports")
	var newest atomic.Pointer[string]
	set := func() string { text := s.Token(ci, "audience", "reports"); newest.Store(&text); return text }
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
					t.Errorf("under load: %v", err)
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
		t.Errorf("Run = %v", err)
	}
}

// await waits until something is so, as long as a test may take.
func await(t *testing.T, so func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()

	for end := time.After(time.Minute); !so(); {
		select {
		case <-tick.C:
		case <-end:
			t.Fatal("it never came")
		}
	}
}

// certOf returns the certificates that a server made in its data folder.
func certOf(t *testing.T, s *jetontest.Server) []byte {
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
