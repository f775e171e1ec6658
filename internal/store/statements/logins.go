package statements

import (
	"context"
	"time"

	"github.com/jeton-auth/jeton/internal/count"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/token"
)

// pastLogins returns when a user logged in at a service after a time, oldest first.
func pastLogins(ctx context.Context, tx Conn, user int64, service string, after time.Time) ([]time.Time, error) {
	rows, err := tx.Query(
		ctx, "SELECT at FROM logins WHERE account = $1 AND service = $2 AND at > $3 ORDER BY at", user,
		service, milli(after),
	)
	if err != nil {
		return nil, err
	}
	defer rows.Close()

	var list []time.Time

	for rows.Next() {
		var at int64
		if err := rows.Scan(&at); err != nil {
			return nil, err
		}
		list = append(list, time.UnixMilli(at))
	}

	return list, rows.Err()
}

// insertLogin adds a login to the history of a user at a service, and deletes those up to a
// time, which no longer matter, so that the table does not grow.
func insertLogin(
	ctx context.Context,
	tx Conn,
	user int64,
	service string,
	login int64,
	remember, at time.Time,
) error {
	if _, err := tx.Exec(
		ctx, "DELETE FROM logins WHERE account = $1 AND service = $2 AND at <= $3", user, service,
		milli(remember),
	); err != nil {
		return err
	}

	_, err := tx.Exec(
		ctx, "INSERT INTO logins (account, service, login, at) VALUES ($1, $2, $3, $4)", user, service,
		login, milli(at),
	)

	return err
}

// signIn adds the login that a token stands for, if it stands for one and its judge accepts it.
func signIn(ctx context.Context, tx Conn, m *token.Mint) error {
	if m.SignIn == nil {
		return nil
	}

	user, service := m.Owner.ID, m.SignIn.Service

	// As in StartSession: of two logins at the same time, the second sees the first.
	if err := checkUnchanged(ctx, tx, user, m.Owner.Version, "FOR NO KEY UPDATE"); err != nil {
		return err
	}

	logins, err := pastLogins(ctx, tx, user, service, m.SignIn.Remember)
	if err != nil {
		return err
	}

	if err := m.SignIn.Judge(policy.History{Logins: logins}); err != nil {
		return err
	}

	// Logins of sessions have positive numbers. Those without a session count down.
	var login int64
	if err := tx.QueryRow(
		ctx, "SELECT COALESCE(MIN(login), 0) FROM logins WHERE account = $1 AND service = $2", user,
		service,
	).Scan(&login); err != nil {
		return err
	}

	login = min(login, 0) - 1
	if err := insertLogin(ctx, tx, user, service, login, m.SignIn.Remember, m.Created); err != nil {
		return err
	}

	return renewUses(ctx, tx, user, service)
}

// renewUses lets the counts of a user at a service begin again: the user has logged in.
func renewUses(ctx context.Context, tx Conn, user int64, service string) error {
	holder := count.UserHolders + user

	// Locked in the order in which uses are taken, so that neither waits for the other forever.
	rows, err := tx.Query(
		ctx,
		"SELECT u.budget FROM uses u JOIN budgets b ON b.id = u.budget WHERE u.login = $1 AND b.service = $2"+
			" ORDER BY u.budget"+tx.Lock("FOR UPDATE OF u"),
		holder,
		service,
	)
	if err != nil {
		return err
	}
	defer rows.Close()

	var budgets []int64

	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return err
		}
		budgets = append(budgets, id)
	}

	if err := rows.Err(); err != nil {
		return err
	}

	for _, id := range budgets {
		if _, err := tx.Exec(ctx, "DELETE FROM uses WHERE login = $1 AND budget = $2", holder, id); err != nil {
			return err
		}
	}

	return nil
}
