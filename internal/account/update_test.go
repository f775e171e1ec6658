package account_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/account"
	"github.com/jeton-auth/jeton/internal/audit"
)

func TestNewPerson(t *testing.T) {
	long := strings.Repeat("x", 257)
	for _, tc := range []struct {
		name, email, first string
		want               account.Profile
		err                error
	}{
		{"nothing", "", "", account.Profile{}, nil},
		{
			"an address with space around it",
			" Diane@Example.org ",
			"",
			account.Profile{Email: "Diane@Example.org", EmailFolded: "diane@example.org"},
			nil,
		},
		{
			"an address that is folded by more than ASCII",
			"STRASSE@ß.example",
			"",
			account.Profile{Email: "STRASSE@ß.example", EmailFolded: "strasse@ss.example"},
			nil,
		},
		{"a first name of any characters", "", "<b>'; DROP", account.Profile{First: "<b>'; DROP"}, nil},
		{"no at sign", "diane", "", account.Profile{}, jeton.ErrInvalid},
		{"two at signs", "a@b@c", "", account.Profile{}, jeton.ErrInvalid},
		{"no domain", "a@", "", account.Profile{}, jeton.ErrInvalid},
		{"a line break", "a@b\nc", "", account.Profile{}, jeton.ErrInvalid},
		{"an address that is too long", long + "@x", "", account.Profile{}, jeton.ErrInvalid},
		{"a name that is too long", "", long, account.Profile{}, jeton.ErrInvalid},
		{"a name with a NUL", "", "a\x00b", account.Profile{}, jeton.ErrInvalid},
		{"a name that is no UTF-8", "", "\xff", account.Profile{}, jeton.ErrInvalid},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := account.NewProfile(tc.email, tc.first, "")
			if got != tc.want || !errors.Is(err, tc.err) {
				t.Errorf("NewPerson = %+v, %v, want %+v, %v", got, err, tc.want, tc.err)
			}
		})
	}
}

func TestEdit(t *testing.T) {
	b := newBench(t, true)
	made, err := b.Add(t.Context(), "operator", account.NewUser{
		Name:     "diane",
		Password: jeton.NewSecret("a good password"),
		Email:    "diane@example.org",
		First:    "Diane",
	})

	must(t, err)
	diane, err := b.FindID(t.Context(), made.ID)
	must(t, err)

	if got, err := b.FindForLogin(t.Context(), " DIANE@example.org", true); err != nil || got.ID != diane.ID {
		t.Errorf("FindForLogin by e-mail address = %+v, %v, want user %d", got, err, diane.ID)
	}
	if got, err := b.FindForLogin(t.Context(), "", true); err != nil || got.ID != 0 {
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

	if after.First != "Di" || after.Email != "" || after.EmailFolded != "" || fmt.Sprint(after.Groups) != "[a b]" ||
		after.Version <= diane.Version {
		t.Errorf("afterwards %+v", after)
	}

	if ok, err := b.Verify(t.Context(), after, pw); err != nil || !ok {
		t.Errorf("the new password: %t, %v", ok, err)
	}

	for name, e := range map[string]account.Update{
		"a short password":     {Password: &short},
		"an address of no one": {Email: &first},
	} {
		if _, err := b.Update(t.Context(), "user:diane", diane, e); !errors.Is(err, jeton.ErrInvalid) {
			t.Errorf("%s: %v, want ErrInvalid", name, err)
		}
	}

	if _, err := b.Update(t.Context(), "user:diane", diane, account.Update{
		Password:    &short,
		AnyPassword: true,
	}); err != nil {
		t.Errorf("a short password where any is taken: %v", err)
	}

	if n, err := b.Count(t.Context()); err != nil || n != 1 {
		t.Errorf("Count = %d, %v", n, err)
	}

	events, err := b.db.Events(t.Context(), audit.Filter{})
	must(t, err)

	if e := events[1]; e.Actor != "user:diane" || e.Action != audit.UserPassword || !strings.Contains(
		e.Reason,
		"email, first_name, groups a,b, password",
	) || strings.Contains(e.Reason, "Di,") {
		t.Errorf("the record says %+v", e)
	}
}

func TestPage(t *testing.T) {
	b := newBench(t, true)
	for _, name := range []string{"one", "two", "three"} {
		_, err := b.Add(t.Context(), "operator", account.NewUser{
			Name:     name,
			Password: jeton.NewSecret("a good password"),
		})
		must(t, err)
	}

	page, next, err := b.Page(t.Context(), account.Page{Limit: 2})
	must(t, err)

	if len(page) != 2 || next == 0 {
		t.Fatalf("the first page is %v, next %d", page, next)
	}

	page, next, err = b.Page(t.Context(), account.Page{Limit: 2, After: next})
	must(t, err)

	if len(page) != 1 || page[0].Name != "three" || next != 0 {
		t.Errorf("the last page is %v, next %d", page, next)
	}

	page, next, err = b.Page(t.Context(), account.Page{Limit: 3})
	if err != nil || len(page) != 3 || next != 0 {
		t.Errorf("a page that is just full is %v, next %d, %v", page, next, err)
	}
}
