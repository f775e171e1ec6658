package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/jeton-auth/jeton/internal/store/change"
	"github.com/jeton-auth/jeton/internal/store/statements"
)

// Meta returns a value of the table meta by its name, or "".
func (db *DB) Meta(ctx context.Context, name string) (value string, err error) {
	err = engine{db}.QueryRow(ctx, "SELECT value FROM meta WHERE name = $1", name).Scan(&value)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return value, statements.Unavailable(err)
}

// Claim stores a value in the table meta unless the name has one, and returns the one that is
// stored. Of two nodes that claim a name at once, both get the same value.
func (db *DB) Claim(ctx context.Context, name, value string) (stored string, err error) {
	const insert = "INSERT INTO meta (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING"
	const read = "SELECT value FROM meta WHERE name = $1"

	run := func(ctx context.Context, tx statements.Conn) ([]change.Change, error) {
		if _, err := tx.Exec(ctx, insert, name, value); err != nil {
			return nil, err
		}
		return nil, tx.QueryRow(ctx, read, name).Scan(&stored)
	}
	if err := (engine{db}).Do(ctx, statements.Step{Run: run}); err != nil {
		return "", fmt.Errorf("claim %s: %w", name, err)
	}

	return stored, nil
}
