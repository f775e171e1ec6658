package storetest

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/account"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/factor"
)

// other is another provider, of which a user may have an identity.
const other = "https://other.example"

// removal is the removal of an identity while users can sign in at both providers.
func removal(issuer, method string) account.Removal {
	return account.Removal{
		Issuer:    issuer,
		Method:    method,
		Providers: []string{provider, other},
	}
}

// withoutPassword adds a user who has no password.
func withoutPassword(t *testing.T, s Store, name string) account.Account {
	t.Helper()
	a := account.Account{
		Name:    name,
		Folded:  name,
		Version: 1,
		Created: noon,
		Updated: noon,
	}
	must(t, s.AddUser(t.Context(), a, event(audit.UserAdd, "user:"+name)))

	return found(t, s, name)
}

// lastWayAtOnce removes every way in which a user can sign in, at once. One stays, whichever it is.
func lastWayAtOnce(t *testing.T, s Store) {
	for round := range 5 {
		u := withoutPassword(t, s, fmt.Sprint("guest", round))
		must(t, connect(t, s, u, identity(u.Name)))
		must(t, connect(t, s, u, account.Identity{Issuer: other, Subject: u.Name, Created: noon}))
		addFactor(t, s, newFactor(u, factor.Passkey, "f_"+u.Name))

		var wg sync.WaitGroup
		var removed atomic.Int64
		ev := event(audit.IdentityRemove, "user:"+u.Name)
		for _, remove := range []func() error{
			func() error { return s.RemoveIdentity(t.Context(), u.ID, removal(provider, ""), ev) },
			func() error { return s.RemoveIdentity(t.Context(), u.ID, removal(other, ""), ev) },
			func() error {
				w := factor.Which{All: true, Providers: []string{provider, other}}
				_, err := s.RemoveFactors(t.Context(), u.ID, w, nil)
				return err
			},
		} {
			wg.Go(func() {
				err := remove()
				if err == nil {
					removed.Add(1)
				} else if !errors.Is(err, account.ErrLastWay) {
					t.Error(err)
				}
			})
		}
		wg.Wait()

		list, err := s.ListIdentities(t.Context(), u.ID)
		must(t, err)
		left := len(list) + len(factorIDs(t, s, u))
		if n := removed.Load(); n != 2 || left != 1 {
			t.Errorf("%d ways to sign in were removed and %d are left, want 2 and 1", n, left)
		}
	}
}

// lastWayStays removes ways to sign in until one is left, by each kind of step.
func lastWayStays(t *testing.T, s Store) {
	u := withoutPassword(t, s, "guest")
	began := signedIn(t, s, u, "stays")
	addFactor(t, s, newFactor(u, factor.Passkey, "f_1"))
	addFactor(t, s, newFactor(u, factor.TOTP, "f_2"))
	for _, w := range []factor.Which{{ID: "f_1"}, {Kind: factor.Passkey}, {All: true}} {
		_, err := s.RemoveFactors(t.Context(), u.ID, w, nil)
		wants(t, fmt.Sprintf("RemoveFactors(%+v)", w), err, jeton.ErrConflict)
	}
	same(t, "factors", factorIDs(t, s, u), []string{"f_1", "f_2"})

	must(t, connect(t, s, u, identity("1")))
	_, err := s.RemoveFactors(t.Context(), u.ID, factor.Which{All: true, Providers: []string{other}}, nil)
	wants(t, "RemoveFactors with an identity of a provider that is not served", err, account.ErrLastWay)
	_, err = s.RemoveFactors(t.Context(), u.ID, factor.Which{All: true, Providers: []string{provider}}, nil)
	must(t, err)

	// A refusal ends no session either.
	ev := event(audit.IdentityRemove, "user:guest")
	err = s.RemoveIdentity(t.Context(), u.ID, removal(provider, ""), ev)
	wants(t, "RemoveIdentity of the last one", err, account.ErrLastWay)
	_, err = s.FindSession(t.Context(), began.Hash)
	must(t, err)

	// A passkey is a way in, too.
	addFactor(t, s, newFactor(u, factor.Passkey, "f_3"))
	must(t, s.RemoveIdentity(t.Context(), u.ID, removal(provider, ""), ev))

	// One of a provider that is not served any more is none, and can go.
	must(t, connect(t, s, u, identity("2")))
	r := removal(provider, "")
	r.Providers = []string{other}
	must(t, connect(t, s, u, account.Identity{Issuer: other, Subject: "1", Created: noon}))
	_, err = s.RemoveFactors(t.Context(), u.ID, factor.Which{All: true, Providers: r.Providers}, nil)
	must(t, err)
	err = s.RemoveIdentity(t.Context(), u.ID, account.Removal{Issuer: other, Providers: r.Providers}, ev)
	wants(t, "RemoveIdentity beside one of a provider that is not served", err, account.ErrLastWay)
	must(t, s.RemoveIdentity(t.Context(), u.ID, r, ev))
}
