package statements

import (
	"context"
	"fmt"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/secret"
	"github.com/jeton-auth/jeton/internal/token"
)

// keepEnded keeps which opaque tokens a step revokes, and by which event, for as long as the audit
// log: their rows are deleted. Of a signed token, the token itself says which one it is. Tokens
// that expired have no event, and nothing is kept of them.
func keepEnded(ctx context.Context, tx Conn, ev jeton.Event, where string, args ...any) error {
	if ev.Action == "" {
		return nil
	}

	n := len(args)
	// A type, as PostgreSQL takes that of a parameter in the list of a SELECT for text.
	text := "INSERT INTO ended_tokens (" + endedColumns + ") " +
		"SELECT t.hash, t.accessor, t.name, COALESCE('client:' || c.name, 'user:' || u.name), " +
		fmt.Sprintf("CAST($%d AS BIGINT), CAST($%d AS TEXT), CAST($%d AS TEXT) ", n+1, n+2, n+3) +
		"FROM (SELECT * FROM tokens WHERE " + where + ") t " + tokenOwners +
		" WHERE t.format = 'opaque' ON CONFLICT (hash) DO NOTHING"

	_, err := tx.Exec(ctx, text, append(args[:n:n], milli(ev.Time), ev.Actor, ev.Action)...)

	return err
}

// keepVoid keeps by which event signed tokens are revoked: by the hash of a jti, or of the generation that they
// contain.
func keepVoid(ctx context.Context, tx Conn, h secret.Hash, ev jeton.Event) error {
	if ev.Action == "" {
		return nil
	}

	_, err := tx.Exec(
		ctx, "INSERT INTO ended_tokens ("+endedColumns+") VALUES ($1, '', '', '', $2, $3, $4) "+
			"ON CONFLICT (hash) DO NOTHING", h[:], milli(ev.Time), ev.Actor, ev.Action,
	)

	return err
}

// FindEnded implements token.Store.
func (db *Store) FindEnded(ctx context.Context, h secret.Hash) (token.Ended, error) {
	var e token.Ended
	var at int64

	err := db.engine.QueryRow(
		ctx, "SELECT accessor, name, owner, at, actor, action FROM ended_tokens WHERE hash = $1", h[:],
	).Scan(&e.Accessor, &e.Name, &e.Owner, &at, &e.Actor, &e.Action)
	if err != nil {
		return token.Ended{}, Unavailable(missing(err))
	}

	e.At = time.UnixMilli(at).UTC()

	return e, nil
}
