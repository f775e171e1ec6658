package client_test

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
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
func (b *bench) sourced(t *testing.T, name string, s client.Source, own ...client.DeclaredKey) client.Client {
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
			b := newBench(t)
			s := newKeyserver(t, httptest.NewServer, tc.answer)
			tc.source.URL, tc.source.Private = s.URL, true
			keys, err := b.Keys(t.Context(), b.sourced(t, "job", tc.source), tc.kid, noon)
			if client.ReasonOf(err) != tc.why || len(keys) != len(tc.want) {
				t.Fatalf("Keys = %v, %v (%s)", kids(keys), err, client.ReasonOf(err))
			}

			for i, k := range keys {
				if k.Thumbprint() != tc.want[i].Thumbprint() || k.Alg != tc.want[i].Alg {
					t.Errorf("key %d is %s for %s", i, k.ID, k.Alg)
				}
			}
		})
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
		{"a set larger than 64 KiB", "jwks", typed("application/json", set+strings.Repeat(" ", 64<<10)), "larger than 64 KiB"},
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
		{"a page for people", "jwks", typed("text/html", set), "text/html"},
		{"no JSON", "jwks", typed("application/json", "{"), "unusable key"},
		{"a key that is no set", "jwks", func(w http.ResponseWriter, _ *http.Request) {}, "unusable key"},
		{
			"a set with a secret in it",
			"jwks",
			typed("application/json", `{"keys":[{"kty":"oct","k":"AAAA"}]}`),
			"private member",
		},
		{"two keys of one kid", "jwks", jwks(good, good), "two keys"},
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
			b := newBench(t)
			s := newKeyserver(t, httptest.NewServer, tc.answer)
			keys, err := b.Keys(t.Context(), b.sourced(t, "job", local(s, tc.format)), "", noon)
			if keys != nil || !errors.Is(err, jeton.ErrUnavailable) {
				t.Errorf("Keys = %v, %v, want ErrUnavailable", kids(keys), err)
			}

			text := b.logged()
			if !strings.Contains(text, tc.says) || !strings.Contains(text, s.URL) {
				t.Errorf("the log says %s, want %q and the address", text, tc.says)
			}
			if strings.Contains(err.Error(), tc.says) {
				t.Errorf("the caller is told %v", err)
			}
		})
	}

	canary.times(t, 0)
}

func TestWhereASourceMayBe(t *testing.T) {
	key := generated(t)
	var connections atomic.Int64

	s := newKeyserver(t, func(h http.Handler) *httptest.Server {
		s := httptest.NewUnstartedServer(h)
		s.Config.ErrorLog = log.New(io.Discard, "", 0) // it would tell of the handshake that is refused

		s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
			if state == http.StateNew {
				connections.Add(1)
			}
		}

		s.StartTLS()

		return s
	}, jwks(key))

	ca := filepath.Join(t.TempDir(), "ca.pem")
	must(t, os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}), 0o600))
	_, port, err := net.SplitHostPort(s.Listener.Addr().String())
	must(t, err)

	for _, tc := range []struct {
		name, host string
		private    bool
		ca         string
		want       error
		says       string
		reached    bool
	}{
		{"this machine, named as one that may be private", "127.0.0.1", true, ca, nil, "", true},
		{
			"this machine, not named so",
			"127.0.0.1",
			false,
			ca,
			jeton.ErrUnavailable,
			"127.0.0.1 is not a public address",
			false,
		},
		{
			"a name that leads to this machine",
			"localhost",
			false,
			ca,
			jeton.ErrUnavailable,
			"is not a public address",
			false,
		},
		{
			"this machine, as IPv6 writes it",
			"[::ffff:127.0.0.1]",
			false,
			ca,
			jeton.ErrUnavailable,
			"is not a public address",
			false,
		},
		{"this machine, as no address", "0.0.0.0", false, ca, jeton.ErrUnavailable, "is not a public address", false},
		{"another authority than the named one", "127.0.0.1", true, "", jeton.ErrUnavailable, "certificate", true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newBench(t)
			before := connections.Load()

			c := b.sourced(t, "job", client.Source{
				URL:     "https://" + net.JoinHostPort(strings.Trim(tc.host, "[]"), port),
				Format:  "jwks",
				CA:      tc.ca,
				Private: tc.private,
			})

			keys, err := b.Keys(t.Context(), c, key.ID, noon)
			if !errors.Is(err, tc.want) || tc.want == nil && kids(keys) != key.ID {
				t.Errorf("Keys = %v, %v, want %v", kids(keys), err, tc.want)
			}

			if !strings.Contains(b.logged(), tc.says) {
				t.Errorf("the log says %s, want %q", b.logged(), tc.says)
			}

			if reached := connections.Load() > before; reached != tc.reached {
				t.Errorf("the server was reached: %t, want %t", reached, tc.reached)
			}
		})
	}

	t.Run("a proxy of the environment is not asked", func(t *testing.T) {
		b := newBench(t)
		b.SetTimeout(time.Second)

		// A name that does not exist (RFC 6761): only a proxy could answer for it.
		_, err := b.Keys(t.Context(), b.sourced(t, "job", client.Source{
			URL:     "https://keys.invalid/",
			Format:  "jwks",
			Private: true,
		}), "", noon)

		wants(t, "Keys", err, jeton.ErrUnavailable)
		n := proxied.Load()
		if n != 0 {
			t.Errorf("the proxy was asked %d times", n)
		}
	})
}

func TestPublicAddresses(t *testing.T) {
	for _, tc := range []struct {
		what string
		addr string
		want bool
	}{
		{"a public one", "8.8.8.8", true},
		{"a public one, IPv6", "2606:4700::1", true},
		{"a public one, as IPv6 writes IPv4", "::ffff:8.8.8.8", true},
		{"a public one behind NAT64", "64:ff9b::808:808", true},
		{"loopback", "127.0.0.1", false},
		{"all of loopback", "127.9.9.9", false},
		{"loopback, IPv6", "::1", false},
		{"loopback, as IPv6 writes IPv4", "::ffff:127.0.0.1", false},
		{"loopback behind NAT64", "64:ff9b::7f00:1", false},
		{"private 10", "10.0.0.1", false},
		{"private 172.16", "172.31.255.255", false},
		{"beside private 172.16", "172.32.0.1", true},
		{"private 192.168", "192.168.1.1", false},
		{"private, as IPv6 writes IPv4", "::ffff:10.0.0.1", false},
		{"private, IPv6", "fd00::1", false},
		{"site-local, IPv6", "fec0::1", false},
		{"shared by carriers", "100.64.0.1", false},
		{"the last that carriers share", "100.127.255.255", false},
		{"beside what carriers share", "100.128.0.1", true},
		{"link-local, where clouds keep their metadata", "169.254.169.254", false},
		{"link-local, IPv6", "fe80::1", false},
		{"with a zone", "fe80::1%lo", false},
		{"multicast", "224.0.0.1", false},
		{"multicast, IPv6", "ff0e::1", false},
		{"unspecified", "0.0.0.0", false},
		{"this network", "0.1.2.3", false},
		{"unspecified, IPv6", "::", false},
		{"broadcast", "255.255.255.255", false},
		{"reserved", "240.0.0.1", false},
		{"benchmarks", "198.19.0.1", false},
		{"documentation", "192.0.2.1", false},
		{"documentation, IPv6", "2001:db8::1", false},
		{"6to4, which wraps a private one", "2002:a00:1::", false},
		{"Teredo", "2001:0:1::", false},
		{"IPv4-compatible, which wraps loopback", "::127.0.0.1", false},
		{"NAT64 for a local network", "64:ff9b:1::a00:1", false},
	} {
		t.Run(tc.what, func(t *testing.T) {
			got := client.Public(netip.MustParseAddr(tc.addr))
			if got != tc.want {
				t.Errorf("public(%s) = %t, want %t", tc.addr, got, tc.want)
			}
		})
	}
}

func TestWithoutTLSASourceIsOnThisMachine(t *testing.T) {
	for _, tc := range []struct {
		name, address string
		plain, ok     bool
	}{
		{"this machine, without TLS", "127.0.0.1:80", true, true},
		{"this machine by IPv6, without TLS", "[::1]:80", true, true},
		{"a private address, with TLS", "10.0.0.1:443", false, true},
		{"a private address that localhost was made to mean, without TLS", "10.0.0.1:80", true, false},
		{"a public one, without TLS", "8.8.8.8:80", true, false},
		{"no address", "localhost:80", false, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if err := (client.Source{Private: true}).MayDial(tc.address, tc.plain); (err == nil) != tc.ok {
				t.Errorf("MayDial(%s): %v", tc.address, err)
			}
		})
	}
}

func TestAHundredCallersAskOnce(t *testing.T) {
	b := newBench(t)
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
				t.Errorf("Keys = %v, %v", kids(keys), err)
			}
		})
	}

	ready.Wait()
	close(release)
	wg.Wait()
	s.times(t, 1)
}

func TestACallerWhoLeavesEndsItsOwnWaitingOnly(t *testing.T) {
	b := newBench(t)
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
		t.Errorf("Keys = %v, %v", kids(keys), err)
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
			b := newBench(t)
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
		{"what is fresh is used when it is down, and whether there is another key cannot be told", []look{
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
			b := newBench(t)
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

func TestOwnKeysGoBeforeThoseOfASource(t *testing.T) {
	b := newBench(t)
	mine, theirs := generated(t), generated(t)
	s := newKeyserver(t, httptest.NewServer, nil)

	named := func(k jose.Key, kid string) jose.Key {
		out, err := jose.ParsePEM(k.PEM(), "", kid)
		must(t, err)
		return out
	}

	s.set(jwks(named(theirs, "main"), named(theirs, "other")))
	c := b.sourced(t, "job", local(s, "jwks"), client.DeclaredKey{
		Text: mine.PEM(),
		ID:   "main",
	}, client.DeclaredKey{Text: publicPEM(t), ID: "late", NotBefore: noon.Add(time.Hour)})

	look := func(kid string) ([]jose.Key, error) { return b.Keys(t.Context(), c, kid, noon) }
	keys, err := look("main")
	if err != nil || len(keys) != 1 || keys[0].Thumbprint() != mine.Thumbprint() {
		t.Errorf("the kid of both: %v, %v", kids(keys), err)
	}

	_, err = look("late")
	if client.ReasonOf(err) != client.KeyNotYetValid {
		t.Errorf("an own key that is not valid yet: %v", err)
	}

	s.times(t, 0)
	keys, err = look("other")
	if err != nil || len(keys) != 1 || keys[0].Thumbprint() != theirs.Thumbprint() {
		t.Errorf("the kid of the source: %v, %v", kids(keys), err)
	}

	keys, err = look("")
	if err != nil || kids(keys) != "main other" || keys[0].Thumbprint() != mine.Thumbprint() {
		t.Errorf("no kid: %v, %v", kids(keys), err)
	}
}

func TestWhatIsRetiredHereIsNotTakenFromASource(t *testing.T) {
	b := newBench(t)
	key := generated(t)
	s := newKeyserver(t, httptest.NewServer, jwks(key))
	c := b.sourced(t, "job", local(s, "jwks"))
	retired, err := jose.ParsePEM(key.PEM(), "", "before")
	must(t, err)

	for _, own := range []client.Key{{Key: retired, Retired: true}, {Key: retired, Closes: noon}} {
		c.Keys = []client.Key{own}
		for _, kid := range []string{"", key.ID, "before"} {
			if keys, err := b.Keys(t.Context(), c, kid, noon); !errors.Is(err, jeton.ErrBadCredential) {
				t.Errorf("Keys(%q) = %v, %v", kid, kids(keys), err)
			}
		}
	}
}

func TestTwoClientsOfOneSourceShareWhatWasFetched(t *testing.T) {
	b := newBench(t)
	key := generated(t)
	s := newKeyserver(t, httptest.NewServer, jwks(key))
	var declared []client.Declared
	for i := range 3 {
		source := local(s, "jwks")
		declared = append(declared, client.Declared{Name: fmt.Sprintf("job%d", i), Source: &source})
	}

	declared[2].Source.Format = "pem" // another reading of the same address is another source
	list, err := client.CheckDeclared(declared)
	must(t, err)
	must(t, b.Declare(t.Context(), list))

	for i, want := range []error{nil, nil, jeton.ErrUnavailable} {
		_, err := b.Keys(t.Context(), b.find(t, fmt.Sprintf("job%d", i)), "", noon)
		wants(t, fmt.Sprintf("Keys of job%d", i), err, want)
	}

	s.times(t, 2)
	must(t, b.Declare(t.Context(), list))
	_, err = b.Keys(t.Context(), b.find(t, "job0"), "", noon)
	wants(t, "Keys after saying it again", err, nil)
	s.times(t, 2)
}
