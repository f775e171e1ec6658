package account

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/audit"
)

// Update is a change of an account; nil fields stay as they are.
type Update struct {
	Email    *string // "" removes it
	First    *string // name
	Last     *string // name
	Groups   *[]string
	Disabled *bool
	Password *jeton.Secret // ends all sessions and tokens
	// Pending is an address that counts once its link was used. Email must be nil.
	Pending *Pending
	// EndPending ends an address that waits for its link. Another Email ends it without this, too; the current one does
	// not: a form sends all its fields.
	EndPending bool
	// Reached is an address to which a mail has arrived. If it is the user's, that is verified.
	Reached string
	// KeepTokens is as in Change.
	KeepTokens bool
	// EndLinks is as in Change, which has it without this, too, if another than the user is the actor.
	EndLinks bool
	// AnyPassword is as in NewUser.
	AnyPassword bool
	// KeepAdmin is as in Change.
	KeepAdmin bool
	// Check sees the account as it is in the step that changes it, as in Change.
	Check func(Account) error
	// Origin is where the change comes from, for its audit event.
	Origin Origin
}

// Origin is where a change comes from.
type Origin struct {
	Request string // ID of the request
	Source  string // its address
	Checks  []jeton.Check
}

// Update changes an account in one step and returns it as it is afterwards. It returns
// jeton.ErrInvalid, jeton.ErrNotFound, jeton.ErrDeclared, jeton.ErrConflict for an address
// that is taken, or the error of u.Check.
func (a *Accounts) Update(ctx context.Context, actor string, acct Account, u Update) (Account, error) {
	c, err := u.change()
	if err != nil {
		return Account{}, err
	}

	action := audit.UserChange
	if u.Pending != nil {
		action = audit.UserVerify
	}
	if u.Password != nil {
		// The password must not be made of the new names either.
		profile := acct.Profile
		if c.Profile != nil {
			profile = c.Profile(profile)
		}
		if err := a.checkNew(*u.Password, u.AnyPassword, acct.Name, profile); err != nil {
			return Account{}, err
		}

		phc, err := a.hash(ctx, *u.Password)
		if err != nil {
			return Account{}, err
		}

		c.Password, action = &phc, audit.UserPassword
		c.KeepTokens, c.EndLinks = u.KeepTokens, u.EndLinks
	}

	ev := a.event(actor, action, acct.Name, "")
	ev.Request, ev.Source = u.Origin.Request, u.Origin.Source
	ev.Checks = u.Origin.Checks
	if err := a.change(ctx, acct.Name, c, ev); err != nil {
		return Account{}, err
	}

	// Read again: another change of the profile may have come in between.
	return a.FindID(ctx, acct.UUID)
}

// maxGroupChanges is how often ChangeGroups tries: each attempt that fails is another change that succeeded.
const maxGroupChanges = 8

// ChangeGroups gives an account the groups that next returns for its current ones, and returns it as it is afterwards.
// It keeps a change that is made at the same time: next is called again for the groups that it left. It has the errors
// of Update.
func (a *Accounts) ChangeGroups(
	ctx context.Context,
	actor string,
	acct Account,
	next func(current []string) []string,
) (Account, error) {
	for range maxGroupChanges {
		groups, err := Groups(next(acct.Groups))
		if err != nil || slices.Equal(groups, acct.Groups) {
			return acct, err
		}

		after, err := a.Update(ctx, actor, acct, Update{Groups: &groups, Check: acct.sameGroups})
		if !errors.Is(err, jeton.ErrChanged) {
			return after, err
		}

		acct, err = a.FindID(ctx, acct.UUID)
		if err != nil {
			return Account{}, err
		}
	}

	return Account{}, fmt.Errorf("change the groups of user %s: %w", acct.Name, jeton.ErrChanged)
}

// sameGroups returns jeton.ErrChanged for an account whose groups are not those of a, and for another account of the
// name.
func (a Account) sameGroups(now Account) error {
	if now.ID != a.ID || !slices.Equal(now.Groups, a.Groups) {
		return jeton.ErrChanged
	}

	return nil
}

// passwordChanged says in the audit log what a new password ends.
func passwordChanged(keepTokens bool) string {
	if keepTokens {
		return "password, all sessions ended, personal tokens kept"
	}
	return "password, all sessions and tokens ended"
}

// change returns the change without the password.
func (u Update) change() (c Change, err error) {
	c = Change{
		Disabled:   u.Disabled,
		EndPending: u.EndPending,
		Pending:    u.Pending,
		KeepAdmin:  u.KeepAdmin,
		Check:      u.Check,
	}

	if u.Email != nil || u.First != nil || u.Last != nil || u.Reached != "" {
		c.Profile, err = u.profile()
		if err != nil {
			return Change{}, err
		}
	}

	if u.Groups != nil {
		groups, err := Groups(*u.Groups)
		if err != nil {
			return Change{}, err
		}

		c.Groups = &groups
	}

	c.Reason = func(before Account, ended bool) string { return u.reason(c, before, ended) }

	return c, nil
}

// reason returns what a change changes of an account, for the audit log: a form sends all its fields, of which perhaps
// one is new. It has the names of the fields of a profile, and not their values.
func (u Update) reason(c Change, before Account, ended bool) string {
	var changed []string

	if c.Profile != nil {
		changed = before.Profile.differences(c.Profile(before.Profile))
	}
	if c.Groups != nil && !slices.Equal(*c.Groups, before.Groups) {
		changed = append(changed, "groups "+strings.Join(*c.Groups, ","))
	}

	// Enabling a user who is enabled ends the sign-ins that are under way, too.
	if u.Disabled != nil {
		changed = append(changed, fmt.Sprintf("disabled %t", *u.Disabled))
	}

	switch {
	case u.Pending != nil:
		changed = append(changed, linkSent)
	case ended:
		changed = append(changed, "the link to a new e-mail address has ended")
	}

	if u.Password != nil {
		changed = append(changed, passwordChanged(u.KeepTokens))
	}

	if len(changed) == 0 {
		return "nothing changed"
	}

	return strings.Join(changed, ", ")
}

// profile returns a function that changes the fields of a profile which are given.
func (u Update) profile() (func(Profile) Profile, error) {
	given, err := NewProfile(value(u.Email), value(u.First), value(u.Last))
	if err != nil {
		return nil, err
	}

	return func(p Profile) Profile {
		if u.Email != nil {
			// Another address has to be shown, too. Its owner may be another one also if case alone differs.
			p.Verified = p.Verified && p.Email == given.Email
			p.Email, p.EmailFolded = given.Email, given.EmailFolded
		}
		if u.First != nil {
			p.First = given.First
		}
		if u.Last != nil {
			p.Last = given.Last
		}
		// It may have changed since the mail.
		p.Verified = p.Verified || u.Reached != "" && u.Reached == p.Email

		return p
	}, nil
}

// value returns the text of a field, "" if it was not given.
func value(s *string) string {
	if s == nil {
		return ""
	}

	return *s
}
