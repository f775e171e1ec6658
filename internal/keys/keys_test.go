package keys_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/jose"
	"github.com/jeton-auth/jeton/internal/keys"
)

func TestScheduledRotation(t *testing.T) {
	b := with(t, ec)
	first := signs(t, b.Ring, ec)
	b.forward(time.Hour)
	second := rotated(t, b.Ring, false)
	opens := noon.Add(time.Hour + publishFor)
	for _, tc := range []struct {
		name          string
		at            time.Time
		signs         string
		first, second string // status, "" when it is withdrawn
	}{
		{"as it is published", noon.Add(time.Hour), first, "current", "next"},
		{"a moment before it signs", opens.Add(-time.Millisecond), first, "current", "next"},
		{"as it signs", opens, second, "retired", "current"},
		{"a moment before the first is withdrawn", opens.Add(keep - time.Millisecond), second, "retired", "current"},
		{"as the first is withdrawn", opens.Add(keep), second, "", "current"},
		{"a clock that goes back brings it back", opens.Add(keep - time.Hour), second, "retired", "current"},
		{"and further back", opens.Add(-time.Minute), first, "current", "next"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b.set(tc.at)
			want, set := map[string]string{second: tc.second}, []string{first, second}
			if tc.first == "" {
				set = set[1:]
			} else {
				want[first] = tc.first
			}

			if got := signs(t, b.Ring, ec); got != tc.signs {
				t.Errorf("key %s signs, want %s", got, tc.signs)
			}
			if got := published(t, b.Ring); !slices.Equal(got, set) {
				t.Errorf("published are %v, want %v", got, set)
			}
			if got := listed(t, b.Ring); fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("listed are %v, want %v", got, want)
			}

			if checks(b.Ring, first) != (tc.first != "") || !checks(b.Ring, second) {
				t.Errorf(
					"checks with the first: %t, with the second: %t",
					checks(b.Ring, first), checks(b.Ring, second),
				)
			}

			must(t, signAndCheck(b.Ring, ec))
		})
	}

	b.set(opens.Add(keep))
	b.tick(t)
	list := b.stored(t)
	if len(list) != 1 || list[0].ID != second {
		t.Errorf("after the walk %d keys are stored, want the second alone", len(list))
	}

	if got, want := b.events(t), []string{
		"config key.make key:" + first + " ok",
		"operator key.rotate key:" + second + " ok",
	}; !slices.Equal(got, want) {
		t.Errorf("audit log = %v, want %v", got, want)
	}
}

func TestEntityTagFollowsTheSet(t *testing.T) {
	b := with(t, ec)
	first := signs(t, b.Ring, ec)
	seen := map[string]string{}

	note := func() {
		t.Helper()

		for range 2 {
			body, tag := b.JWKS()
			if old, ok := seen[tag]; ok && old != string(body) {
				t.Fatalf("set with the tag %s = %s, want %s as before", tag, body, old)
			}
			seen[tag] = string(body)
		}
	}

	note()
	b.forward(time.Second)
	rotated(t, b.Ring, true)
	note()
	b.forward(keep)

	note()
	must(t, b.Reload(t.Context()))
	note()

	if len(seen) != 3 || slices.Contains(published(t, b.Ring), first) {
		t.Errorf("%d sets were seen, want 3: one, two and one key", len(seen))
	}
}

func TestRotateWhileSigning(t *testing.T) {
	b := with(t, ec, ed)
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	var signed atomic.Int64
	for i := range 8 {
		p := []keys.Pair{ec, ed}[i%2]
		wg.Go(func() {
			for ctx.Err() == nil {
				if err := signAndCheck(b.Ring, p); err != nil {
					t.Errorf("%s: %v", p, err)
					return
				}

				b.JWKS()
				signed.Add(1)
			}
		})
	}

	for i := range 10 {
		before := signs(t, b.Ring, ec)
		if _, err := b.Rotate(t.Context(), "operator", "", i%2 == 0); err != nil {
			t.Errorf("rotation %d: %v", i, err)
		}

		b.forward(publishFor)
		after := signs(t, b.Ring, ec)
		if after == before {
			t.Errorf("rotation %d: key %s still signs, want a new one", i, after)
		}

		for at := signed.Load(); signed.Load() < at+8 && !t.Failed(); {
			time.Sleep(time.Millisecond) // let the others come by
		}
	}

	stop()
	wg.Wait()
	n := len(b.stored(t))
	if n != 22 {
		t.Errorf("%d keys are stored, want 22", n)
	}
}

// TestTwoNodesAtTheSameMoment has two nodes of one database start, rotate and sign
// together: they must agree on a key.
func TestTwoNodesAtTheSameMoment(t *testing.T) {
	b := empty(t)
	nodes := []*keys.Ring{b.Ring, b.ring(t, b.secret)}

	both := func(do func(*keys.Ring) error) (errs []error) {
		var wg sync.WaitGroup
		var mu sync.Mutex
		for _, r := range nodes {
			wg.Go(func() {
				err := do(r)
				mu.Lock()
				defer mu.Unlock()
				errs = append(errs, err)
			})
		}

		wg.Wait()

		return errs
	}

	use := func(r *keys.Ring) error { return r.Configure(t.Context(), needs(ed, ec)) }
	must(t, errors.Join(both(use)...))
	if list := b.stored(t); len(list) != 2 {
		t.Fatalf("%d keys were made, want one for each pair", len(list))
	}
	for _, p := range []keys.Pair{ec, ed} {
		if one, other := signs(t, nodes[0], p), signs(t, nodes[1], p); one != other {
			t.Fatalf("the nodes sign %v with the keys %s and %s, want one key", p, one, other)
		}
	}

	t.Run("on demand", func(t *testing.T) {
		errs := both(func(r *keys.Ring) error {
			_, err := r.Rotate(t.Context(), "operator", jose.ES256, false)
			return err
		})

		lost := slices.IndexFunc(errs, func(err error) bool { return errors.Is(err, jeton.ErrConflict) })
		if lost < 0 || errs[1-lost] != nil || len(b.stored(t)) != 3 {
			t.Errorf("%v, and %d keys; want one conflict and one key more", errs, len(b.stored(t)))
		}
	})

	t.Run("on schedule", func(t *testing.T) {
		b.set(noon.Add(every - publishFor))
		must(t, errors.Join(both(func(r *keys.Ring) error { return r.Tick(t.Context()) })...))
		b.set(noon.Add(every))
		must(t, errors.Join(both(func(r *keys.Ring) error { return r.Tick(t.Context()) })...))
		var next int
		for _, status := range listed(t, b.Ring) {
			if status == "current" {
				next++
			}
		}

		if next != 2 || signs(
			t, nodes[0], ed,
		) != signs(t, nodes[1], ed) || signs(t, nodes[0], ec) != signs(t, nodes[1], ec) {
			t.Errorf("listed are %v, want two current keys that both sign with", listed(t, b.Ring))
		}

		scheduled := 0
		for _, e := range b.events(t) {
			if strings.HasPrefix(e, "schedule key.rotate") {
				scheduled++
			}
		}

		if scheduled != 2 {
			t.Errorf("%d rotations on schedule, want one for each pair: %v", scheduled, b.events(t))
		}
	})
}

func TestSchedule(t *testing.T) {
	b := with(t, ec)
	first := signs(t, b.Ring, ec)
	b.set(noon.Add(every - publishFor - time.Millisecond))
	b.tick(t)

	if n := len(b.stored(t)); n != 1 {
		t.Fatalf("%d keys a moment before it is due, want 1", n)
	}

	b.set(noon.Add(every - publishFor))
	b.tick(t)
	b.tick(t)
	got := published(t, b.Ring)
	if len(got) != 2 || signs(t, b.Ring, ec) != first {
		t.Fatalf("published when it is due are %v, want two", got)
	}

	b.set(noon.Add(every))
	if signs(t, b.Ring, ec) == first {
		t.Error("the first key still signs, want the second")
	}

	must(t, b.Configure(t.Context(), keys.Needs{Pairs: []keys.Pair{ec}, PublishFor: publishFor, Keep: keep}))
	b.forward(10 * every)
	b.tick(t)

	if n := len(b.stored(t)); n != 1 {
		t.Errorf("%d keys without scheduled rotation, want 1", n)
	}
}

func TestPairRemovedFromTheConfiguration(t *testing.T) {
	b := with(t, ec, ed)
	old := signs(t, b.Ring, ec)
	must(t, b.Configure(t.Context(), needs(ed)))
	b.set(noon.Add(2*every - time.Millisecond))
	b.tick(t)

	if signs(t, b.Ring, ec) != old {
		t.Errorf("%s signs, want %s, for another node may need it", signs(t, b.Ring, ec), old)
	}

	b.set(noon.Add(2 * every))
	b.tick(t)

	if _, err := b.Signer(keys.Access, jose.ES256); err == nil || !checks(b.Ring, old) {
		t.Errorf("Signer: %v; the old key checks: %t, want an error and true", err, checks(b.Ring, old))
	}

	b.forward(keep)
	b.tick(t)

	if checks(b.Ring, old) || listed(t, b.Ring)[old] != "" {
		t.Errorf("old key: checks = %t, listed = %q, want it withdrawn", checks(b.Ring, old), listed(t, b.Ring)[old])
	}

	must(t, signAndCheck(b.Ring, ed))
}

func TestRotateWhileANextKeyExists(t *testing.T) {
	b := with(t, ec)
	first := signs(t, b.Ring, ec)
	waits := rotated(t, b.Ring, false)
	_, err := b.Rotate(t.Context(), "operator", "", false)
	if !errors.Is(
		err,
		jeton.ErrConflict,
	) || !strings.Contains(jeton.Detail(err), waits) || !strings.Contains(jeton.Detail(err), "2026-03-01T12:10:00Z") {
		t.Errorf("Rotate: %v, want ErrConflict with the key that waits and its time", err)
	}

	got := rotated(t, b.Ring, true)
	if got != waits || signs(t, b.Ring, ec) != waits || len(b.stored(t)) != 2 {
		t.Errorf("rotating now returns %s, want the one that waited, %s", got, waits)
	}
	if !checks(b.Ring, first) {
		t.Error("the first key no longer checks, want it kept")
	}

	b.forward(keep)
	if checks(b.Ring, first) {
		t.Error("the first key is kept from its scheduled retirement, want from its actual one")
	}
}

func TestRotateRefuses(t *testing.T) {
	b := with(t, ec)
	for _, tc := range []struct {
		name string
		alg  jose.Alg
		want error
	}{
		{"an algorithm of no key", jose.EdDSA, jeton.ErrNotFound},
		{"an algorithm that keys are not made for", jose.PS256, jeton.ErrInvalid},
		{"none", "none", jeton.ErrInvalid},
	} {
		if list, err := b.Rotate(t.Context(), "operator", tc.alg, true); !errors.Is(err, tc.want) || list != nil {
			t.Errorf("%s: %v, %v, want %v", tc.name, list, err, tc.want)
		}
	}

	n := len(b.stored(t))
	if n != 1 {
		t.Errorf("%d keys, want 1", n)
	}
}

func TestInvalidNeedsAreRefused(t *testing.T) {
	b := empty(t)
	for name, n := range map[string]keys.Needs{
		"an algorithm that keys are not made for": needs(keys.Pair{Kind: keys.Access, Alg: jose.RS512}),
		"no algorithm":                 needs(keys.Pair{Kind: keys.Access}),
		"a kind that is not there":     needs(keys.Pair{Kind: "refresh", Alg: jose.ES256}),
		"nothing kept":                 {Pairs: []keys.Pair{ec}, RotateEvery: every, PublishFor: publishFor},
		"published for less than zero": {Pairs: []keys.Pair{ec}, PublishFor: -1, Keep: keep},
	} {
		if err := b.Configure(t.Context(), n); err == nil {
			t.Errorf("%s: got no error, want one", name)
		}
	}

	if _, err := keys.New(keys.Config{Store: b.store, Keep: keep}); err == nil {
		t.Error("New without a secret = nil, want an error")
	}
	if n := len(b.stored(t)); n != 0 {
		t.Errorf("%d keys made, want none", n)
	}
}

func TestRSA(t *testing.T) {
	rs := keys.Pair{Kind: keys.Access, Alg: jose.RS256}
	b := with(t, rs)
	must(t, signAndCheck(b.Ring, rs))
	body, _ := b.JWKS()
	var set struct {
		Keys []struct{ Alg, Kty, N, Use string }
	}
	must(t, json.Unmarshal(body, &set))

	k := set.Keys[0]
	if k.Alg != "RS256" || k.Kty != "RSA" || k.Use != "sig" || len(k.N) != 512 {
		t.Errorf("the key is %+v, want RS256 with 3072 bits", k)
	}

	must(t, signAndCheck(b.restarted(t, rs), rs))
}

func TestRestart(t *testing.T) {
	b := with(t, ec, ed)
	token, err := mint(b.Ring, ec)
	must(t, err)
	events, changes := len(b.events(t)), b.store.changes.Load()

	for range 2 {
		r := b.restarted(t, ec, ed, ec)
		if signs(t, r, ec) != signs(t, b.Ring, ec) || signs(t, r, ed) != signs(t, b.Ring, ed) {
			t.Error("another key signs after a restart, want the same")
		}
		must(t, check(r, token))
	}

	must(t, b.Configure(t.Context(), needs(ed, ec)))
	b.tick(t)

	if b.store.changes.Load() != changes || len(b.events(t)) != events {
		t.Errorf(
			"%d steps and %d events, want none: no key is missing",
			b.store.changes.Load()-changes, len(b.events(t))-events,
		)
	}
	if _, err := b.Signer("id", jose.ES256); err == nil {
		t.Error("Signer of another kind = nil, want an error")
	}
	if _, ok := b.Verifier("id", signs(t, b.Ring, ec)); ok {
		t.Error("Verifier of another kind = true, want false")
	}
}

func TestDuplicatePairs(t *testing.T) {
	b := with(t, ec, ed, ec)
	if len(b.stored(t)) != 2 || len(b.events(t)) != 2 {
		t.Errorf("%d keys made, audit log %v; want 2 of each", len(b.stored(t)), b.events(t))
	}
}

func TestClockJumps(t *testing.T) {
	b := with(t, ec)
	first := signs(t, b.Ring, ec)
	t.Run("before the first key becomes valid: it signs, and rotation goes on", func(t *testing.T) {
		b.set(noon.Add(-day))
		must(t, signAndCheck(b.Ring, ec))
		r := b.restarted(t, ec)
		if signs(t, r, ec) != first {
			t.Error("another key was made, want none")
		}

		second := rotated(t, b.Ring, false)
		if signs(t, b.Ring, ec) != first || listed(t, b.Ring)[second] != "next" {
			t.Errorf("listed = %v, want the first current and the second next", listed(t, b.Ring))
		}

		b.forward(publishFor)
		if signs(t, b.Ring, ec) != second || !checks(b.Ring, first) {
			t.Errorf("%s signs, want %s, and %s still checks", signs(t, b.Ring, ec), second, first)
		}
	})

	t.Run("a year ahead and back: the next key does not wait for a year", func(t *testing.T) {
		b.set(noon.Add(365 * day))
		b.tick(t)
		now := signs(t, b.Ring, ec)
		b.set(noon.Add(time.Hour))
		must(t, signAndCheck(b.Ring, ec))

		b.tick(t)
		must(t, signAndCheck(b.Ring, ec))
		b.forward(publishFor)

		if signs(t, b.Ring, ec) == now {
			t.Errorf("listed = %v, want the next key due soon", listed(t, b.Ring))
		}

		must(t, signAndCheck(b.Ring, ec))
	})

	t.Run("made while the clock was ahead: it is due by today's clock", func(t *testing.T) {
		b := empty(t)
		b.set(noon.Add(365 * day))
		must(t, b.Configure(t.Context(), needs(ec)))
		b.set(noon)
		b.tick(t)

		b.forward(every)
		b.tick(t)
		n := len(b.stored(t))
		if n != 2 {
			t.Errorf("%d keys, want another after %v", n, every)
		}
	})
}
