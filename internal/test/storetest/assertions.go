package storetest

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/client"
	"github.com/jeton-auth/jeton/internal/secret"
	"github.com/jeton-auth/jeton/internal/token"
)

// assertion returns what the store remembers of an assertion of a minute.
func assertion(c client.Client, jti string) token.Once {
	return token.Once{Issuer: c.Name, JTI: secret.HashOf(jti), Expires: noon.Add(time.Minute)}
}

// assertionOnce replays an assertion (RFC 7523, section 3, item 7), also with another exp,
// and with a jti that differs in case or by a space.
func assertionOnce(t *testing.T, s Store) {
	job := clientAdded(t, s, "job")
	o := assertion(job, "jti")
	must(t, s.UseOnce(t.Context(), o))
	o.Expires = noon.Add(24 * time.Hour) // another time is not another assertion
	wants(t, "UseOnce again", s.UseOnce(t.Context(), o), token.ErrUsed)

	m := mint(job, "one")
	m.Once = o
	err := s.MintToken(t.Context(), m)
	wants(t, "MintToken with it", err, token.ErrUsed)
	must(t, s.UseOnce(t.Context(), assertion(job, "JTI")))

	must(t, s.UseOnce(t.Context(), assertion(job, "jti ")))
}

// onlyOne has a hundred callers do the same, of which one may succeed.
func onlyOne(t *testing.T, do func(i int) error) {
	t.Helper()
	var won atomic.Int64
	var wg sync.WaitGroup
	for i := range 100 {
		wg.Go(func() {
			if err := do(i); err == nil {
				won.Add(1)
			} else if !errors.Is(err, token.ErrUsed) {
				t.Errorf("%v, want ErrUsed", err)
			}
		})
	}

	if wg.Wait(); won.Load() != 1 {
		t.Errorf("%d calls succeeded, want 1", won.Load())
	}
}

// assertionRace replays an assertion at the same time as it is used.
func assertionRace(t *testing.T, s Store) {
	job := clientAdded(t, s, "job")
	for round := range 5 {
		onlyOne(t, func(int) error { return s.UseOnce(t.Context(), assertion(job, fmt.Sprint(round))) })
	}
}

// assertionMintRace uses assertions through both methods that use them, for kept and for
// signed tokens. A refused mint must leave no token.
func assertionMintRace(t *testing.T, s Store) {
	job := clientAdded(t, s, "job")
	for round := range 5 {
		onlyOne(t, func(i int) error {
			m := mint(job, fmt.Sprint(round, " ", i))
			// Of every ten, nine mint a token with the assertion and one uses it up
			// without.
			m.Once, m.Keep = assertion(job, fmt.Sprint(round)), i%2 == 0

			if i%10 == 9 {
				return s.UseOnce(t.Context(), m.Once)
			}

			return s.MintToken(t.Context(), m)
		})

		list, err := s.ListTokens(t.Context(), token.Which{Client: "job"}, 1000)
		must(t, err)

		if len(list) > round+1 {
			t.Errorf("%[2]d tokens after %[1]d assertions, want as many", round+1, len(list))
		}
	}
}

// assertionOfClient checks that the ids of assertions are apart for each client, as clients
// choose them, and that nothing which happens to a client makes a used one valid again.
func assertionOfClient(t *testing.T, s Store) {
	one, two := clientAdded(t, s, "one"), clientAdded(t, s, "two")
	must(t, s.UseOnce(t.Context(), assertion(one, "jti")))
	must(t, s.UseOnce(t.Context(), assertion(two, "jti")))

	for _, c := range []client.Client{one, two} {
		wants(t, "UseOnce again by "+c.Name, s.UseOnce(t.Context(), assertion(c, "jti")), token.ErrUsed)
	}

	must(t, s.RemoveClient(t.Context(), "two", stepOf(audit.ClientRemove, "client:two")))
	wants(t, "UseOnce of the other", s.UseOnce(t.Context(), assertion(one, "jti")), token.ErrUsed)
	yes, no := true, false
	for _, disabled := range []*bool{&yes, &no} {
		must(t, s.ChangeClient(t.Context(), "one", client.Change{
			Disabled: disabled,
		}, stepOf(audit.ClientChange, "client:one")))
	}

	wants(t, "UseOnce after disabling and enabling", s.UseOnce(t.Context(), assertion(one, "jti")), token.ErrUsed)
}
