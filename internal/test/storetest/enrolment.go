package storetest

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/account"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/client"
	"github.com/jeton-auth/jeton/internal/factor"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/secret"
	"github.com/jeton-auth/jeton/internal/session"
	"github.com/jeton-auth/jeton/internal/ticket"
	"github.com/jeton-auth/jeton/internal/token"
)

// confirmApp confirms the authenticator app of a user, and keeps no session.
func confirmApp(t *testing.T, s Store, u account.Account, id string) error {
	ev := event(audit.FactorAdd, "user:"+u.Name)
	return s.ConfirmFactor(t.Context(), confirming(u, id, ""), noon.Add(-time.Hour), &ev)
}

// confirming is the first code of an authenticator app, which the session of an id confirms.
func confirming(u account.Account, id, session string) factor.Use {
	return factor.Use{
		User:    u.ID,
		ID:      id,
		Counter: 1,
		At:      noon,
		Keep:    session,
	}
}

// waitingApp adds an authenticator app that was not confirmed.
func waitingApp(t *testing.T, s Store, u account.Account, id string) {
	t.Helper()
	f := newFactor(u, factor.TOTP, id)
	f.Confirmed = time.Time{}
	addFactor(t, s, f)
}

// startAgainstFactor starts a session of one factor while an authenticator app is confirmed: before the start, while it
// judges, and after it. In each order no session of one factor is left.
func startAgainstFactor(t *testing.T, s Store) {
	for _, when := range []string{"before", "while", "after"} {
		u := user(t, s, "diane-"+when)
		waitingApp(t, s, u, "f_"+when)

		var confirmed sync.WaitGroup
		confirm := func() {
			if err := confirmApp(t, s, u, "f_"+when); err != nil {
				t.Errorf("ConfirmFactor %s: %v", when, err)
			}
		}
		if when == "before" {
			confirm()
		}

		began := false
		in := newLogin(u, "issuer", when, noon)
		err := s.StartSession(t.Context(), in, func(h policy.History) ([]int64, error) {
			if when == "while" && !began {
				confirmed.Go(confirm)
			}
			began = true
			return acceptLogin(h)
		})
		if when == "before" {
			wants(t, "StartSession after the app was confirmed", err, jeton.ErrFactor)
		} else {
			wants(t, "StartSession", err, nil)
		}

		if when == "after" {
			confirm()
		}
		confirmed.Wait()
		same(t, "sessions with an app confirmed "+when, ids(t, s, session.Which{User: u.Name}, 9), []string{})
	}
}

// loginAgainstFactor starts sessions of one factor while an authenticator app is confirmed. In any order none is left.
func loginAgainstFactor(t *testing.T, s Store) {
	for round := range 10 {
		u := user(t, s, fmt.Sprint("diane", round))
		waitingApp(t, s, u, fmt.Sprint("f_", round))

		var wg sync.WaitGroup
		for i := range 6 {
			wg.Go(func() {
				err := s.StartSession(t.Context(), newLogin(u, "issuer", fmt.Sprint(u.Name, i), noon), acceptLogin)
				if err != nil && !errors.Is(err, jeton.ErrFactor) {
					t.Errorf("StartSession: %v", err)
				}
			})
			if i == round%6 {
				wg.Go(func() {
					if err := confirmApp(t, s, u, fmt.Sprint("f_", round)); err != nil {
						t.Errorf("ConfirmFactor: %v", err)
					}
				})
			}
		}
		wg.Wait()

		same(t, "sessions after the app was confirmed", ids(t, s, session.Which{User: u.Name}, 9), []string{})
	}
}

// secondFactorStarts checks which sessions a user with an authenticator app, or without any factor, can have, and that
// other factors need no second one.
func secondFactorStarts(t *testing.T, s Store) {
	diane, ben := user(t, s, "diane"), user(t, s, "ben")
	addFactor(t, s, newFactor(diane, factor.TOTP, "f_1"))
	addFactor(t, s, newFactor(ben, factor.Passkey, "f_2"))
	waitingApp(t, s, ben, "f_3")

	err := s.StartSession(t.Context(), newLogin(diane, "issuer", "one", noon), acceptLogin)
	wants(t, "one factor", err, jeton.ErrFactor)

	in := newLogin(diane, "issuer", "two", noon)
	in.Second = true
	top := started(t, s, in)
	started(t, s, childLogin(top, diane, "shop", "child"))
	started(t, s, newLogin(ben, "issuer", "passkey", noon))

	// A reset ends the sessions after its own step: a sign-in that had shown the passkey before may not start one
	// since.
	_, err = s.RemoveFactors(t.Context(), ben.ID, factor.Which{All: true}, nil)
	wants(t, "RemoveFactors", err, nil)
	in = newLogin(ben, "issuer", "removed", noon)
	in.Second = true
	err = s.StartSession(t.Context(), in, acceptLogin)
	wants(t, "a factor that was removed", err, jeton.ErrBadCredential)
}

// mintByPassword is a signed token that is not stored, for a user whom a password alone has proved.
func mintByPassword(u account.Account, text string) token.Mint {
	m := mint(client.Client{}, text)
	m.Keep, m.Format, m.MaxUses = false, policy.JWT, policy.Unlimited
	m.Owner = token.UserOwner(u)
	m.Owner.OneFactor = true
	m.Event.Target = "user:" + u.Name

	return m
}

// mintAgainstFactor mints tokens for a password alone while an authenticator app is confirmed. In the audit log, none
// was issued after the app was added.
func mintAgainstFactor(t *testing.T, s Store) {
	for round := range 10 {
		u := user(t, s, fmt.Sprint("diane", round))
		waitingApp(t, s, u, fmt.Sprint("f_", round))

		var wg sync.WaitGroup
		for i := range 6 {
			wg.Go(func() {
				err := s.MintToken(t.Context(), mintByPassword(u, fmt.Sprint(u.Name, i)))
				if err != nil && !errors.Is(err, jeton.ErrFactor) {
					t.Errorf("MintToken: %v", err)
				}
			})
			if i == round%6 {
				wg.Go(func() {
					if err := confirmApp(t, s, u, fmt.Sprint("f_", round)); err != nil {
						t.Errorf("ConfirmFactor: %v", err)
					}
				})
			}
		}
		wg.Wait()

		err := s.MintToken(t.Context(), mintByPassword(u, u.Name+"-late"))
		wants(t, "MintToken after the app was confirmed", err, jeton.ErrFactor)

		events := []string{}
		for _, line := range auditLog(t, s) {
			if strings.HasSuffix(line, " user:"+u.Name) && !strings.HasPrefix(line, audit.UserAdd) {
				events = append(events, line)
			}
		}
		if last := events[len(events)-1]; last != audit.FactorAdd+" user:"+u.Name {
			t.Errorf("round %d: the last event is %q, want that of the app", round, last)
		}
	}

	// Who shows the app, too, gets one.
	u := user(t, s, "ben")
	addFactor(t, s, newFactor(u, factor.TOTP, "f_ben"))
	m := mintByPassword(u, "ben")
	m.Owner.OneFactor = false
	must(t, s.MintToken(t.Context(), m))
}

// endedSignInConfirmsNoFactor confirms an app with the ticket of a sign-in that was taken or revoked.
func endedSignInConfirmsNoFactor(t *testing.T, s Store) {
	diane, ben := user(t, s, "diane"), user(t, s, "ben")
	waitingApp(t, s, diane, "f_app")
	must(t, s.StartSession(t.Context(), newLogin(diane, "shop", "one", noon), acceptLogin))
	awaits := func(name string, u account.Account) secret.Hash {
		in := newTicket(ticket.Factor)
		in.Subject = u.ID
		return added(t, s, name, in)
	}

	taken, revoked := awaits("taken", diane), awaits("revoked", diane)
	_, err := s.TakeTicket(t.Context(), ticket.Factor, taken, noon)
	must(t, err)
	must(t, s.RevokeTicket(t.Context(), ticket.Factor, revoked))

	ev := event(audit.FactorAdd, "user:diane")
	confirm := func(h secret.Hash) error {
		u := confirming(diane, "f_app", "")
		u.Ticket = h
		return s.ConfirmFactor(t.Context(), u, noon.Add(-time.Hour), &ev)
	}

	events := len(auditLog(t, s))
	wants(t, "a ticket that was taken", confirm(taken), jeton.ErrExpired)
	wants(t, "a ticket that was revoked", confirm(revoked), jeton.ErrExpired)
	wants(t, "a ticket of another user", confirm(awaits("of ben", ben)), jeton.ErrExpired)
	same(t, "new events", len(auditLog(t, s))-events, 0)
	same(t, "sessions", ids(t, s, session.Which{User: "diane"}, 9), []string{"s_one"})

	wants(t, "a ticket that waits", confirm(awaits("open", diane)), nil)
}
