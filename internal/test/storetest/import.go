package storetest

import (
	"context"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/account"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/naming"
)

// Importing checks how many accounts are imported in one step.
func Importing(t *testing.T, open Open) {
	each(t, open, []test{
		{"all accounts are added unchanged, in one step, with an event each", importAdds},
		{"a rejected account does not reject the others", importKeepsOut},
		{"a dry run has the same results and changes nothing", importDry},
		{"an update changes what differs and ends the sessions that depend on it", importUpdates},
		{"an import whose caller cancels is done in full or not at all", importGivenUp},
	})
}

// importRow is a row for the store.
func importRow(name, email string) account.PreparedRow {
	_, folded, _ := naming.User(name)
	return account.PreparedRow{Reason: "imported", Account: account.Account{
		UUID:     "00000000-0000-4000-8000-" + (name + "000000000000")[:12],
		Name:     name,
		Folded:   folded,
		Groups:   []string{"blue"},
		Password: "hash of " + name,
		Version:  1,
		Created:  noon.Add(-time.Hour),
		Updated:  noon.Add(-time.Minute),
		Profile: account.Profile{
			Email:       email,
			EmailFolded: naming.FoldEmail(email),
			First:       "F",
			Last:        "L",
		},
	}}
}

// importAll imports rows and returns the results. With dry it must change nothing.
func importAll(t *testing.T, s Store, dry bool, rows ...account.PreparedRow) []account.ImportResult {
	t.Helper()
	results, err := s.ImportUsers(t.Context(), rows, noon, dry, event("", ""))
	must(t, err)
	return results
}

// verdicts leaves out the reasons, which are for operators.
func verdicts(results []account.ImportResult) []account.Verdict {
	var list []account.Verdict
	for _, r := range results {
		list = append(list, r.Verdict)
	}
	return list
}

// importAdds imports twice: the second time is a run after an interruption.
func importAdds(t *testing.T, s Store) {
	a, b := importRow("Anna", "anna@example.org"), importRow("ben", "")
	b.Account.Disabled = true
	b.Account.Groups = []string{}
	b.Account.Password = ""
	same(t, "the results", importAll(t, s, false, a, b), []account.ImportResult{
		{Verdict: account.Added},
		{Verdict: account.Added},
	})

	for _, want := range []account.Account{a.Account, b.Account} {
		got := found(t, s, want.Name)
		if got.ID == 0 {
			t.Errorf("number of %s = 0, want a number", want.Name)
		}

		want.ID = got.ID
		same(t, want.Name, got, want)
	}

	same(t, "the audit log", auditLog(t, s), []string{"user.add user:Anna", "user.add user:ben"})
	same(t, "the results of the same import again", verdicts(importAll(t, s, false, a, b)), []account.Verdict{
		account.Exists,
		account.Exists,
	})

	same(t, "the audit log after that", len(auditLog(t, s)), 2)
}

// importKeepsOut mixes rows that are refused with others: each is judged against the store
// and against the rows before it.
func importKeepsOut(t *testing.T, s Store) {
	user(t, s, "diane")
	err := s.DeclareUsers(t.Context(), []account.Account{{
		Name:     "dec",
		Folded:   "dec",
		Password: "x",
		UUID:     "u",
		Declared: true,
	}}, noon, event("", ""))

	must(t, err)
	first := importRow("anna", "a@example.org")
	sameID := importRow("ida", "")

	sameMail := importRow("eve", "A@EXAMPLE.org")
	sameID.Account.UUID = first.Account.UUID

	inCase := importRow("Diane", "")
	declared := importRow("dec", "")
	twice := importRow("ANNA", "")

	last := importRow("zoe", "z@example.org")
	declared.Update = &account.Change{Password: &first.Account.Password}

	results := importAll(t, s, false, first, sameID, sameMail, inCase, declared, twice, last)
	same(t, "the verdicts", verdicts(results), []account.Verdict{
		account.Added, account.Refused, account.Refused, account.Exists, account.InFile, account.Exists, account.Added,
	})

	for _, i := range []int{1, 2, 4} {
		if results[i].Reason == "" {
			t.Errorf("row %d is rejected without a reason", i)
		}
	}

	for _, name := range []string{"ida", "eve", "Diane", "ANNA"} {
		_, err := s.FindUser(t.Context(), name)
		wants(t, "FindUser("+name+")", err, jeton.ErrNotFound)
	}

	same(t, "the declared account's password", found(t, s, "dec").Password, "x")
	found(t, s, "zoe")
}

// importDry checks that a dry run predicts exactly what the import then does.
func importDry(t *testing.T, s Store) {
	diane := user(t, s, "diane")
	a := importRow("anna", "a@example.org")
	// The address is taken by the row before, which a dry run does not add.
	b := importRow("ben", "a@example.org")
	c := importRow("diane", "")
	c.Update = &account.Change{Password: &c.Account.Password, Groups: &[]string{"red"}}

	before := auditLog(t, s)
	want := []account.Verdict{account.Added, account.Refused, account.Changed}
	same(t, "the verdicts of a dry run", verdicts(importAll(t, s, true, a, b, c)), want)
	same(t, "the audit log", auditLog(t, s), before)
	same(t, "diane", found(t, s, "diane"), diane)

	_, err := s.FindUser(t.Context(), "anna")
	wants(t, "FindUser(anna)", err, jeton.ErrNotFound)
	same(t, "the verdicts", verdicts(importAll(t, s, false, a, b, c)), want)
}

// importUpdates checks that a row which says what is so already ends no session.
func importUpdates(t *testing.T, s Store) {
	published := subscribe(s)
	diane := user(t, s, "diane")
	sess := started(t, s, newLogin(diane, "shop", "one", noon))
	row := importRow("diane", "")

	no := false

	pw := diane.Password
	groups := []string{"blue", "green"}

	row.Update = &account.Change{
		Password: &pw,
		Groups:   &groups,
		Disabled: &no,
		Profile:  func(p account.Profile) account.Profile { return p },
	}

	same(
		t, "the verdict of what is so already", verdicts(importAll(t, s, false, row)),
		[]account.Verdict{account.Exists},
	)

	same(t, "diane", found(t, s, "diane"), diane)
	_, err := s.FindSession(t.Context(), sess.Hash)
	must(t, err)

	other := "another hash"
	row.Update.Password = &other

	row.Update.Profile = func(p account.Profile) account.Profile { p.First = "Di"; return p }
	same(t, "the verdict", verdicts(importAll(t, s, false, row)), []account.Verdict{account.Changed})
	want := diane
	want.Password = other
	want.Version = diane.Version + 1

	want.First = "Di"
	want.Updated = noon
	same(t, "diane", found(t, s, "diane"), want)
	_, err = s.FindSession(t.Context(), sess.Hash)
	if err == nil {
		t.Error("a session is still there after its password hash changed")
	}

	same(t, "users published", published.users(), []int64{diane.ID})
	same(t, "the last line of the audit log", last(auditLog(t, s)), audit.UserChange+" user:diane")
}

// last returns the last text of a list.
func last(list []string) string { return list[len(list)-1] }

// importGivenUp checks that an import is one step: whatever came of it, all rows or none.
func importGivenUp(t *testing.T, s Store) {
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()

	rows := []account.PreparedRow{importRow("anna", ""), importRow("ben", "")}
	_, err := s.ImportUsers(cancelled, rows, noon, false, event("", ""))
	wants(t, "ImportUsers for a caller that has cancelled", err, jeton.ErrUnavailable)
	must(t, s.Append(t.Context(), []jeton.Event{event("after", "")})) // the store has done all earlier steps

	users, err := s.ListUsers(t.Context())
	must(t, err)

	if len(users) != 0 && len(users) != 2 {
		t.Errorf("%d users were imported, want 0 or 2", len(users))
	}
}
