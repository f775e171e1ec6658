package statements

import (
	"context"
	"time"

	"github.com/jeton-auth/jeton/internal/account"
)

// writeUser writes the columns of an account that may change.
func writeUser(ctx context.Context, tx Conn, a account.Account, now time.Time) error {
	const set = `UPDATE users SET password = $2, version = $3, groups = $4, disabled = $5, declared = $6, updated = $7,
email = $8, email_folded = $9, first_name = $10, last_name = $11, verified = $12 WHERE id = $1`
	_, err := tx.Exec(
		ctx, set, a.ID, a.Password, a.Version, list(a.Groups), a.Disabled, a.Declared, milli(now), a.Email,
		a.EmailFolded, a.First, a.Last, a.Verified,
	)

	return err
}
