package account_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/account"
	"github.com/jeton-auth/jeton/internal/audit"
)

// TestAChangeOfGroupsKeepsOthersThatAreMadeAtOnce has another change between the look at the groups and the change.
func TestAChangeOfGroupsKeepsOthersThatAreMadeAtOnce(t *testing.T) {
	b := newFixture(t, false)
	add := func(id, group string) {
		t.Helper()
		must(t, b.db.AddUser(t.Context(), account.Account{
			UUID:    id,
			Name:    "diane",
			Folded:  "diane",
			Groups:  []string{group},
			Version: 1,
		}, jeton.Event{}))
	}
	add("first", "old")

	diane, err := b.Find(t.Context(), "diane")
	must(t, err)
	changes := 0
	after, err := b.ChangeGroups(t.Context(), "provider:company", diane, func(current []string) []string {
		changes++
		if changes == 1 {
			_, err := b.Update(t.Context(), "operator", diane, account.Update{Groups: &[]string{"new"}})
			must(t, err)
		}
		return append([]string{"staff"}, current...)
	})

	must(t, err)
	if got := strings.Join(after.Groups, ","); got != "new,staff" || changes != 2 {
		t.Errorf("groups = %s after %d attempts, want new,staff after 2", got, changes)
	}

	// The name may be that of another user by then, who keeps the groups.
	_, err = b.ChangeGroups(t.Context(), "provider:company", after, func([]string) []string {
		must(t, b.db.RemoveUser(t.Context(), "diane", false, jeton.Event{}))
		add("second", "staff")
		return []string{"boss"}
	})
	if got := b.find(t, "diane"); !errors.Is(err, jeton.ErrNotFound) || strings.Join(got.Groups, ",") != "staff" {
		t.Errorf("another user of the name: %v and groups %v, want not found and [staff]", err, got.Groups)
	}
}

func TestUpdate(t *testing.T) {
	b := newFixture(t, true)
	made, err := b.Add(t.Context(), "operator", account.NewUser{
		Name:     "diane",
		Password: jeton.NewSecret("a good password"),
		Email:    "diane@example.org",
		First:    "Diane",
	})

	must(t, err)
	diane, err := b.FindID(t.Context(), made.ID)
	must(t, err)

	if got, err := b.FindForLogin(t.Context(), " DIANE@example.org", true, "shop"); err != nil || got.ID != diane.ID {
		t.Errorf("FindForLogin by e-mail address = %+v, %v, want user %d", got, err, diane.ID)
	}
	if got, err := b.FindForLogin(t.Context(), "", true, "shop"); err != nil || got.ID != 0 {
		t.Errorf("FindForLogin by no address = %+v, %v, want the zero account", got, err)
	}

	first := "Di"
	none := ""
	pw := jeton.NewSecret("another password")
	short := jeton.NewSecret("x")
	groups := []string{"b", "a", "b"}

	after, err := b.Update(t.Context(), "user:diane", diane, account.Update{
		First:    &first,
		Email:    &none,
		Groups:   &groups,
		Password: &pw,
	})

	must(t, err)

	if after.First != "Di" || after.Email != "" || after.EmailFolded != "" || fmt.Sprint(after.Groups) != "[a b]" {
		t.Errorf("Update = %+v, want first name Di, no address, groups a and b", after)
	}
	if after.Version <= diane.Version {
		t.Errorf("version = %d, want more than %d", after.Version, diane.Version)
	}

	if ok, err := b.Verify(t.Context(), after, pw); err != nil || !ok {
		t.Errorf("Verify(the new password) = %t, %v, want true", ok, err)
	}

	for name, u := range map[string]account.Update{
		"a short password":   {Password: &short},
		"an invalid address": {Email: &first},
	} {
		if _, err := b.Update(t.Context(), "user:diane", diane, u); !errors.Is(err, jeton.ErrInvalid) {
			t.Errorf("Update(%s) = %v, want ErrInvalid", name, err)
		}
	}

	_, err = b.Update(t.Context(), "user:diane", diane, account.Update{Password: &short, AnyPassword: true})
	if err != nil {
		t.Errorf("Update(a short password, AnyPassword) = %v, want nil", err)
	}

	if n, err := b.Count(t.Context(), ""); err != nil || n != 1 {
		t.Errorf("Count = %d, %v, want 1", n, err)
	}

	events, err := b.db.Events(t.Context(), audit.Filter{})
	must(t, err)

	e := events[1]
	if e.Actor != "user:diane" || e.Action != audit.UserPassword {
		t.Errorf("audit event = %s by %s, want %s by user:diane", e.Action, e.Actor, audit.UserPassword)
	}

	if !strings.Contains(e.Reason, "email, first_name, groups a,b, password") || strings.Contains(e.Reason, "Di,") {
		t.Errorf("reason = %q, want the names of the fields and the groups, and no other value", e.Reason)
	}
}

// TestTheAuditLogNamesWhatDiffers changes a user by a form, which sends all its fields.
func TestTheAuditLogNamesWhatDiffers(t *testing.T) {
	first, last, email, other := "Diane", "Prince", "diane@example.org", "d@example.org"
	no := false

	for _, tc := range []struct {
		name   string
		update account.Update
		want   string
	}{
		{"nothing", account.Update{First: &first, Last: &last, Email: &email}, "nothing changed"},
		{"one of the fields", account.Update{First: &other, Last: &last, Email: &email}, "first_name"},
		{"two of them", account.Update{First: &first, Last: &other, Email: &other}, "email, last_name"},
		{"the groups as they are", account.Update{Groups: &[]string{"staff"}}, "nothing changed"},
		{"other groups", account.Update{Groups: &[]string{"a", "b"}, First: &first}, "groups a,b"},
		{"an enabled user, which ends sign-ins", account.Update{Disabled: &no}, "disabled false"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newFixture(t, false)
			must(t, b.db.AddUser(t.Context(), account.Account{
				UUID:    "first",
				Name:    "diane",
				Folded:  "diane",
				Groups:  []string{"staff"},
				Version: 1,
				Profile: account.Profile{
					First:       first,
					Last:        last,
					Email:       email,
					EmailFolded: email,
				},
			}, jeton.Event{}))

			diane := b.find(t, "diane")
			_, err := b.Update(t.Context(), "operator", diane, tc.update)
			must(t, err)

			events, err := b.db.Events(t.Context(), audit.Filter{})
			must(t, err)
			isWanted := func(e jeton.Event) bool { return e.Reason == tc.want }
			if !slices.ContainsFunc(events, isWanted) {
				t.Errorf("events = %+v, want the reason %q", events, tc.want)
			}
		})
	}
}
