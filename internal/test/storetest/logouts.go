package storetest

import (
	"sync"
	"testing"
	"time"

	"github.com/jeton-auth/jeton/internal/account"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/openid"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/session"
)

// Logouts is the contract of openid.LogoutStore.
func Logouts(t *testing.T, open Open) {
	t.Run("what ends a sign-in session makes its logouts due", func(t *testing.T) { endingForClients(t, open) })
	each(t, open, []test{
		{"a logout is claimed once, and is due again after its time", claimingLogouts},
		{"a logout of a client to skip stays due", skippingLogouts},
		{"of many claims at once, one gets a logout", racingLogouts},
		{"an expired session leaves nothing", expiredLeavesNothing},
		{"a removed client leaves nothing", removedClientLeavesNothing},
	})
}

// again is how long a claimed logout is not due, in these tests.
func again(tries int) time.Duration { return time.Duration(tries) * time.Minute }

// claimed claims what is due at a time.
func claimed(t *testing.T, s Store, now time.Time) []openid.Logout {
	t.Helper()
	list, err := s.ClaimLogouts(t.Context(), now, 10, nil, again)
	must(t, err)

	return list
}

// signOut ends the sign-in session of newGranting.
func signOut(t *testing.T, s Store) {
	t.Helper()
	_, err := s.EndSessions(t.Context(), session.Which{ID: "s_top", Family: true}, event(audit.Logout, ""))
	must(t, err)
}

func endingForClients(t *testing.T, open Open) {
	disabled, hash := true, "another"
	step := event(audit.UserChange, "user:diane")

	for _, tc := range []struct {
		name string
		end  func(t *testing.T, s Store, g granting)
		want int
	}{
		{"nothing", func(*testing.T, Store, granting) {}, 0},
		{"a sign-out", func(t *testing.T, s Store, _ granting) {
			t.Helper()
			signOut(t, s)
		}, 1},
		{"the end of all sessions of the user", func(t *testing.T, s Store, _ granting) {
			t.Helper()
			_, err := s.EndSessions(t.Context(), session.Which{User: "diane"}, event(audit.LogoutAll, ""))
			must(t, err)
		}, 1},
		{"another sign-in that replaces it", func(t *testing.T, s Store, g granting) {
			t.Helper()
			in := newLogin(g.user, "issuer", "next", noon)
			must(t, s.StartSession(t.Context(), in, func(policy.History) ([]int64, error) {
				return []int64{g.session.Login}, nil
			}))
		}, 1},
		{"the user is disabled", func(t *testing.T, s Store, _ granting) {
			t.Helper()
			must(t, s.ChangeUser(t.Context(), "diane", account.Change{Disabled: &disabled}, noon, step))
		}, 1},
		{"another password", func(t *testing.T, s Store, _ granting) {
			t.Helper()
			must(t, s.ChangeUser(t.Context(), "diane", account.Change{Password: &hash}, noon, step))
		}, 1},
		{"the user is removed", func(t *testing.T, s Store, _ granting) {
			t.Helper()
			must(t, s.RemoveUser(t.Context(), "diane", false, step))
		}, 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := open(t)
			g := newGranting(t, s)
			g.grant.Subject = "d-1"
			must(t, g.add(t, s))
			tc.end(t, s, g)

			list := claimed(t, s, noon)
			if len(list) != tc.want {
				t.Fatalf("got %+v, want %d logouts", list, tc.want)
			}

			for _, got := range list {
				want := openid.Logout{
					Login:    g.session.Login,
					ClientID: g.client.ID,
					Client:   "wiki",
					Session:  "s_top",
					Subject:  "d-1",
					Tries:    1,
				}
				if got != want {
					t.Errorf("got %+v, want %+v", got, want)
				}
			}
		})
	}
}

func claimingLogouts(t *testing.T, s Store) {
	must(t, newGranting(t, s).add(t, s))
	if _, waiting, err := s.NextLogout(t.Context()); waiting || err != nil {
		t.Errorf("before the end: waiting %t, %v, want nothing", waiting, err)
	}

	signOut(t, s)
	if at, waiting, err := s.NextLogout(t.Context()); !waiting || at.After(noon) || err != nil {
		t.Errorf("after the end: due at %v, %t, %v, want at once", at, waiting, err)
	}

	first := claimed(t, s, noon)
	if early := claimed(t, s, noon.Add(time.Minute-time.Millisecond)); len(first) != 1 || len(early) != 0 {
		t.Fatalf("got %v, then %v within the minute, want one logout once", first, early)
	}
	if at, _, err := s.NextLogout(t.Context()); !at.Equal(noon.Add(time.Minute)) || err != nil {
		t.Errorf("after a try: due at %v, %v, want %v", at, err, noon.Add(time.Minute))
	}

	second := claimed(t, s, noon.Add(time.Minute))
	if len(second) != 1 || second[0].Tries != 2 {
		t.Fatalf("got %v a minute later, want the second try", second)
	}

	must(t, s.DropLogout(t.Context(), second[0]))
	if _, waiting, err := s.NextLogout(t.Context()); waiting || err != nil {
		t.Errorf("after it was dropped: waiting %t, %v, want nothing", waiting, err)
	}
}

func skippingLogouts(t *testing.T, s Store) {
	g := newGranting(t, s)
	must(t, g.add(t, s))
	signOut(t, s)

	for _, tc := range []struct {
		name string
		skip []int64
		want int
	}{
		{"the client itself and another", []int64{g.client.ID + 1, g.client.ID}, 0},
		{"another", []int64{g.client.ID + 1}, 1},
	} {
		list, err := s.ClaimLogouts(t.Context(), noon, 10, tc.skip, again)
		if len(list) != tc.want || err != nil {
			t.Errorf("skipping %s: got %v, %v, want %d logouts", tc.name, list, err, tc.want)
		}
	}
}

func racingLogouts(t *testing.T, s Store) {
	must(t, newGranting(t, s).add(t, s))
	signOut(t, s)

	var mu sync.Mutex
	var all []openid.Logout
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			list, err := s.ClaimLogouts(t.Context(), noon, 10, nil, again)
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			all = append(all, list...)
		})
	}
	wg.Wait()

	if len(all) != 1 {
		t.Errorf("8 claims at once got %v, want one logout", all)
	}
}

func expiredLeavesNothing(t *testing.T, s Store) {
	g := newGranting(t, s)
	must(t, g.add(t, s))
	_, err := s.SweepSessions(t.Context(), g.session.Expires.Add(time.Second), 10)
	must(t, err)

	if list := claimed(t, s, noon); len(list) != 0 {
		t.Errorf("got %v, want nothing", list)
	}
}

func removedClientLeavesNothing(t *testing.T, s Store) {
	must(t, newGranting(t, s).add(t, s))
	signOut(t, s)
	must(t, s.RemoveClient(t.Context(), "wiki", stepOf(audit.ClientRemove, "client:wiki")))

	if _, waiting, err := s.NextLogout(t.Context()); waiting || err != nil {
		t.Errorf("waiting %t, %v, want nothing", waiting, err)
	}
}
