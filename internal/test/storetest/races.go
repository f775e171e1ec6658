package storetest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/account"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/secret"
	"github.com/jeton-auth/jeton/internal/session"
	"github.com/jeton-auth/jeton/internal/token"
)

// Races checks what holds for concurrent calls. Run it with the race detector.
func Races(t *testing.T, open Open) {
	each(t, open, []test{
		{"no session outlives the change of its credential", loginAgainstChange},
		{"no session of one factor outlives the adding of an app", loginAgainstFactor},
		{"no token for a password alone is issued after the adding of an app", mintAgainstFactor},
		{"an app that is confirmed at any moment of a start leaves no session", startAgainstFactor},
		{"of the ways in which a user can sign in, one stays", lastWayAtOnce},
		{"after an end has returned, no use is granted", endAgainstUse},
		{"of concurrent logins, no more succeed than the decision allows", loginAgainstLogin},
		{"an end finds every login that returned before it", endAgainstLogin},
		{"no child outlives its parent or the disabling of its owner", childAgainstEnd},
		{"of a sign-in session that ends while children start, none is left", startAgainstEndOfParent},
		{"of sixty-four concurrent takes of a ticket, one succeeds", ticketAtOnce},
		{"of concurrent adds with one name, one succeeds", namesAtOnce},
		{"revocations are never listed before an earlier one", revokedInOrder},
		{"reading the audit log page by page misses no event", pagesMissNothing},
		{"uses that a token shares with its children, sixty callers", usesAreShared},
		{"sixty-four goroutines under mixed load", mixedLoad},
	})
}

// loginAgainstChange starts sessions with the old credential while it changes. In any order,
// no session of the old credential is left afterwards.
func loginAgainstChange(t *testing.T, s Store) {
	yes := true
	for name, change := range map[string]func(name string) error{
		"password": func(name string) error {
			pw := "new"
			err := s.ChangeUser(t.Context(), name, account.Change{
				Password: &pw,
			}, noon, event(audit.UserPassword, name))
			return err
		},
		"disabled": func(name string) error {
			err := s.ChangeUser(t.Context(), name, account.Change{
				Disabled: &yes,
			}, noon, event(audit.UserChange, name))
			return err
		},
		"removed": func(name string) error {
			err := s.RemoveUser(t.Context(), name, false, event(audit.UserRemove, name))
			return err
		},
	} {
		for round := range 15 {
			u := user(t, s, fmt.Sprint(name, round))
			var wg sync.WaitGroup
			for i := range 6 {
				wg.Go(func() {
					err := s.StartSession(t.Context(), newLogin(u, "shop", fmt.Sprint(u.Name, i), noon), acceptLogin)
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
				noSessions(t, s, fmt.Sprint(u.Name, i))
			}

			left := ids(t, s, session.Which{User: u.Name}, 10)
			if len(left) > 0 {
				t.Fatalf("%s: sessions after the change = %v, want none", name, left)
			}
		}
	}
}

// endAgainstUse spends while the session ends: after the end was answered, no use is
// granted.
func endAgainstUse(t *testing.T, s Store) {
	u := user(t, s, "diane")
	b := budget(t, s, "*", 1<<40)
	for round := range 20 {
		r := started(t, s, newLogin(u, "shop", fmt.Sprint(round), noon))
		var ended, refused atomic.Bool
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for !refused.Load() && !t.Failed() {
					// Read before the call: only a use that began after the end was
					// answered is too late.
					late := ended.Load()
					switch _, err := s.Spend(t.Context(), sessionUse(r, b)); {
					case err == nil && late:
						t.Error("a use was granted after the end had returned")
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

		if err != nil || got != 1 {
			t.Errorf("EndSessions = %d, %v, want 1", got, err)
		}
	}
}

// loginAgainstLogin logs in many times at once where three sessions are allowed. Decisions
// on the same user must not run side by side.
func loginAgainstLogin(t *testing.T, s Store) {
	u := user(t, s, "diane")
	for round := range 10 {
		service := fmt.Sprint("service", round)
		var won atomic.Int64
		var wg sync.WaitGroup
		for i := range 12 {
			wg.Go(func() {
				err := s.StartSession(t.Context(), newLogin(
					u, service, fmt.Sprint(round, " ", i), noon,
				), func(h policy.History) ([]int64, error) {
					// No session ends here, so each login of the history still has its
					// session.
					if len(h.Logins) != len(h.Open) {
						t.Errorf("history has %d logins and %d sessions, want as many", len(h.Logins), len(h.Open))
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
			t.Errorf("%d logins succeeded, want 3", won.Load())
		}
	}
}

// endAgainstLogin ends all sessions while some start. Those that were answered before the
// end was requested must be gone; the others may stay.
func endAgainstLogin(t *testing.T, s Store) {
	u := user(t, s, "diane")
	for round := range 10 {
		service := fmt.Sprint("service", round)
		var mu sync.Mutex
		var before []string // logins that returned before the end was requested

		asked := false
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				secret := fmt.Sprint(round, " ", i)
				if err := s.StartSession(t.Context(), newLogin(u, service, secret, noon), acceptLogin); err != nil {
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
			time.Sleep(200 * time.Microsecond) // moves the end to different places
		}

		mu.Lock()
		asked = true
		mu.Unlock()

		_, err := s.EndSessions(t.Context(), session.Which{
			User:    "diane",
			Service: service,
		}, event(audit.LogoutAll, service))

		must(t, err)

		noSessions(t, s, before...)
		wg.Wait()
	}
}

// childAgainstEnd mints children of a personal token while it ends.
func childAgainstEnd(t *testing.T, s Store) {
	yes := true
	for name, finish := range map[string]func(u account.Account, parent token.Record) error{
		"revoked": func(_ account.Account, parent token.Record) error {
			err := s.EndTokens(t.Context(), token.Which{
				Accessor: parent.Accessor,
			}, nil, event(audit.TokenRevoke, parent.Accessor))
			return err
		},
		"disabled": func(u account.Account, _ token.Record) error {
			err := s.ChangeUser(t.Context(), u.Name, account.Change{
				Disabled: &yes,
			}, noon, event(audit.UserChange, u.Name))
			return err
		},
		"removed": func(u account.Account, _ token.Record) error {
			err := s.RemoveUser(t.Context(), u.Name, false, event(audit.UserRemove, u.Name))
			return err
		},
	} {
		for round := range 10 {
			u := user(t, s, fmt.Sprint(name, round))
			parent := minted(t, s, personal(u, u.Name+" parent", 0))
			var wg sync.WaitGroup
			for i := range 6 {
				wg.Go(func() {
					err := s.MintToken(t.Context(), childOf(parent, personal(u, fmt.Sprint(u.Name, i), parent.Number)))
					if err != nil && !errors.Is(err, jeton.ErrBadCredential) {
						t.Errorf("MintToken: %v", err)
					}
				})

				if i == round%6 {
					wg.Go(func() {
						if err := finish(u, parent); err != nil {
							t.Errorf("%s: %v", name, err)
						}
					})
				}
			}

			wg.Wait()

			for i := range 6 {
				noToken(t, s, fmt.Sprint(u.Name, i))
			}

			noToken(t, s, u.Name+" parent")
			left, err := s.ListTokens(t.Context(), token.Which{User: u.Name}, 10)
			if err == nil && len(left) > 0 {
				t.Errorf("%s: %d tokens are left, want none", name, len(left))
			}
		}
	}
}

// namesAtOnce adds users and clients of one name, in any case of its letters, at once.
func namesAtOnce(t *testing.T, s Store) {
	for round := range 10 {
		name := fmt.Sprint("name", round)
		var won, lost atomic.Int64
		var wg sync.WaitGroup
		for i := range 6 {
			shown := []string{name, strings.ToUpper(name)}[i%2]
			wg.Go(func() {
				var err error
				if i%3 == 0 {
					err = s.AddClient(t.Context(), newClient(t, shown), event(audit.ClientAdd, shown))
				} else {
					err = s.AddUser(t.Context(), account.Account{
						Name:    shown,
						Folded:  name,
						Version: 1,
					}, event(audit.UserAdd, shown))
				}

				switch {
				case err == nil:
					won.Add(1)
				case errors.Is(err, jeton.ErrConflict):
					lost.Add(1)
				default:
					t.Errorf("add %s: %v", shown, err)
				}
			})
		}

		wg.Wait()
		if won.Load() != 1 {
			t.Errorf("%d adds of one name succeeded and %d were refused, want 1 success", won.Load(), lost.Load())
		}
	}
}

// revokedInOrder reads on from the last revocation while others are added, and must get all
// of them.
func revokedInOrder(t *testing.T, s Store) {
	const writers, lines = 6, 15
	var writing atomic.Int64
	writing.Store(writers)
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			defer writing.Add(-1)

			for i := range lines {
				void := &token.Void{Hash: secret.HashOf(fmt.Sprint(w, " ", i)), Until: noon.Add(time.Hour)}
				if err := s.EndTokens(t.Context(), token.Which{}, void, event(audit.TokenRevoke, "x")); err != nil {
					t.Errorf("EndTokens: %v", err)
				}
			}
		})
	}

	seen := map[secret.Hash]bool{}
	for after, last := int64(0), false; ; {
		list, err := s.ListVoid(t.Context(), after, noon, 7)
		must(t, err)

		for _, v := range list {
			after, seen[v.Hash] = v.Seq, true
		}

		if len(list) == 0 {
			if last {
				break
			}
			last = writing.Load() == 0
		}
	}

	wg.Wait()
	if len(seen) != writers*lines {
		t.Errorf("read %d revocations, want %d", len(seen), writers*lines)
	}
}

// pagesMissNothing reads on from the last event while others are added, whose times are in no
// order.
func pagesMissNothing(t *testing.T, s Store) {
	const writers, rounds, each = 6, 12, 3
	var writing atomic.Int64
	writing.Store(writers)
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			defer writing.Add(-1)

			for i := range rounds {
				var list []jeton.Event
				for n := range each {
					e := event(audit.Request, fmt.Sprint(w, " ", i, " ", n))
					e.Time = e.Time.Add(time.Duration(rand.IntN(1000)-500) * time.Hour)
					list = append(list, e)
				}

				if err := s.Append(t.Context(), list); err != nil {
					t.Errorf("Append: %v", err)
				}
			}
		})
	}

	seen := map[string]int{}
	for after, last := int64(0), false; ; {
		list, err := s.Events(t.Context(), audit.Filter{After: after, Limit: 5})
		must(t, err)

		for _, e := range list {
			if e.Seq <= after {
				t.Fatalf("event = %d, want more than %d", e.Seq, after)
			}
			after = e.Seq
			seen[e.Target]++
		}

		if len(list) == 0 {
			if last {
				break
			}
			last = writing.Load() == 0
		}
	}

	wg.Wait()
	if len(seen) != writers*rounds*each {
		t.Errorf("read %d events, want %d", len(seen), writers*rounds*each)
	}

	for target, n := range seen {
		if n != 1 {
			t.Errorf("event %s was read %d times, want once", target, n)
		}
	}
}
