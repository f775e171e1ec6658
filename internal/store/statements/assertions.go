package statements

import (
	"context"

	"github.com/jeton-auth/jeton/internal/token"
)

// UseOnce implements token.Store.
func (db *Store) UseOnce(ctx context.Context, o token.Once) error {
	return db.do(ctx, func(ctx context.Context, tx Conn) error { return useOnce(ctx, tx, o) })
}

// useOnce makes sure that an assertion is used once: of two steps that insert the same row,
// the second inserts none.
func useOnce(ctx context.Context, tx Conn, o token.Once) error {
	// The insert is the check: a SELECT before it would let two steps at once both pass.
	n, err := tx.Exec(
		ctx,
		"INSERT INTO assertions (issuer, jti, expires) VALUES ($1, $2, $3) ON CONFLICT (issuer, jti) DO NOTHING",
		o.Issuer, o.JTI[:], milli(o.Expires),
	)
	if err == nil && n == 0 {
		return token.ErrUsed
	}

	return err
}
