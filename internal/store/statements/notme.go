package statements

import (
	"context"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/account"
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

		return usersChanged(a.ID), appendEvents(ctx, tx, ev)
	})
}
