package client_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/client"
	"github.com/jeton-auth/jeton/internal/jose"
	"github.com/jeton-auth/jeton/internal/secret"
	"github.com/jeton-auth/jeton/internal/store/change"
	"github.com/jeton-auth/jeton/internal/store/sqlite"

	"go.uber.org/goleak"
)

// proxied counts the requests at the proxy that the environment names. It starts first,
// because net/http reads the environment once.
var proxied atomic.Int64

func TestMain(m *testing.M) {
	proxy := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { proxied.Add(1) }))
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"} {
		_ = os.Setenv(name, proxy.URL)
	}

	_ = os.Unsetenv("NO_PROXY")
	_ = os.Unsetenv("no_proxy")
	goleak.VerifyTestMain(m, goleak.IgnoreCurrent(), goleak.Cleanup(func(code int) {
		proxy.Close()
		os.Exit(code)
	}))
}

var noon = time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)

// fixture is the clients of a server, with a real store.
type fixture struct {
	*client.Clients
	db *sqlite.DB

	mu      sync.Mutex
	changed []int64 // invalidated clients
	log     bytes.Buffer
}

func (b *fixture) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.log.Write(p)
}

func (b *fixture) logged() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.log.String()
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	db, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(t.TempDir(), "jeton.db")})
	must(t, err)
	t.Cleanup(func() { _ = db.Close() }) // some tests have closed it
	b := &fixture{db: db}

	db.Subscribe(func(c change.Change) {
		if c.Kind == change.Clients {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.changed = append(b.changed, c.IDs...)
		}
	})

	b.Clients = client.New(client.Config{
		Store: db,
		Now:   func() time.Time { return noon },
		Log:   slog.New(slog.NewTextHandler(b, nil)),
	})

	return b
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wants(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: %v, want %v", what, err, want)
	}
}

func (b *fixture) find(t *testing.T, name string) client.Client {
	t.Helper()
	c, err := b.FindForLogin(t.Context(), name)
	must(t, err)
	return c
}

// add makes a client with a key for each kid.
func (b *fixture) add(t *testing.T, name string, kids ...string) client.Client {
	t.Helper()
	n := client.NewClient{Name: name, Services: []string{"shop"}, Scopes: []string{"read"}}
	for _, kid := range kids {
		n.Keys = append(n.Keys, client.NewKey{Text: publicPEM(t), ID: kid})
	}

	_, _, err := b.Add(t.Context(), "operator", n)
	must(t, err)

	return b.find(t, name)
}

func generated(t *testing.T) jose.Key {
	t.Helper()
	s, err := jose.Generate(jose.EdDSA)
	must(t, err)
	return s.Key()
}

func publicPEM(t *testing.T) []byte { return generated(t).PEM() }

// kids returns the kids of keys, in order.
func kids(keys []jose.Key) string {
	var list []string
	for _, k := range keys {
		list = append(list, k.ID)
	}
	return strings.Join(list, " ")
}

func TestAddRefuses(t *testing.T) {
	b := newFixture(t)
	b.add(t, "taken")
	private, err := jose.Generate(jose.EdDSA)
	must(t, err)
	der, err := private.MarshalPKCS8()
	must(t, err)

	same := publicPEM(t)
	many := make([]string, 101)
	for i := range many {
		many[i] = fmt.Sprintf("s%d", i)
	}

	key := func(text []byte, kid string) client.NewKey { return client.NewKey{Text: text, ID: kid} }
	for _, tc := range []struct {
		name string
		in   client.NewClient
		want error
		says string
	}{
		{"a name that is taken", client.NewClient{Name: "taken"}, jeton.ErrConflict, "client of this name"},
		{
			"a name that differs in case alone",
			client.NewClient{Name: "Taken"},
			jeton.ErrConflict,
			"client of this name",
		},
		{"no name", client.NewClient{}, jeton.ErrInvalid, "1 to 128 bytes"},
		{
			"a service that cannot be one",
			client.NewClient{Name: "x", Services: []string{"Shop"}},
			jeton.ErrInvalid,
			"invalid service name",
		},
		{
			"a service of 64 bytes",
			client.NewClient{Name: "x", Services: []string{strings.Repeat("s", 64)}},
			jeton.ErrInvalid,
			"invalid service name",
		},
		{"an empty service", client.NewClient{Name: "x", Introspects: []string{""}}, jeton.ErrInvalid, "service name"},
		{"a scope with a space", client.NewClient{Name: "x", Scopes: []string{"a b"}}, jeton.ErrInvalid, "scope"},
		{"a scope with a quote", client.NewClient{Name: "x", Scopes: []string{`a"b`}}, jeton.ErrInvalid, "scope"},
		{"101 scopes", client.NewClient{Name: "x", Scopes: many}, jeton.ErrInvalid, "at most 100"},
		{
			"no key in a text",
			client.NewClient{Name: "x", Keys: []client.NewKey{key([]byte("hello"), "")}},
			jeton.ErrInvalid,
			"no PEM block",
		},
		{
			"a private key",
			client.NewClient{Name: "x", Keys: []client.NewKey{key(pemOf("PRIVATE KEY", der), "")}},
			jeton.ErrInvalid,
			"openssl pkey -in KEY -pubout",
		},
		{
			"two keys of one kid",
			client.NewClient{Name: "x", Keys: []client.NewKey{key(publicPEM(t), "a"), key(publicPEM(t), "a")}},
			jeton.ErrConflict,
			"kid a",
		},
		{
			"one key under two kids",
			client.NewClient{Name: "x", Keys: []client.NewKey{key(same, "a"), key(same, "b")}},
			jeton.ErrConflict,
			"this key as a",
		},
		{
			"a kid that leaves its place in a URL",
			client.NewClient{Name: "x", Keys: []client.NewKey{key(same, "a/../b")}},
			jeton.ErrInvalid,
			"invalid kid",
		},
		{
			"a kid that is a dot segment",
			client.NewClient{Name: "x", Keys: []client.NewKey{key(same, "..")}},
			jeton.ErrInvalid,
			"invalid kid",
		},
		{
			"a kid of 129 bytes",
			client.NewClient{Name: "x", Keys: []client.NewKey{key(same, strings.Repeat("k", 129))}},
			jeton.ErrInvalid,
			"invalid kid",
		},
		{
			"a key for another algorithm",
			client.NewClient{Name: "x", Keys: []client.NewKey{{Text: same, Alg: jose.RS256}}},
			jeton.ErrInvalid,
			"RS256",
		},
		{
			"a key that is over before it is valid",
			client.NewClient{Name: "x", Keys: []client.NewKey{{Text: same, NotBefore: noon, NotAfter: noon}}},
			jeton.ErrInvalid,
			"not_after",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, text, err := b.Add(t.Context(), "operator", tc.in)
			if !errors.Is(err, tc.want) || !strings.Contains(jeton.Detail(err), tc.says) || !text.IsZero() {
				t.Errorf("Add = %v, want %v with %q", err, tc.want, tc.says)
			}
		})
	}

	list, _, err := b.List(t.Context(), client.Page{Limit: 10})
	must(t, err)

	if len(list) != 1 {
		t.Errorf("clients after refused ones = %+v, want one", list)
	}
}

func TestAddPreparesWhatItStores(t *testing.T) {
	b := newFixture(t)
	made, text, err := b.Add(t.Context(), "operator", client.NewClient{
		Name:     "job",
		Services: []string{"shop", "bank", "shop"},
		Scopes:   []string{"write", "read"},
		Secret:   true,
		Keys:     []client.NewKey{{Text: publicPEM(t)}},
	})

	must(t, err)
	got := fmt.Sprint(made.Services, made.Scopes, made.Introspects, made.Secret, len(made.Keys))
	if got != "[bank shop] [read write] [] true 1" {
		t.Errorf("Add = %s, want sorted lists, a secret and a key", got)
	}

	c := b.find(t, "job")
	if !secret.Is(secret.Client, text.Reveal()) || !b.CheckSecret(c, text.Reveal()) {
		t.Error("CheckSecret(the new secret) = false, want true")
	}
	if c.Keys[0].ID != c.Keys[0].Thumbprint() {
		t.Errorf("kid of a key without one = %s, want its thumbprint", c.Keys[0].ID)
	}

	shown, err := json.Marshal([]any{made, c, fmt.Sprintf("%+v", c.Public())})
	must(t, err)

	if strings.Contains(string(shown), text.Reveal()) {
		t.Error("the client shows its secret")
	}

	events, err := b.db.Events(t.Context(), audit.Filter{})
	must(t, err)

	for _, e := range events {
		if strings.Contains(e.Reason, text.Reveal()) {
			t.Errorf("audit event %q has the secret", e.Action)
		}
	}
}

func TestSecrets(t *testing.T) {
	b := newFixture(t)
	b.add(t, "none")
	b.add(t, "job")
	old, err := b.NewSecret(t.Context(), "operator", "job", false)
	must(t, err)

	before := b.find(t, "job")
	now, err := b.NewSecret(t.Context(), "operator", "job", false)
	must(t, err)
	job := b.find(t, "job")
	if job.Version != before.Version {
		t.Errorf("version after a new secret = %d, want %d", job.Version, before.Version)
	}

	disabled := job
	disabled.Disabled = true
	zero := secret.Hash{}
	for _, tc := range []struct {
		name string
		c    client.Client
		text string
		want bool
	}{
		{"its secret", job, now.Reveal(), true},
		{"the one before", job, old.Reveal(), false},
		{"nothing", job, "", false},
		{"a part of it", job, now.Reveal()[:20], false},
		{"it and more", job, now.Reveal() + " ", false},
		{"its hash", job, fmt.Sprintf("%x", *job.Secret), false},
		{"nothing, of a client that has none", b.find(t, "none"), "", false},
		{"another's", b.find(t, "none"), now.Reveal(), false},
		{"its secret, when it is disabled", disabled, now.Reveal(), false},
		{"nothing, of no client", client.Client{}, "", false},
		{"the right one, of no client", client.Client{Secret: job.Secret}, now.Reveal(), false},
		{"nothing, of a hash that is all zeros", client.Client{ID: 1, Secret: &zero}, "", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := b.CheckSecret(tc.c, tc.text)
			if got != tc.want {
				t.Errorf("CheckSecret = %t, want %t", got, tc.want)
			}
		})
	}

	must(t, b.RemoveSecret(t.Context(), "operator", "job", true))
	after := b.find(t, "job")
	if b.CheckSecret(after, now.Reveal()) || after.Version <= job.Version {
		t.Errorf(
			"version after RemoveSecret with end = %d, want more than %d and no secret",
			after.Version, job.Version,
		)
	}
}

func TestSetTerms(t *testing.T) {
	b := newFixture(t)
	b.add(t, "job")
	list, bad := []string{"z", "a"}, []string{"A B"}
	must(t, b.SetTerms(t.Context(), "operator", "job", nil, &list, &[]string{}))
	c := b.find(t, "job")
	if fmt.Sprint(c.Services, c.Scopes, c.Introspects) != "[shop] [a z] []" {
		t.Errorf("terms = %v %v %v, want [shop] [a z] []", c.Services, c.Scopes, c.Introspects)
	}

	wants(t, "a bad list", b.SetTerms(t.Context(), "operator", "job", &bad, nil, nil), jeton.ErrInvalid)
	wants(t, "no list", b.SetTerms(t.Context(), "operator", "job", nil, nil, nil), jeton.ErrInvalid)
	wants(t, "an unknown client", b.SetTerms(t.Context(), "operator", "unknown", &list, nil, nil), jeton.ErrNotFound)
}

func TestSetAddresses(t *testing.T) {
	b := newFixture(t)
	b.add(t, "job")
	_, _, err := b.Add(t.Context(), "operator", client.NewClient{Name: "wiki", OpenID: &jeton.RelyingParty{
		RedirectURIs:           []string{"https://wiki.example/old"},
		PostLogoutRedirectURIs: []string{"https://wiki.example/"},
		SubjectType:            "pairwise",
		AskConsent:             true,
	}})
	must(t, err)

	moved, bad, none := []string{"https://wiki.example.org/new"}, []string{"/new"}, []string{}
	must(t, b.SetAddresses(t.Context(), "operator", "wiki", client.Addresses{Redirects: &moved}))
	got := b.find(t, "wiki").OpenID
	kept := fmt.Sprintf("%v %v %v", got.PostLogoutRedirectURIs, got.AskConsent, got.SectorIdentifier)
	changed := fmt.Sprint(got.RedirectURIs)
	if changed != "[https://wiki.example.org/new]" || kept != "[https://wiki.example/] true wiki.example" {
		t.Errorf("got %+v, want the new redirect_uris, and all else as it was", got)
	}

	for _, tc := range []struct {
		name   string
		client string
		change client.Addresses
		want   error
	}{
		{"an invalid address", "wiki", client.Addresses{Redirects: &bad}, jeton.ErrInvalid},
		{"no redirect_uris", "wiki", client.Addresses{Redirects: &none}, jeton.ErrInvalid},
		{"nothing", "wiki", client.Addresses{}, jeton.ErrInvalid},
		{"a client that signs no users in", "job", client.Addresses{Redirects: &moved}, jeton.ErrInvalid},
		{"an unknown client", "unknown", client.Addresses{Redirects: &moved}, jeton.ErrNotFound},
	} {
		wants(t, tc.name, b.SetAddresses(t.Context(), "operator", tc.client, tc.change), tc.want)
	}
}
