package keys_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/jose"
	"github.com/jeton-auth/jeton/internal/keys"
)

// is checks that a kid has the status everywhere that it shows, here and after a restart.
func (b *bench) is(t *testing.T, kid, want string, pairs ...keys.Pair) {
	t.Helper()
	good := want != "revoked" && want != ""
	for name, r := range map[string]*keys.Ring{"here": b.Ring, "after a restart": b.restarted(t, pairs...)} {
		if got := listed(t, r)[kid]; got != want {
			t.Errorf("%s key %s is listed as %q, want %q", name, kid, got, want)
		}
		if checks(r, kid) != good || slices.Contains(published(t, r), kid) != good {
			t.Errorf(
				"%s key %s, %s, checks: %t, is published: %t",
				name, kid, want, checks(r, kid), slices.Contains(published(t, r), kid),
			)
		}
		if got := signs(t, r, ec); got == kid != (want == "current") {
			t.Errorf("%s key %s signs, where %s is %s", name, got, kid, want)
		}
	}
}

func TestRevoke(t *testing.T) {
	revoke := func(t *testing.T, b *bench, kid string) {
		t.Helper()
		must(t, b.Revoke(t.Context(), "operator", kid, "a backup was stolen"))
		b.is(t, kid, "revoked", ec)
	}

	t.Run("the only one: another is made and signs at once", func(t *testing.T) {
		b := with(t, ec)
		kid := signs(t, b.Ring, ec)
		token, err := mint(b.Ring, ec)
		must(t, err)
		revoke(t, b, kid)

		if err := check(b.Ring, token); !errors.Is(err, errUnknown) {
			t.Errorf("token of the revoked key: %v, want errUnknown", err)
		}

		other := signs(t, b.Ring, ec)
		b.is(t, other, "current", ec)
		must(t, signAndCheck(b.Ring, ec))
		want := []string{
			"config key.make key:" + kid + " ok",
			"operator key.revoke key:" + kid + " ok",
			"operator key.make key:" + other + " ok",
		}
		got := b.events(t)
		if !slices.Equal(got, want) {
			t.Errorf("audit log = %v, want %v", got, want)
		}

		events, err := b.db.Events(t.Context(), audit.Filter{})
		must(t, err)

		if events[1].Reason != "a backup was stolen" {
			t.Errorf("reason in the audit log = %q, want the operator's", events[1].Reason)
		}

		b.forward(-time.Hour)
		b.is(t, kid, "revoked", ec)
		b.forward(time.Hour + keep)
		b.tick(t)

		if listed(t, b.Ring)[kid] != "" || len(b.stored(t)) != 1 {
			t.Errorf("listed = %v, want no revoked key", listed(t, b.Ring))
		}
	})

	t.Run("the current one while the next waits: the next signs at once", func(t *testing.T) {
		b := with(t, ec)
		kid := signs(t, b.Ring, ec)
		waits := rotated(t, b.Ring, false)
		revoke(t, b, kid)
		b.is(t, waits, "current", ec)

		if n := len(b.stored(t)); n != 2 {
			t.Errorf("%d keys, want no third", n)
		}
	})

	t.Run("the next one: the current one signs on", func(t *testing.T) {
		b := with(t, ec)
		kid := signs(t, b.Ring, ec)
		waits := rotated(t, b.Ring, false)
		revoke(t, b, waits)
		b.forward(day)

		b.is(t, kid, "current", ec)
		if rotated(t, b.Ring, false); len(listed(t, b.Ring)) != 3 {
			t.Errorf("listed are %v, want another next", listed(t, b.Ring))
		}
	})

	t.Run("a retired one: nothing else changes", func(t *testing.T) {
		b := with(t, ec)
		kid := signs(t, b.Ring, ec)
		b.forward(time.Second)
		now := rotated(t, b.Ring, true)
		revoke(t, b, kid)

		b.is(t, now, "current", ec)
	})

	t.Run("twice: no error and one event", func(t *testing.T) {
		b := with(t, ec)
		kid := signs(t, b.Ring, ec)
		revoke(t, b, kid)
		n := len(b.events(t))
		revoke(t, b, kid)

		if len(b.events(t)) != n || len(b.stored(t)) != 2 {
			t.Errorf("audit log = %v with %d keys, want %d events with 2 keys", b.events(t), len(b.stored(t)), n)
		}
	})

	t.Run("the caller gives up meanwhile: the key is revoked in memory all the same", func(t *testing.T) {
		b := with(t, ec)
		kid := signs(t, b.Ring, ec)
		ctx, cancel := context.WithCancel(t.Context())
		b.store.during = cancel
		must(t, b.Revoke(ctx, "operator", kid, ""))

		b.is(t, kid, "revoked", ec)
	})

	t.Run("of a pair that is not configured: it is not replaced", func(t *testing.T) {
		b := with(t, ec, ed)
		kid := signs(t, b.Ring, ed)
		must(t, b.Configure(t.Context(), needs(ec)))
		revoke(t, b, kid)

		if _, err := b.Signer(keys.Access, jose.EdDSA); err == nil {
			t.Error("another key was made, want none")
		}
	})

	t.Run("invalid requests", func(t *testing.T) {
		b := with(t, ec)
		if err := b.Revoke(t.Context(), "operator", "unknown", ""); !errors.Is(err, jeton.ErrNotFound) {
			t.Errorf("a kid that is not there: %v, want ErrNotFound", err)
		}
		if err := b.Revoke(
			t.Context(), "operator", signs(t, b.Ring, ec), strings.Repeat("x", 201),
		); !errors.Is(err, jeton.ErrInvalid) {
			t.Errorf("a long reason: %v, want ErrInvalid", err)
		}

		must(t, signAndCheck(b.Ring, ec))
	})

	t.Run("without a server, before anything was fetched", func(t *testing.T) {
		b := with(t, ec)
		kid := signs(t, b.Ring, ec)
		must(t, b.ring(t, b.secret).Revoke(t.Context(), "operator", kid, ""))
		must(t, b.Reload(t.Context())) // still within the second of the last reading
		b.forward(time.Second)

		must(t, b.Reload(t.Context()))
		b.is(t, kid, "revoked", ec)
	})
}

func TestAnotherNodesKey(t *testing.T) {
	b := with(t, ec)
	other := b.restarted(t, ec)
	b.forward(time.Second)
	kid := rotated(t, other, true)
	if checks(b.Ring, kid) {
		t.Fatalf("key %s checks before the store is read, want it not to", kid)
	}

	token, err := mint(other, ec)
	must(t, err)
	before := b.store.lists.Load()
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if err := b.Reload(t.Context()); err != nil {
				t.Errorf("Reload: %v", err)
			}
		})
	}

	wg.Wait()
	if n := b.store.lists.Load() - before; n != 1 {
		t.Errorf("the store was read %d times for twenty callers, want once", n)
	}

	must(t, check(b.Ring, token))
	b.forward(time.Second - time.Millisecond)
	must(t, b.Reload(t.Context()))

	if n := b.store.lists.Load() - before; n != 1 {
		t.Errorf("the store was read twice within a second, want once")
	}

	b.forward(-time.Hour)
	must(t, b.Reload(t.Context()))

	if n := b.store.lists.Load() - before; n != 2 {
		t.Errorf("no read of the store after the clock went back, want one")
	}
}

func TestStoreDown(t *testing.T) {
	b := with(t, ec)
	kid := signs(t, b.Ring, ec)
	must(t, b.db.Close())
	b.forward(day)

	for name, do := range map[string]func() error{
		"Configure":                             func() error { return b.Configure(t.Context(), needs(ec, ed)) },
		"Reload":                                func() error { return b.Reload(t.Context()) },
		"Reload, asked again within the second": func() error { return b.Reload(t.Context()) },
		"Rotate": func() error {
			_, err := b.Rotate(t.Context(), "operator", "", true)
			return err
		},
		"Revoke": func() error { return b.Revoke(t.Context(), "operator", kid, "") },
		"List":   func() error { _, err := b.List(t.Context()); return err },
		"Tick":   func() error { return b.Tick(t.Context()) },
	} {
		if err := do(); !errors.Is(err, jeton.ErrUnavailable) {
			t.Errorf("%s: %v, want ErrUnavailable", name, err)
		}
	}

	must(t, signAndCheck(b.Ring, ec))
	if _, err := b.Signer(keys.Access, jose.EdDSA); err == nil {
		t.Error("Signer of a key that is not stored = nil, want an error")
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	b := with(t, ec)
	done := make(chan error)
	go func() { done <- b.Run(t.Context()) }()
	t.Cleanup(func() {
		if err := <-done; err != nil { // the test's context has ended by now
			t.Errorf("Run: %v", err)
		}
	})
}

// publicMembers are those that a public key has (RFC 7517, RFC 7518, RFC 8037).
var publicMembers = []string{"alg", "crv", "e", "kid", "kty", "n", "use", "x", "y"}

// TestRandomSteps runs random operations, and checks after each that the set holds exactly
// the keys that check, none of them private, and that one key signs.
func TestRandomSteps(t *testing.T) {
	for seed := range uint64(6) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 0))
			b := with(t, ec, ed)
			other := b.restarted(t, ec, ed)
			for range 60 {
				r := []*keys.Ring{b.Ring, other}[random.IntN(2)]
				what := act(t, b, r, random)
				b.forward(time.Second)

				for _, r := range []*keys.Ring{b.Ring, other} {
					must(t, r.Reload(t.Context()))
					whole(t, b, r, what)
				}

				if t.Failed() {
					return
				}
			}
		})
	}
}

// act does something at random: time passes or goes back, keys are rotated or revoked.
func act(t *testing.T, b *bench, r *keys.Ring, random *rand.Rand) string {
	t.Helper()
	ctx := t.Context()

	switch random.IntN(7) {
	case 0:
		b.forward(time.Duration(random.Int64N(int64(2 * keep))))
		return "time passes"
	case 1:
		b.forward(-time.Duration(random.Int64N(int64(keep))))
		return "the clock goes back"
	case 2:
		must(t, r.Tick(ctx))
		return "tick"
	case 3:
		must(t, r.Configure(ctx, needs(ec, ed)))
		return "use"
	case 4:
		list := b.stored(t)
		kid := list[random.IntN(len(list))].ID
		if err := r.Revoke(ctx, "operator", kid, ""); err != nil && !errors.Is(err, jeton.ErrNotFound) {
			t.Fatal(err)
		}
		return "revoke"
	}

	alg := []jose.Alg{"", jose.ES256, jose.EdDSA}[random.IntN(3)]
	now := random.IntN(2) == 0
	if _, err := r.Rotate(ctx, "operator", alg, now); err != nil && !errors.Is(err, jeton.ErrConflict) {
		t.Fatal(err)
	}

	return fmt.Sprintf("rotate %q, now: %t", alg, now)
}

// whole checks what must hold after any act: the published set is exactly the keys that
// verify, and each algorithm has one current key.
func whole(t *testing.T, b *bench, r *keys.Ring, what string) {
	t.Helper()
	body, _ := r.JWKS()
	var set struct{ Keys []map[string]any }
	must(t, json.Unmarshal(body, &set))
	want := []string{}

	current := map[string]int{}
	list, err := r.List(t.Context())
	must(t, err)

	for _, k := range list {
		if k.Status != "revoked" {
			want = append(want, k.ID)
		}
		if k.Status == "current" {
			current[k.Algorithm]++
		}
		if got := checks(r, k.ID); got != (k.Status != "revoked") {
			t.Errorf("after %s, a key that is %s checks = %t, want %t", what, k.Status, got, !got)
		}
	}

	got := []string{}
	for _, k := range set.Keys {
		got = append(got, k["kid"].(string))

		for _, member := range slices.Sorted(maps.Keys(k)) {
			if !slices.Contains(publicMembers, member) {
				t.Errorf("after %s, the set has the member %s, want only %v", what, member, publicMembers)
			}
		}
	}

	slices.Sort(want)
	slices.Sort(got)

	if !slices.Equal(got, want) {
		t.Errorf("after %s, published are %v, want %v", what, got, want)
	}
	if fmt.Sprint(current) != "map[ES256:1 EdDSA:1]" {
		t.Errorf("after %s, current keys = %v, want one a pair", what, current)
	}

	for _, p := range []keys.Pair{ec, ed} {
		if err := signAndCheck(r, p); err != nil {
			t.Errorf("after %s, %s: %v", what, p, err)
		}
	}
}

// Another node has revoked a key. While one request reads the keys again, the next must not
// use the previous ones.
func TestNoTokenIsCheckedWithOldKeysDuringAReload(t *testing.T) {
	b := with(t, ec)
	kid := signs(t, b.Ring, ec)
	other := b.ring(t, b.secret)
	must(t, other.Configure(t.Context(), needs(ec)))
	must(t, b.Revoke(t.Context(), "operator", kid, "a backup was stolen"))

	begun, goOn := make(chan struct{}), make(chan struct{})
	b.store.reading = func() { close(begun); <-goOn }
	first := make(chan error)
	go func() { first <- other.Fresh(t.Context()) }()
	<-begun

	gone, cancel := context.WithCancel(t.Context())
	cancel()

	if err := other.Fresh(gone); !errors.Is(err, jeton.ErrUnavailable) {
		t.Errorf("while the keys are being read: %v, want that it waits for them", err)
	}

	close(goOn)
	must(t, <-first)
	b.store.reading = nil

	if must(t, other.Fresh(t.Context())); checks(other, kid) {
		t.Error("the revoked key still checks, want a refusal")
	}
}
