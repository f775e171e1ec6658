package statements

import (
	"context"
	"fmt"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/token"
)

// ListTokens implements token.Store.
func (db *Store) ListTokens(ctx context.Context, w token.Which, limit int) ([]token.Record, error) {
	where, args := chosenTokens(w)

	text := "SELECT " + tokenFields + " FROM (SELECT * FROM tokens WHERE " + where +
		" ORDER BY number DESC" + atMost(limit) + ") t " + tokenOwners + " ORDER BY t.number DESC"

	rows, err := db.engine.Query(ctx, text, args...)
	if err != nil {
		return nil, Unavailable(err)
	}
	defer rows.Close()

	var records []token.Record
	for rows.Next() {
		r, err := scanToken(rows)
		if err != nil {
			return nil, Unavailable(err)
		}
		records = append(records, r)
	}

	return records, Unavailable(rows.Err())
}

// CountDerived implements token.Store.
func (db *Store) CountDerived(ctx context.Context, accessor string) (int64, error) {
	// parent <> 0 lets the partial index fit, as in endTokens.
	const count = `WITH RECURSIVE family (number) AS (SELECT number FROM tokens WHERE accessor = $1
UNION ALL SELECT t.number FROM family f JOIN tokens t ON t.parent = f.number AND t.parent <> 0)
SELECT count(*) - 1 FROM family`

	var n int64
	err := db.engine.QueryRow(ctx, count, accessor).Scan(&n)

	return max(n, 0), Unavailable(err)
}

// CountTokens implements token.Store.
func (db *Store) CountTokens(ctx context.Context, user string, after time.Time) (int64, error) {
	text, args := "SELECT count(*) FROM tokens WHERE expires > $1", []any{milli(after)}
	if user != "" {
		text += " AND account = (SELECT id FROM users WHERE name = $2) AND account <> 0"
		args = append(args, user)
	}

	var n int64
	err := db.engine.QueryRow(ctx, text, args...).Scan(&n)

	return n, Unavailable(err)
}

// ListVoid implements token.Store.
func (db *Store) ListVoid(ctx context.Context, after int64, now time.Time, limit int) ([]token.Voided, error) {
	rows, err := db.engine.Query(
		ctx, "SELECT seq, hash FROM revoked WHERE seq > $1 AND until > $2 ORDER BY seq"+atMost(limit),
		after, milli(now),
	)
	if err != nil {
		return nil, Unavailable(err)
	}
	defer rows.Close()

	var list []token.Voided
	for rows.Next() {
		var v token.Voided
		var h []byte
		if err := rows.Scan(&v.Seq, &h); err != nil {
			return nil, Unavailable(err)
		}

		v.Hash, err = hash(h)
		if err != nil {
			return nil, Unavailable(fmt.Errorf("revoked row %d: %w", v.Seq, err))
		}

		list = append(list, v)
	}

	return list, Unavailable(rows.Err())
}

// SweepTokens implements token.Store.
func (db *Store) SweepTokens(ctx context.Context, before time.Time, limit int) (int, error) {
	var n int
	err := db.do(ctx, func(ctx context.Context, tx Conn) error {
		if mine, err := tx.Alone(ctx, "sweep of tokens"); err != nil || !mine {
			n = 0
			return err
		}

		ended, err := endTokens(
			ctx, tx, jeton.Event{},
			"number IN (SELECT number FROM tokens WHERE expires < $1 ORDER BY expires"+atMost(limit)+")",
			milli(before),
		)
		if err != nil {
			return err
		}

		n = len(ended)
		for _, over := range []string{
			"DELETE FROM assertions WHERE (issuer, jti) IN " +
				"(SELECT issuer, jti FROM assertions WHERE expires < $1 ORDER BY expires" + atMost(limit) + ")",
			"DELETE FROM revoked WHERE seq IN (SELECT seq FROM revoked WHERE until < $1 ORDER BY until" +
				atMost(limit) +
				")",
		} {
			gone, err := tx.Exec(ctx, over, milli(before))
			if err != nil {
				return err
			}
			// The largest: the caller goes on until a sweep deletes fewer than the limit.
			n = max(n, int(gone))
		}

		return nil
	})
	if err != nil {
		return 0, err
	}

	return n, nil
}
