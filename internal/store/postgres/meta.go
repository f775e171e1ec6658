package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/jeton-auth/jeton/internal/store/change"
	"github.com/jeton-auth/jeton/internal/store/statements"
)

// Meta returns what the database remembers under a name, or "".
func (db *DB) Meta(ctx context.Context, name string) (value string, err error) {
	err = engine{db}.QueryRow(ctx, "SELECT value FROM meta WHERE name = $1", name).Scan(&value)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return value, statements.Unavailable(err)
}

// Claim remembers a value under a name unless there is one, and returns which there is.
// Of two nodes that claim at once, both hear of the same.
func (db *DB) Claim(ctx context.Context, name, value string) (string, error) {
	var stored string
	err := engine{db}.Do(ctx, statements.Step{Run: func(
		ctx context.Context,
		tx statements.Conn,
	) ([]change.Change, error) {
		if _, err := tx.Exec(
			ctx,
			"INSERT INTO meta (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING",
			name,
			value,
		); err != nil {
			return nil, err
		}

		return nil, tx.QueryRow(ctx, "SELECT value FROM meta WHERE name = $1", name).Scan(&stored)
	}})
	if err != nil {
		return "", fmt.Errorf("claim %s: %w", name, err)
	}

	return stored, nil
}
