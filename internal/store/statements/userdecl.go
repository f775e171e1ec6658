package statements

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/account"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/store/change"
)

// DeclareUsers implements account.Store.
func (db *Store) DeclareUsers(
	ctx context.Context,
	declared []account.Account,
	now time.Time,
	ev jeton.Event,
) error {
	// Nothing to do is the common case, and a start without a write is a fast one.
	accounts, err := db.ListUsers(ctx)
	if err != nil {
		return err
	}
	if len(declaringUsers.plan(accounts, declared)) == 0 {
		return nil
	}

	return db.serial(ctx, func(ctx context.Context, tx Conn) ([]change.Change, error) {
		var changed []int64

		// Read again in the step: another node may have declared them meanwhile.
		rows, err := tx.Query(ctx, selectUsers+"ORDER BY name")
		if err != nil {
			return nil, err
		}

		accounts, err := scanAccounts(rows)
		if err != nil {
			return nil, err
		}

		for _, step := range declaringUsers.plan(accounts, declared) {
			if err := declareUser(ctx, tx, step, at(ev, now)); err != nil {
				return nil, fmt.Errorf("user %s: %w", step.to.Name, err)
			}
			if step.from.ID != 0 {
				changed = append(changed, step.from.ID)
			}

			ev := ev
			ev.Action, ev.Target = step.action, "user:"+step.to.Name
			if step.action == audit.UserChange && resets(step) {
				ev.Reason += "; all sessions and tokens ended"
			}

			if err := appendEvents(ctx, tx, ev); err != nil {
				return nil, err
			}
		}

		return usersChanged(changed...), nil
	})
}

// declaringUsers compares users.
var declaringUsers = declaring[account.Account]{
	add:      audit.UserAdd,
	change:   audit.UserChange,
	remove:   audit.UserRemove,
	name:     func(a account.Account) string { return a.Name },
	declared: func(a account.Account) bool { return a.Declared },
	differs: func(a, b account.Account) []string {
		return unequal(
			key{"password_hash", a.Password == b.Password},
			key{"groups", slices.Equal(a.Groups, b.Groups)},
			key{"disabled", a.Disabled == b.Disabled},
			key{"email", a.Email == b.Email && a.EmailFolded == b.EmailFolded},
			key{"first_name", a.First == b.First},
			key{"last_name", a.Last == b.Last},
		)
	},
}

// resets reports whether a step sets the password of an existing account.
func resets(s difference[account.Account]) bool {
	return s.from.ID != 0 && (!s.from.Declared || s.from.Password != s.to.Password)
}

// declareUser takes one step of the plan.
func declareUser(ctx context.Context, tx Conn, s difference[account.Account], ev jeton.Event) error {
	ev.Action = s.action
	switch s.action {
	case audit.UserAdd:
		s.to.Created, s.to.Updated = ev.Time, ev.Time
		_, err := insertUser(ctx, tx, s.to)
		return err
	case audit.UserRemove:
		return removeUser(ctx, tx, s.from, ev)
	}

	// An account that anyone could register is not the user whom the file means: no session, token or count of it
	// becomes that user's.
	if s.from.Service != "" {
		if err := removeUser(ctx, tx, s.from, ev); err != nil {
			return err
		}

		s.to.Created, s.to.Updated = ev.Time, ev.Time
		_, err := insertUser(ctx, tx, s.to)
		return err
	}

	c := account.Change{Groups: &s.to.Groups, Profile: func(account.Profile) account.Profile { return s.to.Profile }}
	// A password that is set ends all sessions and tokens. It is set if it differs, and when an
	// existing account becomes declared: what its user had created must not outlive that.
	if resets(s) {
		c.Password = &s.to.Password
	}
	if s.from.Disabled != s.to.Disabled {
		c.Disabled = &s.to.Disabled
	}

	// changeUser writes the record as it is given: an existing user becomes declared.
	s.from.Declared = true

	return changeUser(ctx, tx, s.from, c, ev)
}
