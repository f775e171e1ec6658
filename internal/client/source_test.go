package client_test

import (
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/client"
	"github.com/jeton-auth/jeton/internal/jose"
)

func TestWhereASourceMayBe(t *testing.T) {
	key := generated(t)
	var connections atomic.Int64

	s := newKeyserver(t, func(h http.Handler) *httptest.Server {
		s := httptest.NewUnstartedServer(h)
		s.Config.ErrorLog = log.New(io.Discard, "", 0) // it would log the refused handshake

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
			b := newFixture(t)
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
		b := newFixture(t)
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
			t.Errorf("the proxy was asked %d times, want never", n)
		}
	})
}

func TestOwnKeysGoBeforeThoseOfASource(t *testing.T) {
	b := newFixture(t)
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
		t.Errorf("the kid of both: %v, %v, want the own key", kids(keys), err)
	}

	_, err = look("late")
	if client.ReasonOf(err) != client.KeyNotYetValid {
		t.Errorf("an own key that is not valid yet: %v, want KeyNotYetValid", err)
	}

	s.times(t, 0)
	keys, err = look("other")
	if err != nil || len(keys) != 1 || keys[0].Thumbprint() != theirs.Thumbprint() {
		t.Errorf("the kid of the source: %v, %v, want the key of the source", kids(keys), err)
	}

	keys, err = look("")
	if err != nil || kids(keys) != "main other" || keys[0].Thumbprint() != mine.Thumbprint() {
		t.Errorf("no kid: %v, %v, want main, other", kids(keys), err)
	}
}

// TestWhatIsRetiredHereIsNotTakenFromASource compares keys, and not their kids: a source
// may give a key another one.
func TestWhatIsRetiredHereIsNotTakenFromASource(t *testing.T) {
	b := newFixture(t)
	key := generated(t)
	s := newKeyserver(t, httptest.NewServer, jwks(key))
	c := b.sourced(t, "job", local(s, "jwks"))
	retired, err := jose.ParsePEM(key.PEM(), "", "before")
	must(t, err)

	for _, own := range []client.Key{{Key: retired, Retired: true}, {Key: retired, Closes: noon}} {
		c.Keys = []client.Key{own}
		for _, kid := range []string{"", key.ID, "before"} {
			if keys, err := b.Keys(t.Context(), c, kid, noon); !errors.Is(err, jeton.ErrBadCredential) {
				t.Errorf("Keys(%q) = %v, %v, want ErrBadCredential", kid, kids(keys), err)
			}
		}
	}
}

func TestTwoClientsOfOneSourceShareWhatWasFetched(t *testing.T) {
	b := newFixture(t)
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
