package storetest

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/account"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/count"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/secret"
	"github.com/jeton-auth/jeton/internal/session"
	"github.com/jeton-auth/jeton/internal/token"
)

// UserUses tests the counts that all credentials of a user share.
func UserUses(t *testing.T, open Open) {
	each(t, open, []test{
		{"all credentials of a user take from one count", sharedCount},
		{"a login lets the counts at its service begin again, and no others", loginRenews},
		{"a token that stands for a login does so, too", tokenLoginRenews},
		{"logins with and without a session are one history", oneHistory},
		{"a use of a user and of a token takes from both or from none", bothOrNone},
		{"a deleted user has no uses", deletedUserHasNone},
		{"between two logins no more uses are granted than there are", renewedInARace},
	})
}

// perUser returns a budget that a user's credentials share.
func perUser(t *testing.T, s Store, service, name string, most int64) policy.Budget {
	t.Helper()
	id, err := s.BudgetID(t.Context(), service, name)
	must(t, err)

	return policy.Budget{
		ID:      id,
		Name:    name,
		Max:     most,
		PerUser: true,
	}
}

// useBy returns a use by a credential of a user.
func useBy(u account.Account, holder int64, budgets ...policy.Budget) count.Use {
	return count.Use{Holder: holder, User: u.ID, Budgets: budgets}
}

// tokenLogin returns a token for which the user logs in at the service, for MintToken.
func tokenLogin(u account.Account, service, text string, at time.Time) token.Mint {
	m := personal(u, text, 0)
	m.Kind, m.Created, m.Keep = token.Access, at, false
	m.SignIn = &token.SignIn{Service: service, Judge: func(policy.History) error { return nil }}
	return m
}

func sharedCount(t *testing.T, s Store) {
	diane, eshana := user(t, s, "diane"), user(t, s, "eshana")
	first := started(t, s, newLogin(diane, "shop", "1", noon))
	second := started(t, s, newLogin(diane, "shop", "2", noon))
	tok := minted(t, s, personal(diane, "tok", 0))
	b := perUser(t, s, "shop", "GET /three", 3)

	uses := []count.Use{
		useBy(diane, first.Login, b),
		useBy(diane, -tok.Number, b),
		useBy(diane, second.Login, b),
		useBy(diane, 0, b), // a signed token that is not stored
	}

	for i, want := range []int64{2, 1, 0} {
		left, err := s.Spend(t.Context(), uses[i])
		must(t, err)
		same(t, "left", left, []int64{want})
	}

	for _, u := range uses {
		wants(t, "Spend of a spent count", errorOf(s.Spend(t.Context(), u)), jeton.ErrSpent)
	}

	// Another user, and counts of a credential in the same budget, have their own.
	b.PerUser = false
	must(t, errorOf(s.Spend(t.Context(), sessionUse(first, b))))
	b.PerUser = true
	must(t, errorOf(s.Spend(t.Context(), useBy(eshana, 0, b))))

	// The count outlives the sessions.
	_, err := s.EndSessions(t.Context(), session.Which{User: "diane"}, event(audit.LogoutAll, "user:diane"))
	must(t, err)
	wants(t, "Spend after the logout", errorOf(s.Spend(t.Context(), uses[1])), jeton.ErrSpent)
}

// spentAtTwo returns a user who has spent the budgets of two services.
func spentAtTwo(t *testing.T, s Store) (u account.Account, shop, bank count.Use) {
	u = user(t, s, "diane")
	shop = useBy(u, 0, perUser(t, s, "shop", "GET /one", 1), perUser(t, s, "shop", "*", 2))
	bank = useBy(u, 0, perUser(t, s, "bank", "GET /one", 1))

	for _, use := range []count.Use{shop, bank} {
		must(t, errorOf(s.Spend(t.Context(), use)))
		wants(t, "second Spend", errorOf(s.Spend(t.Context(), use)), jeton.ErrSpent)
	}

	return u, shop, bank
}

func loginRenews(t *testing.T, s Store) {
	u, shop, bank := spentAtTwo(t, s)
	loginHistory(t, s, u, "shop", noon) // a login that was refused
	wants(t, "Spend after a refused login", errorOf(s.Spend(t.Context(), shop)), jeton.ErrSpent)

	started(t, s, newLogin(u, "shop", "again", noon))
	left, err := s.Spend(t.Context(), shop)
	must(t, err)
	same(t, "left after the login", left, []int64{0, 1})
	wants(t, "Spend at the other service", errorOf(s.Spend(t.Context(), bank)), jeton.ErrSpent)
}

func tokenLoginRenews(t *testing.T, s Store) {
	u, shop, bank := spentAtTwo(t, s)

	refused := tokenLogin(u, "shop", "refused", noon)
	refused.SignIn.Judge = func(policy.History) error { return jeton.ErrRelogin }
	wants(t, "MintToken", s.MintToken(t.Context(), refused), jeton.ErrRelogin)
	wants(t, "Spend after a refused login", errorOf(s.Spend(t.Context(), shop)), jeton.ErrSpent)

	must(t, s.MintToken(t.Context(), tokenLogin(u, "shop", "again", noon)))
	left, err := s.Spend(t.Context(), shop)
	must(t, err)
	same(t, "left after the login", left, []int64{0, 1})
	wants(t, "Spend at the other service", errorOf(s.Spend(t.Context(), bank)), jeton.ErrSpent)
}

func oneHistory(t *testing.T, s Store) {
	u := user(t, s, "diane")
	at := func(minutes int) time.Time { return noon.Add(time.Duration(minutes) * time.Minute) }

	must(t, s.MintToken(t.Context(), tokenLogin(u, "shop", "1", at(1))))
	started(t, s, newLogin(u, "shop", "2", at(2)))
	must(t, s.MintToken(t.Context(), tokenLogin(u, "shop", "3", at(3))))
	must(t, s.MintToken(t.Context(), tokenLogin(u, "bank", "4", at(4))))

	var seen []time.Time
	m := tokenLogin(u, "shop", "5", at(5))
	m.SignIn.Judge = func(h policy.History) error {
		seen = h.Logins
		return nil
	}
	must(t, s.MintToken(t.Context(), m))

	sameTimes(t, "history for a token", seen, at(1), at(2), at(3))
	sameTimes(t, "history for a session", loginHistory(t, s, u, "shop", noon).Logins, at(1), at(2), at(3), at(5))

	m = tokenLogin(u, "shop", "6", at(6))
	m.SignIn.Remember = at(3)
	must(t, s.MintToken(t.Context(), m))
	sameTimes(t, "history after some was deleted", loginHistory(t, s, u, "shop", noon).Logins, at(5), at(6))

	stale := tokenLogin(u, "shop", "7", at(7))
	stale.Owner.Version++
	wants(t, "MintToken with another credential", s.MintToken(t.Context(), stale), jeton.ErrBadCredential)
}

func sameTimes(t *testing.T, what string, got []time.Time, want ...time.Time) {
	t.Helper()
	for i := range got {
		got[i] = got[i].UTC()
	}
	same(t, what, got, want)
}

func bothOrNone(t *testing.T, s Store) {
	u := user(t, s, "diane")
	shared, own := perUser(t, s, "shop", "GET /three", 3), tokenBudget(t, s)
	own.Max = 1
	tok := minted(t, s, personal(u, "tok", 0))

	left, err := s.Spend(t.Context(), useBy(u, -tok.Number, shared, own))
	must(t, err)
	same(t, "left", left, []int64{2, 0})
	err = errorOf(s.Spend(t.Context(), useBy(u, -tok.Number, shared, own)))
	wants(t, "Spend of a spent token", err, jeton.ErrSpent)

	err = s.EndTokens(t.Context(), token.Which{Hash: secret.HashOf("tok")}, nil, event(audit.TokenRevoke, "tok"))
	must(t, err)
	wants(
		t, "Spend of a revoked token", errorOf(s.Spend(t.Context(), useBy(u, -tok.Number, shared, own))),
		jeton.ErrBadCredential,
	)

	left, err = s.Left(t.Context(), useBy(u, 0, shared))
	must(t, err)
	same(t, "left of the user", left, []int64{2})
}

func deletedUserHasNone(t *testing.T, s Store) {
	u := user(t, s, "diane")
	used, fresh := perUser(t, s, "shop", "used", 3), perUser(t, s, "shop", "fresh", 3)
	must(t, errorOf(s.Spend(t.Context(), useBy(u, 0, used))))
	must(t, s.RemoveUser(t.Context(), "diane", false, event(audit.UserRemove, "user:diane")))

	for _, use := range []count.Use{useBy(u, 0, used), useBy(u, 0, fresh), useBy(u, 0, used, fresh)} {
		wants(t, "Spend", errorOf(s.Spend(t.Context(), use)), jeton.ErrBadCredential)
		wants(t, "Left", errorOf(s.Left(t.Context(), use)), jeton.ErrBadCredential)
	}
}

// renewedInARace has a user log in again while many uses are taken, of one budget and of two.
func renewedInARace(t *testing.T, s Store) {
	const most, logins = 5, 6

	u := user(t, s, "diane")
	one, two := perUser(t, s, "shop", "one", most), perUser(t, s, "shop", "two", most)

	var granted atomic.Int64
	var work sync.WaitGroup
	for i := range 120 {
		work.Go(func() {
			use := useBy(u, 0, one)
			if i%2 == 0 {
				use = useBy(u, 0, two, one)
			}

			_, err := s.Spend(t.Context(), use)
			if err == nil {
				granted.Add(1)
			} else if !errors.Is(err, jeton.ErrSpent) {
				t.Errorf("Spend = %v, want ErrSpent", err)
			}
		})

		if i%20 == 19 {
			in := newLogin(u, "shop", fmt.Sprint("login ", i), noon)
			work.Go(func() {
				if err := s.StartSession(t.Context(), in, acceptLogin); err != nil {
					t.Errorf("StartSession = %v, want nil", err)
				}
			})
		}
	}

	work.Wait()

	if n := granted.Load(); n < most || n > most*(logins+1) {
		t.Errorf("%d uses were granted, want %d to %d", n, most, most*(logins+1))
	}

	started(t, s, newLogin(u, "shop", "last", noon))
	if n := race(t, s, 20, useBy(u, 0, one)); n != most {
		t.Errorf("after the last login %d uses were granted, want %d", n, most)
	}
}
