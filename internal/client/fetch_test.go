package client_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/client"
	"github.com/jeton-auth/jeton/internal/jose"
)

// keyserver is a source of keys whose answer can be changed.
type keyserver struct {
	*httptest.Server
	asked  atomic.Int64
	mu     sync.Mutex
	answer http.HandlerFunc
}

// newKeyserver starts a source of keys that counts its requests.
func newKeyserver(t *testing.T, start func(http.Handler) *httptest.Server, answer http.HandlerFunc) *keyserver {
	t.Helper()
	s := &keyserver{answer: answer}

	s.Server = start(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.asked.Add(1)
		s.mu.Lock()
		answer := s.answer
		s.mu.Unlock()
		answer(w, r)
	}))

	t.Cleanup(s.Close)

	return s
}

func (s *keyserver) set(answer http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = answer
}

// times checks how many requests there have been.
func (s *keyserver) times(t *testing.T, want int64) {
	t.Helper()
	n := s.asked.Load()
	if n != want {
		t.Errorf("the source was asked %d times, want %d", n, want)
	}
}

func jwks(keys ...jose.Key) http.HandlerFunc { return with("", keys...) }

// with is jwks with a Cache-Control header.
func with(cacheControl string, keys ...jose.Key) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/jwk-set+json")
		if cacheControl != "" {
			w.Header().Set("Cache-Control", cacheControl)
		}
		_, _ = w.Write(jose.MarshalSet(keys))
	}
}

func broken(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) }

// sourced declares a client whose keys come from a source.
func (b *fixture) sourced(t *testing.T, name string, s client.Source, own ...client.DeclaredKey) client.Client {
	t.Helper()
	list, err := client.CheckDeclared([]client.Declared{{Name: name, Source: &s, Keys: own}})
	must(t, err)
	must(t, b.Declare(t.Context(), list))
	return b.find(t, name)
}

// local is a source on this machine that may be there.
func local(s *keyserver, format string) client.Source {
	return client.Source{URL: s.URL + "/keys", Format: format, Private: true}
}

func TestASourceGivesKeys(t *testing.T) {
	a, b2 := generated(t), generated(t)
	rsa, err := jose.Generate(jose.PS256)
	must(t, err)

	for _, tc := range []struct {
		name   string
		answer http.HandlerFunc
		source client.Source
		kid    string
		want   []jose.Key
		why    client.Reason
	}{
		{"all of a set", jwks(a, b2), client.Source{Format: "jwks"}, "", []jose.Key{a, b2}, ""},
		{"one of a set", jwks(a, b2), client.Source{Format: "jwks"}, b2.ID, []jose.Key{b2}, ""},
		{"none of a set", jwks(a), client.Source{Format: "jwks"}, b2.ID, nil, client.UnknownKey},
		{"an empty set", jwks(), client.Source{Format: "jwks"}, "", nil, client.NoKey},
		{
			"PEM",
			func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(a.PEM()) },
			client.Source{Format: "pem"},
			"",
			[]jose.Key{a},
			"",
		},
		{
			"PEM, by its thumbprint",
			func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(a.PEM()) },
			client.Source{Format: "pem"},
			a.ID,
			[]jose.Key{a},
			"",
		},
		{
			"PEM, by another name",
			func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(a.PEM()) },
			client.Source{Format: "pem"},
			"other",
			nil,
			client.UnknownKey,
		},
		{
			"PEM for an algorithm",
			func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(rsa.Key().PEM()) },
			client.Source{Format: "pem", Alg: jose.PS256},
			"",
			[]jose.Key{rsa.Key()},
			"",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newFixture(t)
			s := newKeyserver(t, httptest.NewServer, tc.answer)
			tc.source.URL, tc.source.Private = s.URL, true
			keys, err := b.Keys(t.Context(), b.sourced(t, "job", tc.source), tc.kid, noon)
			if client.ReasonOf(err) != tc.why || len(keys) != len(tc.want) {
				t.Fatalf("Keys = %v, %v (%s)", kids(keys), err, client.ReasonOf(err))
			}

			for i, k := range keys {
				if k.Thumbprint() != tc.want[i].Thumbprint() || k.Alg != tc.want[i].Alg {
					t.Errorf("key %d is %s for %s, want %s for %s", i, k.ID, k.Alg, tc.want[i].ID, tc.want[i].Alg)
				}
			}
		})
	}
}

// TestAnUnusualEntryOfASourceDisablesNoOtherKey has a source as ForgeRock AM and others are: one
// kid for several algorithms, beside a secret and null.
func TestAnUnusualEntryOfASourceDisablesNoOtherKey(t *testing.T) {
	b := newFixture(t)
	good := generated(t)

	again := strings.Replace(string(good.JWK()), `"EdDSA"`, `"Ed25519"`, 1)
	set := `{"keys":[null,{"kty":"oct","k":"AAAA"},` + string(good.JWK()) + "," + again + "]}"
	s := newKeyserver(t, httptest.NewServer, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(set))
	})

	keys, err := b.Keys(t.Context(), b.sourced(t, "job", local(s, "jwks")), good.ID, noon)
	if err != nil || len(keys) != 2 {
		t.Errorf("Keys = %v, %v, want the key, for both algorithms", kids(keys), err)
	}

	text := b.logged()
	if !strings.Contains(text, "private member k") || !strings.Contains(text, s.URL) {
		t.Errorf("the log says %s, want which entries are not used, and the address", text)
	}
}

func TestASourceThatCannotBeBelieved(t *testing.T) {
	good := generated(t)
	private, err := jose.Generate(jose.EdDSA)
	must(t, err)
	der, err := private.MarshalPKCS8()
	must(t, err)

	canary := newKeyserver(t, httptest.NewServer, jwks(good))
	typed := func(kind, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", kind)
			_, _ = w.Write([]byte(body))
		}
	}

	set := string(jose.MarshalSet([]jose.Key{good}))
	for _, tc := range []struct {
		name, format string
		answer       http.HandlerFunc
		says         string
	}{
		{
			// A redirect could lead into the network of the server.
			"a redirect",
			"jwks",
			func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, canary.URL, http.StatusFound) },
			"302",
		},
		{"a permanent redirect", "jwks", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, canary.URL, http.StatusPermanentRedirect)
		}, "308"},
		{"an error", "jwks", broken, "500"},
		{
			"nothing, with success",
			"jwks",
			func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) },
			"204",
		},
		{
			"a set larger than 64 KiB",
			"jwks",
			typed("application/json", set+strings.Repeat(" ", 64<<10)),
			"larger than 64 KiB",
		},
		{"a body without end", "jwks", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")

			for r.Context().Err() == nil {
				if _, err := w.Write(make([]byte, 4096)); err != nil {
					return
				}
			}
		}, "larger than 64 KiB"},
		{"a head without end", "jwks", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Long", strings.Repeat("x", 64<<10))
			jwks(good)(w, nil)
		}, "header"},
		{"an HTML page", "jwks", typed("text/html", set), "text/html"},
		{"no JSON", "jwks", typed("application/json", "{"), "unusable key"},
		{"a key that is no set", "jwks", func(w http.ResponseWriter, _ *http.Request) {}, "unusable key"},
		{"PEM for a set", "jwks", typed("text/plain", string(good.PEM())), "unusable key"},
		{"a set for PEM", "pem", typed("application/json", set), "no PEM block"},
		{"two PEM blocks", "pem", typed("text/plain", string(good.PEM())+string(good.PEM())), "more than one"},
		{
			"a private key",
			"pem",
			typed("text/plain", string(pemOf("PRIVATE KEY", der))),
			"openssl pkey -in KEY -pubout",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newFixture(t)
			s := newKeyserver(t, httptest.NewServer, tc.answer)
			source := local(s, tc.format)
			source.URL += "?key=hidden"
			keys, err := b.Keys(t.Context(), b.sourced(t, "job", source), "", noon)
			if keys != nil || !errors.Is(err, jeton.ErrUnavailable) {
				t.Errorf("Keys = %v, %v, want ErrUnavailable", kids(keys), err)
			}

			text := b.logged()
			if !strings.Contains(text, tc.says) || !strings.Contains(text, s.URL) {
				t.Errorf("the log says %s, want %q and the address", text, tc.says)
			}
			if strings.Contains(text, "hidden") {
				t.Errorf("the log says %s, want no query", text)
			}
			if strings.Contains(err.Error(), tc.says) {
				t.Errorf("the caller gets %v, want no details", err)
			}
		})
	}

	canary.times(t, 0)
}

func TestAHundredCallersAskOnce(t *testing.T) {
	b := newFixture(t)
	key := generated(t)
	release := make(chan struct{})

	s := newKeyserver(t, httptest.NewServer, func(w http.ResponseWriter, r *http.Request) {
		<-release
		jwks(key)(w, r)
	})

	c := b.sourced(t, "job", local(s, "jwks"))
	var ready, wg sync.WaitGroup
	for i := range 100 {
		ready.Add(1)
		kid := key.ID
		if i%2 == 0 {
			kid = ""
		}

		wg.Go(func() {
			ready.Done()
			keys, err := b.Keys(context.Background(), c, kid, noon)
			if err != nil || kids(keys) != key.ID {
				t.Errorf("Keys = %v, %v, want %s", kids(keys), err, key.ID)
			}
		})
	}

	ready.Wait()
	close(release)
	wg.Wait()
	s.times(t, 1)
}

func TestACallerWhoLeavesEndsItsOwnWaitingOnly(t *testing.T) {
	b := newFixture(t)
	key := generated(t)
	asked, release := make(chan struct{}), make(chan struct{})

	s := newKeyserver(t, httptest.NewServer, func(w http.ResponseWriter, r *http.Request) {
		close(asked)
		<-release
		jwks(key)(w, r)
	})

	c := b.sourced(t, "job", local(s, "jwks"))
	ctx, leave := context.WithCancel(t.Context())
	left := make(chan error)
	go func() {
		_, err := b.Keys(ctx, c, "", noon)
		left <- err
	}()

	<-asked
	leave()
	err := <-left
	wants(t, "Keys for who has left", err, jeton.ErrUnavailable)
	wants(t, "Keys for who has left", err, context.Canceled)

	close(release)
	keys, err := b.Keys(t.Context(), c, "", noon)
	if err != nil || kids(keys) != key.ID {
		t.Errorf("Keys = %v, %v, want %s", kids(keys), err, key.ID)
	}

	s.times(t, 1)
}

func TestASlowSourceIsGivenUp(t *testing.T) {
	for name, slow := range map[string]http.HandlerFunc{
		"it does not answer": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"it does not end its answer": func(w http.ResponseWriter, r *http.Request) {
			_, _ = w.Write([]byte(`{"keys":`))
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newFixture(t)
			b.SetTimeout(50 * time.Millisecond)
			s := newKeyserver(t, httptest.NewServer, slow)
			c := b.sourced(t, "job", local(s, "jwks"))
			_, err := b.Keys(t.Context(), c, "", noon)
			wants(t, "Keys", err, jeton.ErrUnavailable)
		})
	}
}

// TestWhenASourceIsAsked walks through the time of one source: each line is a look at a
// time, what the source would answer then, and how often it has been asked by then.
func TestWhenASourceIsAsked(t *testing.T) {
	old, fresh := generated(t), generated(t)
	type look struct {
		at    time.Duration
		now   http.HandlerFunc // what the source answers from here on; nil: as before
		kid   string
		want  string
		err   error
		asked int64
	}

	for _, tc := range []struct {
		name  string
		looks []look
	}{
		{"what was fetched is good for five minutes", []look{
			{0, jwks(old), "", old.ID, nil, 1},
			{299 * time.Second, nil, "", old.ID, nil, 1},
			{300 * time.Second, nil, "", old.ID, nil, 2},
		}},
		{"or for as long as the source says", []look{
			{0, with("public, max-age=90", old), "", old.ID, nil, 1},
			{89 * time.Second, nil, "", old.ID, nil, 1},
			{90 * time.Second, nil, "", old.ID, nil, 2},
		}},
		{"a minute at least", []look{
			{0, with("max-age=0", old), "", old.ID, nil, 1},
			{59 * time.Second, nil, "", old.ID, nil, 1},
			{60 * time.Second, nil, "", old.ID, nil, 2},
		}},
		{"a minute where it must not be kept", []look{
			{0, with("no-store, max-age=3600", old), "", old.ID, nil, 1},
			{60 * time.Second, nil, "", old.ID, nil, 2},
		}},
		{"an hour at most", []look{
			{0, with("max-age=999999999999", old), "", old.ID, nil, 1},
			{time.Hour - time.Second, nil, "", old.ID, nil, 1},
			{time.Hour, nil, "", old.ID, nil, 2},
		}},
		{"a key that is new has it asked again, after half a minute", []look{
			{0, jwks(old), "", old.ID, nil, 1},
			{29 * time.Second, jwks(old, fresh), fresh.ID, "", jeton.ErrBadCredential, 1},
			{30 * time.Second, nil, fresh.ID, fresh.ID, nil, 2},
		}},
		{"invented kids have it asked twice a minute, not more", []look{
			{0, jwks(old), "a", "", jeton.ErrBadCredential, 1},
			{time.Second, nil, "b", "", jeton.ErrBadCredential, 1},
			{29 * time.Second, nil, "c", "", jeton.ErrBadCredential, 1},
			{30 * time.Second, nil, "d", "", jeton.ErrBadCredential, 2},
			{59 * time.Second, nil, "e", "", jeton.ErrBadCredential, 2},
			{59 * time.Second, nil, old.ID, old.ID, nil, 2},
		}},
		{"a key that was taken away is no longer taken once that is known", []look{
			{0, jwks(old), old.ID, old.ID, nil, 1},
			{time.Minute, jwks(fresh), fresh.ID, fresh.ID, nil, 2},
			{time.Minute, nil, old.ID, "", jeton.ErrBadCredential, 2},
		}},
		{"down, it is not asked for ten seconds; then up", []look{
			{0, broken, "", "", jeton.ErrUnavailable, 1},
			{time.Second, jwks(old), "", "", jeton.ErrUnavailable, 1},
			{9 * time.Second, nil, old.ID, "", jeton.ErrUnavailable, 1},
			{10 * time.Second, nil, "", old.ID, nil, 2},
		}},
		{"what is too old is not used when it is down", []look{
			{0, jwks(old), "", old.ID, nil, 1},
			{5 * time.Minute, broken, "", "", jeton.ErrUnavailable, 2},
			{5*time.Minute + time.Second, nil, old.ID, "", jeton.ErrUnavailable, 2},
			{5*time.Minute + 10*time.Second, jwks(old), old.ID, old.ID, nil, 3},
		}},
		{"a cached key is used while the source is down, and another kid is unavailable", []look{
			{0, jwks(old), "", old.ID, nil, 1},
			{time.Minute, broken, fresh.ID, "", jeton.ErrUnavailable, 2},
			{time.Minute, nil, old.ID, old.ID, nil, 2},
			{time.Minute + 20*time.Second, nil, fresh.ID, "", jeton.ErrUnavailable, 2},
			{time.Minute + 30*time.Second, jwks(old, fresh), fresh.ID, fresh.ID, nil, 3},
		}},
		{"a clock that jumps back keeps nothing", []look{
			{0, jwks(old), "", old.ID, nil, 1},
			{-time.Second, nil, "", old.ID, nil, 1},
			{-time.Hour, jwks(fresh), "", fresh.ID, nil, 2},
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newFixture(t)
			s := newKeyserver(t, httptest.NewServer, broken)
			c := b.sourced(t, "job", local(s, "jwks"))
			for i, l := range tc.looks {
				if l.now != nil {
					s.set(l.now)
				}

				keys, err := b.Keys(t.Context(), c, l.kid, noon.Add(l.at))
				if kids(keys) != l.want || !errors.Is(err, l.err) {
					t.Errorf("look %d, %v: %q, %v, want %q, %v", i, l.at, kids(keys), err, l.want, l.err)
				}

				s.times(t, l.asked)
			}
		})
	}
}
