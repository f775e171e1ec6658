package account

import (
	"context"
	"fmt"
	"strings"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/audit"
)

// Update is what to change of an account; nil fields stay as they are.
type Update struct {
	Email    *string // "" takes it away
	First    *string // name
	Last     *string // name
	Groups   *[]string
	Disabled *bool
	Password *jeton.Secret // ends all sessions
	// AnyPassword is as in Wish.
	AnyPassword bool
	// Check judges the account as it is when it is changed, as in Change.
	Check func(Account) error
}

// Update changes an account, all of it in one step, and returns it as it is afterwards. It
// returns jeton.ErrInvalid, jeton.ErrNotFound, jeton.ErrDeclared, jeton.ErrConflict for an
// address that is taken, or what e.If does.
func (a *Accounts) Update(ctx context.Context, by string, acct Account, e Update) (Account, error) {
	c := Change{Disabled: e.Disabled, Check: e.Check}
	var what []string

	note := func(given bool, name string) {
		if given {
			what = append(what, name)
		}
	}

	note(e.Email != nil, "email")
	note(e.First != nil, "first_name")
	note(e.Last != nil, "last_name")

	if len(what) > 0 {
		told, err := NewProfile(value(e.Email), value(e.First), value(e.Last))
		if err != nil {
			return Account{}, err
		}

		c.Profile = func(p Profile) Profile {
			if e.Email != nil {
				p.Email, p.EmailFolded = told.Email, told.EmailFolded
			}
			if e.First != nil {
				p.First = told.First
			}
			if e.Last != nil {
				p.Last = told.Last
			}

			return p
		}
	}

	if e.Groups != nil {
		groups, err := Groups(*e.Groups)
		if err != nil {
			return Account{}, err
		}

		c.Groups = &groups
		what = append(what, "groups "+strings.Join(groups, ","))
	}

	if e.Disabled != nil {
		what = append(what, fmt.Sprintf("disabled %t", *e.Disabled))
	}

	action := audit.UserChange
	if e.Password != nil {
		phc, err := a.hash(ctx, *e.Password, e.AnyPassword)
		if err != nil {
			return Account{}, err
		}

		c.Password, action = &phc, audit.UserPassword
		what = append(what, "password, all sessions ended")
	}

	if err := a.change(ctx, acct.Name, c, a.event(by, action, acct.Name, strings.Join(what, ", "))); err != nil {
		return Account{}, err
	}

	return a.FindID(ctx, acct.UUID)
}

func value(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
