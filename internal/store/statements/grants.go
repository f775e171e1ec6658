package statements

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/secret"
	"github.com/jeton-auth/jeton/internal/store/change"
	"github.com/jeton-auth/jeton/internal/ticket"
	"github.com/jeton-auth/jeton/internal/token"
)

// AddGrant implements token.GrantStore.
func (db *Store) AddGrant(ctx context.Context, g token.Grant, access token.Record, ev jeton.Event) error {
	return db.engine.Do(ctx, Step{Run: func(ctx context.Context, tx Conn) ([]change.Change, error) {
		number, err := insertGrant(ctx, tx, g)
		if err != nil {
			return nil, err
		}
		if err := addRelyingSession(ctx, tx, g); err != nil {
			return nil, err
		}
		// It holds the row of the user and the client to the end of the step: of two grants of theirs that are added at
		// once, the second counts the first.
		if err := useConnection(ctx, tx, g); err != nil {
			return nil, err
		}

		ended, err := endOldestGrants(ctx, tx, g, ev)
		if err != nil {
			return nil, err
		}
		if err := addAccess(ctx, tx, number, access, ev); err != nil || len(ended) == 0 {
			return nil, err
		}

		return tokensEnded(ended), nil
	}})
}

// insertedGrant stores what only grants have.
var insertedGrant = insertInto("grants", grantColumns)

// insertGrant stores a grant that is permitted, without what depends on it, and returns its number.
func insertGrant(ctx context.Context, tx Conn, g token.Grant) (int64, error) {
	if err := permittedGrant(ctx, tx, g); err != nil {
		return 0, err
	}

	number, err := insertToken(ctx, tx, g.Record)
	if err != nil {
		return 0, err
	}

	_, err = tx.Exec(
		ctx, insertedGrant, g.Code[:], number, g.Client, g.Login, g.SessionID, g.Offline,
		milli(g.SignedIn), g.Methods, g.Turn, milli(g.Turned), g.Level,
	)

	return number, err
}

// endOldestGrants ends the grants of the user and the client of a grant beyond token.MaxGrants, each with an event, and
// returns the hashes of their tokens.
func endOldestGrants(ctx context.Context, tx Conn, g token.Grant, ev jeton.Event) ([]secret.Hash, error) {
	old, err := oldestGrants(ctx, tx, g)
	if err != nil {
		return nil, err
	}

	var all []secret.Hash
	for _, accessor := range old {
		end := ev
		end.Action = audit.TokenRevoke
		end.Target = "token:" + accessor
		end.Reason = "the user has newer grants of this client, as many as are kept"
		end.Checks = nil

		ended, err := endTokens(ctx, tx, end, "accessor = $1", accessor)
		if err != nil {
			return nil, err
		}
		if err := appendEvents(ctx, tx, end); err != nil {
			return nil, err
		}
		all = append(all, ended...)
	}

	return all, nil
}

// oldestGrants returns the accessors of the grants that are too many. There are several only if an earlier version has
// added them; then each step ends a few, so that it is short.
func oldestGrants(ctx context.Context, tx Conn, g token.Grant) ([]string, error) {
	const few = 10

	// The name of a grant is that of its client.
	rows, err := tx.Query(
		ctx, "SELECT accessor FROM tokens WHERE account = $1 AND name = $2 AND kind = 'grant' ORDER BY number DESC"+
			atMost(few)+fmt.Sprintf(" OFFSET %d", token.MaxGrants),
		g.Owner.ID, g.Name,
	)
	if err != nil {
		return nil, err
	}
	defer rows.Close()

	var old []string
	for rows.Next() {
		var accessor string
		if err := rows.Scan(&accessor); err != nil {
			return nil, err
		}
		old = append(old, accessor)
	}

	return old, rows.Err()
}

// permittedGrant checks that all that a grant depends on is still as it was when it was read, and holds it to the end
// of the step: what ends one of them waits, and then finds the grant.
func permittedGrant(ctx context.Context, tx Conn, g token.Grant) error {
	const stand = "SELECT 1 FROM users u CROSS JOIN clients c CROSS JOIN sessions s" +
		" WHERE u.id = $1 AND u.version = $2 AND NOT u.disabled" +
		" AND c.id = $3 AND NOT c.disabled AND s.login = $4 AND s.account = $1"

	if g.Owner.Kind != jeton.KindUser {
		return jeton.ErrBadCredential
	}

	// Rows are locked in this order. The owner comes first, as in every step that holds more than one of these.
	err := hold(
		ctx, tx, stand+tx.Lock("FOR SHARE OF u FOR SHARE OF c FOR KEY SHARE OF s"),
		g.Owner.ID, g.Owner.Version, g.Client, g.Login,
	)
	if err != nil {
		return err
	}

	return holdCode(ctx, tx, g)
}

// hold runs a statement that locks a row, and returns jeton.ErrBadCredential if there is none.
func hold(ctx context.Context, tx Conn, text string, args ...any) error {
	var one int
	err := tx.QueryRow(ctx, text, args...).Scan(&one)
	if errors.Is(err, sql.ErrNoRows) {
		return jeton.ErrBadCredential
	}

	return err
}

// holdCode locks the code of a grant, which was taken before or is taken now. A code that was used twice is deleted. A
// step that deletes it blocks on this lock, then revokes the tokens of this grant too.
func holdCode(ctx context.Context, tx Conn, g token.Grant) error {
	if !g.TakeCode {
		const taken = "SELECT 1 FROM tickets WHERE hash = $1 AND used IS NOT NULL"
		return hold(ctx, tx, taken+tx.Lock("FOR UPDATE"), g.Code[:])
	}

	_, err := useTicket(ctx, tx, ticket.Code, g.Code, g.Created)
	if errors.Is(err, jeton.ErrNotFound) {
		return jeton.ErrBadCredential
	}

	return err
}

// addAccess stores an access token of a grant, with its event.
func addAccess(ctx context.Context, tx Conn, grant int64, access token.Record, ev jeton.Event) error {
	access.Parent = grant
	if err := addToken(ctx, tx, access); err != nil {
		return err
	}

	return appendEvents(ctx, tx, ev)
}

// FindGrant implements token.GrantStore.
func (db *Store) FindGrant(ctx context.Context, h secret.Hash) (token.Grant, error) {
	g, err := findGrant(ctx, db.engine, h)
	return g, Unavailable(missing(err))
}

// grantOfHash reads what findGrant scans: a token, and what only grants have.
var grantOfHash = "SELECT " + tokenFields + ", " + of("g", grantColumns) +
	" FROM tokens t JOIN grants g ON g.number = t.number " + tokenOwners + tokenOfHash

func findGrant(ctx context.Context, q Queries, h secret.Hash) (token.Grant, error) {
	var g token.Grant
	var code []byte
	var number, signedIn, turned int64

	r, err := scanToken(longerRow{q.QueryRow(ctx, grantOfHash, h[:]), []any{
		&code, &number, &g.Client, &g.Login, &g.SessionID, &g.Offline, &signedIn, &g.Methods, &g.Turn, &turned,
		&g.Level,
	}})
	if err != nil {
		return token.Grant{}, err
	}

	g.Record = r
	g.SignedIn, g.Turned = known(signedIn), known(turned)
	g.Code, err = hash(code)

	return g, err
}

// longerRow is a row with more columns than its reader knows.
type longerRow struct {
	Row
	more []any // where those go
}

// Scan implements Row.
func (r longerRow) Scan(into ...any) error { return r.Row.Scan(append(into, r.more...)...) }

// TurnGrant implements token.GrantStore.
func (db *Store) TurnGrant(
	ctx context.Context,
	g token.Grant,
	advance bool,
	access token.Record,
	ev jeton.Event,
) error {
	return db.do(ctx, func(ctx context.Context, tx Conn) error {
		const stand = "SELECT 1 FROM users u CROSS JOIN tokens t" +
			" WHERE u.id = $1 AND u.version = $2 AND NOT u.disabled AND t.number = $3 AND t.account = $1"

		// A step that ends the grant waits, and then finds the new token. The owner is locked first, as in every step.
		err := hold(
			ctx, tx, stand+tx.Lock("FOR SHARE OF u FOR KEY SHARE OF t"), g.Owner.ID, g.Owner.Version, g.Number,
		)
		if err != nil {
			return err
		}

		// The update is the check: of two that read the same turn, one changes no row.
		turn, turned := g.Turn, milli(g.Turned)
		if advance {
			turn, turned = g.Turn+1, milli(access.Created)
		}

		n, err := tx.Exec(
			ctx, "UPDATE grants SET turn = $3, turned = $4 WHERE number = $1 AND turn = $2",
			g.Number, g.Turn, turn, turned,
		)
		if err != nil {
			return err
		}
		if n == 0 {
			return jeton.ErrConflict
		}

		return addAccess(ctx, tx, g.Number, access, ev)
	})
}

// CodeUsed implements token.GrantStore.
func (db *Store) CodeUsed(ctx context.Context, code secret.Hash) (bool, error) {
	var n int
	err := db.engine.QueryRow(ctx, "SELECT count(*) FROM grants WHERE code = $1", code[:]).Scan(&n)

	return n > 0, Unavailable(err)
}

// RevokeByCode implements token.GrantStore.
func (db *Store) RevokeByCode(ctx context.Context, code secret.Hash, ev jeton.Event) error {
	return db.engine.Do(ctx, Step{Run: func(ctx context.Context, tx Conn) ([]change.Change, error) {
		// A grant that is being added has locked the row: this waits for it.
		if _, err := tx.Exec(ctx, "DELETE FROM tickets WHERE hash = $1 AND used IS NOT NULL", code[:]); err != nil {
			return nil, err
		}

		ended, err := endTokens(ctx, tx, ev, "number IN (SELECT number FROM grants WHERE code = $1)", code[:])
		if err != nil {
			return nil, err
		}
		if err := appendEvents(ctx, tx, ev); err != nil || len(ended) == 0 {
			return nothingLeft(), err
		}

		return tokensEnded(ended), nil
	}})
}

// removeGrants deletes what belongs to grants among deleted tokens.
func removeGrants(ctx context.Context, tx Conn, numbers []int64) error {
	return inBatches(numbers, func(some []int64) error {
		_, err := tx.Exec(ctx, "DELETE FROM grants WHERE number IN ("+places(len(some))+")", anys(some)...)
		return err
	})
}

// endGrants ends the grants that came of sign-in sessions and do not outlive them, and returns the hashes of their
// tokens.
func endGrants(ctx context.Context, tx Conn, logins []int64) ([]secret.Hash, error) {
	var all []secret.Hash

	err := inBatches(logins, func(some []int64) error {
		ended, err := endTokens(
			ctx, tx, jeton.Event{},
			"number IN (SELECT number FROM grants WHERE login IN ("+places(len(some))+") AND NOT offline)",
			anys(some)...,
		)
		all = append(all, ended...)

		return err
	})

	return all, err
}
