package storetest

import (
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
	"github.com/jeton-auth/jeton/internal/session"
)

// mixedLoad is what a server does on a bad day, with every use, login and end counted.
func mixedLoad(t *testing.T, s Store) {
	const users, most = 4, 40
	b := budget(t, s, "*", most)
	var mu sync.Mutex

	logins := map[int64]*atomic.Int64{} // uses that were granted, by login
	var known []session.Record

	pick := func() session.Record {
		mu.Lock()
		defer mu.Unlock()

		if len(known) == 0 {
			return session.Record{}
		}

		return known[rand.IntN(len(known))]
	}

	for i := range users {
		user(t, s, fmt.Sprint("user", i))
	}

	allowed := func(what string, err error, outcomes ...error) {
		for _, o := range outcomes {
			if errors.Is(err, o) {
				return
			}
		}

		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}

	var wg sync.WaitGroup
	for g := range 64 {
		wg.Go(func() {
			ctx := t.Context()
			for i := range 30 {
				name := fmt.Sprint("user", rand.IntN(users))
				r := pick()

				switch rand.IntN(16) {
				case 0, 1:
					u, err := s.FindUser(ctx, name)
					allowed("FindUser", err, jeton.ErrNotFound)
					in := newLogin(u, "shop", fmt.Sprint(g, " ", i), noon)
					err = s.StartSession(ctx, in, acceptLogin)
					allowed("StartSession", err, jeton.ErrBadCredential)

					r, err := s.FindSession(ctx, in.Hash)
					allowed("FindSession", err, jeton.ErrNotFound)

					if err == nil {
						mu.Lock()

						if logins[r.Login] != nil {
							t.Errorf("login %d was given twice", r.Login)
						}

						logins[r.Login] = new(atomic.Int64)
						known = append(known, r)
						mu.Unlock()
					}
				case 2:
					_, err := s.EndSessions(ctx, session.Which{ID: r.ID}, event(audit.Logout, r.ID))
					allowed("EndSessions", err)
				case 3:
					pw := fmt.Sprint(g, i)
					err := s.ChangeUser(ctx, name, account.Change{
						Password: &pw,
					}, noon, event(audit.UserPassword, name))
					allowed("ChangeUser", err, jeton.ErrNotFound)
				case 4:
					err := s.RemoveUser(ctx, name, event(audit.UserRemove, name))
					allowed("RemoveUser", err, jeton.ErrNotFound)

					err = s.AddUser(ctx, account.Account{
						Name:    name,
						Folded:  name,
						Version: 1,
					}, event(audit.UserAdd, name))

					allowed("AddUser", err, jeton.ErrConflict)
				case 5:
					_, err := s.FindSession(ctx, r.Hash)
					allowed("FindSession", err, jeton.ErrNotFound)
					_, err = s.ListSessions(ctx, session.Which{User: name}, 10)
					allowed("ListSessions", err)
				case 6:
					allowed("TouchSessions", s.TouchSessions(ctx, map[int64]time.Time{r.Login: noon.Add(time.Second)}))
					allowed("Append", s.Append(ctx, []jeton.Event{event(audit.Request, "")}))
				case 7:
					_, err := s.SweepSessions(ctx, noon.Add(-time.Hour), 10)
					allowed("SweepSessions", err)
					_, err = s.Events(ctx, audit.Filter{Last: 10})
					allowed("Events", err)
				default:
					left, err := s.Spend(ctx, sessionUse(r, b))
					allowed("Spend", err, jeton.ErrSpent, jeton.ErrBadCredential)

					if err == nil {
						mu.Lock()
						n := logins[r.Login].Add(1)
						mu.Unlock()

						if n > most || left[0] < 0 || left[0] >= most {
							t.Errorf("use number %d of %d was granted, with %d left", n, most, left[0])
						}
					}
				}
			}
		})
	}

	wg.Wait()
	list, err := s.ListSessions(t.Context(), session.Which{}, 10_000)
	must(t, err)

	for _, r := range list {
		left, err := s.Left(t.Context(), sessionUse(r, b))
		must(t, err)
		granted := logins[r.Login].Load()
		if left[0] != most-granted {
			t.Errorf("login %d has %d left after %d uses of %d", r.Login, left[0], granted, most)
		}
	}
}
