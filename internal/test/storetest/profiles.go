package storetest

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/account"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/naming"
)

// Profiles checks how names and email addresses of users are kept, listed and searched.
func Profiles(t *testing.T, open Open) {
	each(t, open, []test{
		{"a user is found by address and by id, and none without them", foundByAddress},
		{"two users cannot have one address", oneAddress},
		{"of concurrent adds with one address, one succeeds", addressRace},
		{"a profile change is one step, and fields that it does not name stay", profileChanges},
		{"a condition is checked in the same step, and its error changes nothing", conditionHolds},
		{"pages list every user once, in the order of creation", pages},
		{"a search finds parts of names and addresses, literally and without regard to case", searches},
		{"a declared profile is stored", declaredProfile},
	})
}

// profiled adds an account with a profile.
func profiled(t *testing.T, s Store, name, email, first, last string) account.Account {
	t.Helper()
	must(t, add(t, s, name, email, first, last))
	return found(t, s, name)
}

// add adds an account with a profile, and returns the error of the store.
func add(t *testing.T, s Store, name, email, first, last string) error {
	t.Helper()
	_, folded, err := naming.User(name)
	must(t, err)
	p, err := account.NewProfile(email, first, last)
	must(t, err)

	a := account.Account{
		UUID:     "id of " + name,
		Name:     name,
		Folded:   folded,
		Groups:   []string{},
		Password: "hash of " + name,
		Version:  1,
		Created:  noon,
		Updated:  noon,
		Profile:  p,
	}

	return s.AddUser(t.Context(), a, event(audit.UserAdd, "user:"+name))
}

// foundByAddress checks that most users, who have no address or id, are not found by the
// empty one.
func foundByAddress(t *testing.T, s Store) {
	user(t, s, "carl") // with neither
	want := profiled(t, s, "diane", "Diane@Example.org", "Diane", "Prince")
	got, err := s.FindUserEmail(t.Context(), naming.FoldEmail("dIANE@example.ORG"))
	must(t, err)
	same(t, "by address", got, want)

	got, err = s.FindUserID(t.Context(), "id of diane")
	must(t, err)
	same(t, "by id", got, want)

	got, err = s.FindUserNumber(t.Context(), want.ID)
	must(t, err)
	same(t, "by number", got, want)
	_, err = s.FindUserNumber(t.Context(), want.ID+1)
	wants(t, "FindUserNumber of no user", err, jeton.ErrNotFound)

	// Ids are compared byte by byte, and the name is neither an id nor an address.
	for _, text := range []string{"", "%", "diane", "ID OF DIANE"} {
		_, err := s.FindUserEmail(t.Context(), text)
		wants(t, "FindUserEmail("+text+")", err, jeton.ErrNotFound)
		_, err = s.FindUserID(t.Context(), text)
		wants(t, "FindUserID("+text+")", err, jeton.ErrNotFound)
	}
}

// oneAddress keeps two users from having one address, in any case of its letters: who logs
// in by address must be one user.
func oneAddress(t *testing.T, s Store) {
	profiled(t, s, "diane", "diane@example.org", "", "")
	carl := profiled(t, s, "carl", "", "", "")
	profiled(t, s, "anna", "", "", "") // any number have none
	wants(t, "AddUser with it in other case", add(t, s, "ben", "DIANE@example.org", "", ""), jeton.ErrConflict)
	before := auditLog(t, s)

	err := s.ChangeUser(t.Context(), "carl", account.Change{Profile: func(account.Profile) account.Profile {
		return account.Profile{Email: "Diane@example.org", EmailFolded: "diane@example.org"}
	}}, noon, event(audit.UserChange, "user:carl"))

	wants(t, "ChangeUser to it", err, jeton.ErrConflict)
	same(t, "carl", found(t, s, "carl"), carl)
	same(t, "the audit log", auditLog(t, s), before)
	err = s.RemoveUser(t.Context(), "diane", false, event(audit.UserRemove, "user:diane"))
	must(t, err)

	profiled(t, s, "ben", "diane@example.org", "", "")
}

// addressRace adds users with one address at the same time.
func addressRace(t *testing.T, s Store) {
	var won atomic.Int64
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			if err := add(t, s, fmt.Sprintf("user%d", i), "one@example.org", "", ""); err == nil {
				won.Add(1)
			} else if !errors.Is(err, jeton.ErrConflict) {
				t.Errorf("AddUser: %v, want ErrConflict", err)
			}
		})
	}

	wg.Wait()
	n, err := s.CountUsers(t.Context(), "")
	must(t, err)

	if won.Load() != 1 || n != 1 {
		t.Errorf("%d adds succeeded and %d users exist, want 1", won.Load(), n)
	}
}

// profileChanges changes different fields at the same time. None is lost, because a change
// is computed from the profile in its step.
func profileChanges(t *testing.T, s Store) {
	want := profiled(t, s, "diane", "diane@example.org", "Diane", "Prince")
	var wg sync.WaitGroup
	for _, change := range []func(*account.Profile){
		func(p *account.Profile) { p.First = "Di" },
		func(p *account.Profile) { p.Last = "Trevor" },
		func(p *account.Profile) { p.Email, p.EmailFolded = "di@example.org", "di@example.org" },
	} {
		wg.Go(func() {
			err := s.ChangeUser(t.Context(), "diane", account.Change{
				Profile: func(p account.Profile) account.Profile { change(&p); return p },
			}, noon, event(audit.UserChange, "user:diane"))
			if err != nil {
				t.Errorf("ChangeUser: %v", err)
			}
		})
	}

	wg.Wait()
	want.Profile = account.Profile{
		Email:       "di@example.org",
		EmailFolded: "di@example.org",
		First:       "Di",
		Last:        "Trevor",
	}

	same(t, "the account", found(t, s, "diane"), want)
}

// conditionHolds is If-Match of the API: the condition is checked in the step, and a
// failure changes nothing.
func conditionHolds(t *testing.T, s Store) {
	want := profiled(t, s, "diane", "", "Diane", "")
	before, yes := auditLog(t, s), true
	var seen account.Account

	err := s.ChangeUser(t.Context(), "diane", account.Change{Disabled: &yes, Check: func(a account.Account) error {
		seen = a
		return jeton.ErrChanged
	}}, noon, event(audit.UserChange, "user:diane"))

	wants(t, "ChangeUser", err, jeton.ErrChanged)
	same(t, "the account of the condition", seen, want)
	same(t, "the account", found(t, s, "diane"), want)
	same(t, "the audit log", auditLog(t, s), before)

	err = s.ChangeUser(t.Context(), "diane", account.Change{
		Disabled: &yes,
		Check:    func(account.Account) error { return nil },
	}, noon, event(audit.UserChange, "user:diane"))

	must(t, err)

	if !found(t, s, "diane").Disabled {
		t.Error("the user is enabled after a change whose condition holds")
	}
}

// pages removes and adds users between two pages: users that stay are listed once, none is
// missed.
func pages(t *testing.T, s Store) {
	if list, err := s.PageUsers(t.Context(), account.Page{Limit: 5}); err != nil || len(list) != 0 {
		t.Errorf("page of an empty store = %v, %v, want none", list, err)
	}

	var want []string
	for _, name := range []string{"zoe", "anna", "mia", "ben", "yan"} {
		profiled(t, s, name, "", "", "")
		want = append(want, name)
	}

	var got []string

	after := int64(0)
	for range 4 {
		list, err := s.PageUsers(t.Context(), account.Page{After: after, Limit: 2})
		must(t, err)

		if len(list) > 2 {
			t.Fatalf("page has %d users, want at most 2", len(list))
		}

		for _, a := range list {
			got, after = append(got, a.Name), a.ID
		}

		if after != 0 && len(got) == 2 { // adding and removing users moves no other
			err := s.RemoveUser(t.Context(), "zoe", false, event(audit.UserRemove, "user:zoe"))
			must(t, err)
			profiled(t, s, "aaron", "", "", "")
			want = append(want, "aaron")
		}
	}

	same(t, "the pages", got, want)
	n, err := s.CountUsers(t.Context(), "")
	must(t, err)

	if n != 5 {
		t.Errorf("CountUsers = %d, want 5", n)
	}
}

// searches has characters that LIKE gives a meaning to, letters beyond ASCII, and an
// injection.
func searches(t *testing.T, s Store) {
	profiled(t, s, "diane", "d.prince@example.org", "Diane", "Prince")
	profiled(t, s, "Änne", "", "Änne", "100%")
	profiled(t, s, "carl_x", "", "Carl", `back\slash`)
	profiled(t, s, "carlax", "", "", "")
	profiled(t, s, "jo", "", "JÜRGEN", "Özür")

	for _, tc := range []struct {
		search string
		want   []string
	}{
		{"", []string{"diane", "Änne", "carl_x", "carlax", "jo"}},
		{"dian", []string{"diane"}},
		{"PRINCE", []string{"diane"}},
		{"@Example", []string{"diane"}},
		{"änne", []string{"Änne"}},
		{"ÄNNE", []string{"Änne"}},
		{"jürgen", []string{"jo"}},
		{"Jürgen", []string{"jo"}},
		{"özür", []string{"jo"}},
		{"ÖZÜR", []string{"jo"}},
		{"züR", []string{"jo"}},
		{"%", []string{"Änne"}},
		{"_", []string{"carl_x"}},
		{"l_x", []string{"carl_x"}},
		{`\`, []string{"carl_x"}},
		{"carl", []string{"carl_x", "carlax"}},
		{"' OR 1=1 --", nil},
		{"hash of", nil}, // passwords are not searched
	} {
		var got []string

		list, err := s.PageUsers(t.Context(), account.Page{Search: tc.search, Limit: 9})
		must(t, err)

		for _, a := range list {
			got = append(got, a.Name)
		}

		same(t, "search "+tc.search, got, tc.want)
	}
}

// declaredProfile checks that a declared user keeps the id that it got first.
func declaredProfile(t *testing.T, s Store) {
	diane := declaredUser("diane")
	diane.UUID = "one"
	diane.Profile = account.Profile{Email: "d@example.org", EmailFolded: "d@example.org", First: "Diane"}
	declare(t, s, nil, diane)
	was := found(t, s, "diane")
	same(t, "declared", was.Profile, diane.Profile)

	diane.UUID, diane.Last = "another", "Prince"
	declare(t, s, []int64{was.ID}, diane)
	was.Last = "Prince"
	same(t, "declared again", found(t, s, "diane"), was)
	declare(t, s, nil, diane)
}
