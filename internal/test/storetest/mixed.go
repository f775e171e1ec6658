package storetest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/account"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/session"
)

const (
	mixedUsers      = 4
	mixedLimit      = 40 // uses of each session
	mixedGoroutines = 64
	mixedRounds     = 30 // of each goroutine
)

// mixed calls most methods of a store at random and counts the uses that it grants.
type mixed struct {
	t      *testing.T
	store  Store
	budget policy.Budget

	mu     sync.Mutex
	logins map[int64]*atomic.Int64 // granted uses, by login
	known  []session.Record
}

// mixedLoad checks that concurrent calls of all kinds leave every count exact.
func mixedLoad(t *testing.T, s Store) {
	m := &mixed{
		t:      t,
		store:  s,
		budget: budget(t, s, "*", mixedLimit),
		logins: map[int64]*atomic.Int64{},
	}

	for i := range mixedUsers {
		user(t, s, fmt.Sprint("user", i))
	}

	var wg sync.WaitGroup
	for g := range mixedGoroutines {
		wg.Go(func() {
			for i := range mixedRounds {
				m.call(t.Context(), fmt.Sprint(g, " ", i))
			}
		})
	}

	wg.Wait()
	m.checkLeft()
}

// call makes one random call. The text is unique; it becomes a secret or a password.
func (m *mixed) call(ctx context.Context, text string) {
	name := fmt.Sprint("user", rand.IntN(mixedUsers))
	r := m.pick()

	switch rand.IntN(16) {
	case 0, 1:
		m.login(ctx, name, text)
	case 2:
		_, err := m.store.EndSessions(ctx, session.Which{ID: r.ID}, event(audit.Logout, r.ID))
		m.allow("EndSessions", err)
	case 3:
		change := account.Change{Password: &text}
		err := m.store.ChangeUser(ctx, name, change, noon, event(audit.UserPassword, name))
		m.allow("ChangeUser", err, jeton.ErrNotFound)
	case 4:
		m.replaceUser(ctx, name)
	case 5:
		_, err := m.store.FindSession(ctx, r.Hash)
		m.allow("FindSession", err, jeton.ErrNotFound)
		_, err = m.store.ListSessions(ctx, session.Which{User: name}, 10)
		m.allow("ListSessions", err)
	case 6:
		used := map[int64]time.Time{r.Login: noon.Add(time.Second)}
		m.allow("TouchSessions", m.store.TouchSessions(ctx, used))
		m.allow("Append", m.store.Append(ctx, []jeton.Event{event(audit.Request, "")}))
	case 7:
		_, err := m.store.SweepSessions(ctx, noon.Add(-time.Hour), 10)
		m.allow("SweepSessions", err)
		_, err = m.store.Events(ctx, audit.Filter{Last: 10})
		m.allow("Events", err)
	default:
		m.spend(ctx, r)
	}
}

// pick returns one of the sessions, or an empty one when there is none yet.
func (m *mixed) pick() session.Record {
	m.mu.Lock()
	defer m.mu.Unlock()

	if len(m.known) == 0 {
		return session.Record{}
	}

	return m.known[rand.IntN(len(m.known))]
}

// allow reports an error that is none of the outcomes.
func (m *mixed) allow(what string, err error, outcomes ...error) {
	for _, o := range outcomes {
		if errors.Is(err, o) {
			return
		}
	}

	if err != nil {
		m.t.Errorf("%s: %v", what, err)
	}
}

// login starts a session, if the user is there at the moment.
func (m *mixed) login(ctx context.Context, name, text string) {
	u, err := m.store.FindUser(ctx, name)
	// An unknown user has the number 0, for which StartSession returns ErrBadCredential.
	m.allow("FindUser", err, jeton.ErrNotFound)

	in := newLogin(u, "shop", text, noon)
	err = m.store.StartSession(ctx, in, acceptLogin)
	m.allow("StartSession", err, jeton.ErrBadCredential)

	r, err := m.store.FindSession(ctx, in.Hash)
	m.allow("FindSession", err, jeton.ErrNotFound)
	if err != nil {
		return
	}

	m.mu.Lock()
	defer m.mu.Unlock()

	if m.logins[r.Login] != nil {
		m.t.Errorf("login = %d, want a number that was not used", r.Login)
	}

	m.logins[r.Login] = new(atomic.Int64)
	m.known = append(m.known, r)
}

// replaceUser removes a user and adds one of the same name. Another goroutine may have done
// either.
func (m *mixed) replaceUser(ctx context.Context, name string) {
	err := m.store.RemoveUser(ctx, name, false, event(audit.UserRemove, name))
	m.allow("RemoveUser", err, jeton.ErrNotFound)

	a := account.Account{Name: name, Folded: name, Version: 1}
	err = m.store.AddUser(ctx, a, event(audit.UserAdd, name))
	m.allow("AddUser", err, jeton.ErrConflict)
}

// spend takes a use and checks the running count: a use over the limit is noticed at once,
// not at the end.
func (m *mixed) spend(ctx context.Context, r session.Record) {
	left, err := m.store.Spend(ctx, sessionUse(r, m.budget))
	m.allow("Spend", err, jeton.ErrSpent, jeton.ErrBadCredential)
	if err != nil {
		return
	}

	m.mu.Lock()
	n := m.logins[r.Login].Add(1)
	m.mu.Unlock()

	if n > mixedLimit || left[0] < 0 || left[0] >= mixedLimit {
		m.t.Errorf("use number %d of %d was granted, with %d left", n, mixedLimit, left[0])
	}
}

// checkLeft compares the counts of the sessions that are left with the granted uses.
func (m *mixed) checkLeft() {
	m.t.Helper()

	list, err := m.store.ListSessions(m.t.Context(), session.Which{}, 10_000)
	must(m.t, err)

	for _, r := range list {
		left, err := m.store.Left(m.t.Context(), sessionUse(r, m.budget))
		must(m.t, err)

		want := mixedLimit - m.logins[r.Login].Load()
		if left[0] != want {
			m.t.Errorf("Left of login %d = %d, want %d", r.Login, left[0], want)
		}
	}
}
