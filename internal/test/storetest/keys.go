package storetest

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/keys"
)

// Keys checks that signing keys are kept unchanged, and that their changes are serialized.
func Keys(t *testing.T, open Open) {
	each(t, open, []test{
		{"keys are returned as they were put, oldest first", keysComeBack},
		{"put keys replace, dropped keys are removed, and events are added", keysChange},
		{"an error of the decision is returned and changes nothing", keysRefused},
		{"each decision gets the result of the one before", keysInTurn},
	})
}

// signingKey returns a key that opens a minute after it was created. The sealed part has a
// NUL, which a text column would cut.
func signingKey(kid string, created time.Time) keys.Record {
	return keys.Record{
		ID:      kid,
		Kind:    keys.Access,
		Alg:     "ES256",
		Public:  `{"kty":"EC"}`,
		Sealed:  []byte("sealed\x00" + kid),
		Created: created,
		Opens:   created.Add(time.Minute),
	}
}

// listKeys returns all keys.
func listKeys(t *testing.T, s Store) []keys.Record {
	t.Helper()
	list, err := s.ListKeys(t.Context())
	must(t, err)
	return list
}

// putKeys puts keys and returns the keys that the decision received.
func putKeys(t *testing.T, s Store, put []keys.Record, drop []string, events ...jeton.Event) (seen []keys.Record) {
	t.Helper()
	must(t, s.ChangeKeys(t.Context(), func(have []keys.Record) ([]keys.Record, []string, []jeton.Event, error) {
		seen = have
		return put, drop, events, nil
	}))

	return seen
}

// keysComeBack checks the order as well: oldest first, then by kid, on every node the same.
func keysComeBack(t *testing.T, s Store) {
	list := listKeys(t, s)
	if len(list) != 0 {
		t.Errorf("keys of an empty store = %v, want none", list)
	}

	bare, full := signingKey("b", noon), signingKey("a", noon)
	full.Alg = "RS256"
	full.Kind = "another"
	full.Public = `{"n":"'; DROP TABLE keys; --"}`
	full.Opens = noon.Add(7 * time.Millisecond)

	full.Retires = noon.Add(time.Hour)
	full.Closes = noon.Add(2 * time.Hour)
	full.Revoked = true
	old := signingKey("z", noon.Add(-time.Hour))
	seen := putKeys(t, s, []keys.Record{bare, full, old}, nil)
	if len(seen) != 0 {
		t.Errorf("keys of the first decision = %v, want none", seen)
	}

	want := []keys.Record{old, full, bare}
	same(t, "ListKeys", listKeys(t, s), want)
	same(t, "the keys of a decision", putKeys(t, s, nil, nil), want)
}

// keysChange replaces a key, adds one and removes one in a single step, as a rotation does.
// A key that is not there can be removed.
func keysChange(t *testing.T, s Store) {
	one := signingKey("one", noon)
	two := signingKey("two", noon.Add(time.Second))
	three := signingKey("three", noon.Add(2*time.Second))
	putKeys(t, s, []keys.Record{one, two}, nil, event(audit.KeyMake, "key:one"), event(audit.KeyMake, "key:two"))
	one.Retires = noon.Add(time.Hour)

	one.Closes = noon.Add(2 * time.Hour)
	one.Revoked = true
	one.Sealed = []byte{0}
	putKeys(t, s, []keys.Record{three, one}, []string{"two", "absent"}, event(audit.KeyRotate, "key:three"))
	same(t, "ListKeys", listKeys(t, s), []keys.Record{one, three})

	one.Retires, one.Closes = time.Time{}, time.Time{}
	putKeys(t, s, []keys.Record{one}, nil)
	same(t, "ListKeys after the end was removed", listKeys(t, s), []keys.Record{one, three})
	same(t, "the audit log", auditLog(t, s), []string{"key.make key:one", "key.make key:two", "key.rotate key:three"})
}

// keysRefused checks that an error of the decision leaves everything as it was.
func keysRefused(t *testing.T, s Store) {
	one := signingKey("one", noon)
	putKeys(t, s, []keys.Record{one}, nil)

	err := s.ChangeKeys(t.Context(), func([]keys.Record) ([]keys.Record, []string, []jeton.Event, error) {
		return []keys.Record{signingKey(
			"two",
			noon,
		)}, []string{"one"}, []jeton.Event{event(audit.KeyMake, "key:two")}, jeton.WithDetail(jeton.ErrConflict, "no")
	})

	wants(t, "ChangeKeys", err, jeton.ErrConflict)
	same(t, "ListKeys", listKeys(t, s), []keys.Record{one})
	same(t, "the audit log", auditLog(t, s), []string{})
}

// keysInTurn takes steps at the same time, as nodes do that start together. Each must see
// the keys of the one before: otherwise each would make its own first key.
func keysInTurn(t *testing.T, s Store) {
	var first atomic.Int64
	var wg sync.WaitGroup
	const steps = 24
	for i := range steps {
		wg.Go(func() {
			var alone bool
			err := s.ChangeKeys(t.Context(), func(have []keys.Record) ([]keys.Record, []string, []jeton.Event, error) {
				// Only the last call counts: the store may call the decision again after a
				// rollback.
				alone = len(have) == 0
				return []keys.Record{signingKey(
					fmt.Sprint(len(have)),
					noon,
				)}, nil, []jeton.Event{event(audit.KeyMake, fmt.Sprint(i))}, nil
			})
			if err != nil {
				t.Errorf("ChangeKeys: %v", err)
			}

			if alone {
				first.Add(1)
			}
		})
	}

	wg.Wait()
	n := len(listKeys(t, s))
	if first.Load() != 1 || n != steps || len(auditLog(t, s)) != steps {
		t.Errorf(
			"%d decisions saw no key, and there are %d keys and %d events; want 1, %d and %d",
			first.Load(), n, len(auditLog(t, s)), steps, steps,
		)
	}
}
