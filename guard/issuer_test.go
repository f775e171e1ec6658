package guard_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/guard"
	"github.com/jeton-auth/jeton/internal/jose"
)

var noon = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

// clock is a clock that a test sets.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) Set(at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = at
}

func (c *clock) Add(d time.Duration) { c.Set(c.Now().Add(d)) }

// issuer is an authorization server that a test can make misbehave. Other tests use a real
// server.
type issuer struct {
	t     testing.TB
	srv   *httptest.Server
	clock *clock
	key   *jose.Signer

	mu        sync.Mutex
	keys      []jose.Key
	control   string // Cache-Control of the keys
	lines     []line
	overrides map[string]http.HandlerFunc // by path, instead of serveDefault
	requests  map[string]int              // number of requests, by path
}

// line is a line of the list of revocations.
type line struct {
	seq  int64
	hash string
}

const (
	pathMetadata    = "/.well-known/oauth-authorization-server"
	pathJWKS        = "/.well-known/jwks.json"
	pathRevocations = "/oauth2/revocations"
	pathIntrospect  = "/oauth2/introspect"
)

func newSigner(t testing.TB) *jose.Signer {
	t.Helper()
	s, err := jose.Generate(jose.EdDSA)
	if err != nil {
		t.Fatal(err)
	}

	return s
}

// newIssuer starts an issuer of which a test can break any answer.
func newIssuer(t testing.TB) *issuer {
	t.Helper()
	i := &issuer{
		t:         t,
		clock:     &clock{at: noon},
		key:       newSigner(t),
		control:   "public, max-age=300",
		overrides: map[string]http.HandlerFunc{},
		requests:  map[string]int{},
	}
	i.keys = []jose.Key{i.key.Key()}
	i.srv = httptest.NewUnstartedServer(http.HandlerFunc(i.serve))
	i.srv.EnableHTTP2 = true // so that many requests share a connection

	i.srv.StartTLS()
	t.Cleanup(i.srv.Close)

	return i
}

func (i *issuer) serve(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	i.requests[r.URL.Path]++
	override := i.overrides[r.URL.Path]
	i.mu.Unlock()

	if override != nil {
		override(w, r)
		return
	}

	i.serveDefault(w, r)
}

// serveDefault answers as a Jeton server does.
func (i *issuer) serveDefault(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	defer i.mu.Unlock()

	switch r.URL.Path {
	case pathMetadata:
		_ = json.NewEncoder(w).Encode(i.metadata())
	case pathJWKS:
		w.Header().Set("Cache-Control", i.control)
		_, _ = w.Write(jose.MarshalSet(i.keys))
	case pathRevocations:
		after, err := strconv.ParseInt(r.URL.Query().Get("after"), 10, 64)
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}

		const perPage = 3

		out := jeton.Revocations{Next: after, Void: []string{}}
		for _, l := range i.lines {
			if l.seq > after && len(out.Void) < perPage {
				out.Next, out.Void = l.seq, append(out.Void, l.hash)
			}
		}

		out.More = len(out.Void) == perPage
		_ = json.NewEncoder(w).Encode(out)
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

func (i *issuer) metadata() map[string]any {
	return map[string]any{
		"issuer":                     i.srv.URL,
		"jwks_uri":                   i.srv.URL + pathJWKS,
		"jeton_revocations_endpoint": i.srv.URL + pathRevocations,
		"introspection_endpoint":     i.srv.URL + pathIntrospect,
	}
}

// override serves a path by another handler; nil restores serveDefault.
func (i *issuer) override(path string, handler http.HandlerFunc) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.overrides[path] = handler
}

func (i *issuer) count(path string) int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.requests[path]
}

func (i *issuer) publish(keys ...jose.Key) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.keys = keys
}

// revoke adds lines to the list: "jti:" and a jti, or a generation.
func (i *issuer) revoke(seq int64, what ...string) {
	i.mu.Lock()
	defer i.mu.Unlock()

	for _, text := range what {
		sum := sha256.Sum256([]byte(text))
		i.lines = append(i.lines, line{seq, base64.RawURLEncoding.EncodeToString(sum[:])})
		seq++
	}
}

func (i *issuer) setLines(lines []line) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.lines = lines
}

// guard returns a guard with the keys and revocations of the issuer.
func (i *issuer) guard(change ...func(*guard.Config)) *guard.Guard {
	i.t.Helper()
	g := i.emptyGuard(change...)
	if err := g.Step(i.t.Context()); err != nil {
		i.t.Fatal(err)
	}

	return g
}

// emptyGuard returns a guard that has fetched nothing yet.
func (i *issuer) emptyGuard(change ...func(*guard.Config)) *guard.Guard {
	i.t.Helper()
	c := guard.Config{
		Issuer:   i.srv.URL,
		Audience: "reports",
		Client:   i.srv.Client(),
		Now:      i.clock.Now,
	}
	for _, f := range change {
		f(&c)
	}

	g, err := guard.New(c)
	if err != nil {
		i.t.Fatal(err)
	}

	return g
}

// claims returns those of a valid token, issued now, with a lifetime of ten minutes.
func (i *issuer) claims() map[string]any {
	now := i.clock.Now()
	return map[string]any{
		"iss":       i.srv.URL,
		"sub":       "ci",
		"client_id": "ci",
		"aud":       "reports",
		"jti":       "t_1",
		"gen":       "c1.1",
		"scope":     "write read",
		"iat":       now.Unix(),
		"nbf":       now.Unix(),
		"exp":       now.Add(10 * time.Minute).Unix(),
	}
}

// token signs the claims of a valid token with changes.
func (i *issuer) token(change map[string]any) string {
	i.t.Helper()
	return i.signed(i.key, map[string]any{"alg": "EdDSA", "typ": "at+jwt", "kid": i.key.Key().ID}, change)
}

// signed signs a token with a header and changed claims. A claim that is nil is left out.
func (i *issuer) signed(by *jose.Signer, header, change map[string]any) string {
	i.t.Helper()
	claims := i.claims()
	maps.Copy(claims, change)
	maps.DeleteFunc(claims, func(_ string, v any) bool { return v == nil })
	text, err := by.SignHead(part(i.t, header)+".", marshal(i.t, claims))
	if err != nil {
		i.t.Fatal(err)
	}

	return text
}

func marshal(t testing.TB, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}

	return b
}

func part(t testing.TB, v any) string {
	t.Helper()
	return base64.RawURLEncoding.EncodeToString(marshal(t, v))
}

// respond returns a handler that answers with a status and a body.
func respond(status int, text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = fmt.Fprint(w, text)
	}
}
