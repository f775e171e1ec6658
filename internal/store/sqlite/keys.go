package sqlite

import (
	"context"
	"database/sql"
	"time"

	"jeton"
	"jeton/internal/keys"
)

const keyColumns = "kid, kind, alg, public, sealed, created, opens, retires, closes, revoked"

const listKeys = "SELECT " + keyColumns + " FROM keys ORDER BY created, kid"

// ListKeys implements keys.Store.
func (db *DB) ListKeys(ctx context.Context) ([]keys.Record, error) {
	rows, err := db.read.QueryContext(ctx, listKeys)
	if err != nil {
		return nil, unavailable(err)
	}
	list, err := scanKeys(rows)
	return list, unavailable(err)
}

func scanKeys(rows *sql.Rows) ([]keys.Record, error) {
	defer rows.Close()
	var list []keys.Record
	for rows.Next() {
		var k keys.Record
		var created, opens, retires, closes int64
		if err := rows.Scan(&k.ID, &k.Kind, &k.Alg, &k.Public, &k.Sealed, &created, &opens, &retires, &closes, &k.Revoked); err != nil {
			return nil, err
		}
		k.Created, k.Opens, k.Retires, k.Closes = known(created), known(opens), known(retires), known(closes)
		list = append(list, k)
	}
	return list, rows.Err()
}

// known reads what milli wrote.
func known(at int64) time.Time {
	if at < 0 {
		return time.Time{}
	}
	return time.UnixMilli(at).UTC()
}

// ChangeKeys implements keys.Store.
func (db *DB) ChangeKeys(ctx context.Context, decide func(have []keys.Record) (put []keys.Record, drop []string, events []jeton.Event, err error)) error {
	return db.do(ctx, func(ctx context.Context, tx *sql.Conn) error {
		rows, err := tx.QueryContext(ctx, listKeys)
		if err != nil {
			return err
		}
		have, err := scanKeys(rows)
		if err != nil {
			return err
		}
		put, drop, events, err := decide(have)
		if err != nil {
			return err
		}
		const set = "INSERT OR REPLACE INTO keys (" + keyColumns + ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"
		for _, k := range put {
			if _, err := tx.ExecContext(ctx, set, k.ID, k.Kind, k.Alg, k.Public, k.Sealed, milli(k.Created), milli(k.Opens), milli(k.Retires), milli(k.Closes), k.Revoked); err != nil {
				return err
			}
		}
		for _, kid := range drop {
			if _, err := tx.ExecContext(ctx, "DELETE FROM keys WHERE kid = $1", kid); err != nil {
				return err
			}
		}
		return appendEvents(ctx, tx, events...)
	})
}
