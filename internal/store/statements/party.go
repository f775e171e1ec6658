package statements

import "context"

// ClaimParty implements factor.Store.
func (db *Store) ClaimParty(ctx context.Context, id string) (party string, passkeys int, err error) {
	err = db.do(ctx, func(ctx context.Context, tx Conn) error {
		if err := tx.Order(ctx, "party of passkeys"); err != nil {
			return err
		}

		party, err = Meta(ctx, tx, MetaParty)
		if err != nil || party == id {
			return err
		}

		const count = "SELECT count(*) FROM factors WHERE kind = 'passkey'"
		if err := tx.QueryRow(ctx, count).Scan(&passkeys); err != nil {
			return err
		}
		if passkeys > 0 && party != "" {
			return nil
		}
		party = id

		return SetMeta(ctx, tx, MetaParty, id)
	})

	return party, passkeys, err
}
