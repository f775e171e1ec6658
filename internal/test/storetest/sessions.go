package storetest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/account"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/secret"
	"github.com/jeton-auth/jeton/internal/session"
)

// Keeping checks how sessions are found, listed, touched, ended and swept.
func Keeping(t *testing.T, open Open) {
	t.Run("ending removes the sessions that match every set field", func(t *testing.T) { ending(t, open) })
	each(t, open, []test{
		{"ended sessions are not found, and ending none adds no event", endedAreNotFound},
		{"a disabled owner's sessions are not found, even after enabling", disabledOwner},
		{"the last use moves forward only", touchForward},
		{"lists are newest first and respect the limit", listing},
		{"a sweep deletes expired sessions with their counts, up to a limit", sweeping},
		{"login numbers are never used again", loginsNeverAgain},
		{"every end is published before it returns, and when its caller cancels", endsArePublished},
	})
}

// ending checks every combination of fields that choose sessions. Each case starts with the
// same sessions of two users at two services.
func ending(t *testing.T, open Open) {
	s := open(t)
	for _, tc := range []struct {
		name  string
		which session.Which
		ended []string
	}{
		{"an id", session.Which{ID: "s_diane shop"}, []string{"diane shop"}},
		{"an unknown id", session.Which{ID: "s_x"}, nil},
		{"a user", session.Which{User: "diane"}, []string{"diane shop", "diane shop 2", "diane bank"}},
		{"an unknown user", session.Which{User: "absent"}, nil},
		{"a name that differs in case", session.Which{User: "Diane"}, nil},
		{"a service", session.Which{Service: "shop"}, []string{"diane shop", "diane shop 2", "carl shop"}},
		{"a user at a service", session.Which{User: "diane", Service: "shop"}, []string{"diane shop", "diane shop 2"}},
		{"an id that is the user's", session.Which{ID: "s_diane bank", User: "diane"}, []string{"diane bank"}},
		{"an id that is another's", session.Which{ID: "s_diane bank", User: "carl"}, nil},
		{"an id that is at another service", session.Which{ID: "s_diane bank", Service: "shop"}, nil},
		{
			"all of a user but one",
			session.Which{User: "diane", Not: "s_diane shop"},
			[]string{"diane shop 2", "diane bank"},
		},
		{
			"all of a user but one that is another's",
			session.Which{User: "carl", Not: "s_diane shop"},
			[]string{"carl shop"},
		},
		{"nothing named but one that stays", session.Which{Not: "s_diane shop"}, nil},
		{"nothing named", session.Which{}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			users := map[string]account.Account{}
			for _, name := range []string{"diane", "carl"} {
				users[name] = user(t, s, name)
			}

			all := []string{"diane shop", "diane shop 2", "diane bank", "carl shop"}
			started(t, s, newLogin(users["diane"], "shop", all[0], noon))
			started(t, s, newLogin(users["diane"], "shop", all[1], noon))
			started(t, s, newLogin(users["diane"], "bank", all[2], noon))
			started(t, s, newLogin(users["carl"], "shop", all[3], noon))

			before := auditLog(t, s)
			published := subscribe(s)
			n, err := s.EndSessions(t.Context(), tc.which, event(audit.SessionEnd, "some"))
			must(t, err)
			same(t, "number of ended sessions", n, len(tc.ended))

			same(t, "ended sessions", published.sessions(), hashes(tc.ended...))
			noSessions(t, s, tc.ended...)

			left := ids(t, s, session.Which{}, 100)
			if len(left) != len(all)-len(tc.ended) {
				t.Errorf("sessions after ending %[3]v of %[2]v = %[1]v", left, all, tc.ended)
			}

			if len(tc.ended) > 0 {
				before = append(before, "session.end some")
			}

			same(t, "the audit log", auditLog(t, s), before)

			for name := range users { // with the remaining sessions
				err := s.RemoveUser(t.Context(), name, false, event(audit.UserRemove, name))
				must(t, err)
			}
		})
	}
}

// endedAreNotFound checks that a last use that is written late does not bring a session
// back.
func endedAreNotFound(t *testing.T, s Store) {
	u := user(t, s, "diane")
	b := budget(t, s, "*", 3)
	r := started(t, s, newLogin(u, "shop", "one", noon))
	for range 2 { // ending twice is not an error
		_, err := s.EndSessions(t.Context(), session.Which{ID: r.ID}, event(audit.Logout, r.ID))
		must(t, err)
	}

	noSessions(t, s, "one")
	same(t, "the list", ids(t, s, session.Which{User: "diane"}, 10), []string{})
	_, err := s.Spend(t.Context(), sessionUse(r, b))
	wants(t, "Spend", err, jeton.ErrBadCredential)
	_, err = s.Left(t.Context(), sessionUse(r, b))
	wants(t, "Left", err, jeton.ErrBadCredential)

	// Last uses are written late, in batches: here after the logout.
	must(t, s.TouchSessions(t.Context(), map[int64]time.Time{r.Login: noon.Add(time.Hour)}))
	noSessions(t, s, "one")
	same(t, "the audit log", auditLog(t, s), []string{"user.add user:diane", "login session:s_one", "logout s_one"})
}

// disabledOwner checks that enabling a user does not bring sessions back.
func disabledOwner(t *testing.T, s Store) {
	u := user(t, s, "diane")
	r := started(t, s, newLogin(u, "shop", "one", noon))
	for _, disabled := range []bool{true, false} {
		err := s.ChangeUser(t.Context(), "diane", account.Change{
			Disabled: &disabled,
		}, noon, event(audit.UserChange, "user:diane"))

		must(t, err)
		noSessions(t, s, "one")
		_, err = s.Spend(t.Context(), sessionUse(r, budget(t, s, "*", 3)))
		wants(t, "Spend", err, jeton.ErrBadCredential)
	}
}

// touchForward checks that a last use never goes back: two nodes may write theirs in either
// order.
func touchForward(t *testing.T, s Store) {
	u := user(t, s, "diane")
	one, two := started(t, s, newLogin(u, "shop", "one", noon)), started(t, s, newLogin(u, "shop", "two", noon))
	for _, tc := range []struct {
		name             string
		at               map[int64]time.Time
		wantOne, wantTwo time.Time
	}{
		{"nothing", nil, noon, noon},
		{
			"both",
			map[int64]time.Time{one.Login: noon.Add(9 * time.Second), two.Login: noon.Add(8 * time.Second)},
			noon.Add(9 * time.Second),
			noon.Add(8 * time.Second),
		},
		{
			"one back, one forward, one that is not there",
			map[int64]time.Time{
				one.Login:     noon.Add(time.Second),
				two.Login:     noon.Add(10 * time.Second),
				two.Login + 1: noon,
			},
			noon.Add(9 * time.Second),
			noon.Add(10 * time.Second),
		},
	} {
		must(t, s.TouchSessions(t.Context(), tc.at))

		for text, want := range map[string]time.Time{"one": tc.wantOne, "two": tc.wantTwo} {
			r, err := s.FindSession(t.Context(), secret.HashOf(text))
			must(t, err)
			if !r.LastUsed.Equal(want) {
				t.Errorf("after %s: session %s was last used %v, want %v", tc.name, text, r.LastUsed, want)
			}
		}
	}
}

// listing checks that the newest come first by number, not by time, since a clock may be
// set back.
func listing(t *testing.T, s Store) {
	diane, carl := user(t, s, "diane"), user(t, s, "carl")
	started(t, s, newLogin(diane, "shop", "1", noon.Add(time.Hour))) // the clock jumped back after this
	started(t, s, newLogin(carl, "shop", "2", noon))
	started(t, s, newLogin(diane, "bank", "3", noon))
	want := started(t, s, newLogin(diane, "shop", "4", noon))
	for _, tc := range []struct {
		name  string
		which session.Which
		limit int
		want  []string
	}{
		{"all", session.Which{}, 10, []string{"s_4", "s_3", "s_2", "s_1"}},
		{"the newest two", session.Which{}, 2, []string{"s_4", "s_3"}},
		{"none", session.Which{}, 0, []string{}},
		{"of a user", session.Which{User: "diane"}, 2, []string{"s_4", "s_3"}},
		{"of a user at a service", session.Which{User: "diane", Service: "shop"}, 10, []string{"s_4", "s_1"}},
		{"at a service", session.Which{Service: "shop"}, 10, []string{"s_4", "s_2", "s_1"}},
		{"one", session.Which{ID: "s_2"}, 10, []string{"s_2"}},
		{"one that is not the user's", session.Which{ID: "s_2", User: "diane"}, 10, []string{}},
		{"of an unknown user", session.Which{User: "absent"}, 10, []string{}},
		{"those before one", session.Which{Before: want.Login}, 2, []string{"s_3", "s_2"}},
		{"of a user before one", session.Which{User: "diane", Before: want.Login - 1}, 10, []string{"s_1"}},
	} {
		t.Run(tc.name, func(t *testing.T) { same(t, "list", ids(t, s, tc.which, tc.limit), tc.want) })
	}

	list, err := s.ListSessions(t.Context(), session.Which{ID: "s_4"}, 1)
	must(t, err)
	same(t, "the listed session", list, []session.Record{want})

	for _, tc := range []struct {
		name, user string
		after      time.Time
		want       int64
	}{
		{"of all users", "", noon, 4},
		{"of all users that expire later", "", noon.Add(time.Hour), 1},
		{"of a user", "diane", noon, 3},
		{"of a user without sessions", "absent", noon, 0},
	} {
		n, err := s.CountSessions(t.Context(), tc.user, tc.after)
		must(t, err)
		if n != tc.want {
			t.Errorf("CountSessions %s = %d, want %d", tc.name, n, tc.want)
		}
	}

	n, err := s.EndSessions(t.Context(), session.Which{Before: want.Login}, jeton.Event{})
	if n != 0 || err != nil {
		t.Errorf("EndSessions by the place in a list = %d, %v, want 0 and no error", n, err)
	}
}

// sweeping checks that a sweep deletes expired sessions in steps, with their counts, but
// not the history of logins, which the terms need longer.
func sweeping(t *testing.T, s Store) {
	u := user(t, s, "diane")
	b := budget(t, s, "*", 3)
	var old []session.Record
	for i := range 5 {
		r := started(t, s, newLogin(u, "shop", fmt.Sprint(i), noon.Add(time.Duration(i)*time.Second)))
		_, err := s.Spend(t.Context(), sessionUse(r, b))
		must(t, err)
		old = append(old, r)
	}

	started(t, s, newLogin(u, "shop", "edge", noon.Add(time.Minute))) // expires at that time
	started(t, s, newLogin(u, "shop", "young", noon.Add(time.Hour)))

	for _, want := range []int{2, 2, 1, 0} {
		n, err := s.SweepSessions(t.Context(), noon.Add(time.Hour+time.Minute), 2)
		must(t, err)
		if n != want {
			t.Errorf("SweepSessions = %d, want %d", n, want)
		}
	}

	hasSessions(t, s, "edge", "young")
	noSessions(t, s, "0", "1", "2", "3", "4")

	for _, r := range old {
		_, err := s.Spend(t.Context(), sessionUse(r, b))
		wants(t, "Spend of a swept session", err, jeton.ErrBadCredential)
	}

	h := loginHistory(t, s, u, "shop", time.Time{})
	if len(h.Logins) != 7 {
		t.Errorf("history has %d logins after a sweep, want 7", len(h.Logins))
	}
}

// loginsNeverAgain checks that no number of a login is given twice, however its session
// went: a new session would inherit the count of the old one.
func loginsNeverAgain(t *testing.T, s Store) {
	u := user(t, s, "diane")
	b := budget(t, s, "*", 1)
	last := int64(0)

	next := func(how string) {
		t.Helper()
		r := started(t, s, newLogin(found(t, s, "diane"), "shop", "again", noon))
		if r.Login <= last {
			t.Errorf("after %s: login = %d, want more than %d", how, r.Login, last)
		}

		last = r.Login
		left, err := s.Spend(t.Context(), sessionUse(r, b))
		if err != nil || left[0] != 0 {
			t.Errorf("after %s: Spend of the new login = %v, %v", how, left, err)
		}
	}

	next("nothing")
	_, err := s.SweepSessions(t.Context(), noon.Add(24*time.Hour), 10)
	must(t, err)
	next("a sweep")
	_, err = s.EndSessions(t.Context(), session.Which{Service: "shop"}, event(audit.SessionEnd, "shop"))
	must(t, err)

	next("an end")
	pw := "new"

	err = s.ChangeUser(t.Context(), "diane", account.Change{
		Password: &pw,
	}, noon, event(audit.UserPassword, "user:diane"))

	must(t, err)
	next("a changed password")

	err = s.RemoveUser(t.Context(), "diane", false, event(audit.UserRemove, "user:diane"))
	must(t, err)
	again := user(t, s, "diane")
	if again.ID <= u.ID {
		t.Errorf("number of the new diane = %d, want more than %d", again.ID, u.ID)
	}

	next("a removed user")
}

// endsArePublished is userChangesArePublished for sessions.
func endsArePublished(t *testing.T, s Store) {
	published := subscribe(s)

	diane := user(t, s, "diane")
	started(t, s, newLogin(diane, "shop", "one", noon))
	one := started(t, s, newLogin(diane, "shop", "two", noon))
	same(t, "published for logins", published.sessions(), sorted(nil))

	err := s.StartSession(t.Context(), newLogin(
		diane, "shop", "three", noon,
	), func(policy.History) ([]int64, error) { return []int64{one.Login}, nil })

	must(t, err)

	same(t, "published for an eviction", published.sessions(), hashes("two"))
	_, err = s.EndSessions(t.Context(), session.Which{ID: "s_one"}, event(audit.Logout, "session:s_one"))
	must(t, err)
	same(t, "published for a logout", published.sessions(), hashes("one"))

	cancelled, cancel := context.WithCancel(t.Context())
	cancel()

	_, err = s.EndSessions(cancelled, session.Which{User: "diane"}, event(audit.Logout, "all"))
	wants(t, "EndSessions for a caller that has cancelled", err, jeton.ErrUnavailable)
	must(t, s.Append(t.Context(), []jeton.Event{event("after", "")})) // the store has done all earlier steps

	if _, err := s.FindSession(t.Context(), secret.HashOf("three")); errors.Is(err, jeton.ErrNotFound) {
		same(t, "published for an end whose caller cancelled", published.sessions(), hashes("three"))
	} else {
		same(t, "published for an end that did not happen", published.sessions(), sorted(nil))
	}
}
