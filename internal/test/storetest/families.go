package storetest

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/account"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/secret"
	"github.com/jeton-auth/jeton/internal/session"
	"github.com/jeton-auth/jeton/internal/store/change"
)

// Families checks sign-in sessions and their children.
func Families(t *testing.T, open Open) {
	t.Run("a child needs an open parent of its owner", func(t *testing.T) { needsParent(t, open) })
	t.Run("what selects a parent ends its children", func(t *testing.T) { endingFamilies(t, open) })
	each(t, open, []test{
		{"a parent that a login evicts ends with its children and their counts", evictedParent},
		{"a login that would evict its own parent is refused", evictsOwnParent},
		{"a child and its parent are swept when each expires", sweepingFamilies},
		{"how a user was proved is kept, and the last proof changes alone", proofIsKept},
		{"many children end in one step", manyChildren},
	})
}

// signedIn starts a sign-in session of an hour.
func signedIn(t *testing.T, s Store, u account.Account, text string) session.Record {
	t.Helper()
	return started(t, s, newLogin(u, "issuer", text, noon))
}

// childLogin returns a login at a service whose session ends with a parent.
func childLogin(parent session.Record, u account.Account, service, text string) session.Start {
	in := newLogin(u, service, text, noon)
	in.Parent = parent.Login
	in.Expires = parent.Expires

	return in
}

// needsParent checks every reason for which a parent may not have a child.
func needsParent(t *testing.T, open Open) {
	for _, tc := range []struct {
		name   string
		change func(t *testing.T, s Store, in *session.Start)
		want   error
	}{
		{"the parent is open", func(*testing.T, Store, *session.Start) {}, nil},
		{
			"the child expires before the parent",
			func(_ *testing.T, _ Store, in *session.Start) { in.Expires = in.Expires.Add(-time.Minute) },
			nil,
		},
		{
			"the child expires a millisecond after the parent",
			func(_ *testing.T, _ Store, in *session.Start) { in.Expires = in.Expires.Add(time.Millisecond) },
			jeton.ErrBadCredential,
		},
		{
			"the parent never was",
			func(_ *testing.T, _ Store, in *session.Start) { in.Parent += 100 },
			jeton.ErrBadCredential,
		},
		{
			"the parent was logged out",
			func(t *testing.T, s Store, _ *session.Start) {
				_, err := s.EndSessions(t.Context(), session.Which{ID: "s_top"}, event(audit.Logout, ""))
				must(t, err)
			},
			jeton.ErrBadCredential,
		},
		{
			"the parent was swept",
			func(t *testing.T, s Store, _ *session.Start) {
				_, err := s.SweepSessions(t.Context(), noon.Add(2*time.Hour), 10)
				must(t, err)
			},
			jeton.ErrBadCredential,
		},
		{
			"the parent is another user's",
			func(t *testing.T, s Store, in *session.Start) {
				carl := user(t, s, "carl")
				in.User, in.Version = carl.ID, carl.Version
			},
			jeton.ErrBadCredential,
		},
		{
			"the parent is a child itself",
			func(t *testing.T, s Store, in *session.Start) {
				first := *in
				first.Record.ID, first.Hash[0] = "s_first", first.Hash[0]+1
				in.Parent = started(t, s, first).Login
			},
			jeton.ErrBadCredential,
		},
		{
			"the owner was disabled and enabled again",
			func(t *testing.T, s Store, in *session.Start) {
				disabled(true, false)(t, s)
				in.Version = found(t, s, "diane").Version
			},
			jeton.ErrBadCredential,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := open(t)
			diane := user(t, s, "diane")
			in := childLogin(signedIn(t, s, diane, "top"), diane, "shop", "child")
			tc.change(t, s, &in)

			before := auditLog(t, s)
			wants(t, "StartSession", s.StartSession(t.Context(), in, acceptLogin), tc.want)

			if tc.want != nil {
				noSessions(t, s, "child")
				same(t, "the audit log after the refusal", auditLog(t, s), before)
				return
			}

			list, err := s.ListSessions(t.Context(), session.Which{ID: "s_child"}, 1)
			must(t, err)
			if len(list) != 1 || list[0].ParentID != "s_top" || list[0].Parent != in.Parent {
				t.Errorf("ListSessions of the child = %+v, want one with the parent s_top", list)
			}
		})
	}
}

// endingFamilies checks each choice of sessions. Each case starts with two families of diane and a
// session that has no family.
func endingFamilies(t *testing.T, open Open) {
	// All sessions: top has the children shop and bank, and top 2 has shop 2.
	all := []string{"top", "shop", "bank", "top 2", "shop 2", "alone"}

	for _, tc := range []struct {
		name  string
		which session.Which
		ended []string
	}{
		{"a parent", session.Which{ID: "s_top"}, []string{"top", "shop", "bank"}},
		{"a child", session.Which{ID: "s_shop"}, []string{"shop"}},
		{"all at the issuer", session.Which{Service: "issuer"}, []string{"top", "shop", "bank", "top 2", "shop 2"}},
		{"all at a service", session.Which{Service: "shop"}, []string{"shop", "shop 2", "alone"}},
		{"the family of a child", session.Which{ID: "s_shop", Family: true}, []string{"top", "shop", "bank"}},
		{"the family of a parent", session.Which{ID: "s_top", Family: true}, []string{"top", "shop", "bank"}},
		{"the family of a session that has none", session.Which{ID: "s_alone", Family: true}, []string{"alone"}},
		{"the family of an unknown session", session.Which{ID: "s_x", Family: true}, nil},
		{"the family of another user's session", session.Which{ID: "s_shop", User: "carl", Family: true}, nil},
		{"the family of a session elsewhere", session.Which{ID: "s_shop", Service: "bank", Family: true}, nil},
		{"a family without an id", session.Which{User: "diane", Family: true}, nil},
		{
			"all but the family of a child",
			session.Which{User: "diane", Not: "s_bank"},
			[]string{"top 2", "shop 2", "alone"},
		},
		{
			"all but the family of a parent",
			session.Which{User: "diane", Not: "s_top"},
			[]string{"top 2", "shop 2", "alone"},
		},
		{"all but one that is unknown", session.Which{User: "diane", Not: "s_x"}, all},
		{"all of all users", session.Which{All: true}, all},
		{"all and a user", session.Which{All: true, User: "diane"}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := open(t)
			startFamilies(t, s)
			published := subscribe(s)

			n, err := s.EndSessions(t.Context(), tc.which, event(audit.SessionEnd, "some"))
			must(t, err)

			same(t, "number of ended sessions", n, len(tc.ended))
			same(t, "published", published.sessions(), hashes(tc.ended...))
			noSessions(t, s, tc.ended...)
			same(t, "number of sessions that are left", len(ids(t, s, session.Which{}, 9)), len(all)-n)
		})
	}

	t.Run("lists choose the same", func(t *testing.T) {
		s := open(t)
		top := startFamilies(t, s)

		for _, tc := range []struct {
			name  string
			which session.Which
			want  []string
		}{
			{"children of a parent", session.Which{Parent: top.Login}, []string{"s_bank", "s_shop"}},
			{"its children at a service", session.Which{Parent: top.Login, Service: "bank"}, []string{"s_bank"}},
			{"a login", session.Which{Login: top.Login}, []string{"s_top"}},
			{"a family", session.Which{ID: "s_bank", Family: true}, []string{"s_bank", "s_shop", "s_top"}},
		} {
			same(t, tc.name, ids(t, s, tc.which, 9), tc.want)
		}
	})
}

// startFamilies starts the sessions of endingFamilies and returns the first.
func startFamilies(t *testing.T, s Store) session.Record {
	t.Helper()
	diane := user(t, s, "diane")
	user(t, s, "carl")

	top := signedIn(t, s, diane, "top")
	started(t, s, childLogin(top, diane, "shop", "shop"))
	started(t, s, childLogin(top, diane, "bank", "bank"))

	second := signedIn(t, s, diane, "top 2")
	started(t, s, childLogin(second, diane, "shop", "shop 2"))
	started(t, s, newLogin(diane, "shop", "alone", noon))

	return top
}

func evictedParent(t *testing.T, s Store) {
	diane := user(t, s, "diane")
	top := signedIn(t, s, diane, "top")
	child := started(t, s, childLogin(top, diane, "shop", "child"))
	b := budget(t, s, "*", 3)
	_, err := s.Spend(t.Context(), sessionUse(child, b))
	must(t, err)

	published := subscribe(s)
	must(t, s.StartSession(
		t.Context(), newLogin(diane, "issuer", "new", noon),
		func(policy.History) ([]int64, error) { return []int64{top.Login}, nil },
	))

	same(t, "published", published.sessions(), hashes("top", "child"))
	noSessions(t, s, "top", "child")

	_, err = s.Spend(t.Context(), sessionUse(child, b))
	wants(t, "Spend of the child", err, jeton.ErrBadCredential)
	_, err = s.Left(t.Context(), sessionUse(child, b))
	wants(t, "Left of the child", err, jeton.ErrBadCredential)
}

func evictsOwnParent(t *testing.T, s Store) {
	diane := user(t, s, "diane")
	top := signedIn(t, s, diane, "top")

	err := s.StartSession(
		t.Context(), childLogin(top, diane, "shop", "child"),
		func(policy.History) ([]int64, error) { return []int64{top.Login}, nil },
	)

	wants(t, "StartSession", err, jeton.ErrBadCredential)
	hasSessions(t, s, "top")
	noSessions(t, s, "child")
}

func sweepingFamilies(t *testing.T, s Store) {
	diane := user(t, s, "diane")
	top := signedIn(t, s, diane, "top")
	short := childLogin(top, diane, "shop", "short")
	short.Expires = noon.Add(time.Minute)
	started(t, s, short)
	started(t, s, childLogin(top, diane, "bank", "long"))

	n, err := s.SweepSessions(t.Context(), noon.Add(2*time.Minute), 10)
	must(t, err)
	same(t, "sessions that were swept first", n, 1)
	hasSessions(t, s, "top", "long")

	n, err = s.SweepSessions(t.Context(), noon.Add(2*time.Hour), 10)
	must(t, err)
	same(t, "sessions that were swept then", n, 2)
}

func proofIsKept(t *testing.T, s Store) {
	in := newLogin(user(t, s, "diane"), "issuer", "one", noon)
	in.Methods, in.Proved, in.Agent = "pwd otp", noon, "Mozilla/5.0 (X11; Linux) ü"
	want := started(t, s, in)
	same(t, "methods and agent", []string{want.Methods, want.Agent}, []string{in.Methods, in.Agent})
	if !want.Proved.Equal(noon) {
		t.Errorf("Proved = %v, want %v", want.Proved, noon)
	}

	want.Proved, want.LastUsed = noon.Add(time.Hour).UTC(), noon.Add(time.Hour)
	want.Hash = secret.HashOf("renewed")
	renewal := session.Renewal{
		ID:    "s_one",
		Shown: in.Hash,
		Fresh: want.Hash,
		At:    want.Proved,

		Methods: "pwd otp mfa",
	}
	want.Methods = renewal.Methods
	f := subscribe(s)
	must(t, s.ProveSession(t.Context(), renewal, event(audit.Login, "again")))
	_, replaced := f.take(change.Replaced)
	same(t, "replaced secrets that caches learn of", replaced, []secret.Hash{in.Hash})

	got, err := s.FindSession(t.Context(), want.Hash)
	must(t, err)
	same(t, "the session after another proof", got, want)
	_, err = s.FindSession(t.Context(), in.Hash)
	wants(t, "FindSession of the secret before", err, jeton.ErrNotFound)

	before := auditLog(t, s)
	same(t, "the last event", before[len(before)-1], "login again")
	wants(t, "the same again", s.ProveSession(t.Context(), renewal, event("", "")), jeton.ErrNotFound)
	renewal.ID, renewal.Shown = "s_x", want.Hash
	wants(t, "ProveSession(s_x)", s.ProveSession(t.Context(), renewal, event("", "")), jeton.ErrNotFound)
	same(t, "the audit log after an unknown session", auditLog(t, s), before)
}

// startAgainstEndOfParent starts children while their parent ends, in each way that ends it. In any
// order, none is left.
func startAgainstEndOfParent(t *testing.T, s Store) {
	ends := map[string]func(text string) error{
		"logout": func(text string) error {
			_, err := s.EndSessions(t.Context(), session.Which{ID: "s_" + text}, event(audit.Logout, ""))
			return err
		},
		"logout of the family by a child": func(text string) error {
			which := session.Which{ID: "s_first " + text, Family: true}
			_, err := s.EndSessions(t.Context(), which, event(audit.Logout, ""))
			return err
		},
	}

	for name, end := range ends {
		for round := range 15 {
			text := fmt.Sprint(name, " ", round)
			u := user(t, s, fmt.Sprintf("user%d-%d", len(name), round))
			top := signedIn(t, s, u, text)
			started(t, s, childLogin(top, u, "shop", "first "+text))

			var wg sync.WaitGroup
			for i := range 6 {
				wg.Go(func() {
					in := childLogin(top, u, "shop", fmt.Sprint(text, " child ", i))
					err := s.StartSession(t.Context(), in, acceptLogin)
					if err != nil && !errors.Is(err, jeton.ErrBadCredential) {
						t.Errorf("StartSession: %v", err)
					}
				})

				if i == round%6 {
					wg.Go(func() {
						if err := end(text); err != nil {
							t.Errorf("%s: %v", name, err)
						}
					})
				}
			}

			wg.Wait()

			same(t, "sessions after "+text, ids(t, s, session.Which{User: u.Name}, 10), []string{})
		}
	}
}

// manyChildren ends more children than one statement has values, of more parents than that.
func manyChildren(t *testing.T, s Store) {
	const parents = 501
	diane := user(t, s, "diane")

	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := g; i < parents; i += 4 {
				in := newLogin(diane, "issuer", fmt.Sprint("top ", i), noon)
				in.Siblings = false
				if err := s.StartSession(t.Context(), in, acceptLogin); err != nil {
					t.Errorf("StartSession: %v", err)
				}
			}
		})
	}
	wg.Wait()

	list, err := s.ListSessions(t.Context(), session.Which{Service: "issuer"}, 2*parents)
	must(t, err)
	same(t, "sign-in sessions", len(list), parents)

	for _, i := range []int{0, parents - 1} {
		started(t, s, childLogin(list[i], diane, "shop", fmt.Sprint("child ", i)))
	}

	n, err := s.EndSessions(t.Context(), session.Which{Service: "issuer"}, event(audit.SessionEnd, "all"))
	must(t, err)
	same(t, "ended sessions", n, parents+2)
	same(t, "sessions that are left", ids(t, s, session.Which{}, 9), []string{})
}
