package storetest

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/account"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/session"
)

// Accounts checks how user accounts are kept.
func Accounts(t *testing.T, open Open) {
	each(t, open, []test{
		{"an account is found as it was added, by its exact name", addedIsFound},
		{"a name that differs in case alone is taken", caseConflict},
		{"accounts are listed by name", listedByName},
		{"a change changes what it names and nothing else", changesWhatItNames},
		{"a new password grows the version and ends the sessions", passwordEnds},
		{"disabling ends the sessions and voids logins under way", disableEnds},
		{"changed groups leave the sessions and show at once", groupsStay},
		{"unknown and declared accounts are not changed or removed", notChanged},
		{"a re-hash is kept only while the version is the one that was verified", rehash},
		{"removing an account removes all that is its own, and a new one starts empty", removedStartsNew},
		{"every change is published before it returns, and when its caller cancels", userChangesArePublished},
	})
}

// userChangesArePublished holds the rule of change.Feed: a change is published before its
// caller is answered, and also when the caller has given up, for the store may have
// committed by then. A missed one would leave a revoked user in the caches.
func userChangesArePublished(t *testing.T, s Store) {
	published := subscribe(s)

	diane := user(t, s, "diane")
	same(t, "published for a new user", published.users(), []int64(nil))
	yes := true

	err := s.ChangeUser(t.Context(), "diane", account.Change{
		Disabled: &yes,
	}, noon, event(audit.UserChange, "user:diane"))

	must(t, err)

	same(t, "published for a change", published.users(), []int64{diane.ID})

	err = s.ChangeUser(t.Context(), "absent", account.Change{
		Disabled: &yes,
	}, noon, event(audit.UserChange, "user:absent"))

	wants(t, "ChangeUser of an unknown user", err, jeton.ErrNotFound)
	same(t, "published for a change that failed", published.users(), []int64(nil))
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()

	// The store may take the step or not; what it has done is looked up below.
	err = s.RemoveUser(cancelled, "diane", false, event(audit.UserRemove, "user:diane"))
	wants(t, "RemoveUser for a caller that has cancelled", err, jeton.ErrUnavailable)

	must(t, s.Append(t.Context(), []jeton.Event{event("after", "")})) // the store has done all earlier steps

	if _, err := s.FindUser(t.Context(), "diane"); errors.Is(err, jeton.ErrNotFound) {
		same(t, "published for a removal whose caller cancelled", published.users(), []int64{diane.ID})
	} else {
		same(t, "published for a removal that did not happen", published.users(), []int64(nil))
	}
}

// addedIsFound looks for names that a store with folding, trimming or LIKE would take for
// the same.
func addedIsFound(t *testing.T, s Store) {
	want := user(t, s, "Diane")
	if want.ID == 0 {
		t.Error("account number = 0, want a number")
	}

	same(t, "the account", want, account.Account{
		ID:       want.ID,
		Name:     "Diane",
		Folded:   "diane",
		Groups:   []string{"blue", "green"},
		Password: "hash of Diane",
		Version:  1,
		Created:  noon.Add(-time.Hour),
		Updated:  noon.Add(-time.Hour),
	})

	// The last two are wildcards of LIKE.
	for _, name := range []string{"diane", "DIANE", "Dian", "Diane ", "", "%", "Dian_"} {
		_, err := s.FindUser(t.Context(), name)
		wants(t, "FindUser("+name+")", err, jeton.ErrNotFound)
	}

	same(t, "the audit log", auditLog(t, s), []string{"user.add user:Diane"})
}

// caseConflict keeps two users from having names that look alike, whichever was first.
func caseConflict(t *testing.T, s Store) {
	diane := user(t, s, "diane")

	for _, name := range []string{"diane", "Diane", "DIANE"} {
		err := s.AddUser(t.Context(), account.Account{
			Name:     name,
			Folded:   "diane",
			Password: "other",
		}, event(audit.UserAdd, "user:"+name))

		wants(t, "AddUser("+name+")", err, jeton.ErrConflict)
	}

	same(t, "the account", found(t, s, "diane"), diane)
	same(t, "the audit log", auditLog(t, s), []string{"user.add user:diane"})
}

// listedByName adds in another order than that of the names.
func listedByName(t *testing.T, s Store) {
	list, err := s.ListUsers(t.Context())
	must(t, err)

	if len(list) != 0 {
		t.Errorf("list of an empty store = %v, want none", list)
	}

	want := []account.Account{}
	for _, name := range []string{"carl", "anna", "ben"} {
		want = append(want, user(t, s, name))
	}

	slices.SortFunc(want, func(a, b account.Account) int { return int(a.Name[0]) - int(b.Name[0]) })
	list, err = s.ListUsers(t.Context())
	must(t, err)
	same(t, "the list", list, want)
}

// changesWhatItNames changes one field at a time. The version grows with those that tokens
// must not outlive.
func changesWhatItNames(t *testing.T, s Store) {
	user(t, s, "carl")
	want := user(t, s, "diane")
	pw := "new"
	groups := []string{"red"}
	none := []string{}

	yes := true
	for i, tc := range []struct {
		name   string
		change account.Change
		then   func(*account.Account)
		grows  bool
	}{
		{"the password", account.Change{Password: &pw}, func(a *account.Account) { a.Password = pw }, true},
		{"the groups", account.Change{Groups: &groups}, func(a *account.Account) { a.Groups = groups }, false},
		{"to no groups", account.Change{Groups: &none}, func(a *account.Account) { a.Groups = none }, false},
		{"to disabled", account.Change{Disabled: &yes}, func(a *account.Account) { a.Disabled = true }, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			now := noon.Add(time.Duration(i) * time.Minute)
			before := found(t, s, "diane")
			must(t, s.ChangeUser(t.Context(), "diane", tc.change, now, event(audit.UserChange, "user:diane")))
			got := found(t, s, "diane")
			if tc.grows && got.Version <= before.Version {
				t.Errorf("version = %d after ChangeUser, want more than %d", got.Version, before.Version)
			}

			want.Updated, want.Version = now, got.Version
			tc.then(&want)
			same(t, "the account", got, want)
			lines := auditLog(t, s)
			if lines[len(lines)-1] != "user.change user:diane" || len(lines) != 3+i {
				t.Errorf("audit log = %v, want one change more", lines)
			}
		})
	}

	other := found(t, s, "carl")
	if other.Disabled || other.Password == pw || other.Version != 1 {
		t.Errorf("other account = %+v, want no change", other)
	}
}

// passwordEnds stands for a stolen session: a new password ends it everywhere, with the
// uses that it had left. A login that had verified the old password must not succeed later.
func passwordEnds(t *testing.T, s Store) {
	diane, carl := user(t, s, "diane"), user(t, s, "carl")
	b := budget(t, s, "*", 3)
	one := started(t, s, newLogin(diane, "shop", "one", noon))
	started(t, s, newLogin(diane, "bank", "two", noon))
	started(t, s, newLogin(carl, "shop", "carl's", noon))

	_, err := s.Spend(t.Context(), sessionUse(one, b))
	must(t, err)
	pw := "new"

	err = s.ChangeUser(t.Context(), "diane", account.Change{
		Password: &pw,
	}, noon, event(audit.UserPassword, "user:diane"))

	must(t, err)

	noSessions(t, s, "one", "two")
	hasSessions(t, s, "carl's")
	_, err = s.Spend(t.Context(), sessionUse(one, b))
	wants(t, "Spend", err, jeton.ErrBadCredential)

	err = s.StartSession(t.Context(), newLogin(diane, "shop", "late", noon), acceptLogin)
	wants(t, "StartSession with the old credential", err, jeton.ErrBadCredential)

	started(t, s, newLogin(found(t, s, "diane"), "shop", "new", noon))

	// Networks stay trusted, or a user who changes a password under attack would be
	// throttled with the attacker.
	if known, err := s.KnownSource(t.Context(), diane.ID, source, time.Time{}); err != nil || !known {
		t.Errorf("KnownSource = %t, %v: want true after a change of password", known, err)
	}
}

// disableEnds checks that enabling brings no old session back, and no old credential.
func disableEnds(t *testing.T, s Store) {
	diane := user(t, s, "diane")
	started(t, s, newLogin(diane, "shop", "one", noon))
	yes, no := true, false

	err := s.ChangeUser(t.Context(), "diane", account.Change{
		Disabled: &yes,
	}, noon, event(audit.UserChange, "user:diane"))

	must(t, err)

	noSessions(t, s, "one")
	same(t, "the list", ids(t, s, session.Which{}, 10), []string{})
	disabled := found(t, s, "diane")
	err = s.StartSession(t.Context(), newLogin(disabled, "shop", "two", noon), acceptLogin)
	wants(t, "StartSession of a disabled user", err, jeton.ErrBadCredential)

	err = s.ChangeUser(t.Context(), "diane", account.Change{
		Disabled: &no,
	}, noon, event(audit.UserChange, "user:diane"))

	must(t, err)
	// Disabling incremented the version: a login whose password was verified before that must
	// not succeed once the user is enabled again.
	err = s.StartSession(t.Context(), newLogin(diane, "shop", "three", noon), acceptLogin)
	wants(t, "StartSession with the credential from before disabling", err, jeton.ErrBadCredential)
	started(t, s, newLogin(found(t, s, "diane"), "shop", "four", noon))
}

// groupsStay checks that a session has the current groups of its user: who loses a group
// loses its rights at the next request, without a new login.
func groupsStay(t *testing.T, s Store) {
	u := user(t, s, "diane")
	before := started(t, s, newLogin(u, "shop", "one", noon))
	groups := []string{"black"}

	err := s.ChangeUser(t.Context(), "diane", account.Change{
		Groups: &groups,
	}, noon, event(audit.UserChange, "user:diane"))

	must(t, err)

	before.Groups = groups
	after, err := s.FindSession(t.Context(), before.Hash)
	must(t, err)
	same(t, "the session", after, before)
}

// notChanged checks that what the configuration file declares changes only there, and that
// names are compared exactly.
func notChanged(t *testing.T, s Store) {
	err := s.DeclareUsers(t.Context(), []account.Account{{
		Name:     "diane",
		Folded:   "diane",
		Password: "declared",
		Declared: true,
	}}, noon, event(audit.UserChange, ""))

	must(t, err)
	diane := found(t, s, "diane")
	started(t, s, newLogin(diane, "shop", "one", noon))
	before := auditLog(t, s)

	pw := "new"
	for name, want := range map[string]error{
		"diane":  jeton.ErrDeclared,
		"absent": jeton.ErrNotFound,
		"Diane":  jeton.ErrNotFound,
	} {
		err := s.ChangeUser(t.Context(), name, account.Change{
			Password: &pw,
		}, noon, event(audit.UserPassword, "user:"+name))

		wants(t, "ChangeUser("+name+")", err, want)
		err = s.RemoveUser(t.Context(), name, false, event(audit.UserRemove, "user:"+name))
		wants(t, "RemoveUser("+name+")", err, want)
	}

	same(t, "the account", found(t, s, "diane"), diane)
	hasSessions(t, s, "one")
	same(t, "the audit log", auditLog(t, s), before)
}

// rehash stores a stronger hash after a login. A password that was changed meanwhile must
// not be overwritten by the hash of the old one: hence the version.
func rehash(t *testing.T, s Store) {
	u := user(t, s, "diane")
	started(t, s, newLogin(u, "shop", "one", noon))
	must(t, s.RehashUser(t.Context(), u.ID, u.Version, "stronger"))
	want := u
	want.Password = "stronger"

	same(t, "the account", found(t, s, "diane"), want)
	hasSessions(t, s, "one") // it is the same password

	// A version that is not the current one belongs to another password.
	for _, version := range []int64{u.Version - 1, u.Version + 1} {
		_ = s.RehashUser(t.Context(), u.ID, version, "of another password")
	}

	_ = s.RehashUser(t.Context(), u.ID+1, u.Version, "of another user")
	same(t, "the account", found(t, s, "diane"), want)
}

// removedStartsNew gives the name of a removed user to another user, who must get nothing
// of the first: no session, no uses, no network that the throttle trusts.
func removedStartsNew(t *testing.T, s Store) {
	diane, carl := user(t, s, "diane"), user(t, s, "carl")
	b := budget(t, s, "*", 3)
	one := started(t, s, newLogin(diane, "shop", "one", noon))
	started(t, s, newLogin(carl, "shop", "carl's", noon))
	must(t, s.RemoveUser(t.Context(), "diane", false, event(audit.UserRemove, "user:diane")))

	_, err := s.FindUser(t.Context(), "diane")
	wants(t, "FindUser", err, jeton.ErrNotFound)
	noSessions(t, s, "one")
	hasSessions(t, s, "carl's")
	_, err = s.Spend(t.Context(), sessionUse(one, b))
	wants(t, "Spend", err, jeton.ErrBadCredential)

	again := user(t, s, "diane")
	if again.ID == diane.ID {
		t.Errorf("new number = %d, want a number that was not used", again.ID)
	}

	noSessions(t, s, "one")

	for _, id := range []int64{diane.ID, again.ID} {
		if known, err := s.KnownSource(t.Context(), id, source, time.Time{}); err != nil || known {
			t.Errorf("KnownSource(%d) = %t, %v, want false", id, known, err)
		}
	}

	h := loginHistory(t, s, again, "shop", time.Time{})
	if len(h.Logins)+len(h.Open) != 0 {
		t.Errorf("history of the new account = %+v, want none", h)
	}

	err = s.StartSession(t.Context(), newLogin(diane, "shop", "late", noon), acceptLogin)
	wants(t, "StartSession of the removed user", err, jeton.ErrBadCredential)
	lines := auditLog(t, s)
	same(t, "the end of the audit log", lines[len(lines)-2:], []string{"user.remove user:diane", "user.add user:diane"})
}
