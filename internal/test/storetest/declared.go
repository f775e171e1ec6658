package storetest

import (
	"slices"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/account"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/session"
)

// Declared checks that the store takes over the accounts of a configuration.
func Declared(t *testing.T, open Open) {
	each(t, open, []test{
		{"new names are added, and the same declaration again writes nothing", declaredAgain},
		{"a change of one account changes no other", declaredChange},
		{"the password and disabling end sessions, groups do not", declaredEnds},
		{"an existing account is adopted and keeps its number", declaredAdopts},
		{"an account that is no longer declared is removed, and no other", declaredRemoves},
		{"a name may change its case", declaredCase},
		{"a conflict changes nothing at all", declaredConflict},
	})
}

// declaredUser returns a user as the configuration declares it.
func declaredUser(name string) account.Account {
	return account.Account{
		Name:     name,
		Folded:   name,
		Groups:   []string{"blue"},
		Password: "hash of " + name,
		Declared: true,
	}
}

// declare makes the users the declared ones, and checks which numbers were published: a
// declaration that changes nothing must invalidate nothing.
func declare(t *testing.T, s Store, want []int64, users ...account.Account) {
	t.Helper()
	published := subscribe(s)
	must(t, s.DeclareUsers(t.Context(), users, noon, event(audit.UserChange, "")))
	changed := slices.Sorted(slices.Values(published.users()))

	if !slices.Equal(changed, want) {
		t.Errorf("DeclareUsers published changes of users %v, want %v", changed, want)
	}
}

// declaredAgain is a restart or reload with the same file, in any order of its users: it
// must write nothing, and end no session.
func declaredAgain(t *testing.T, s Store) {
	anna, ben := declaredUser("anna"), declaredUser("ben")
	ben.Groups, ben.Disabled = nil, true
	declare(t, s, nil, ben, anna)
	got := found(t, s, "anna")
	same(t, "anna", got, account.Account{
		ID:       got.ID,
		Name:     "anna",
		Folded:   "anna",
		Groups:   []string{"blue"},
		Password: "hash of anna",
		Version:  1,
		Declared: true,
		Created:  noon,
		Updated:  noon,
	})

	if got := found(t, s, "ben"); !got.Disabled || !got.Declared || len(got.Groups) != 0 {
		t.Errorf("ben = %+v, want him disabled and declared, without groups", got)
	}

	started(t, s, newLogin(got, "shop", "one", noon))
	want, lines := []account.Account{got, found(t, s, "ben")}, auditLog(t, s)
	same(t, "the audit log", lines, []string{"user.add user:ben", "user.add user:anna", "login session:s_one"})

	// Lists of a file have an order, which means nothing here.
	for _, users := range [][]account.Account{{anna, ben}, {ben, anna}} {
		published := subscribe(s)
		must(t, s.DeclareUsers(t.Context(), users, noon.Add(time.Hour), event(audit.UserChange, "")))
		if changed := published.users(); len(changed) != 0 {
			t.Errorf("DeclareUsers of what is stored published changes of users %v, want none", changed)
		}
	}

	list, err := s.ListUsers(t.Context())
	must(t, err)
	same(t, "accounts after the same declaration", list, want)
	same(t, "the audit log after the same declaration", auditLog(t, s), lines)
	hasSessions(t, s, "one")
}

// declaredChange changes one of two users. The other is not touched.
func declaredChange(t *testing.T, s Store) {
	anna, ben := declaredUser("anna"), declaredUser("ben")
	declare(t, s, nil, anna, ben)
	before := found(t, s, "ben")
	anna.Groups = []string{"red"}
	declare(t, s, []int64{found(t, s, "anna").ID}, anna, ben)

	same(t, "anna's groups", found(t, s, "anna").Groups, anna.Groups)
	same(t, "ben", found(t, s, "ben"), before)
	same(t, "the audit log", auditLog(t, s), []string{
		"user.add user:anna",
		"user.add user:ben",
		"user.change user:anna",
	})
}

// declaredEnds checks that a change in the file ends sessions exactly when the same change
// by a command would.
func declaredEnds(t *testing.T, s Store) {
	anna := declaredUser("anna")
	declare(t, s, nil, anna)

	for _, tc := range []struct {
		name   string
		change func()
		ends   bool
	}{
		{"groups", func() { anna.Groups = []string{"red"} }, false},
		{"password", func() { anna.Password = "new" }, true},
		{"disabled", func() { anna.Disabled = true }, true},
	} {
		before := found(t, s, "anna")
		started(t, s, newLogin(before, "shop", tc.name, noon))
		tc.change()
		declare(t, s, []int64{before.ID}, anna)
		after := found(t, s, "anna")
		grew := after.Version > before.Version
		if grew != tc.ends {
			t.Errorf("%s: version = %d after %d, want it to grow: %t", tc.name, after.Version, before.Version, tc.ends)
		}

		if tc.ends {
			noSessions(t, s, tc.name)
		} else {
			hasSessions(t, s, tc.name)
		}
	}
}

// declaredAdopts declares users that were added with commands. They keep their numbers, to
// which their history belongs.
func declaredAdopts(t *testing.T, s Store) {
	anna, ben := user(t, s, "anna"), user(t, s, "ben")
	started(t, s, newLogin(anna, "shop", "anna's", noon))
	started(t, s, newLogin(ben, "shop", "ben's", noon))
	alike, other := declaredUser("anna"), declaredUser("ben")
	alike.Groups, other.Password = anna.Groups, "another"

	declare(t, s, []int64{anna.ID, ben.ID}, alike, other)

	for _, old := range []account.Account{anna, ben} {
		if got := found(t, s, old.Name); got.ID != old.ID || !got.Declared {
			t.Errorf(
				"%s is number %d, declared %t, want the old number %d, declared",
				old.Name, got.ID, got.Declared, old.ID,
			)
		}
	}

	// Anna's too, whose password is the same: what she began before must not outlive it.
	noSessions(t, s, "anna's", "ben's")

	if got := found(t, s, "ben"); got.Password != "another" || got.Version <= ben.Version {
		t.Errorf("ben = %+v, want the declared password and a greater version", got)
	}

	declare(t, s, nil, alike, other)
}

// declaredRemoves takes a user out of the file, and later in again: it is then a new user.
func declaredRemoves(t *testing.T, s Store) {
	carl := user(t, s, "carl")
	declare(t, s, nil, declaredUser("anna"), declaredUser("ben"))
	anna := found(t, s, "anna")
	started(t, s, newLogin(anna, "shop", "anna's", noon))
	started(t, s, newLogin(carl, "shop", "carl's", noon))

	declare(t, s, []int64{anna.ID}, declaredUser("ben"))
	_, err := s.FindUser(t.Context(), "anna")
	wants(t, "FindUser", err, jeton.ErrNotFound)
	noSessions(t, s, "anna's")
	hasSessions(t, s, "carl's")

	same(t, "carl", found(t, s, "carl"), carl)
	lines := auditLog(t, s)
	same(t, "the last event", lines[len(lines)-1], "user.remove user:anna")
	declare(t, s, []int64{found(t, s, "ben").ID})
	declare(t, s, nil, declaredUser("anna"))

	again := found(t, s, "anna")
	if again.ID == anna.ID {
		t.Errorf("new number = %d, want a number that was not used", again.ID)
	}

	noSessions(t, s, "anna's")
}

// declaredCase changes the case of a name. That is a removal and an addition, in this
// order, since the folded name is unique.
func declaredCase(t *testing.T, s Store) {
	declare(t, s, nil, declaredUser("anna"))
	old := found(t, s, "anna")
	upper := declaredUser("Anna")
	upper.Folded = "anna"
	declare(t, s, []int64{old.ID}, upper)

	got := found(t, s, "Anna")
	if got.ID == old.ID {
		t.Errorf("number of Anna = %d, want another than anna's", got.ID)
	}

	_, err := s.FindUser(t.Context(), "anna")
	wants(t, "FindUser(anna)", err, jeton.ErrNotFound)
}

// declaredConflict checks that a file which cannot be applied completely is not applied at
// all.
func declaredConflict(t *testing.T, s Store) {
	user(t, s, "carl")
	declare(t, s, nil, declaredUser("anna"))
	anna := found(t, s, "anna")
	started(t, s, newLogin(anna, "shop", "anna's", noon))
	before := auditLog(t, s)

	// The conflict comes last, after a change and an addition that are fine by themselves.
	changedAnna, upper := declaredUser("anna"), declaredUser("Carl")
	changedAnna.Password, upper.Folded = "new", "carl"

	err := s.DeclareUsers(t.Context(), []account.Account{
		changedAnna,
		declaredUser("ben"),
		upper,
	}, noon, event(audit.UserChange, ""))

	wants(t, "DeclareUsers", err, jeton.ErrConflict)
	same(t, "anna", found(t, s, "anna"), anna)

	_, err = s.FindUser(t.Context(), "ben")
	wants(t, "FindUser(ben)", err, jeton.ErrNotFound)
	hasSessions(t, s, "anna's")

	same(t, "sessions", ids(t, s, session.Which{}, 10), []string{"s_anna's"})
	same(t, "the audit log", auditLog(t, s), before)
}
