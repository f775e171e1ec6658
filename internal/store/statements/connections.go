package statements

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"slices"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/store/change"
	"github.com/jeton-auth/jeton/internal/token"
)

// usedConnection stores a sign-in at a client. Scopes that the user has agreed to stay as they are.
var usedConnection = insertInto("connections", connectionColumns) +
	` ON CONFLICT (account, client) DO UPDATE SET used = excluded.used,
scopes = CASE WHEN connections.agreed < 0 THEN excluded.scopes ELSE connections.scopes END`

// useConnection stores that a user has signed in at the client of a grant. The step holds the user and the client.
func useConnection(ctx context.Context, tx Conn, g token.Grant) error {
	at := milli(g.Created)
	_, err := tx.Exec(
		ctx, usedConnection, g.Owner.ID, g.Client, list(g.Scopes), -1, at, at,
	)

	return err
}

// FindConnection implements token.ConnectionStore.
func (db *Store) FindConnection(ctx context.Context, user, client int64) (token.Connection, error) {
	c, err := findConnection(ctx, db.engine, user, client, "")
	return c, Unavailable(missing(err))
}

// connections selects connections with the names of their clients.
const connections = "SELECT n.account, n.client, n.scopes, n.agreed, n.created, n.used, c.name" +
	" FROM connections n JOIN clients c ON c.id = n.client WHERE n.account = $1"

func findConnection(ctx context.Context, q Queries, user, client int64, lock string) (token.Connection, error) {
	return scanConnection(q.QueryRow(ctx, connections+" AND n.client = $2"+lock, user, client))
}

func scanConnection(row Row) (token.Connection, error) {
	var c token.Connection
	var scopes string
	var agreed, created, used int64

	err := row.Scan(&c.User, &c.ClientID, &scopes, &agreed, &created, &used, &c.Client)
	if err != nil {
		return c, err
	}

	c.Agreed, c.Created = known(agreed), known(created)
	c.Used = known(used)

	return c, json.Unmarshal([]byte(scopes), &c.Scopes)
}

// Agree implements token.ConnectionStore.
func (db *Store) Agree(ctx context.Context, c token.Connection, ev jeton.Event) error {
	return db.do(ctx, func(ctx context.Context, tx Conn) error {
		// Held to the end of the step: what removes one of them finds the row.
		for _, held := range []struct {
			text string
			id   int64
		}{
			{"SELECT 1 FROM users WHERE id = $1 AND NOT disabled", c.User},
			{"SELECT 1 FROM clients WHERE id = $1 AND NOT disabled", c.ClientID},
		} {
			var one int
			err := tx.QueryRow(ctx, held.text+tx.Lock("FOR SHARE"), held.id).Scan(&one)
			if errors.Is(err, sql.ErrNoRows) {
				return jeton.ErrBadCredential
			}
			if err != nil {
				return err
			}
		}

		scopes := slices.Clone(c.Scopes)
		before, err := findConnection(ctx, tx, c.User, c.ClientID, tx.Lock("FOR UPDATE OF n"))
		switch {
		case errors.Is(err, sql.ErrNoRows):
		case err != nil:
			return err
		case !before.Agreed.IsZero():
			scopes = append(scopes, before.Scopes...)
		}
		slices.Sort(scopes)

		at := milli(c.Agreed)
		_, err = tx.Exec(
			ctx,
			insertInto("connections", connectionColumns)+" ON CONFLICT (account, client) DO UPDATE"+
				" SET scopes = excluded.scopes, agreed = excluded.agreed",
			c.User, c.ClientID, list(slices.Compact(scopes)), at, at, at,
		)
		if err != nil {
			return err
		}

		return appendEvents(ctx, tx, ev)
	})
}

// ListConnections implements token.ConnectionStore.
func (db *Store) ListConnections(ctx context.Context, user int64, limit int) ([]token.Connection, error) {
	rows, err := db.engine.Query(ctx, connections+" ORDER BY c.name"+atMost(limit), user)
	if err != nil {
		return nil, Unavailable(err)
	}
	defer rows.Close()

	var all []token.Connection
	for rows.Next() {
		c, err := scanConnection(rows)
		if err != nil {
			return nil, Unavailable(err)
		}
		all = append(all, c)
	}

	return all, Unavailable(rows.Err())
}

// EndConnection implements token.ConnectionStore.
func (db *Store) EndConnection(ctx context.Context, user int64, client string, ev jeton.Event) error {
	return db.engine.Do(ctx, Step{Run: func(ctx context.Context, tx Conn) ([]change.Change, error) {
		// First the codes: of one that is being redeemed, the grant and the connection are waited for and found.
		_, err := tx.Exec(
			ctx, "DELETE FROM tickets WHERE account = $1 AND purpose = 'code' AND service = $2",
			user, token.ServiceOfClient(client),
		)
		if err != nil {
			return nil, err
		}

		var id int64
		err = tx.QueryRow(
			ctx,
			"DELETE FROM connections WHERE account = $1 AND client = (SELECT id FROM clients WHERE name = $2)"+
				" RETURNING client",
			user, client,
		).Scan(&id)
		if err != nil {
			return nil, missing(err)
		}

		ended, err := endTokens(
			ctx, tx, ev,
			"account = $1 AND account <> 0 AND number IN (SELECT number FROM grants WHERE client = $2)", user, id,
		)
		if err != nil {
			return nil, err
		}
		if err := appendEvents(ctx, tx, ev); err != nil || len(ended) == 0 {
			return nothingLeft(), err
		}

		return tokensEnded(ended), nil
	}})
}
