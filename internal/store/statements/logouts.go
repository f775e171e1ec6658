package statements

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/jeton-auth/jeton/internal/openid"
	"github.com/jeton-auth/jeton/internal/token"
)

// insertedRelying stores a client of a sign-in session, once.
var insertedRelying = insertInto("relying_sessions", relyingColumns) + " ON CONFLICT (login, client) DO NOTHING"

// addRelyingSession stores that the client of a grant has signed a user in. The step holds the session, so that what
// ends it finds the row.
func addRelyingSession(ctx context.Context, tx Conn, g token.Grant) error {
	_, err := tx.Exec(
		ctx, insertedRelying,
		g.Login, g.Client, g.SessionID, g.Subject, -1, 0,
	)

	return err
}

// announceEnd makes the logouts of ended sign-in sessions due at once. In a step without a clock, 0 is before any time.
func announceEnd(ctx context.Context, tx Conn, logins []int64) error {
	return inBatches(logins, func(some []int64) error {
		_, err := tx.Exec(
			ctx, "UPDATE relying_sessions SET due = 0 WHERE due < 0 AND login IN ("+places(len(some))+")",
			anys(some)...,
		)
		return err
	})
}

// forgetRelying deletes what belongs to sign-in sessions that have expired: a client knows how long its own last.
func forgetRelying(ctx context.Context, tx Conn, logins []int64) error {
	return inBatches(logins, func(some []int64) error {
		_, err := tx.Exec(
			ctx, "DELETE FROM relying_sessions WHERE due < 0 AND login IN ("+places(len(some))+")", anys(some)...,
		)
		return err
	})
}

// inBatches calls do with parts of a list that fit into one statement.
func inBatches(numbers []int64, do func(some []int64) error) error {
	for len(numbers) > 0 {
		n := min(together, len(numbers))
		if err := do(numbers[:n]); err != nil {
			return err
		}
		numbers = numbers[n:]
	}

	return nil
}

// NextLogout implements openid.LogoutStore.
func (db *Store) NextLogout(ctx context.Context) (at time.Time, waiting bool, err error) {
	var due sql.NullInt64
	err = db.engine.QueryRow(ctx, "SELECT min(due) FROM relying_sessions WHERE due >= 0").Scan(&due)

	return time.UnixMilli(due.Int64), due.Valid, Unavailable(err)
}

// ClaimLogouts implements openid.LogoutStore.
func (db *Store) ClaimLogouts(
	ctx context.Context,
	now time.Time,
	limit int,
	skip []int64,
	again func(tries int) time.Duration,
) ([]openid.Logout, error) {
	var list []openid.Logout

	err := db.do(ctx, func(ctx context.Context, tx Conn) (err error) {
		list, err = dueLogouts(ctx, tx, now, limit, skip)
		if err != nil {
			return err
		}

		for i := range list {
			l := &list[i]
			l.Tries++
			_, err := tx.Exec(
				ctx, "UPDATE relying_sessions SET due = $3, tries = $4 WHERE login = $1 AND client = $2",
				l.Login, l.ClientID, milli(now.Add(again(l.Tries))), l.Tries,
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

// dueLogouts returns logouts that are due, and holds them. Those that another node holds are its own.
func dueLogouts(ctx context.Context, tx Conn, now time.Time, limit int, skip []int64) ([]openid.Logout, error) {
	due := fmt.Sprintf("r.due >= 0 AND r.due <= $%d", len(skip)+1)
	if len(skip) > 0 {
		due += " AND r.client NOT IN (" + places(len(skip)) + ")"
	}

	rows, err := tx.Query(
		ctx,
		"SELECT r.login, r.client, r.session, r.subject, r.tries, c.name FROM relying_sessions r"+
			" JOIN clients c ON c.id = r.client WHERE "+due+" ORDER BY r.due"+atMost(limit)+
			tx.Lock("FOR UPDATE OF r SKIP LOCKED"),
		append(anys(skip), milli(now))...,
	)
	if err != nil {
		return nil, err
	}
	defer rows.Close()

	var list []openid.Logout
	for rows.Next() {
		var l openid.Logout
		if err := rows.Scan(&l.Login, &l.ClientID, &l.Session, &l.Subject, &l.Tries, &l.Client); err != nil {
			return nil, err
		}
		list = append(list, l)
	}

	return list, rows.Err()
}

// DropLogout implements openid.LogoutStore.
func (db *Store) DropLogout(ctx context.Context, l openid.Logout) error {
	return db.do(ctx, func(ctx context.Context, tx Conn) error {
		_, err := tx.Exec(ctx, "DELETE FROM relying_sessions WHERE login = $1 AND client = $2", l.Login, l.ClientID)
		return err
	})
}
