package statements

import (
	"context"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/account"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/mail"
	"github.com/jeton-auth/jeton/internal/ticket"
)

// changePending ends the address of a user that waits for its link, with its mail, and adds the next one. It reports
// whether one ended without another one. a is the account before the change, which is already made: it may end the
// tickets of the user.
func changePending(ctx context.Context, tx Conn, a account.Account, c account.Change, ev jeton.Event) (bool, error) {
	another := c.Profile != nil && c.Profile(a.Profile).Email != a.Email
	if !c.EndPending && !another && c.Pending == nil {
		return false, nil
	}

	ended, err := tx.Exec(
		ctx, "DELETE FROM tickets WHERE account = $1 AND purpose = $2 AND used IS NULL", a.ID, string(ticket.Verify),
	)
	if err != nil {
		return false, err
	}
	mails, err := tx.Exec(ctx, "DELETE FROM mails WHERE "+mailsOfUser+" AND kind = $2", a.ID, string(mail.Verify))
	if err != nil {
		return false, err
	}

	if c.Pending == nil {
		return ended+mails > 0, nil
	}

	return false, addPending(ctx, tx, a.ID, *c.Pending, ev)
}

// addPending adds the mail to an address that counts once its link was used, and the ticket of the link.
func addPending(ctx context.Context, tx Conn, user int64, p account.Pending, ev jeton.Event) error {
	a, err := scanAccount(tx.QueryRow(ctx, selectUsers+"WHERE id = $1", user))
	if err != nil {
		return missing(err)
	}
	data, err := p.Data(a)
	if err != nil {
		return err
	}

	err = addTicket(ctx, tx, p.Link, ticket.Ticket{
		Purpose: ticket.Verify,
		Subject: a.ID,
		Data:    data,
		Expires: p.Expires,
	})
	if err != nil {
		return err
	}

	return addRequested(ctx, tx, mail.Mail{
		ID:       p.Mail,
		Kind:     mail.Verify,
		Account:  a.ID,
		To:       p.Email,
		Language: p.Language,
		Created:  ev.Time,
		Expires:  p.Expires,
		Facts: mail.Facts{
			Name:    a.Name,
			User:    a.UUID,
			Action:  audit.UserVerify,
			Source:  ev.Source,
			Request: ev.Request,
			At:      ev.Time,
		},
	}, true)
}
