package statements

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/secret"
	"github.com/jeton-auth/jeton/internal/store/change"
	"github.com/jeton-auth/jeton/internal/ticket"
)

// validTicket is the condition for the ticket of hash $1 and purpose $2 at time $3, taken or not. A
// ticket ends with its session; a change of its user's credential deletes it.
const validTicket = `tickets.hash = $1 AND tickets.purpose = $2 AND tickets.expires > $3` + ticketStands

// ticketStands is the condition that the session and the user of a ticket have not ended.
const ticketStands = `
AND (tickets.login = 0 OR EXISTS (SELECT 1 FROM sessions s WHERE s.login = tickets.login))
AND (tickets.account = 0 OR EXISTS (SELECT 1 FROM users u WHERE u.id = tickets.account AND NOT u.disabled))`

// AddTicket implements ticket.Store.
func (db *Store) AddTicket(ctx context.Context, h secret.Hash, t ticket.Ticket) error {
	return db.engine.Do(ctx, Step{
		Loose: t.Purpose.Replaceable(),
		Run: func(ctx context.Context, tx Conn) ([]change.Change, error) {
			return nil, addTicket(ctx, tx, h, t)
		},
	})
}

// insertedTicket stores a ticket.
var insertedTicket = insertInto("tickets", ticketColumns)

// addTicket does what AddTicket says, as part of a step.
func addTicket(ctx context.Context, tx Conn, h secret.Hash, t ticket.Ticket) error {
	// Not nil, which would be NULL.
	data := append([]byte{}, t.Data...)

	_, err := tx.Exec(
		ctx, insertedTicket, h[:], string(t.Purpose), t.Subject, t.Login, t.Service,
		data, milli(t.Expires), nil,
	)
	if err != nil || t.Subject == 0 || t.Purpose == ticket.NotMe {
		return err // makeWay limits the links of notices, of which the oldest are to be kept
	}

	// Rows that another step holds are left for the next ticket: two steps would wait for each other.
	_, err = tx.Exec(
		ctx,
		"DELETE FROM tickets WHERE hash IN (SELECT hash FROM tickets WHERE account = $1 AND purpose = $2"+
			fmt.Sprintf(" ORDER BY expires DESC LIMIT 1000 OFFSET %d", ticket.MaxPerUser)+
			tx.Lock("FOR UPDATE SKIP LOCKED")+")",
		t.Subject, string(t.Purpose),
	)

	return err
}

// RevokeTicket implements ticket.Store.
func (db *Store) RevokeTicket(ctx context.Context, p ticket.Purpose, h secret.Hash) error {
	return db.do(ctx, func(ctx context.Context, tx Conn) error {
		_, err := tx.Exec(ctx, "DELETE FROM tickets WHERE hash = $1 AND purpose = $2", h[:], string(p))
		return err
	})
}

// FindTicket implements ticket.Store.
func (db *Store) FindTicket(
	ctx context.Context,
	p ticket.Purpose,
	h secret.Hash,
	now time.Time,
) (ticket.Ticket, error) {
	t, err := findTicket(ctx, db.engine, p, h, now)
	return t, Unavailable(err)
}

// findTicket returns jeton.ErrSpent with a ticket that was taken.
func findTicket(
	ctx context.Context,
	q Queries,
	p ticket.Purpose,
	h secret.Hash,
	now time.Time,
) (ticket.Ticket, error) {
	const find = "SELECT " + ticketFields + ", used IS NOT NULL FROM tickets WHERE " + validTicket

	t, used, err := scanTicket(q.QueryRow(ctx, find, h[:], string(p), milli(now)))
	if err == nil && used {
		err = jeton.ErrSpent
	}

	return t, missing(err)
}

// TakeTicket implements ticket.Store.
func (db *Store) TakeTicket(
	ctx context.Context,
	p ticket.Purpose,
	h secret.Hash,
	now time.Time,
) (ticket.Ticket, error) {
	var t ticket.Ticket

	err := db.do(ctx, func(ctx context.Context, tx Conn) (err error) {
		t, err = useTicket(ctx, tx, p, h, now)
		return err
	})

	return t, err
}

// useTicket does what TakeTicket says, as part of a step.
func useTicket(
	ctx context.Context,
	tx Conn,
	p ticket.Purpose,
	h secret.Hash,
	now time.Time,
) (ticket.Ticket, error) {
	const take = "UPDATE tickets SET used = $3 WHERE used IS NULL AND " + validTicket +
		" RETURNING " + ticketFields + ", FALSE"

	// The update is the check: a SELECT before it would let two steps at once both pass.
	t, _, err := scanTicket(tx.QueryRow(ctx, take, h[:], string(p), milli(now)))
	if errors.Is(err, sql.ErrNoRows) {
		return findTicket(ctx, tx, p, h, now)
	}

	return t, err
}

// SwapTicket implements ticket.Store.
func (db *Store) SwapTicket(
	ctx context.Context,
	p ticket.Purpose,
	h secret.Hash,
	now time.Time,
	next secret.Hash,
	t ticket.Ticket,
) error {
	return db.do(ctx, func(ctx context.Context, tx Conn) error {
		if _, err := useTicket(ctx, tx, p, h, now); err != nil {
			return err
		}

		return addTicket(ctx, tx, next, t)
	})
}

// ticketFields is what scanTicket reads, before whether the ticket was taken.
const ticketFields = "purpose, account, login, service, data, expires"

func scanTicket(row Row) (t ticket.Ticket, used bool, err error) {
	var purpose string
	var expires int64

	err = row.Scan(&purpose, &t.Subject, &t.Login, &t.Service, &t.Data, &expires, &used)
	if err != nil {
		return ticket.Ticket{}, false, err
	}

	t.Purpose = ticket.Purpose(purpose)
	t.Expires = time.UnixMilli(expires)

	return t, used, nil
}

// ListTickets implements ticket.Store.
func (db *Store) ListTickets(
	ctx context.Context,
	p ticket.Purpose,
	subject int64,
	now time.Time,
) ([]ticket.Ticket, error) {
	const list = "SELECT " + ticketFields + ", FALSE FROM tickets WHERE account = $1 AND purpose = $2" +
		" AND used IS NULL AND expires > $3" + ticketStands + " ORDER BY expires DESC"

	rows, err := db.engine.Query(ctx, list, subject, string(p), milli(now))
	if err != nil {
		return nil, Unavailable(err)
	}
	defer rows.Close()

	var all []ticket.Ticket
	for rows.Next() {
		t, _, err := scanTicket(rows)
		if err != nil {
			return nil, Unavailable(err)
		}
		all = append(all, t)
	}

	return all, Unavailable(rows.Err())
}

// EndTickets implements ticket.Store.
func (db *Store) EndTickets(ctx context.Context, p ticket.Purpose, subject int64) error {
	return db.do(ctx, func(ctx context.Context, tx Conn) error {
		_, err := tx.Exec(
			ctx, "DELETE FROM tickets WHERE account = $1 AND purpose = $2 AND used IS NULL", subject, string(p),
		)
		return err
	})
}

// SweepTickets implements ticket.Store.
func (db *Store) SweepTickets(ctx context.Context, before time.Time, limit int) (int, error) {
	var n int64

	err := db.do(ctx, func(ctx context.Context, tx Conn) error {
		// Set here, because the step may run again after a rollback.
		n = 0
		// Two nodes that delete the same rows would only wait for each other.
		if mine, err := tx.Alone(ctx, "sweep of tickets"); err != nil || !mine {
			return err
		}

		var err error
		n, err = tx.Exec(
			ctx,
			"DELETE FROM tickets WHERE hash IN (SELECT hash FROM tickets WHERE expires < $1 ORDER BY expires"+
				atMost(limit)+")",
			milli(before),
		)

		return err
	})

	return int(n), err
}
