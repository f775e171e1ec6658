package move

import (
	"context"

	"github.com/jeton-auth/jeton/internal/store/statements"
)

// Counts returns the number of rows of each table. The schema is that of this program.
func Counts(ctx context.Context, s Source) (map[string]int64, error) {
	counts := map[string]int64{}
	err := s.Snapshot(ctx, func(ctx context.Context, q statements.Queries) error {
		for _, t := range tables() {
			var n int64
			if err := q.QueryRow(ctx, "SELECT count(*) FROM "+t.Name).Scan(&n); err != nil {
				return err
			}
			counts[t.Name] = n
		}

		return nil
	})

	return counts, err
}
