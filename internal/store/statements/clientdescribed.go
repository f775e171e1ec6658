package statements

import (
	"context"
	"unicode"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/client"
	"github.com/jeton-auth/jeton/internal/naming"
	"github.com/jeton-auth/jeton/internal/store/change"
)

// AddDescribedClient implements client.Store.
func (db *Store) AddDescribedClient(
	ctx context.Context,
	c client.Client,
	check func(kept int) error,
	ev jeton.Event,
) error {
	const count = "SELECT count(*) FROM clients WHERE folded >= $1 AND folded < $2"

	// The step is serial: no other adds a client between the count and the insert.
	return db.serial(ctx, func(ctx context.Context, tx Conn) ([]change.Change, error) {
		var kept int
		end := naming.DocumentPrefix + string(unicode.MaxRune)
		if err := tx.QueryRow(ctx, count, naming.DocumentPrefix, end).Scan(&kept); err != nil {
			return nil, err
		}
		if err := check(kept); err != nil {
			return nil, err
		}

		if err := insertClient(ctx, tx, c); err != nil {
			return nil, err
		}

		return nil, appendEvents(ctx, tx, ev)
	})
}
