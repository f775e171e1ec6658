package postgres

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jeton-auth/jeton/internal/store/change"
	"github.com/jeton-auth/jeton/internal/store/statements"
)

// TouchSessions implements session.Store.
func (db *DB) TouchSessions(ctx context.Context, used map[int64]time.Time) error {
	return db.touch(ctx, "sessions", "login", used)
}

// TouchTokens implements token.Store.
func (db *DB) TouchTokens(ctx context.Context, used map[int64]time.Time) error {
	return db.touch(ctx, "tokens", "number", used)
}

// touch moves last uses in a table forward, by its key. A row that another transaction holds is left out: a last use is
// not worth the wait.
func (db *DB) touch(ctx context.Context, table, key string, used map[int64]time.Time) error {
	touch := fmt.Sprintf(`UPDATE %[1]s r SET used = h.at FROM (
  SELECT r.%[2]s, v.at FROM unnest($1::bigint[], $2::bigint[]) v (key, at) JOIN %[1]s r ON r.%[2]s = v.key
  WHERE r.used < v.at ORDER BY r.%[2]s FOR NO KEY UPDATE OF r SKIP LOCKED) h
WHERE r.%[2]s = h.%[2]s`, table, key)

	numbers := slices.Sorted(maps.Keys(used))
	times := make([]int64, len(numbers))
	for i, number := range numbers {
		times[i] = used[number].UnixMilli()
	}

	run := func(ctx context.Context, tx statements.Conn) ([]change.Change, error) {
		_, err := tx.Exec(ctx, touch, numbers, times)
		return nil, err
	}

	return engine{db}.Do(ctx, statements.Step{Run: run})
}
