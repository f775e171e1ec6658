package statements

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/account"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/mail"
	"github.com/jeton-auth/jeton/internal/secret"
	"github.com/jeton-auth/jeton/internal/ticket"
	"github.com/jeton-auth/jeton/internal/token"
)

// SendNotices implements mail.Store.
func (db *Store) SendNotices(on bool) { db.notices.Store(on) }

// addNotice adds a mail to a user about what a step does, unless the user has no address.
func (db *Store) addNotice(ctx context.Context, tx Conn, k mail.Kind, a account.Account, ev jeton.Event) error {
	if !db.notices.Load() || a.Email == "" {
		return nil
	}

	if slices.Contains(mail.Often, k) {
		enough, err := enoughNotices(ctx, tx, a.ID, ev.Time)
		if err != nil || enough {
			return err
		}
	}

	m, err := mail.New(k, ev.Time)
	if err != nil {
		return err
	}
	m.Account = a.ID
	m.To = a.Email
	m.Facts = mail.Facts{
		Name:    a.Name,
		User:    a.UUID,
		Action:  ev.Action,
		Actor:   ev.Actor,
		Source:  ev.Source,
		Request: ev.Request,
		At:      ev.Time,
		Email:   a.Email,
	}

	return insertMail(ctx, tx, m, false)
}

// mailsOfUser is the condition for the mails about user $1. account <> 0 lets the partial index fit.
const mailsOfUser = "account = $1 AND account <> 0"

// enoughNotices reports whether a user gets no more notices of what a user can do often: mail.MaxNotices wait, as many
// had a link within the hour, or no more links are given, so that those cannot be counted.
func enoughNotices(ctx context.Context, tx Conn, user int64, now time.Time) (bool, error) {
	kinds, args := oneOf(mail.Often, []any{user})

	var waiting, links, recent int64
	err := tx.QueryRow(
		ctx, "SELECT count(*) FROM mails WHERE "+mailsOfUser+" AND kind "+kinds, args...,
	).Scan(&waiting)
	if err != nil {
		return false, err
	}

	err = tx.QueryRow(
		ctx,
		"SELECT count(*), count(CASE WHEN expires > $3 THEN 1 END) FROM tickets WHERE account = $1 AND purpose = $2",
		user, string(ticket.NotMe), milli(now.Add(mail.LinkLifetime-time.Hour)),
	).Scan(&links, &recent)

	return waiting >= mail.MaxNotices || recent >= mail.MaxNotices || links >= ticket.MaxPerUser, err
}

// noticesOfChange adds the notices of what a user must learn of a change. a is the account before it.
func (db *Store) noticesOfChange(
	ctx context.Context,
	tx Conn,
	a account.Account,
	c account.Change,
	ev jeton.Event,
) error {
	// To the address before the change: an attacker who took over the account has chosen the new one.
	// An address that is folded alike may be that of another user, such as strasse@ and straße@.
	if c.Profile != nil && c.Profile(a.Profile).Email != a.Email {
		if err := db.addNotice(ctx, tx, mail.Address, a, ev); err != nil {
			return err
		}
	}

	if c.Password == nil {
		return nil
	}

	return db.addNotice(ctx, tx, mail.Password, a, ev)
}

// noticeOfFactor adds the notice of a change of a user's second factors. A new name of one is none.
func (db *Store) noticeOfFactor(ctx context.Context, tx Conn, user int64, ev jeton.Event) error {
	if !db.notices.Load() || ev.Action == audit.FactorChange {
		return nil
	}

	a, err := scanAccount(tx.QueryRow(ctx, selectUsers+"WHERE id = $1", user))
	if err != nil {
		return missing(err)
	}

	return db.addNotice(ctx, tx, mail.Factor, a, ev)
}

// noticeOfMint adds the notice of a personal token that was made.
func (db *Store) noticeOfMint(ctx context.Context, tx Conn, m token.Mint) error {
	if !m.Kind.IsPersonal() {
		return nil
	}

	return db.noticeOfToken(ctx, tx, m.Owner, m.Parent, m.Event)
}

// noticeOfToken adds the notice of a personal token of a user, which was made or got another secret. One that another
// token made can do no more than that, and gives none.
func (db *Store) noticeOfToken(ctx context.Context, tx Conn, o token.Owner, parent int64, ev jeton.Event) error {
	if o.Kind != jeton.KindUser || parent != 0 || !db.notices.Load() {
		return nil
	}

	a, err := scanAccount(tx.QueryRow(ctx, selectUsers+"WHERE id = $1", o.ID))
	if err != nil {
		return missing(err)
	}

	return db.addNotice(ctx, tx, mail.Token, a, ev)
}

// insertMail adds a mail that is due at once. linked says that the ticket of its link was added, too.
func insertMail(ctx context.Context, tx Conn, m mail.Mail, linked bool) error {
	facts, err := json.Marshal(m.Facts)
	if err != nil {
		return fmt.Errorf("encode facts of a mail: %w", err)
	}

	_, err = tx.Exec(
		ctx, insertInto("mails", mailColumns), m.ID, string(m.Kind), m.Account, m.To, m.Language, string(facts),
		milli(m.Created), milli(m.Expires), milli(m.Created), m.Tries, linked,
	)

	return err
}

// AddMail implements mail.Store.
func (db *Store) AddMail(ctx context.Context, m mail.Mail, ev jeton.Event) error {
	return db.do(ctx, func(ctx context.Context, tx Conn) error {
		if err := addRequested(ctx, tx, m, false); err != nil {
			return err
		}

		return appendEvents(ctx, tx, ev)
	})
}

// addRequested adds a mail that was asked for, or returns jeton.ErrBusy if mail.MaxRequests of its kind wait.
func addRequested(ctx context.Context, tx Conn, m mail.Mail, linked bool) error {
	var waiting int64
	err := tx.QueryRow(
		ctx, "SELECT count(*) FROM (SELECT 1 FROM mails WHERE kind = $1"+atMost(mail.MaxRequests)+") m",
		string(m.Kind),
	).Scan(&waiting)
	if err != nil {
		return err
	}
	if waiting >= mail.MaxRequests {
		return jeton.WithDetail(jeton.ErrBusy, "too many mails wait to be sent")
	}

	return insertMail(ctx, tx, m, linked)
}

// NextMail implements mail.Store.
func (db *Store) NextMail(ctx context.Context) (at time.Time, waiting bool, err error) {
	var due sql.NullInt64
	err = db.engine.QueryRow(ctx, "SELECT min(due) FROM mails").Scan(&due)

	return time.UnixMilli(due.Int64), due.Valid, Unavailable(err)
}

// ClaimMails implements mail.Store.
func (db *Store) ClaimMails(
	ctx context.Context,
	now time.Time,
	limit int,
	again func(tries int) time.Duration,
) ([]mail.Mail, error) {
	var list []mail.Mail

	err := db.do(ctx, func(ctx context.Context, tx Conn) (err error) {
		list, err = dueMails(ctx, tx, now, limit)
		if err != nil {
			return err
		}

		for i := range list {
			m := &list[i]
			m.Tries++
			_, err := tx.Exec(
				ctx, "UPDATE mails SET due = $2, tries = $3 WHERE id = $1", m.ID, milli(now.Add(again(m.Tries))),
				m.Tries,
			)
			if err != nil {
				return err
			}
		}

		return nil
	})
	if err != nil {
		return nil, err
	}

	return list, nil
}

// dueMails returns mails that are due, and holds them. Those that another node holds are its own.
func dueMails(ctx context.Context, tx Conn, now time.Time, limit int) ([]mail.Mail, error) {
	rows, err := tx.Query(
		ctx,
		"SELECT id, kind, account, recipient, language, facts, created, expires, tries FROM mails"+
			" WHERE due <= $1 ORDER BY due"+atMost(limit)+tx.Lock("FOR UPDATE SKIP LOCKED"),
		milli(now),
	)
	if err != nil {
		return nil, err
	}
	defer rows.Close()

	var list []mail.Mail
	for rows.Next() {
		m, err := scanMail(rows)
		if err != nil {
			return nil, err
		}
		list = append(list, m)
	}

	return list, rows.Err()
}

func scanMail(row Row) (mail.Mail, error) {
	var m mail.Mail
	var kind, facts string
	var created, expires int64

	err := row.Scan(&m.ID, &kind, &m.Account, &m.To, &m.Language, &facts, &created, &expires, &m.Tries)
	if err != nil {
		return m, err
	}

	m.Kind = mail.Kind(kind)
	m.Created, m.Expires = time.UnixMilli(created), time.UnixMilli(expires)
	if err := json.Unmarshal([]byte(facts), &m.Facts); err != nil {
		return m, fmt.Errorf("facts of mail %s: %w", m.ID, err)
	}

	return m, nil
}

// DropMail implements mail.Store.
func (db *Store) DropMail(ctx context.Context, id string) error {
	return db.do(ctx, func(ctx context.Context, tx Conn) error {
		_, err := tx.Exec(ctx, "DELETE FROM mails WHERE id = $1", id)
		return err
	})
}

// CountMails implements mail.Store.
func (db *Store) CountMails(ctx context.Context) (int64, error) {
	var n int64
	err := db.engine.QueryRow(ctx, "SELECT count(*) FROM mails").Scan(&n)

	return n, Unavailable(err)
}

// AddMailLink implements signin.MailStore.
func (db *Store) AddMailLink(ctx context.Context, mailID string, h secret.Hash, t ticket.Ticket) error {
	const link = "UPDATE mails SET linked = TRUE WHERE id = $1 AND NOT linked"
	const again = "SELECT 1 FROM mails m, tickets t WHERE m.id = $1 AND t.hash = $2"

	return db.do(ctx, func(ctx context.Context, tx Conn) error {
		n, err := tx.Exec(ctx, link, mailID)
		if err != nil {
			return err
		}

		// The mail is sent again. A ticket that has ended since is not brought back.
		if n == 0 {
			var one int
			return missing(tx.QueryRow(ctx, again, mailID, h[:]).Scan(&one))
		}

		if err := makeWay(ctx, tx, t); err != nil {
			return err
		}

		return addTicket(ctx, tx, h, t)
	})
}

// makeWay deletes the earlier tickets of the links of a user that were not taken. Those of notices stay, and a new one
// is refused beyond ticket.MaxPerUser: who has taken over an account could otherwise push out the first one, which went
// to its owner.
func makeWay(ctx context.Context, tx Conn, t ticket.Ticket) error {
	if t.Purpose != ticket.NotMe {
		const earlier = "DELETE FROM tickets WHERE purpose = $1 AND account = $2 AND used IS NULL"
		_, err := tx.Exec(ctx, earlier, string(t.Purpose), t.Subject)

		return err
	}

	// Two steps that counted at the same time would both find the last place.
	if err := tx.Order(ctx, fmt.Sprintf("links of account %d", t.Subject)); err != nil {
		return err
	}

	var n int
	err := tx.QueryRow(
		ctx, "SELECT count(*) FROM tickets WHERE purpose = $1 AND account = $2", string(t.Purpose), t.Subject,
	).Scan(&n)
	if err == nil && n >= ticket.MaxPerUser {
		return jeton.ErrTooMany
	}

	return err
}
