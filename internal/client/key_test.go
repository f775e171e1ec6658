package client_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/client"
	"github.com/jeton-auth/jeton/internal/jose"
)

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
			if client.ReasonOf(err) != tc.want {
				t.Errorf("Check = %v, reason %q, want %q", err, client.ReasonOf(err), tc.want)
			}
			if refused := errors.Is(err, jeton.ErrBadCredential); refused != (tc.want != "") || !refused && err != nil {
				t.Errorf("Check = %v, want ErrBadCredential: %t", err, tc.want != "")
			}
		})
	}
}

func TestKeys(t *testing.T) {
	b := newFixture(t)
	b.add(t, "job", "a", "b")
	other := b.add(t, "other", "a", "c")

	for _, n := range []client.NewKey{
		{Text: publicPEM(t), ID: "late", NotBefore: noon.Add(time.Hour)},
		{Text: publicPEM(t), ID: "over", NotAfter: noon.Add(-time.Hour)},
		{Text: publicPEM(t), ID: "gone"},
	} {
		_, err := b.AddKey(t.Context(), "operator", "job", n)
		must(t, err)
	}

	must(t, b.RetireKey(t.Context(), "operator", "job", "gone", false))
	b.add(t, "bare")
	job := b.find(t, "job")
	disabled := job
	disabled.Disabled = true

	b.add(t, "single", "x")
	must(t, b.RetireKey(t.Context(), "operator", "single", "x", false))
	single := b.find(t, "single")

	for _, tc := range []struct {
		name   string
		c      client.Client
		kid    string
		want   string
		reason client.Reason
	}{
		{"a kid", job, "b", "b", ""},
		{"no kid: all that are valid", job, "", "a b", ""},
		{"a retired one", job, "gone", "", client.KeyRetired},
		{"one that is not valid yet", job, "late", "", client.KeyNotYetValid},
		{"one that has expired", job, "over", "", client.KeyExpired},
		{"another client's kid", job, "c", "", client.UnknownKey},
		{"a kid with a path in it", job, "../../a", "", client.UnknownKey},
		{"a client without keys", b.find(t, "bare"), "", "", client.NoKey},
		{"a client whose only key is retired", single, "", "", client.KeyRetired},
		{"a disabled client", disabled, "a", "", client.Disabled},
		{"no client", client.Client{}, "a", "", client.UnknownClient},
	} {
		t.Run(tc.name, func(t *testing.T) {
			keys, err := b.Keys(t.Context(), tc.c, tc.kid, noon)
			if kids(keys) != tc.want || client.ReasonOf(err) != tc.reason {
				t.Errorf("Keys = %q, %v (%s), want %q, %q", kids(keys), err, client.ReasonOf(err), tc.want, tc.reason)
			}
			if tc.reason != "" && !errors.Is(err, jeton.ErrBadCredential) {
				t.Errorf("Keys = %v, want ErrBadCredential", err)
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
			t.Error("the keys of two clients with one kid are not their own")
		}
	})
}

// TestARetiredKeyCannotBeAddedAgain checks that a leaked key does not come back, not even
// under another kid.
func TestARetiredKeyCannotBeAddedAgain(t *testing.T) {
	b := newFixture(t)
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
	b := newFixture(t)
	event := jeton.Event{Actor: "client:job", Request: "r1", Source: "192.0.2.1"}
	_, err := jose.ParsePEM(publicPEM(t), "", "")
	must(t, err)
	t.Run("the key is added and audited", func(t *testing.T) {
		c, k := b.add(t, "job", "a"), generated(t)
		must(t, b.AddOwnKey(t.Context(), c, k, event))
		keys, err := b.Keys(t.Context(), b.find(t, "job"), k.ID, noon)
		if err != nil || kids(keys) != k.ID {
			t.Errorf("Keys = %v, %v, want %s", kids(keys), err, k.ID)
		}

		last, err := b.db.Events(t.Context(), audit.Filter{Last: 1})
		must(t, err)
		e := last[0]
		got := fmt.Sprint(e.Actor, " ", e.Action, " ", e.Target, " ", e.Request, " ", e.Outcome)
		want := "client:job " + audit.ClientKeyAdd + " client:job r1 " + audit.OK
		if got != want || !strings.Contains(e.Reason, k.ID) {
			t.Errorf("audit event = %s, reason %q; want %s with the kid", got, e.Reason, want)
		}
	})

	// The client proved itself before the change. With a key that was retired for a theft,
	// a thief would add one of his own.
	for i, tc := range []struct {
		name      string
		meanwhile func(name string) error
	}{
		{
			"the older key is retired meanwhile",
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
		{"it is another client with that name by now", func(name string) error {
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
				t.Errorf("%d keys, want still %d", n, before)
			}
		})
	}

	t.Run("at most 16 keys that are not retired", func(t *testing.T) {
		c := b.add(t, "many", "a")
		for range client.MaxKeys - 1 {
			must(t, b.AddOwnKey(t.Context(), c, generated(t), event))
			c = b.find(t, "many")
		}

		wants(t, "one more", b.AddOwnKey(t.Context(), c, generated(t), event), jeton.ErrConflict)
		must(t, b.RetireKey(t.Context(), "operator", "many", "a", false))
		must(t, b.AddOwnKey(t.Context(), b.find(t, "many"), generated(t), event))
	})

	t.Run("a declared client cannot add one", func(t *testing.T) {
		list, err := client.CheckDeclared([]client.Declared{{
			Name: "fixed",
			Keys: []client.DeclaredKey{{Text: publicPEM(t), ID: "a"}},
		}})

		must(t, err)
		must(t, b.Declare(t.Context(), list))
		wants(t, "AddOwnKey", b.AddOwnKey(t.Context(), b.find(t, "fixed"), generated(t), event), jeton.ErrDeclared)
	})

	t.Run("an invalid kid", func(t *testing.T) {
		k, err := jose.ParsePEM(publicPEM(t), "", "a b")
		must(t, err)
		wants(t, "AddOwnKey", b.AddOwnKey(t.Context(), b.add(t, "odd", "a"), k, event), jeton.ErrInvalid)
	})
}
