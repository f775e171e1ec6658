package account

import (
	"context"
	"errors"
	"fmt"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/password"
)

// Declared is a person as the configuration declares them.
type Declared struct {
	Name     string
	Hash     jeton.Secret // PHC string
	Groups   []string
	Disabled bool
	Email    string // "": none
	First    string // name
	Last     string // name
}

// CheckDeclared prepares declared people for Declare and returns every fault.
func CheckDeclared(people []Declared) ([]Account, error) {
	var list []Account
	var errs []error
	for i, d := range people {
		prepared, folded, err := prepareName(d.Name)
		if err != nil {
			errs = append(errs, fmt.Errorf("users[%d].name %q: %w", i, d.Name, err))
			continue
		}

		groups, err := Groups(d.Groups)
		if err != nil {
			errs = append(errs, fmt.Errorf("users[%d].groups of %s: %w", i, d.Name, err))
		}

		person, err := NewProfile(d.Email, d.First, d.Last)
		if err != nil {
			errs = append(errs, fmt.Errorf("users[%d] %s: %w", i, d.Name, err))
		}

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
			Profile:  person,
		})
	}

	return list, errors.Join(errs...)
}

// Declare makes the declared people be the given ones, which CheckDeclared has prepared.
func (a *Accounts) Declare(ctx context.Context, people []Account) error {
	if _, err := a.store.DeclareUsers(
		ctx,
		people,
		a.now(),
		a.event("config", audit.UserChange, "", "declared in the configuration file"),
	); err != nil {
		return fmt.Errorf("declare users: %w", err)
	}

	return nil
}
