package client_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
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

// proxied counts who asks the proxy that the environment names. It is there from the
// start, because net/http reads the environment once.
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

// bench is the clients of a server, with a real store.
type bench struct {
	*client.Clients
	db *sqlite.DB

	mu      sync.Mutex
	changed []int64
	log     bytes.Buffer
}

func (b *bench) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.log.Write(p)
}

func (b *bench) logged() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.log.String()
}

func newBench(t *testing.T) *bench {
	t.Helper()
	db, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(t.TempDir(), "jeton.db")})
	must(t, err)
	t.Cleanup(func() { _ = db.Close() }) // some tests have closed it
	b := &bench{db: db}

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

func (b *bench) find(t *testing.T, name string) client.Client {
	t.Helper()
	c, err := b.FindForLogin(t.Context(), name)
	must(t, err)
	return c
}

// add makes a client with a key for each kid.
func (b *bench) add(t *testing.T, name string, kids ...string) client.Client {
	t.Helper()
	wish := client.NewClient{Name: name, Services: []string{"shop"}, Scopes: []string{"read"}}
	for _, kid := range kids {
		wish.Keys = append(wish.Keys, client.NewKey{Text: publicPEM(t), ID: kid})
	}

	_, _, err := b.Add(t.Context(), "operator", wish)
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
	b := newBench(t)
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
		wish client.NewClient
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
			_, text, err := b.Add(t.Context(), "operator", tc.wish)
			if !errors.Is(err, tc.want) || !strings.Contains(jeton.Detail(err), tc.says) || !text.IsZero() {
				t.Errorf("Add: %v, want %v that says %q", err, tc.want, tc.says)
			}
		})
	}

	list, err := b.List(t.Context())
	must(t, err)

	if len(list) != 1 {
		t.Errorf("afterwards the clients are %+v", list)
	}
}

func TestAddPreparesWhatItStores(t *testing.T) {
	b := newBench(t)
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
		t.Errorf("made %s", got)
	}

	c := b.find(t, "job")
	if !secret.Is(secret.Client, text.Reveal()) || !b.CheckSecret(c, text.Reveal()) {
		t.Error("the secret that was made is not the client's")
	}
	if c.Keys[0].ID != c.Keys[0].Thumbprint() {
		t.Errorf("a key without a kid is named %s, want its thumbprint", c.Keys[0].ID)
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
			t.Error("the record shows the secret")
		}
	}
}

func TestSecrets(t *testing.T) {
	b := newBench(t)
	b.add(t, "none")
	b.add(t, "job")
	old, err := b.NewSecret(t.Context(), "operator", "job", false)
	must(t, err)

	before := b.find(t, "job")
	now, err := b.NewSecret(t.Context(), "operator", "job", false)
	must(t, err)
	job := b.find(t, "job")
	if job.Version != before.Version {
		t.Error("a new secret voids tokens that were not to be")
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
		{"nothing, of nobody", client.Client{}, "", false},
		{"the right one, of nobody", client.Client{Secret: job.Secret}, now.Reveal(), false},
		{"nothing, of a secret that is all zeros", client.Client{ID: 1, Secret: &zero}, "", false},
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
		t.Errorf("after removing the secret and ending tokens: version %d after %d", after.Version, job.Version)
	}
}

func TestKeyWindow(t *testing.T) {
	for _, tc := range []struct {
		name string
		key  client.Key
		at   time.Duration
		want client.Reason
	}{
		{"no bounds", client.Key{}, 0, ""},
		{"a second early", client.Key{Opens: noon}, -time.Second, client.KeyNotYetValid},
		{"as it opens", client.Key{Opens: noon}, 0, ""},
		{"a second before it closes", client.Key{Closes: noon}, -time.Second, ""},
		{"as it closes", client.Key{Closes: noon}, 0, client.KeyExpired},
		{
			"retired within its bounds",
			client.Key{Retired: true, Opens: noon, Closes: noon.Add(time.Hour)},
			time.Minute,
			client.KeyRetired,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := tc.key.Check(noon.Add(tc.at))
			if client.ReasonOf(err) != tc.want || tc.want != "" && !errors.Is(
				err,
				jeton.ErrBadCredential,
			) || tc.want == "" && err != nil {
				t.Errorf("Check = %v, reason %q, want %q", err, client.ReasonOf(err), tc.want)
			}
		})
	}
}

func TestKeys(t *testing.T) {
	b := newBench(t)
	job, other := b.add(t, "job", "a", "b"), b.add(t, "other", "a", "c")

	for _, n := range []client.NewKey{
		{Text: publicPEM(t), ID: "late", NotBefore: noon.Add(time.Hour)},
		{Text: publicPEM(t), ID: "over", NotAfter: noon.Add(-time.Hour)},
		{Text: publicPEM(t), ID: "gone"},
	} {
		_, err := b.AddKey(t.Context(), "operator", "job", n)
		must(t, err)
	}

	must(t, b.RetireKey(t.Context(), "operator", "job", "gone", false))
	job = b.find(t, "job")
	b.add(t, "bare")
	disabled := job
	disabled.Disabled = true

	single := b.add(t, "single", "x")
	must(t, b.RetireKey(t.Context(), "operator", "single", "x", false))
	single = b.find(t, "single")
	for _, tc := range []struct {
		name string
		c    client.Client
		kid  string
		want string
		why  client.Reason
	}{
		{"a kid", job, "b", "b", ""},
		{"no kid: all that are valid", job, "", "a b", ""},
		{"a retired one", job, "gone", "", client.KeyRetired},
		{"one that is not valid yet", job, "late", "", client.KeyNotYetValid},
		{"one that is over", job, "over", "", client.KeyExpired},
		{"another client's kid", job, "c", "", client.UnknownKey},
		{"a kid with a path in it", job, "../../a", "", client.UnknownKey},
		{"a client without keys", b.find(t, "bare"), "", "", client.NoKey},
		{"a client whose only key is retired", single, "", "", client.KeyRetired},
		{"a disabled client", disabled, "a", "", client.Disabled},
		{"nobody", client.Client{}, "a", "", client.UnknownClient},
	} {
		t.Run(tc.name, func(t *testing.T) {
			keys, err := b.Keys(t.Context(), tc.c, tc.kid, noon)
			if kids(keys) != tc.want || client.ReasonOf(err) != tc.why || tc.why != "" && !errors.Is(
				err,
				jeton.ErrBadCredential,
			) {
				t.Errorf("Keys = %q, %v (%s), want %q, %q", kids(keys), err, client.ReasonOf(err), tc.want, tc.why)
			}
		})
	}

	t.Run("one kid of two clients is two keys", func(t *testing.T) {
		mine, err := b.Keys(t.Context(), job, "a", noon)
		must(t, err)
		theirs, err := b.Keys(t.Context(), other, "a", noon)
		must(t, err)

		if mine[0].Thumbprint() != job.Keys[0].Thumbprint() || theirs[0].Thumbprint() != other.Keys[0].Thumbprint() ||
			mine[0].Thumbprint() == theirs[0].Thumbprint() {
			t.Error("a client's kid led to another client's key")
		}
	})
}

func TestAKeyThatWasRetiredDoesNotComeBack(t *testing.T) {
	b := newBench(t)
	text := publicPEM(t)
	b.add(t, "job")
	_, err := b.AddKey(t.Context(), "operator", "job", client.NewKey{Text: text, ID: "a"})
	must(t, err)

	must(t, b.RetireKey(t.Context(), "operator", "job", "a", false))
	_, err = b.AddKey(t.Context(), "operator", "job", client.NewKey{Text: text, ID: "b"})
	wants(t, "the same key under another kid", err, jeton.ErrConflict)
	_, err = b.AddKey(t.Context(), "operator", "job", client.NewKey{Text: publicPEM(t), ID: "a"})
	wants(t, "another key under the same kid", err, jeton.ErrConflict)
}

func TestAddOwnKey(t *testing.T) {
	b := newBench(t)
	event := jeton.Event{Actor: "client:job", Request: "r1", Source: "192.0.2.1"}
	_, err := jose.ParsePEM(publicPEM(t), "", "")
	must(t, err)
	t.Run("it is there, and the record says who added it", func(t *testing.T) {
		c, k := b.add(t, "job", "a"), generated(t)
		must(t, b.AddOwnKey(t.Context(), c, k, event))
		keys, err := b.Keys(t.Context(), b.find(t, "job"), k.ID, noon)
		if err != nil || kids(keys) != k.ID {
			t.Errorf("Keys = %v, %v", kids(keys), err)
		}

		last, err := b.db.Events(t.Context(), audit.Filter{Last: 1})
		must(t, err)
		e := last[0]
		if e.Actor != "client:job" || e.Action != audit.ClientKeyAdd || e.Target != "client:job" || e.Request != "r1" ||
			e.Outcome != audit.OK || !strings.Contains(
			e.Reason,
			k.ID,
		) {
			t.Errorf("event %+v", e)
		}
	})

	for i, tc := range []struct {
		name      string
		meanwhile func(name string) error
	}{
		{
			"the key that proved it is retired meanwhile",
			func(name string) error { return b.RetireKey(t.Context(), "operator", name, "a", false) },
		},
		{
			"its tokens are ended meanwhile",
			func(name string) error { return b.EndTokens(t.Context(), "operator", name) },
		},
		{"it is disabled meanwhile", func(name string) error { return b.Disable(t.Context(), "operator", name, true) }},
		{"another key came meanwhile", func(name string) error {
			_, err := b.AddKey(t.Context(), "operator", name, client.NewKey{Text: publicPEM(t)})
			return err
		}},
		{"it is another client of that name by now", func(name string) error {
			if err := b.Remove(t.Context(), "operator", name); err != nil {
				return err
			}

			_, _, err := b.Add(t.Context(), "operator", client.NewClient{
				Name: name,
				Keys: []client.NewKey{{Text: publicPEM(t), ID: "a"}},
			})

			return err
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			name := fmt.Sprintf("own%d", i)
			c := b.add(t, name, "a")
			must(t, tc.meanwhile(name))
			before := len(b.find(t, name).Keys)
			wants(t, "AddOwnKey", b.AddOwnKey(t.Context(), c, generated(t), event), jeton.ErrConflict)

			n := len(b.find(t, name).Keys)
			if n != before {
				t.Errorf("%d keys after %d", n, before)
			}
		})
	}

	t.Run("sixteen keys, not seventeen; a retired one makes room", func(t *testing.T) {
		c := b.add(t, "many", "a")
		for range client.MaxKeys - 1 {
			must(t, b.AddOwnKey(t.Context(), c, generated(t), event))
			c = b.find(t, "many")
		}

		wants(t, "one more", b.AddOwnKey(t.Context(), c, generated(t), event), jeton.ErrConflict)
		must(t, b.RetireKey(t.Context(), "operator", "many", "a", false))
		must(t, b.AddOwnKey(t.Context(), b.find(t, "many"), generated(t), event))
	})

	t.Run("a declared client adds none", func(t *testing.T) {
		list, err := client.CheckDeclared([]client.Declared{{
			Name: "fixed",
			Keys: []client.DeclaredKey{{Text: publicPEM(t), ID: "a"}},
		}})

		must(t, err)
		must(t, b.Declare(t.Context(), list))
		wants(t, "AddOwnKey", b.AddOwnKey(t.Context(), b.find(t, "fixed"), generated(t), event), jeton.ErrDeclared)
	})

	t.Run("a kid that is no name of ours", func(t *testing.T) {
		k, err := jose.ParsePEM(publicPEM(t), "", "a b")
		must(t, err)
		wants(t, "AddOwnKey", b.AddOwnKey(t.Context(), b.add(t, "odd", "a"), k, event), jeton.ErrInvalid)
	})
}

func TestSetTerms(t *testing.T) {
	b := newBench(t)
	b.add(t, "job")
	list, bad := []string{"z", "a"}, []string{"A B"}
	must(t, b.SetTerms(t.Context(), "operator", "job", nil, &list, &[]string{}))
	c := b.find(t, "job")
	if fmt.Sprint(c.Services, c.Scopes, c.Introspects) != "[shop] [a z] []" {
		t.Errorf("terms %v %v %v", c.Services, c.Scopes, c.Introspects)
	}

	wants(t, "a bad list", b.SetTerms(t.Context(), "operator", "job", &bad, nil, nil), jeton.ErrInvalid)
	wants(t, "no list", b.SetTerms(t.Context(), "operator", "job", nil, nil, nil), jeton.ErrInvalid)
	wants(t, "nobody", b.SetTerms(t.Context(), "operator", "nobody", &list, nil, nil), jeton.ErrNotFound)
}

func TestFindIsExact(t *testing.T) {
	b := newBench(t)
	old := b.add(t, "job", "a")
	for _, tc := range []struct {
		name   string
		change func() error
		seen   func(client.Client) bool
	}{
		{
			"disabled",
			func() error { return b.Disable(t.Context(), "o", "job", true) },
			func(c client.Client) bool { return c.Disabled },
		},
		{
			"enabled",
			func() error { return b.Disable(t.Context(), "o", "job", false) },
			func(c client.Client) bool { return !c.Disabled },
		},
		{"a key", func() error {
			_, err := b.AddKey(t.Context(), "o", "job", client.NewKey{Text: publicPEM(t)})
			return err
		}, func(c client.Client) bool { return len(c.Keys) == 2 }},
		{
			"retired",
			func() error { return b.RetireKey(t.Context(), "o", "job", "a", false) },
			func(c client.Client) bool { return c.Keys[0].Retired || c.Keys[1].Retired },
		},
		{
			"ended",
			func() error { return b.EndTokens(t.Context(), "o", "job") },
			func(c client.Client) bool { return c.Generation() == fmt.Sprintf("c%d.4", old.ID) },
		},
		{"declared", func() error {
			list, err := client.CheckDeclared([]client.Declared{{Name: "job", SecretHash: strings.Repeat("ab", 32)}})
			must(t, err)
			return b.Declare(t.Context(), list)
		}, func(c client.Client) bool { return c.Declared && len(c.Keys) == 0 }},
		{
			"declared no more",
			func() error { return b.Declare(t.Context(), nil) },
			func(c client.Client) bool { return c.ID == 0 },
		},
		{
			"another of that name",
			func() error { _, _, err := b.Add(t.Context(), "o", client.NewClient{Name: "job"}); return err },
			func(c client.Client) bool { return c.ID > old.ID },
		},
		{
			"removed",
			func() error { return b.Remove(t.Context(), "o", "job") },
			func(c client.Client) bool { return c.ID == 0 },
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b.find(t, "job") // so that what was before is in memory
			must(t, tc.change())
			if c := b.find(t, "job"); !tc.seen(c) {
				t.Errorf("the client is found as %+v", c.Public())
			}
		})
	}

	b.mu.Lock()
	defer b.mu.Unlock()

	if len(b.changed) != 8 {
		t.Errorf("%d changes were told of, want 8", len(b.changed))
	}
}

func TestFindKeepsWhatItReadInMemory(t *testing.T) {
	b := newBench(t)
	b.add(t, "job")
	must(t, b.db.Close())

	if c, err := b.Find(t.Context(), "job"); err != nil || c.ID == 0 {
		t.Errorf("a client in memory: %+v, %v", c, err)
	}

	_, err := b.Find(t.Context(), "other")
	wants(t, "a client that is not, with the store closed", err, jeton.ErrUnavailable)

	_, err = b.Find(t.Context(), "no name at all")
	wants(t, "what cannot be a name", err, jeton.ErrNotFound)

	if c, err := b.FindForLogin(t.Context(), "no name at all"); err != nil || c.ID != 0 {
		t.Errorf("FindForLogin(no name at all) = %+v, %v, want the zero client", c, err)
	}
}

func TestMemoryIsBounded(t *testing.T) {
	b := newBench(t)
	small := client.New(client.Config{Store: b.db, Now: func() time.Time { return noon }, Cache: 2})

	for i := range 5 {
		b.add(t, fmt.Sprintf("job%d", i))
	}

	for i := range 5 {
		_, err := small.Find(t.Context(), fmt.Sprintf("job%d", i))
		must(t, err)
	}

	must(t, b.db.Close())
	kept := 0
	for i := range 5 {
		if _, err := small.Find(t.Context(), fmt.Sprintf("job%d", i)); err == nil {
			kept++
		}
	}

	if kept != 2 {
		t.Errorf("%d clients are in memory, want 2", kept)
	}
}

// slow is a store whose reads can be held up between reading and answering.
type slow struct {
	client.Store
	read, answer chan struct{}
	hold         atomic.Bool
}

func (s *slow) FindClient(ctx context.Context, name string) (client.Client, error) {
	c, err := s.Store.FindClient(ctx, name)
	if s.hold.Load() {
		s.read <- struct{}{}
		<-s.answer
	}

	return c, err
}

func TestAReadThatBeganBeforeAChangeIsNotKept(t *testing.T) {
	b := newBench(t)
	_, _, err := b.Add(t.Context(), "o", client.NewClient{Name: "job"})
	must(t, err)
	s := &slow{Store: b.db, read: make(chan struct{}), answer: make(chan struct{})}
	clients := client.New(client.Config{Store: s, Now: func() time.Time { return noon }})

	s.hold.Store(true)
	done := make(chan client.Client)
	go func() {
		c, _ := clients.Find(context.Background(), "job")
		done <- c
	}()

	<-s.read
	s.hold.Store(false)
	must(t, clients.Disable(t.Context(), "o", "job", true))
	close(s.answer)

	if c := <-done; c.Disabled {
		t.Error("the read was not under way before the change: the test tests nothing")
	}

	c, err := clients.Find(t.Context(), "job")
	must(t, err)

	if !c.Disabled {
		t.Error("what was read before the change is found after it")
	}
}

func TestChangesAgainstFinds(t *testing.T) {
	b := newBench(t)
	b.add(t, "job", "a")
	var floor atomic.Int64 // of the version that has been answered
	floor.Store(1)
	stop := make(chan struct{})

	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					runtime.Gosched() // to whom it is that changes
				}

				least := floor.Load()
				c, err := b.FindForLogin(context.Background(), "job")
				if err != nil || c.Version < least {
					t.Errorf("Find: version %d, %v, after version %d was answered", c.Version, err, least)
					return
				}
			}
		})
	}

	for i := range 30 {
		must(t, b.EndTokens(t.Context(), "o", "job"))
		floor.Store(int64(i + 2))
	}

	close(stop)
	wg.Wait()
}
