package storetest

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/account"
	"github.com/jeton-auth/jeton/internal/audit"
)

// Admins checks the rule that the last account in the group admin stays, and lists of accounts by the beginning of a
// name or an address.
func Admins(t *testing.T, open Open) {
	each(t, open, []test{
		{"the last admin is neither removed nor disabled, and keeps the group", lastAdmin},
		{"of two admins who end each other at once, one stays", adminsAtOnce},
		{"accounts are listed by the beginning of a name, and then of an address", byPrefix},
	})
}

// newAdmin adds an account in the groups.
func newAdmin(t *testing.T, s Store, name string, groups ...string) account.Account {
	t.Helper()
	user(t, s, name)
	must(t, s.ChangeUser(t.Context(), name, account.Change{Groups: &groups}, noon, event(audit.UserChange, name)))

	return found(t, s, name)
}

// losses are the ways in which an account ceases to be an admin.
func losses(s Store, t *testing.T) map[string]func(name string, keep bool) error {
	yes, none := true, []string{}
	change := func(c account.Change) func(name string, keep bool) error {
		return func(name string, keep bool) error {
			c := c
			c.KeepAdmin = keep
			return s.ChangeUser(t.Context(), name, c, noon, event(audit.UserChange, name))
		}
	}

	return map[string]func(name string, keep bool) error{
		"disabled": change(account.Change{Disabled: &yes}),
		"left":     change(account.Change{Groups: &none}),
		"both":     change(account.Change{Groups: &none, Disabled: &yes}),
		"removed": func(name string, keep bool) error {
			return s.RemoveUser(t.Context(), name, keep, event(audit.UserRemove, name))
		},
	}
}

func lastAdmin(t *testing.T, s Store) {
	admin := newAdmin(t, s, "ada", "admin", "staff")
	newAdmin(t, s, "alike", "Admin", "admins", "not-admin")
	user(t, s, "diane")
	yes, no := true, false

	off := newAdmin(t, s, "off", "admin")
	must(t, s.ChangeUser(t.Context(), off.Name, account.Change{Disabled: &yes}, noon, event("", "")))

	for name, lose := range losses(s, t) {
		wants(t, "the last admin is "+name, lose("ada", true), jeton.ErrConflict)
		same(t, "the last admin, not "+name, found(t, s, "ada"), admin)
	}

	// Other changes, and the same ones of other users, go through.
	first := func(p account.Profile) account.Profile { p.First = "Ada"; return p }
	groups := []string{"admin"}
	for _, c := range []account.Change{{Profile: first}, {Groups: &groups}, {Disabled: &no}} {
		c.KeepAdmin = true
		must(t, s.ChangeUser(t.Context(), "ada", c, noon, event(audit.UserChange, "ada")))
	}
	must(t, s.RemoveUser(t.Context(), "diane", true, event(audit.UserRemove, "diane")))
	must(t, s.RemoveUser(t.Context(), "off", true, event(audit.UserRemove, "off")))

	for name, lose := range losses(s, t) {
		other := newAdmin(t, s, "second-"+name, "admin")
		must(t, lose(other.Name, true)) // there is the first one
	}

	must(t, s.RemoveUser(t.Context(), "ada", false, event(audit.UserRemove, "ada"))) // an operator may
}

// adminsAtOnce lets two admins end each other in every way. Steps that change users run one after another, so that the
// second finds itself to be the last.
func adminsAtOnce(t *testing.T, s Store) {
	ways := losses(s, t)
	round := 0
	for a, one := range ways {
		for b, two := range ways {
			names := []string{fmt.Sprint("left", round), fmt.Sprint("right", round)}
			round++
			newAdmin(t, s, names[0], "admin")
			newAdmin(t, s, names[1], "admin")

			var errs [2]error
			var wg sync.WaitGroup
			wg.Go(func() { errs[0] = one(names[0], true) })
			wg.Go(func() { errs[1] = two(names[1], true) })
			wg.Wait()

			if (errs[0] == nil) == (errs[1] == nil) || !errors.Is(errors.Join(errs[0], errs[1]), jeton.ErrConflict) {
				t.Errorf("one is %s and the other %s: %v and %v, want one jeton.ErrConflict", a, b, errs[0], errs[1])
			}

			for _, name := range names {
				err := s.RemoveUser(t.Context(), name, false, event(audit.UserRemove, name))
				if err != nil && !errors.Is(err, jeton.ErrNotFound) {
					t.Fatal(err)
				}
			}
		}
	}
}

func byPrefix(t *testing.T, s Store) {
	for name, email := range map[string]string{
		"diane":   "zoe@example.org",
		"diana":   "diana@example.org",
		"dia":     "",
		"carl":    "dian@example.org",
		"di_ne":   "",
		"Örnulf":  "x@example.org",
		"örtrud":  "",
		"another": "di@example.org",
	} {
		user(t, s, name)
		p := func(account.Profile) account.Profile { return account.Profile{Email: email, EmailFolded: email} }
		must(t, s.ChangeUser(t.Context(), name, account.Change{Profile: p}, noon, event(audit.UserChange, name)))
	}

	for _, tc := range []struct {
		name string
		page account.PrefixPage
		want []string
	}{
		{"by name, in order", account.PrefixPage{Prefix: "dia", Limit: 9}, []string{"dia", "diana", "diane"}},
		{"no more than the limit", account.PrefixPage{Prefix: "dia", Limit: 2}, []string{"dia", "diana"}},
		{"after a name", account.PrefixPage{Prefix: "dia", After: "diana", Limit: 9}, []string{"diane"}},
		{"no pattern", account.PrefixPage{Prefix: "di_", Limit: 9}, []string{"di_ne"}},
		{"letters of several bytes", account.PrefixPage{Prefix: "ör", Limit: 9}, []string{"Örnulf", "örtrud"}},
		{"by address, without those found by name", account.PrefixPage{
			Prefix:  "di",
			ByEmail: true,
			Limit:   9,
		}, []string{"another", "carl"}},
		{"by address, after one", account.PrefixPage{
			Prefix:  "di",
			ByEmail: true,
			After:   "di@example.org",
			Limit:   9,
		}, []string{"carl"}},
		{"none", account.PrefixPage{Prefix: "dix", Limit: 9}, []string{}},
	} {
		list, err := s.PrefixUsers(t.Context(), tc.page)
		must(t, err)
		names := []string{}
		for _, a := range list {
			names = append(names, a.Name)
		}
		same(t, tc.name, names, tc.want)
	}
}
