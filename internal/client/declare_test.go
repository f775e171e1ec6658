package client_test

import (
	"encoding/pem"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/account"
	"github.com/jeton-auth/jeton/internal/client"
)

func pemOf(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func TestCheckDeclaredNamesEveryFault(t *testing.T) {
	key := func() client.DeclaredKey { return client.DeclaredKey{Text: publicPEM(t)} }
	good := key()
	source := func(s client.Source) []client.Declared { return []client.Declared{{Name: "job", Source: &s}} }
	for _, tc := range []struct {
		name string
		in   []client.Declared
		says []string // nothing: it is right
	}{
		{"a key", []client.Declared{{Name: "job", Keys: []client.DeclaredKey{good}}}, nil},
		{"a secret", []client.Declared{{Name: "job", SecretHash: strings.Repeat("0A", 32)}}, nil},
		{"a source", source(client.Source{URL: "https://keys.example/jwks", Format: "jwks"}), nil},
		{
			"a source on this machine, said to be so",
			source(client.Source{
				URL:     "http://localhost:5016/key",
				Format:  "pem",
				Alg:     "RS256",
				Private: true,
			}),
			nil,
		},
		{
			"a source on this machine by address",
			source(client.Source{URL: "http://[::1]:5016/key", Format: "pem", Private: true}),
			nil,
		},
		{
			"nothing to prove itself with",
			[]client.Declared{{Name: "job"}},
			[]string{"clients[0]", "cannot authenticate"},
		},
		{"nothing, disabled", []client.Declared{{Name: "job", Disabled: true}}, nil},
		{"a name that cannot be one", []client.Declared{{Name: "a b"}}, []string{`clients[0].name "a b"`}},
		{
			"a name twice",
			[]client.Declared{
				{Name: "job", Keys: []client.DeclaredKey{good}},
				{Name: "Job", Keys: []client.DeclaredKey{good}},
			},
			[]string{"clients[1].name Job: clients[0]"},
		},
		{
			"faults of two clients",
			[]client.Declared{{Name: "a", SecretHash: "x"}, {Name: "b", SecretHash: strings.Repeat("a", 63)}},
			[]string{"clients[0]: invalid secret hash of a", "clients[1]: invalid secret hash of b"},
		},
		{
			"a key that is none",
			[]client.Declared{{Name: "job", Keys: []client.DeclaredKey{good, {Text: []byte("x")}}}},
			[]string{"clients[0].keys[1]: key of client job", "no PEM block"},
		},
		{
			"a key that is none, from a file",
			[]client.Declared{{Name: "job", Keys: []client.DeclaredKey{{Text: []byte("x"), Where: "job.pub"}}}},
			[]string{"job.pub: key of client job"},
		},
		{
			"a key twice",
			[]client.Declared{{Name: "job", Keys: []client.DeclaredKey{good, {Text: good.Text, ID: "b"}}}},
			[]string{"clients[0].keys[1]", "has this key as"},
		},
		{
			"two keys of one kid",
			[]client.Declared{{
				Name: "job",
				Keys: []client.DeclaredKey{{Text: publicPEM(t), ID: "a"}, {Text: publicPEM(t), ID: "a"}},
			}},
			[]string{"kid a"},
		},
		{
			"a key that is over before it is valid",
			[]client.Declared{{
				Name: "job",
				Keys: []client.DeclaredKey{{Text: good.Text, NotBefore: noon, NotAfter: noon.Add(-time.Second)}},
			}},
			[]string{"not_after"},
		},
		{
			"a bad scope",
			[]client.Declared{{Name: "job", Scopes: []string{"a b"}, Keys: []client.DeclaredKey{good}}},
			[]string{"clients[0] of job: scopes"},
		},
		{
			"a source without TLS",
			source(client.Source{URL: "http://keys.example/jwks", Format: "jwks", Private: true}),
			[]string{"key source of job", "https://"},
		},
		{
			"a source on this machine that does not say so",
			source(client.Source{URL: "http://localhost/jwks", Format: "jwks"}),
			[]string{"https://"},
		},
		{
			"a source with a password",
			source(client.Source{URL: "https://a:b@keys.example/jwks", Format: "jwks"}),
			[]string{"without a user name and a password"},
		},
		{
			"a source with a fragment",
			source(client.Source{URL: "https://keys.example/jwks#a", Format: "jwks"}),
			[]string{"fragment"},
		},
		{
			"a source that is a file",
			source(client.Source{URL: "file:///etc/passwd", Format: "pem"}),
			[]string{"whole URL"},
		},
		{
			"a source of another scheme",
			source(client.Source{URL: "gopher://keys.example", Format: "pem"}),
			[]string{"https://"},
		},
		{"a source without a host", source(client.Source{URL: "/jwks", Format: "jwks"}), []string{"whole URL"}},
		{"a source without a format", source(client.Source{URL: "https://keys.example"}), []string{"jwks or pem"}},
		{
			"an algorithm for a set",
			source(client.Source{URL: "https://keys.example", Format: "jwks", Alg: "RS256"}),
			[]string{"name their own"},
		},
		{
			"an algorithm that there is not",
			source(client.Source{URL: "https://keys.example", Format: "pem", Alg: "HS256"}),
			[]string{"invalid algorithm"},
		},
		{
			"an authority that is not there",
			source(client.Source{URL: "https://keys.example", Format: "pem", CA: "/nowhere/ca.pem"}),
			[]string{"/nowhere/ca.pem"},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := client.CheckDeclared(tc.in)
			if (err == nil) != (tc.says == nil) {
				t.Fatalf("CheckDeclared: %v", err)
			}

			for _, says := range tc.says {
				if !strings.Contains(err.Error(), says) {
					t.Errorf("CheckDeclared: %v, want it to say %q", err, says)
				}
			}
		})
	}
}

func TestDeclare(t *testing.T) {
	b := newFixture(t)
	declare := func(in ...client.Declared) error {
		list, err := client.CheckDeclared(in)
		must(t, err)
		return b.Declare(t.Context(), list)
	}

	a := client.Declared{
		Name:     "job",
		Keys:     []client.DeclaredKey{{Text: publicPEM(t), ID: "a"}},
		Services: []string{"shop"},
	}

	must(t, declare(a))
	first := b.find(t, "job")
	must(t, declare(a))
	again := b.find(t, "job")
	if !again.Declared || again.Generation() != first.Generation() || len(b.changed) != 0 {
		t.Errorf("declared again = %+v, invalidated clients %v; want the same and none", again.Public(), b.changed)
	}

	wants(t, "disabling it", b.Disable(t.Context(), "o", "job", true), jeton.ErrDeclared)
	must(t, b.EndTokens(t.Context(), "o", "job"))
	ended := b.find(t, "job").Generation()
	if ended == first.Generation() {
		t.Error("its tokens have not ended")
	}

	must(t, declare(a))
	if b.find(t, "job").Generation() != ended {
		t.Error("saying it again brought ended tokens back, or ended more")
	}

	must(t, b.db.AddUser(t.Context(), account.Account{Name: "diane", Folded: "diane"}, jeton.Event{Time: noon}))
	err := declare(a, client.Declared{Name: "Diane", SecretHash: strings.Repeat("0a", 32)})
	if !errors.Is(err, jeton.ErrConflict) || !strings.Contains(err.Error(), "there is a user of this name") {
		t.Errorf("Declare(a client with the name of a user) = %v, want ErrConflict", err)
	}

	_, _, err = b.Add(t.Context(), "o", client.NewClient{Name: "diane"})
	wants(t, "Add(a client with the name of a user)", err, jeton.ErrConflict)
}
