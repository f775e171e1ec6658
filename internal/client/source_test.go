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
	"net/netip"
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

// TestPublicAddresses stands for a source that leads into the network of the server, by an
// address in one of its many forms.
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
				t.Errorf("MayDial(%s) = %v, want success: %t", tc.address, err, tc.ok)
			}
		})
	}
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
