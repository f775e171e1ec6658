package move

import (
	"context"

	"github.com/jeton-auth/jeton/internal/keys"
	"github.com/jeton-auth/jeton/internal/store/statements"
)

// Keys returns the signing keys of a database, sealed.
func Keys(ctx context.Context, from Source) (list []keys.Record, err error) {
	err = from.Snapshot(ctx, func(ctx context.Context, q statements.Queries) (err error) {
		list, err = statements.ReadKeys(ctx, q)
		return err
	})

	return list, err
}

// Damage returns the first damage that SQLite finds in a file, or "". It reads the whole file.
func Damage(ctx context.Context, from Source) (found string, err error) {
	err = from.Snapshot(ctx, func(ctx context.Context, q statements.Queries) error {
		return q.QueryRow(ctx, "PRAGMA quick_check(1)").Scan(&found)
	})
	if found == "ok" {
		found = ""
	}

	return found, err
}
