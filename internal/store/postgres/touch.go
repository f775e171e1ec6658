package postgres

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/jeton-auth/jeton/internal/store/change"
	"github.com/jeton-auth/jeton/internal/store/statements"
)

// TouchSessions implements session.Store. A row that another transaction holds is left out: a
// last use is not worth the wait.
func (db *DB) TouchSessions(ctx context.Context, used map[int64]time.Time) error {
	const touch = `UPDATE sessions s SET used = h.at FROM (
  SELECT s.login, v.at FROM unnest($1::bigint[], $2::bigint[]) v (login, at) JOIN sessions s ON s.login = v.login
  WHERE s.used < v.at ORDER BY s.login FOR NO KEY UPDATE OF s SKIP LOCKED) h
WHERE s.login = h.login`

	logins := slices.Sorted(maps.Keys(used))
	times := make([]int64, len(logins))
	for i, login := range logins {
		times[i] = used[login].UnixMilli()
	}

	run := func(ctx context.Context, tx statements.Conn) ([]change.Change, error) {
		_, err := tx.Exec(ctx, touch, logins, times)
		return nil, err
	}

	return engine{db}.Do(ctx, statements.Step{Run: run})
}
