package statements

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/account"
	"github.com/jeton-auth/jeton/internal/count"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/secret"
	"github.com/jeton-auth/jeton/internal/store/change"
	"github.com/jeton-auth/jeton/internal/ticket"
	"github.com/jeton-auth/jeton/internal/token"
)

// selectUsers reads what scanAccount scans.
const selectUsers = "SELECT id, " + userColumns + " FROM users "

// scanAccount reads a row of selectUsers. Groups are stored as JSON, since neither engine
// has lists that the other one has.
func scanAccount(row Row) (account.Account, error) {
	var a account.Account
	var groups []byte
	var created, updated int64
	if err := row.Scan(
		&a.ID, &a.Name, &a.Folded, &a.Password, &a.Version, &groups, &a.Disabled, &a.Declared, &created,
		&updated, &a.UUID, &a.Email, &a.EmailFolded, &a.First, &a.Last, &a.Service, &a.Verified,
	); err != nil {
		return a, err
	}

	a.Created, a.Updated = time.UnixMilli(created), time.UnixMilli(updated)
	if err := json.Unmarshal(groups, &a.Groups); err != nil {
		return a, fmt.Errorf("groups of user %d: %w", a.ID, err)
	}

	return a, nil
}

// FindUser implements account.Store.
func (db *Store) FindUser(ctx context.Context, name string) (account.Account, error) {
	return db.findUser(ctx, "name = $1", name)
}

// FindUserEmail implements account.Store.
func (db *Store) FindUserEmail(ctx context.Context, folded string) (account.Account, error) {
	return db.findUser(ctx, "email_folded = $1 AND email_folded <> ''", folded)
}

// FindUserID implements account.Store.
func (db *Store) FindUserID(ctx context.Context, uuid string) (account.Account, error) {
	return db.findUser(ctx, "uuid = $1 AND uuid <> ''", uuid)
}

// FindUserNumber implements account.Store.
func (db *Store) FindUserNumber(ctx context.Context, id int64) (account.Account, error) {
	return db.findUser(ctx, "id = $1", id)
}

// findUser returns the account that a condition on a unique column chooses, or
// jeton.ErrNotFound.
func (db *Store) findUser(ctx context.Context, where string, value any) (account.Account, error) {
	a, err := scanAccount(db.engine.QueryRow(ctx, selectUsers+"WHERE "+where, value))
	if err != nil {
		// A missing row is an answer; only the other errors mean that the database is
		// unavailable.
		return account.Account{}, Unavailable(missing(err))
	}
	return a, nil
}

// KnownSource implements account.Store.
func (db *Store) KnownSource(ctx context.Context, user int64, network string, since time.Time) (bool, error) {
	var one int
	err := db.engine.QueryRow(
		ctx, "SELECT 1 FROM sources WHERE account = $1 AND source = $2 AND at >= $3", user, network,
		milli(since),
	).Scan(&one)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}

	return err == nil, Unavailable(err)
}

// AddUser implements account.Store.
func (db *Store) AddUser(ctx context.Context, a account.Account, ev jeton.Event) error {
	return db.serial(ctx, func(ctx context.Context, tx Conn) ([]change.Change, error) {
		if _, err := insertUser(ctx, tx, a); err != nil {
			return nil, err
		}
		return nil, appendEvents(ctx, tx, ev)
	})
}

// insertUser adds an account and returns its number, or jeton.ErrConflict for a name or
// address that is taken.
func insertUser(ctx context.Context, tx Conn, a account.Account) (int64, error) {
	// This step is serial, so no client takes the name before it ends.
	if err := free(ctx, tx, "clients", a.Folded); err != nil {
		return 0, err
	}

	var id int64
	err := tx.QueryRow(
		ctx, insertInto("users", userColumns)+" ON CONFLICT DO NOTHING RETURNING id", a.Name, a.Folded,
		a.Password, max(a.Version, 1), list(a.Groups), a.Disabled, a.Declared, milli(a.Created),
		milli(a.Updated), a.UUID, a.Email, a.EmailFolded, a.First, a.Last, a.Service, a.Verified,
	).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, jeton.WithDetail(
			jeton.ErrConflict,
			"there is a user of this name or e-mail address, or of one that differs in case alone",
		)
	}

	return id, err
}

// list encodes names as JSON. nil is the empty list, never null, so that equal lists are
// equal in the database.
func list(groups []string) string {
	if len(groups) == 0 {
		return "[]"
	}

	b, err := json.Marshal(groups)
	if err != nil {
		return "[]" // a list of strings always encodes
	}

	return string(b)
}

// ChangeUser implements account.Store.
func (db *Store) ChangeUser(
	ctx context.Context,
	name string,
	c account.Change,
	now time.Time,
	ev jeton.Event,
) error {
	return db.serial(ctx, func(ctx context.Context, tx Conn) ([]change.Change, error) {
		a, err := heldUser(ctx, tx, name)
		// Ending the tokens of a declared user changes nothing that the file declares.
		if err != nil && !(c.EndTokens && errors.Is(err, jeton.ErrDeclared)) {
			return nil, err
		}

		// On the locked row: a condition that was checked before the step could be outdated.
		if c.Check != nil {
			if err := c.Check(a); err != nil {
				return nil, err
			}
		}

		if c.KeepAdmin && a.Admin() && !changed(a, c).Admin() {
			if err := otherAdmin(ctx, tx, a.ID); err != nil {
				return nil, err
			}
		}

		if err := changeUser(ctx, tx, a, c, at(ev, now)); err != nil {
			return nil, err
		}

		if err := db.noticesOfChange(ctx, tx, a, c, at(ev, now)); err != nil {
			return nil, err
		}

		ended, err := changePending(ctx, tx, a, c, at(ev, now))
		if err != nil {
			return nil, err
		}

		// A copy: the step may run again after a rollback.
		done := ev
		if c.Reason != nil {
			done.Reason = c.Reason(a, ended)
		}

		return usersChanged(a.ID), appendEvents(ctx, tx, done)
	})
}

// changed returns an account with the parts of a change that make it an admin or not.
func changed(a account.Account, c account.Change) account.Account {
	if c.Groups != nil {
		a.Groups = *c.Groups
	}
	if c.Disabled != nil {
		a.Disabled = *c.Disabled
	}

	return a
}

// otherAdmin returns jeton.ErrConflict unless another account is an admin. Steps that change users are serial, so that
// of two admins who remove each other at once the second sees the first.
func otherAdmin(ctx context.Context, tx Conn, id int64) error {
	// The condition on the groups is that of a partial index. It finds too much, as case does not count on SQLite.
	rows, err := tx.Query(ctx, selectUsers+`WHERE groups LIKE '%"admin"%' AND id <> $1`, id)
	if err != nil {
		return err
	}

	accounts, err := scanAccounts(rows)
	if err != nil || slices.ContainsFunc(accounts, account.Account.Admin) {
		return err
	}

	return jeton.WithDetail(
		jeton.ErrConflict,
		"this is the last enabled user in the group "+account.AdminGroup+"; add another one first",
	)
}

// usersChanged returns the change that drops users from the caches of all nodes; none for
// no users.
func usersChanged(ids ...int64) []change.Change {
	if len(ids) == 0 {
		return nil
	}
	return []change.Change{{Kind: change.Users, IDs: ids}}
}

// heldUser returns an account that may be changed, and locks it to the end of the step, so
// that its logins wait.
func heldUser(ctx context.Context, tx Conn, name string) (account.Account, error) {
	a, err := scanAccount(tx.QueryRow(ctx, selectUsers+"WHERE name = $1"+tx.Lock("FOR UPDATE"), name))
	if err != nil {
		return a, missing(err)
	}
	if a.Declared {
		return a, jeton.ErrDeclared
	}

	return a, nil
}

// at returns an event with the time of its step.
func at(ev jeton.Event, now time.Time) jeton.Event {
	ev.Time = now
	return ev
}

// changeUser writes the change and ends the sessions and tokens that must not outlive it. It
// adds no event: ev says when and by whom.
func changeUser(ctx context.Context, tx Conn, a account.Account, c account.Change, ev jeton.Event) error {
	end, old := c.EndSessions, a
	if c.Password != nil {
		a.Password = *c.Password
		// The version is part of the generation: tokens and pending logins of the old one are
		// refused.
		a.Version++
		end = true
	}

	if c.Disabled != nil {
		// Enabling, too, is a change of the credential: a login that was under way while
		// the account was disabled must not come through.
		a.Disabled, a.Version = *c.Disabled, a.Version+1
		end = end || a.Disabled
	}

	if c.EndTokens {
		a.Version++
	}

	if c.Groups != nil {
		a.Groups = *c.Groups
	}
	if c.Profile != nil {
		a.Profile = c.Profile(a.Profile)
	}

	if err := freeEmail(ctx, tx, a); err != nil {
		return err
	}
	if err := writeUser(ctx, tx, a, ev.Time); err != nil {
		return err
	}

	if err := endLinksByMail(ctx, tx, old, a); err != nil {
		return err
	}

	if !end && !c.EndTokens {
		return nil
	}

	if end {
		if _, err := endSessions(ctx, tx, "account = $1", a.ID); err != nil {
			return err
		}
		// One of them may be of an attacker, whose next sign-in the user has to learn of.
		if _, err := tx.Exec(ctx, "DELETE FROM devices WHERE account = $1", a.ID); err != nil {
			return err
		}
	}

	if c.EndLinks {
		_, err := tx.Exec(ctx, "DELETE FROM tickets WHERE account = $1 AND purpose = $2", a.ID, string(ticket.NotMe))
		if err != nil {
			return err
		}
	}

	return endTokensOfUser(ctx, tx, old, a.Disabled || !c.KeepTokens, ev)
}

// endLinksByMail deletes the links that were sent by mail to an address of a user, or are to give it another one, if
// the address changes: the mailbox before opens the account no longer, and an earlier request must not undo the change.
func endLinksByMail(ctx context.Context, tx Conn, old, changed account.Account) error {
	if changed.Email == old.Email {
		return nil
	}

	const links = "DELETE FROM tickets WHERE account = $1 AND purpose IN ($2, $3)"
	_, err := tx.Exec(ctx, links, changed.ID, string(ticket.RecoverMail), string(ticket.Verify))

	return err
}

// freeEmail returns jeton.ErrConflict when another user has the address. Steps that change
// users are serial, so that no other step takes it meanwhile.
func freeEmail(ctx context.Context, tx Conn, a account.Account) error {
	if a.EmailFolded == "" {
		return nil
	}

	var one int
	err := tx.QueryRow(
		ctx, "SELECT 1 FROM users WHERE email_folded = $1 AND email_folded <> '' AND id <> $2",
		a.EmailFolded, a.ID,
	).Scan(&one)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}

	if err != nil {
		return err
	}

	return jeton.WithDetail(
		jeton.ErrConflict,
		"there is a user of this e-mail address, or of one that differs in case alone",
	)
}

// endTokensOfUser voids the tokens that were issued for the credential of a user as it was, deletes the user's tickets
// and the invitations that the user made, and with all set ends the personal tokens, too.
func endTokensOfUser(ctx context.Context, tx Conn, a account.Account, all bool, ev jeton.Event) error {
	if _, err := makeVoid(ctx, tx, token.Void{
		Hash:  secret.HashOf(a.Generation()),
		Until: ev.Time.Add(policy.KeepRevocations),
	}, ev); err != nil {
		return err
	}

	// A link that signs the user in is of the old credential, too. The link of a notice stays: who has taken over the
	// account must not end it with the next change.
	const others = "DELETE FROM tickets WHERE account = $1 AND purpose <> $2"
	if _, err := tx.Exec(ctx, others, a.ID, string(ticket.NotMe)); err != nil {
		return err
	}
	// So is an invitation: who had the session of an administrator must not come back by one, in any group.
	if _, err := tx.Exec(ctx, "DELETE FROM invitations WHERE inviter = $1", a.ID); err != nil {
		return err
	}

	// account <> 0 lets the partial index fit.
	const ofUser = "account = $1 AND account <> 0 AND (kind NOT IN " + personalKinds + " OR $2)"
	_, err := endTokens(ctx, tx, ev, ofUser, a.ID, all)

	return err
}

// RehashUser implements account.Store.
func (db *Store) RehashUser(ctx context.Context, id, version int64, phc string) error {
	return db.do(ctx, func(ctx context.Context, tx Conn) error {
		// The condition on the version: a password that was changed meanwhile is not
		// overwritten.
		_, err := tx.Exec(ctx, "UPDATE users SET password = $3 WHERE id = $1 AND version = $2", id, version, phc)
		return err
	})
}

// RemoveUser implements account.Store.
func (db *Store) RemoveUser(ctx context.Context, name string, keepAdmin bool, ev jeton.Event) error {
	return db.serial(ctx, func(ctx context.Context, tx Conn) ([]change.Change, error) {
		a, err := heldUser(ctx, tx, name)
		if err != nil {
			return nil, err
		}

		if keepAdmin && a.Admin() {
			if err := otherAdmin(ctx, tx, a.ID); err != nil {
				return nil, err
			}
		}

		if err := removeUser(ctx, tx, a, ev); err != nil {
			return nil, err
		}

		return usersChanged(a.ID), appendEvents(ctx, tx, ev)
	})
}

// removeUser deletes an account with everything that belongs to it. Audit events stay.
func removeUser(ctx context.Context, tx Conn, a account.Account, ev jeton.Event) error {
	id := a.ID
	// From here on logins wait for this row, and then do not find it.
	if _, err := tx.Exec(ctx, "UPDATE users SET version = version + 1 WHERE id = $1", id); err != nil {
		return err
	}
	if _, err := endSessions(ctx, tx, "account = $1", id); err != nil {
		return err
	}

	if err := endTokensOfUser(ctx, tx, a, true, ev); err != nil {
		return err
	}

	for _, from := range []string{
		"logins WHERE account", "sources WHERE account", "devices WHERE account", "connections WHERE account",
		"identities WHERE account", "factors WHERE account", "factor_attempts WHERE account",
		"users WHERE id",
	} {
		if _, err := tx.Exec(ctx, "DELETE FROM "+from+" = $1", id); err != nil {
			return err
		}
	}

	// They have the address. The sender would not send them, and would find that out when they are due.
	if _, err := tx.Exec(ctx, "DELETE FROM mails WHERE "+mailsOfUser, id); err != nil {
		return err
	}

	// After the row, which holds off a first use until here.
	return removeUses(ctx, tx, []int64{count.UserHolders + id})
}
