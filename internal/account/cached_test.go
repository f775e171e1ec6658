package account_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/account"
)

func TestACachedUserFollowsEachChange(t *testing.T) {
	b := newFixture(t, false)
	ctx := t.Context()
	addStored(t, b, "diane")
	addStored(t, b, "max")

	find := func() account.Account {
		t.Helper()
		acct, err := b.FindCached(ctx, "diane")
		must(t, err)

		return acct
	}

	first := find()
	if first.Name != "diane" || first.Password != "" {
		t.Errorf("FindCached = %+v, want diane without a password", first)
	}

	// The store refuses a caller that has given up: what is answered to one is from memory.
	gone, cancel := context.WithCancel(ctx)
	cancel()
	if again, err := b.FindCached(gone, "diane"); err != nil || again.ID != first.ID {
		t.Errorf("FindCached again = %+v, %v, want diane from memory", again, err)
	}
	if _, err := b.FindCached(gone, "max"); !errors.Is(err, jeton.ErrUnavailable) {
		t.Errorf("FindCached of a user who is not in memory = %v, want %v", err, jeton.ErrUnavailable)
	}

	must(t, b.SetGroups(ctx, "operator", "diane", []string{"staff"}))
	if acct := find(); !slices.Equal(acct.Groups, []string{"staff"}) {
		t.Errorf("groups = %v, want staff", acct.Groups)
	}

	must(t, b.Disable(ctx, "operator", "diane", true))
	if acct := find(); !acct.Disabled || acct.Version == first.Version {
		t.Errorf("disabled, version = %v, %d, want true and another version", acct.Disabled, acct.Version)
	}

	must(t, b.Remove(ctx, "operator", "diane", false))
	if _, err := b.FindCached(ctx, "diane"); !errors.Is(err, jeton.ErrNotFound) {
		t.Errorf("FindCached of a removed user = %v, want %v", err, jeton.ErrNotFound)
	}

	// Another user of the same name is not the one who was removed.
	addStored(t, b, "diane")
	if acct := find(); acct.ID == first.ID || len(acct.Groups) > 0 {
		t.Errorf("FindCached of a new user = %+v, want another number and no groups", acct)
	}
}

// addStored adds a user with a hash of no password.
func addStored(t *testing.T, b *fixture, name string) {
	t.Helper()
	must(t, b.db.AddUser(t.Context(), account.Account{
		Name:     name,
		Folded:   name,
		UUID:     "uuid of " + name,
		Password: "hash",
		Version:  1,
	}, jeton.Event{}))
}
