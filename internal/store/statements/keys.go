package statements

import (
	"context"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/keys"
	"github.com/jeton-auth/jeton/internal/store/change"
)

// listKeys reads all signing keys, retired ones included: there are few at a time, since a
// sweep deletes them.
const listKeys = "SELECT " + keyColumns + " FROM keys ORDER BY created, kid"

// ListKeys implements keys.Store.
func (db *Store) ListKeys(ctx context.Context) ([]keys.Record, error) {
	rows, err := db.engine.Query(ctx, listKeys)
	if err != nil {
		return nil, Unavailable(err)
	}

	list, err := scanKeys(rows)
	return list, Unavailable(err)
}

// ReadKeys returns the signing keys of a database that is only read.
func ReadKeys(ctx context.Context, q Queries) ([]keys.Record, error) {
	rows, err := q.Query(ctx, listKeys)
	if err != nil {
		return nil, err
	}

	return scanKeys(rows)
}

// scanKeys reads the rows of listKeys and closes them. Sealed private keys stay sealed
// here; package keys opens them.
func scanKeys(rows Rows) ([]keys.Record, error) {
	defer rows.Close()

	var list []keys.Record
	for rows.Next() {
		var k keys.Record
		var created, opens, retires, closes int64
		if err := rows.Scan(
			&k.ID, &k.Kind, &k.Alg, &k.Public, &k.Sealed, &created, &opens, &retires, &closes, &k.Revoked,
		); err != nil {
			return nil, err
		}

		k.Created = known(created)
		k.Opens = known(opens)
		k.Retires = known(retires)
		k.Closes = known(closes)
		list = append(list, k)
	}

	return list, rows.Err()
}

// ChangeKeys implements keys.Store.
func (db *Store) ChangeKeys(
	ctx context.Context,
	decide func(have []keys.Record) (put []keys.Record, drop []string, events []jeton.Event, err error),
) error {
	return db.serial(ctx, func(ctx context.Context, tx Conn) ([]change.Change, error) {
		rows, err := tx.Query(ctx, listKeys)
		if err != nil {
			return nil, err
		}

		have, err := scanKeys(rows)
		if err != nil {
			return nil, err
		}

		put, drop, events, err := decide(have)
		if err != nil {
			return nil, err
		}

		set := insertInto("keys", keyColumns) + " ON CONFLICT (kid) DO UPDATE SET " + replaced(keyColumns)
		for _, k := range put {
			if _, err := tx.Exec(
				ctx, set, k.ID, string(k.Kind), string(k.Alg), string(k.Public), k.Sealed, milli(k.Created),
				milli(k.Opens), milli(k.Retires), milli(k.Closes), k.Revoked,
			); err != nil {
				return nil, err
			}
		}

		for _, kid := range drop {
			if _, err := tx.Exec(ctx, "DELETE FROM keys WHERE kid = $1", kid); err != nil {
				return nil, err
			}
		}

		// A revocation that found the key revoked must still wait for every node.
		if len(put)+len(drop) == 0 {
			return nothingLeft(), appendEvents(ctx, tx, events...)
		}

		return []change.Change{{Kind: change.Keys}}, appendEvents(ctx, tx, events...)
	})
}
