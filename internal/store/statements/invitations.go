package statements

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/account"
	"github.com/jeton-auth/jeton/internal/invite"
	"github.com/jeton-auth/jeton/internal/mail"
	"github.com/jeton-auth/jeton/internal/secret"
	"github.com/jeton-auth/jeton/internal/store/change"
)

const selectInvitations = "SELECT " + invitationColumns + " FROM invitations "

func scanInvitation(row Row) (invite.Invitation, error) {
	var inv invite.Invitation
	var hash, groups []byte
	var created, expires int64

	err := row.Scan(
		&inv.ID, &hash, &inv.Note, &inv.Email, &groups, &inv.Inviter, &inv.Actor, &inv.Most, &inv.Used, &created,
		&expires,
	)
	if err != nil {
		return inv, err
	}

	copy(inv.Hash[:], hash)
	inv.Created, inv.Expires = time.UnixMilli(created), time.UnixMilli(expires)
	if err := json.Unmarshal(groups, &inv.Groups); err != nil {
		return inv, fmt.Errorf("groups of invitation %s: %w", inv.ID, err)
	}

	return inv, nil
}

// AddInvitation implements invite.Store.
func (db *Store) AddInvitation(ctx context.Context, inv invite.Invitation, m *mail.Mail, ev jeton.Event) error {
	return db.serial(ctx, func(ctx context.Context, tx Conn) ([]change.Change, error) {
		var kept int64
		if err := tx.QueryRow(ctx, "SELECT count(*) FROM invitations").Scan(&kept); err != nil {
			return nil, err
		}
		if kept >= invite.MaxKept {
			return nil, jeton.WithDetail(
				jeton.ErrConflict, fmt.Sprintf("%d invitations are kept; end those that are not needed", kept),
			)
		}

		profile, err := account.NewProfile(inv.Email, "", "")
		if err != nil {
			return nil, err
		}
		if err := freeEmail(ctx, tx, account.Account{Profile: profile}); err != nil {
			return nil, err
		}

		_, err = tx.Exec(
			ctx, insertInto("invitations", invitationColumns), inv.ID, inv.Hash[:], inv.Note, inv.Email,
			list(inv.Groups), inv.Inviter, inv.Actor, inv.Most, inv.Used, milli(inv.Created), milli(inv.Expires),
		)
		if err == nil && m != nil {
			err = insertMail(ctx, tx, *m, false)
		}
		if err != nil {
			return nil, err
		}

		return nil, appendEvents(ctx, tx, ev)
	})
}

// FindInvitation implements invite.Store.
func (db *Store) FindInvitation(ctx context.Context, h secret.Hash, now time.Time) (invite.Invitation, error) {
	inv, err := findInvitation(ctx, db.engine, h, now)
	return inv, Unavailable(err)
}

// findInvitation returns an invitation that makes accounts, jeton.ErrNotFound, or jeton.ErrSpent with one that is used
// up.
func findInvitation(ctx context.Context, q Queries, h secret.Hash, now time.Time) (invite.Invitation, error) {
	const find = selectInvitations + "WHERE hash = $1 AND expires > $2"

	inv, err := scanInvitation(q.QueryRow(ctx, find, h[:], milli(now)))
	if err != nil {
		return invite.Invitation{}, missing(err)
	}

	// What the inviter gives, the inviter must still be able to give.
	if inv.Inviter != 0 {
		inviter, err := scanAccount(q.QueryRow(ctx, selectUsers+"WHERE id = $1", inv.Inviter))
		if err != nil {
			return invite.Invitation{}, missing(err)
		}
		if !inviter.Admin() {
			return invite.Invitation{}, jeton.ErrNotFound
		}
	}

	if inv.Used >= inv.Most {
		return inv, jeton.ErrSpent
	}

	return inv, nil
}

// ListInvitations implements invite.Store.
func (db *Store) ListInvitations(ctx context.Context) ([]invite.Invitation, error) {
	rows, err := db.engine.Query(ctx, selectInvitations+"ORDER BY created DESC, id DESC")
	if err != nil {
		return nil, Unavailable(err)
	}
	defer rows.Close()

	var all []invite.Invitation
	for rows.Next() {
		inv, err := scanInvitation(rows)
		if err != nil {
			return nil, Unavailable(err)
		}
		all = append(all, inv)
	}

	return all, Unavailable(rows.Err())
}

// EndInvitation implements invite.Store.
func (db *Store) EndInvitation(ctx context.Context, id string, ev jeton.Event) error {
	return db.do(ctx, func(ctx context.Context, tx Conn) error {
		n, err := tx.Exec(ctx, "DELETE FROM invitations WHERE id = $1", id)
		if err != nil {
			return err
		}
		if n == 0 {
			return jeton.ErrNotFound
		}

		return appendEvents(ctx, tx, ev)
	})
}

// AcceptInvitation implements invite.Store.
func (db *Store) AcceptInvitation(
	ctx context.Context,
	h secret.Hash,
	a account.Account,
	now time.Time,
	ev jeton.Event,
) error {
	const take = "UPDATE invitations SET used = used + 1" +
		" WHERE hash = $1 AND used < most AND expires > $2 RETURNING used"

	// The step is serial, as it adds a user: while it runs, no inviter is removed or leaves the group.
	return db.serial(ctx, func(ctx context.Context, tx Conn) ([]change.Change, error) {
		inv, err := findInvitation(ctx, tx, h, now)
		if err != nil {
			return nil, err
		}

		// The update is the check; it waits for a step that ends the invitation.
		var used int64
		err = tx.QueryRow(ctx, take, h[:], milli(now)).Scan(&used)
		if errors.Is(err, sql.ErrNoRows) {
			return nil, jeton.ErrNotFound
		}
		if err != nil {
			return nil, err
		}

		// By itself, since the user can choose another name, and cannot choose another address.
		err = freeEmail(ctx, tx, a)
		if errors.Is(err, jeton.ErrConflict) {
			err = invite.ErrEmailTaken
		}
		if err != nil {
			return nil, err
		}

		a.Groups = inv.Groups
		if _, err := insertUser(ctx, tx, a); err != nil {
			return nil, err
		}

		return nil, appendEvents(ctx, tx, at(ev, now))
	})
}

// SweepInvitations implements invite.Store.
func (db *Store) SweepInvitations(ctx context.Context, before time.Time, limit int) (int, error) {
	var n int64

	err := db.do(ctx, func(ctx context.Context, tx Conn) error {
		// Set here, because the step may run again after a rollback.
		n = 0
		// Two nodes that delete the same rows would only wait for each other.
		if mine, err := tx.Alone(ctx, "sweep of invitations"); err != nil || !mine {
			return err
		}

		var err error
		n, err = tx.Exec(
			ctx,
			"DELETE FROM invitations WHERE id IN (SELECT id FROM invitations WHERE expires < $1 ORDER BY expires"+
				atMost(limit)+")",
			milli(before),
		)

		return err
	})

	return int(n), err
}
