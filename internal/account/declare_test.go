package account_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/account"
)

func TestDeclare(t *testing.T) {
	b := newFixture(t, false)
	hash := jeton.NewSecret(phc + strings.Repeat("A", 43))

	users, err := account.CheckDeclared([]account.Declared{
		{Name: "Diane", Hash: hash, Groups: []string{"b", "a"}},
		{Name: "carl", Hash: hash, Disabled: true},
	})

	must(t, err)

	for range 2 {
		must(t, b.Declare(t.Context(), users))
	}

	list, _, err := b.Page(t.Context(), account.Page{Limit: 10})
	must(t, err)

	if len(list) != 2 {
		t.Fatalf("Page = %+v, want 2 users", list)
	}
	if d := list[0]; d.Name != "Diane" || !d.Declared || !slices.Equal(d.Groups, []string{"a", "b"}) {
		t.Errorf("first user = %+v, want Diane, declared, in groups a and b", d)
	}
	if c := list[1]; !c.Disabled || c.Groups == nil {
		t.Errorf("second user = %+v, want a disabled one with an empty list of groups", c)
	}

	if len(b.changed) != 0 || len(b.auditLog(t)) != 2 {
		t.Errorf("invalidated users %v, audit log = %v; want none, and 2 events", b.changed, b.auditLog(t))
	}
	if err := b.Disable(t.Context(), "operator", "Diane", true); !errors.Is(err, jeton.ErrDeclared) {
		t.Errorf("Disable(a declared user) = %v, want ErrDeclared", err)
	}

	must(t, b.Declare(t.Context(), users[:1]))
	if len(b.changed) != 1 {
		t.Errorf("invalidated users %v, want the removed one", b.changed)
	}
}

func TestCheckDeclaredNamesEveryFault(t *testing.T) {
	good := jeton.NewSecret(phc + strings.Repeat("A", 43))
	secret := "not a hash but hunter2"

	_, err := account.CheckDeclared([]account.Declared{
		{Name: "diane", Hash: good},
		{Name: "a b", Hash: good},
		{Name: "carl", Hash: jeton.NewSecret(secret)},
		{Name: "ben", Hash: good, Groups: []string{"a,b"}},
		{Name: "eve"},
	})
	if err == nil {
		t.Fatal("CheckDeclared = nil, want an error")
	}

	for _, want := range []string{
		"users[1].name",
		"users[2].password_hash of carl",
		"users[3].groups of ben",
		"users[4].password_hash of eve",
		"jeton hash-password",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error = %q, want one with %q", err, want)
		}
	}

	if strings.Contains(err.Error(), "hunter2") {
		t.Errorf("error = %q, want one without what may be a password", err)
	}
}
