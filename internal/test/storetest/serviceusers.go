package storetest

import (
	"slices"
	"strings"
	"testing"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/account"
	"github.com/jeton-auth/jeton/internal/audit"
)

// ServiceUsers checks how users are kept that are valid at one service only.
func ServiceUsers(t *testing.T, open Open) {
	each(t, open, []test{
		{"the service of a user is kept, and comes with the user's tokens", serviceIsKept},
		{"users of a service are listed, searched and counted apart", serviceUsersApart},
		{"a declaration replaces a user of a service, and nothing of it stays", declarationReplaces},
		{"an import does not change a user of another service", importOfAnotherService},
	})
}

// serviceUser adds a user that is valid at one service only.
func serviceUser(t *testing.T, s Store, name, service string) account.Account {
	t.Helper()
	a := account.Account{
		UUID:     "id of " + name,
		Name:     name,
		Folded:   strings.ToLower(name),
		Groups:   []string{},
		Password: "hash of " + name,
		Version:  1,
		Service:  service,
		Created:  noon,
		Updated:  noon,
	}
	must(t, s.AddUser(t.Context(), a, event(audit.UserAdd, "user:"+name)))

	return found(t, s, name)
}

func serviceIsKept(t *testing.T, s Store) {
	user(t, s, "diane")
	carl := serviceUser(t, s, "carl", "shop")
	if got := found(t, s, "diane").Service; got != "" {
		t.Errorf("service of a user without one = %q, want none", got)
	}
	if carl.Service != "shop" {
		t.Errorf("service of carl = %q, want shop", carl.Service)
	}

	m := personal(carl, "first", 0)
	must(t, s.MintToken(t.Context(), m))
	got, err := s.FindToken(t.Context(), m.Hash)
	must(t, err)

	if got.Owner.Service != "shop" {
		t.Errorf("service of the token's owner = %q, want shop", got.Owner.Service)
	}

	disabled := true
	must(t, s.ChangeUser(
		t.Context(), "carl", account.Change{Disabled: &disabled}, noon,
		event(audit.UserChange, "user:carl"),
	))
	if got := found(t, s, "carl").Service; got != "shop" {
		t.Errorf("service of carl after a change = %q, want shop", got)
	}
}

func serviceUsersApart(t *testing.T, s Store) {
	user(t, s, "diane")
	serviceUser(t, s, "carl", "shop")
	serviceUser(t, s, "carla", "shop")
	serviceUser(t, s, "carol", "bank")

	for _, tc := range []struct {
		name string
		page account.Page
		want []string
	}{
		{"all", account.Page{Limit: 9}, []string{"diane", "carl", "carla", "carol"}},
		{"of a service", account.Page{Limit: 9, Service: "shop"}, []string{"carl", "carla"}},
		{"of a service, searched", account.Page{Limit: 9, Service: "shop", Search: "RLA"}, []string{"carla"}},
		{"of a service, one", account.Page{Limit: 1, Service: "shop"}, []string{"carl"}},
		{"of a service without any", account.Page{Limit: 9, Service: "sho"}, nil},
	} {
		list, err := s.PageUsers(t.Context(), tc.page)
		must(t, err)

		var got []string
		for _, a := range list {
			got = append(got, a.Name)
		}
		if !slices.Equal(got, tc.want) {
			t.Errorf("%s: users %v, want %v", tc.name, got, tc.want)
		}
	}

	for _, tc := range []struct {
		service string
		want    int64
	}{
		{"", 4},
		{"shop", 2},
		{"bank", 1},
		{"sho", 0},
	} {
		n, err := s.CountUsers(t.Context(), tc.service)
		must(t, err)
		if n != tc.want {
			t.Errorf("CountUsers(%q) = %d, want %d", tc.service, n, tc.want)
		}
	}
}

func declarationReplaces(t *testing.T, s Store) {
	carl := serviceUser(t, s, "carl", "shop")
	m := personal(carl, "first", 0)
	must(t, s.MintToken(t.Context(), m))

	declared := declaredUser("carl")
	declared.Password = carl.Password
	declare(t, s, []int64{carl.ID}, declared)

	got := found(t, s, "carl")
	if got.Service != "" || !got.Declared || got.ID == carl.ID {
		t.Errorf("declared user = %+v, want another than %d, valid at every service", got, carl.ID)
	}

	_, err := s.FindToken(t.Context(), m.Hash)
	wants(t, "FindToken of the replaced user", err, jeton.ErrNotFound)
	declare(t, s, nil, declared)
}

func importOfAnotherService(t *testing.T, s Store) {
	user(t, s, "diane")
	serviceUser(t, s, "carl", "shop")

	row := func(name, service string) account.PreparedRow {
		r := importRow(name, name+"@example.org")
		r.Account.Service = service
		hash := "another hash"
		r.Update = &account.Change{Password: &hash}
		return r
	}

	got := verdicts(importAll(t, s, false, row("diane", "shop"), row("carl", ""), row("carl", "bank"),
		row("carl", "shop"), row("eve", "shop")))
	want := []account.Verdict{account.Refused, account.Refused, account.Refused, account.Changed, account.Added}
	if !slices.Equal(got, want) {
		t.Errorf("verdicts = %v, want %v", got, want)
	}

	for name, want := range map[string]string{"diane": "", "carl": "shop", "eve": "shop"} {
		if got := found(t, s, name).Service; got != want {
			t.Errorf("service of %s = %q, want %q", name, got, want)
		}
	}
}
