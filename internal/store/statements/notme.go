package statements

import (
	"context"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/account"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/mail"
	"github.com/jeton-auth/jeton/internal/secret"
	"github.com/jeton-auth/jeton/internal/store/change"
	"github.com/jeton-auth/jeton/internal/ticket"
)

// EndByNotice implements signin.MailStore.
func (db *Store) EndByNotice(ctx context.Context, h secret.Hash, now time.Time, ev jeton.Event) error {
	const later = "DELETE FROM tickets WHERE account = $1 AND purpose = $2 AND used IS NULL AND expires >= $3"

	return db.serial(ctx, func(ctx context.Context, tx Conn) ([]change.Change, error) {
		t, err := useTicket(ctx, tx, ticket.NotMe, h, now)
		if err != nil {
			return nil, err
		}

		// Held, so that a sign-in that is under way waits, and is then refused.
		const held = selectUsers + "WHERE id = $1"
		a, err := scanAccount(tx.QueryRow(ctx, held+tx.Lock("FOR UPDATE"), t.Subject))
		if err != nil {
			return nil, missing(err)
		}

		ev := at(ev, now)
		everything := account.Change{EndSessions: true, EndTokens: true}
		if err := changeUser(ctx, tx, a, everything, ev); err != nil {
			return nil, err
		}
		if _, err := tx.Exec(ctx, later, a.ID, string(ticket.NotMe), milli(t.Expires)); err != nil {
			return nil, err
		}
		if err := endConnectedSince(ctx, tx, a, t.Expires.Add(-mail.LinkLifetime), ev); err != nil {
			return nil, err
		}

		return usersChanged(a.ID), appendEvents(ctx, tx, ev)
	})
}

// eventTime is how much earlier than its event an identity may have been connected, which the event is about.
const eventTime = time.Minute

// endConnectedSince removes the identities that a user has connected since an event: who took over the account may have
// connected one. The one with which the account was made stays. What began with them has ended.
func endConnectedSince(ctx context.Context, tx Conn, a account.Account, since time.Time, ev jeton.Event) error {
	n, err := tx.Exec(
		ctx, "DELETE FROM identities WHERE account = $1 AND created >= $2 AND created > $3", a.ID,
		milli(since.Add(-eventTime)), milli(a.Created.Add(eventTime)),
	)
	if err != nil || n == 0 {
		return err
	}

	ev.Action, ev.Reason = audit.IdentityRemove, "connected since what the notice was about"

	return appendEvents(ctx, tx, ev)
}
