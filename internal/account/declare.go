package account

import (
	"context"
	"errors"
	"fmt"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/password"
)

// Declared is a user as the configuration declares it.
type Declared struct {
	Name     string
	Hash     jeton.Secret // PHC string
	Groups   []string
	Disabled bool
	Email    string // "": none
	First    string // name
	Last     string // name
}

// CheckDeclared prepares declared users for Declare and returns every fault.
func CheckDeclared(users []Declared) ([]Account, error) {
	var list []Account
	var errs []error
	for i, d := range users {
		prepared, folded, err := prepareName(d.Name)
		if err != nil {
			errs = append(errs, fmt.Errorf("users[%d].name %q: %w", i, d.Name, err))
			continue
		}

		groups, err := Groups(d.Groups)
		if err != nil {
			errs = append(errs, fmt.Errorf("users[%d].groups of %s: %w", i, d.Name, err))
		}

		profile, err := NewProfile(d.Email, d.First, d.Last)
		if err != nil {
			errs = append(errs, fmt.Errorf("users[%d] %s: %w", i, d.Name, err))
		}

		// Only our own format: a declared hash is not replaced at the next login, so a weak
		// one would stay.
		if _, err := password.Parse(d.Hash.Reveal()); err != nil {
			errs = append(
				errs,
				fmt.Errorf("users[%d].password_hash of %s: %w; 'jeton hash-password' makes one", i, d.Name, err),
			)
		}

		list = append(list, Account{
			UUID:     newUUID(),
			Name:     prepared,
			Folded:   folded,
			Groups:   groups,
			Password: d.Hash.Reveal(),
			Disabled: d.Disabled,
			Declared: true,
			Profile:  profile,
		})
	}

	return list, errors.Join(errs...)
}

// Declare makes the given users, which CheckDeclared has prepared, the declared ones.
func (a *Accounts) Declare(ctx context.Context, users []Account) error {
	ev := a.event("config", audit.UserChange, "", "declared in the configuration file")
	if err := a.store.DeclareUsers(ctx, users, a.now(), ev); err != nil {
		return fmt.Errorf("declare users: %w", err)
	}

	return nil
}
