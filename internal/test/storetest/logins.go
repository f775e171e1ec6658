package storetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/account"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/session"
)

// Starting checks how logins are decided and recorded.
func Starting(t *testing.T, open Open) {
	each(t, open, []test{
		{"a session is found as it was started", startedIsFound},
		{"login numbers grow and ids are unique", loginsGrow},
		{"only the current credential of an enabled owner starts a session", onlyProved},
		{"a refused login writes nothing", refusalLeavesNothing},
		{"evicted sessions end with their counts and are published", evictedEnd},
		{"the decision gets this owner's logins at this service, oldest first", decisionGetsHistory},
		{"the decision gets recent logins and all open sessions", decisionGetsRecentLogins},
		{"the event and the address are recorded with the session", recordedWith},
		{"a login that is not added evicts no session", failedLoginEvictsNone},
		{"an operator clears the login history", allowLogin},
	})
}

// startedIsFound compares times to the millisecond, which both engines keep.
func startedIsFound(t *testing.T, s Store) {
	u := user(t, s, "diane")
	in := newLogin(u, "shop", "one", noon.Add(123*time.Millisecond))
	published := subscribe(s)
	must(t, s.StartSession(t.Context(), in, acceptLogin))
	same(t, "sessions ended by StartSession", published.sessions(), hashes())

	got, err := s.FindSession(t.Context(), in.Hash)
	must(t, err)
	want := in.Record
	want.Login = got.Login
	same(t, "FindSession", got, want)

	groups := []string{"red"}
	err = s.ChangeUser(t.Context(), "diane", account.Change{
		Groups: &groups,
	}, noon, event(audit.UserChange, "user:diane"))

	must(t, err)
	got, err = s.FindSession(t.Context(), in.Hash)
	must(t, err)

	same(t, "groups, which are the current ones", got.Groups, groups)
	noSessions(t, s, "never started")
}

// loginsGrow checks that numbers of logins grow, even within a millisecond: the order of
// sessions and the counts of uses depend on them.
func loginsGrow(t *testing.T, s Store) {
	u := user(t, s, "diane")
	last := int64(0)
	for i := range 5 {
		r := started(t, s, newLogin(u, "shop", fmt.Sprint(i), noon))
		if r.Login <= last {
			t.Errorf("login = %d, want more than %d", r.Login, last)
		}
		last = r.Login
	}

	in := newLogin(u, "shop", "other secret", noon)
	// The id of a session is in use already; its secret is not.
	in.ID = "s_4"

	if err := s.StartSession(t.Context(), in, acceptLogin); err == nil {
		t.Error("StartSession with a used id = nil, want an error")
	}

	noSessions(t, s, "other secret")
	hasSessions(t, s, "4")
}

// onlyProved starts a session for a credential that has changed since it was verified. The
// hash of a password takes long, so a change in between is likely.
func onlyProved(t *testing.T, s Store) {
	diane, carl := user(t, s, "diane"), user(t, s, "carl")
	yes := true

	err := s.ChangeUser(t.Context(), "carl", account.Change{
		Disabled: &yes,
	}, noon, event(audit.UserChange, "user:carl"))

	must(t, err)
	carl = found(t, s, "carl")

	before := auditLog(t, s)
	for _, tc := range []struct {
		name string
		as   account.Account
	}{
		{"an older credential", account.Account{ID: diane.ID, Version: diane.Version - 1}},
		{"a newer credential", account.Account{ID: diane.ID, Version: diane.Version + 1}},
		{"an unknown owner", account.Account{ID: diane.ID + carl.ID + 1, Version: 1}},
		{"no owner", account.Account{}},
		{"a disabled owner", carl},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := s.StartSession(t.Context(), newLogin(tc.as, "shop", "one", noon), acceptLogin)
			wants(t, "StartSession", err, jeton.ErrBadCredential)
			noSessions(t, s, "one")
			known, err := s.KnownSource(t.Context(), tc.as.ID, source, time.Time{})
			must(t, err)

			if known {
				t.Error("KnownSource = true after a refused login, want false")
			}

			same(t, "the audit log", auditLog(t, s), before)
			h := loginHistory(t, s, diane, "shop", time.Time{})
			if len(h.Logins)+len(h.Open) != 0 {
				t.Errorf("history = %+v after a refused login, want none", h)
			}
		})
	}
}

// refusalLeavesNothing checks that a refused login evicts no session, trusts no network and
// counts as no login.
func refusalLeavesNothing(t *testing.T, s Store) {
	u := user(t, s, "diane")
	old := started(t, s, newLogin(u, "shop", "old", noon))
	before := auditLog(t, s)
	in := newLogin(u, "shop", "new", noon.Add(time.Second))
	in.Source = "192.0.2.99"

	err := s.StartSession(t.Context(), in, func(policy.History) ([]int64, error) {
		return []int64{old.Login}, jeton.WithRetryAfter(jeton.ErrRelogin, time.Minute)
	})

	wants(t, "StartSession", err, jeton.ErrRelogin)
	if wait, ok := jeton.RetryAfter(err); !ok || wait != time.Minute {
		t.Errorf("RetryAfter = %v, %t, want 1m, true", wait, ok)
	}

	// The decision named a session to evict and refused the login all the same.
	hasSessions(t, s, "old")
	noSessions(t, s, "new")
	same(t, "the audit log", auditLog(t, s), before)
	known, err := s.KnownSource(t.Context(), u.ID, "192.0.2.99", time.Time{})
	must(t, err)

	if known {
		t.Error("KnownSource = true after a refused login, want false")
	}

	h := loginHistory(t, s, u, "shop", time.Time{})
	if len(h.Logins) != 1 {
		t.Errorf("history has %d logins, want the first alone", len(h.Logins))
	}
}

// evictedEnd checks that a session that makes room ends as completely as by a logout.
func evictedEnd(t *testing.T, s Store) {
	u := user(t, s, "diane")
	b := budget(t, s, "*", 3)
	one := started(t, s, newLogin(u, "shop", "one", noon))
	two := started(t, s, newLogin(u, "shop", "two", noon))
	started(t, s, newLogin(u, "shop", "three", noon))

	_, err := s.Spend(t.Context(), sessionUse(one, b))
	must(t, err)

	published := subscribe(s)

	err = s.StartSession(t.Context(), newLogin(u, "shop", "four", noon), func(policy.History) ([]int64, error) {
		return []int64{one.Login, two.Login}, nil
	})

	must(t, err)
	same(t, "sessions ended by StartSession", published.sessions(), hashes("one", "two"))
	noSessions(t, s, "one", "two")
	hasSessions(t, s, "three", "four")
	_, err = s.Spend(t.Context(), sessionUse(one, b))
	wants(t, "Spend of an evicted session", err, jeton.ErrBadCredential)
}

// decisionGetsHistory checks that the terms are judged by logins of this user at this
// service, and of no other.
func decisionGetsHistory(t *testing.T, s Store) {
	diane, carl := user(t, s, "diane"), user(t, s, "carl")
	started(t, s, newLogin(carl, "shop", "carl's", noon))
	started(t, s, newLogin(diane, "bank", "elsewhere", noon))
	first := started(t, s, newLogin(diane, "shop", "first", noon.Add(time.Second)))
	in := newLogin(diane, "shop", "second", noon.Add(2*time.Second))
	in.Idle, in.Expires = time.Second, noon.Add(time.Minute)

	second := started(t, s, in)
	used := noon.Add(5 * time.Second)
	must(t, s.TouchSessions(t.Context(), map[int64]time.Time{first.Login: used}))
	same(t, "the history", loginHistory(t, s, diane, "shop", time.Time{}), policy.History{
		Logins: []time.Time{noon.Add(time.Second), noon.Add(2 * time.Second)},
		Open: []policy.OpenSession{
			{
				Login:    first.Login,
				Closes:   noon.Add(time.Second + time.Hour),
				LastUsed: used,
				Idle:     10 * time.Minute,
			},
			{
				Login:    second.Login,
				Closes:   noon.Add(time.Minute),
				LastUsed: noon.Add(2 * time.Second),
				Idle:     time.Second,
			},
		},
	})
}

// decisionGetsRecentLogins checks that logins count whose session has ended: a logout must
// not make room for more logins than the terms allow.
func decisionGetsRecentLogins(t *testing.T, s Store) {
	u := user(t, s, "diane")
	for i := range 4 {
		started(t, s, newLogin(u, "shop", fmt.Sprint(i), noon.Add(time.Duration(i)*time.Minute)))
	}

	_, err := s.EndSessions(t.Context(), session.Which{ID: "s_3"}, event(audit.Logout, "session:s_3"))
	must(t, err)
	h := loginHistory(t, s, u, "shop", noon.Add(90*time.Second))
	same(t, "logins since", h.Logins, []time.Time{noon.Add(2 * time.Minute), noon.Add(3 * time.Minute)})

	if len(h.Open) != 3 {
		t.Errorf("%d sessions are open, want all 3 that have not ended", len(h.Open))
	}

	// A refused login deletes no history.
	if h := loginHistory(t, s, u, "shop", time.Time{}); len(h.Logins) != 4 {
		t.Errorf("history has %d logins, want 4", len(h.Logins))
	}
}

// recordedWith checks that the event of a login and its network are in the same step as the
// session.
func recordedWith(t *testing.T, s Store) {
	u := user(t, s, "diane")
	in := newLogin(u, "shop", "one", noon)
	in.Event.Request, in.Event.Checks = "r_1", []jeton.Check{{Name: "password", Result: "pass"}}
	started(t, s, in)
	events, err := s.Events(t.Context(), audit.Filter{Request: "r_1"})
	must(t, err)

	if len(events) != 1 {
		t.Fatalf("%d events of the login, want 1", len(events))
	}

	want := in.Event
	want.Seq = events[0].Seq
	same(t, "the event", events[0], want)

	for address, want := range map[string]bool{source: true, "192.0.2.8": false} {
		known, err := s.KnownSource(t.Context(), u.ID, address, time.Time{})
		must(t, err)
		if known != want {
			t.Errorf("KnownSource(%s) = %t, want %t", address, known, want)
		}
	}
}

// failedLoginEvictsNone lets the insert fail after the decision to evict.
func failedLoginEvictsNone(t *testing.T, s Store) {
	u := user(t, s, "diane")
	one := started(t, s, newLogin(u, "shop", "one", noon))
	before := auditLog(t, s)
	again := newLogin(u, "shop", "two", noon)
	other := started(t, s, newLogin(u, "bank", "taken", noon))
	again.ID = other.ID // cannot be added

	err := s.StartSession(t.Context(), again, func(policy.History) ([]int64, error) {
		return []int64{one.Login}, nil
	})
	if err == nil {
		t.Fatal("StartSession with a used id = nil, want an error")
	}

	hasSessions(t, s, "one", "taken")
	same(t, "the audit log", auditLog(t, s), append(before, "login session:s_taken"))
}

// allowLogin forgets logins of one user at one service, and nothing else.
func allowLogin(t *testing.T, s Store) {
	diane, carl := user(t, s, "diane"), user(t, s, "carl")
	started(t, s, newLogin(diane, "shop", "one", noon))
	started(t, s, newLogin(diane, "bank", "two", noon))
	started(t, s, newLogin(carl, "shop", "three", noon))
	must(t, s.AllowLogin(t.Context(), "diane", "shop", event(audit.LoginAllowed, "user:diane")))

	for _, tc := range []struct {
		user    account.Account
		service string
		want    int
	}{{diane, "shop", 0}, {diane, "bank", 1}, {carl, "shop", 1}} {
		h := loginHistory(t, s, tc.user, tc.service, time.Time{})
		if len(h.Logins) != tc.want {
			t.Errorf("%s has %d logins at %s, want %d", tc.user.Name, len(h.Logins), tc.service, tc.want)
		}
	}

	hasSessions(t, s, "one") // the history is deleted, not the session
	lines := auditLog(t, s)
	same(t, "the last event", lines[len(lines)-1], "login.allowed user:diane")
	err := s.AllowLogin(t.Context(), "absent", "shop", event(audit.LoginAllowed, "user:absent"))
	wants(t, "AllowLogin of an unknown user", err, jeton.ErrNotFound)

	same(t, "the audit log after a refusal", auditLog(t, s), lines)
}
