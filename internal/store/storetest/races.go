package storetest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"jeton"
	"jeton/internal/account"
	"jeton/internal/audit"
	"jeton/internal/policy"
	"jeton/internal/session"
)

// Races checks what holds when everything happens at once. Run it with the race detector.
func Races(t *testing.T, open Open) {
	each(t, open, []test{
		{"no session outlives the change of what it was proved by", loginAgainstChange},
		{"once an end has been answered no use is granted", endAgainstUse},
		{"of logins at the same time no more come through than the judge allows", loginAgainstLogin},
		{"an end finds every login that was answered before it", endAgainstLogin},
		{"sixty-four goroutines do everything", everything},
	})
}

// loginAgainstChange has logins that were proved by the old credential race with its
// change. Whichever comes first, afterwards no session of theirs is left.
func loginAgainstChange(t *testing.T, s Store) {
	yes := true
	for name, change := range map[string]func(name string) error{
		"password": func(name string) error {
			pw := "new"
			_, err := s.ChangeUser(t.Context(), name, account.Change{Password: &pw}, noon, event(audit.UserPassword, name))
			return err
		},
		"disabled": func(name string) error {
			_, err := s.ChangeUser(t.Context(), name, account.Change{Disabled: &yes}, noon, event(audit.UserChange, name))
			return err
		},
		"removed": func(name string) error {
			_, err := s.RemoveUser(t.Context(), name, event(audit.UserRemove, name))
			return err
		},
	} {
		for round := range 15 {
			u := user(t, s, fmt.Sprint(name, round))
			var wg sync.WaitGroup
			for i := range 6 {
				wg.Go(func() {
					_, _, err := s.StartSession(t.Context(), at(u, "shop", fmt.Sprint(u.Name, i), noon), agree)
					if err != nil && !errors.Is(err, jeton.ErrBadCredential) {
						t.Errorf("StartSession: %v", err)
					}
				})
				if i == round%6 {
					wg.Go(func() {
						if err := change(u.Name); err != nil {
							t.Errorf("change: %v", err)
						}
					})
				}
			}
			wg.Wait()
			for i := range 6 {
				gone(t, s, fmt.Sprint(u.Name, i))
			}
			if left := ids(t, s, session.Which{User: u.Name}, 10); len(left) > 0 {
				t.Fatalf("%s: the sessions %v have outlived the change", name, left)
			}
		}
	}
}

func endAgainstUse(t *testing.T, s Store) {
	u := user(t, s, "diane")
	b := budget(t, s, "*", 1<<40)
	for round := range 20 {
		r := started(t, s, at(u, "shop", fmt.Sprint(round), noon))
		var ended, refused atomic.Bool
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for !refused.Load() && !t.Failed() {
					late := ended.Load()
					switch _, err := s.Spend(t.Context(), use(r, b)); {
					case err == nil && late:
						t.Error("a use was granted after the end had been answered")
					case errors.Is(err, jeton.ErrBadCredential):
						refused.Store(true)
					case err != nil:
						t.Errorf("Spend: %v", err)
					}
				}
			})
		}
		got, err := s.EndSessions(t.Context(), session.Which{ID: r.ID}, event(audit.Logout, r.ID))
		ended.Store(true)
		wg.Wait()
		if err != nil || len(got) != 1 {
			t.Errorf("EndSessions = %d hashes, %v", len(got), err)
		}
	}
}

func loginAgainstLogin(t *testing.T, s Store) {
	u := user(t, s, "diane")
	for round := range 10 {
		service := fmt.Sprint("service", round)
		var won atomic.Int64
		var wg sync.WaitGroup
		for i := range 12 {
			wg.Go(func() {
				_, _, err := s.StartSession(t.Context(), at(u, service, fmt.Sprint(round, " ", i), noon), func(h policy.History) ([]int64, error) {
					if len(h.Logins) != len(h.Open) {
						t.Errorf("the judge saw %d logins and %d sessions", len(h.Logins), len(h.Open))
					}
					if len(h.Open) >= 3 {
						return nil, jeton.ErrSessionsFull
					}
					return nil, nil
				})
				if err == nil {
					won.Add(1)
				} else if !errors.Is(err, jeton.ErrSessionsFull) {
					t.Errorf("StartSession: %v", err)
				}
			})
		}
		wg.Wait()
		if won.Load() != 3 {
			t.Errorf("%d logins came through, want 3", won.Load())
		}
	}
}

func endAgainstLogin(t *testing.T, s Store) {
	u := user(t, s, "diane")
	for round := range 10 {
		service := fmt.Sprint("service", round)
		var mu sync.Mutex
		var before []string // answered before the end was asked for
		asked := false
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				secret := fmt.Sprint(round, " ", i)
				if _, _, err := s.StartSession(t.Context(), at(u, service, secret, noon), agree); err != nil {
					t.Errorf("StartSession: %v", err)
				}
				mu.Lock()
				defer mu.Unlock()
				if !asked {
					before = append(before, secret)
				}
			})
		}
		for range round {
			time.Sleep(200 * time.Microsecond) // only to have the end fall at different places
		}
		mu.Lock()
		asked = true
		mu.Unlock()
		_, err := s.EndSessions(t.Context(), session.Which{User: "diane", Service: service}, event(audit.LogoutAll, service))
		must(t, err)
		gone(t, s, before...)
		wg.Wait()
	}
}

// everything is what a server does on a bad day, with every use, login and end counted.
func everything(t *testing.T, s Store) {
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
					in := at(u, "shop", fmt.Sprint(g, " ", i), noon)
					login, _, err := s.StartSession(ctx, in, agree)
					allowed("StartSession", err, jeton.ErrBadCredential)
					if err == nil {
						in.Login = login
						mu.Lock()
						if logins[login] != nil {
							t.Errorf("login %d was given twice", login)
						}
						logins[login] = new(atomic.Int64)
						known = append(known, in.Record)
						mu.Unlock()
					}
				case 2:
					_, err := s.EndSessions(ctx, session.Which{ID: r.ID}, event(audit.Logout, r.ID))
					allowed("EndSessions", err)
				case 3:
					pw := fmt.Sprint(g, i)
					_, err := s.ChangeUser(ctx, name, account.Change{Password: &pw}, noon, event(audit.UserPassword, name))
					allowed("ChangeUser", err, jeton.ErrNotFound)
				case 4:
					_, err := s.RemoveUser(ctx, name, event(audit.UserRemove, name))
					allowed("RemoveUser", err, jeton.ErrNotFound)
					err = s.AddUser(ctx, account.Account{Name: name, Folded: name, Version: 1}, event(audit.UserAdd, name))
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
					left, err := s.Spend(ctx, use(r, b))
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
		left, err := s.Left(t.Context(), use(r, b))
		must(t, err)
		if granted := logins[r.Login].Load(); left[0] != most-granted {
			t.Errorf("login %d has %d left after %d uses of %d", r.Login, left[0], granted, most)
		}
	}
}
