package postgres

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jeton-auth/jeton/internal/count"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/test/pgtest"

	"github.com/jackc/pgx/v5/pgxpool"
)

// BenchmarkSpend takes uses of many logins, compared with a loop of conditional updates.
func BenchmarkSpend(b *testing.B) {
	url, drop, err := pgtest.Start(b).Database(b.Context()) // which syncs
	if err != nil {
		b.Fatal(err)
	}
	defer drop()

	db := openNode(b, url, Config{})
	const logins = 100_000
	for _, text := range []string{
		fmt.Sprintf(
			`INSERT INTO sessions (id, hash, account, service, created, expires, idle, used, source)
SELECT 's'||g, sha256(g::text::bytea), 1, 'shop', 0, 9e15, 0, 0, '' FROM generate_series(1, %d) g`,
			logins,
		),
		fmt.Sprintf("INSERT INTO uses (login, budget, used) SELECT g, 1, 0 FROM generate_series(1, %d) g", logins),
		"VACUUM ANALYZE", "CHECKPOINT",
	} {
		if _, err := db.pool.Exec(b.Context(), text); err != nil && text != "CHECKPOINT" {
			b.Fatal(err)
		}
	}

	budget := policy.Budget{ID: 1, Max: 1 << 40}
	bare, err := pgxpool.New(b.Context(), url+"&pool_max_conns=64")
	if err != nil {
		b.Fatal(err)
	}
	defer bare.Close()

	for _, callers := range []int{1, 16, 64} {
		for name, spend := range map[string]func(ctx context.Context, login int64) error{
			"jeton": func(ctx context.Context, login int64) error {
				_, err := db.Spend(ctx, count.Use{Holder: login, Budgets: []policy.Budget{budget}})
				return err
			},
			"bare": func(ctx context.Context, login int64) error {
				var used int64
				return bare.QueryRow(
					ctx,
					"UPDATE uses SET used = used + 1 WHERE login = $1 AND budget = $2 AND used < $3 RETURNING used",
					login, 1, int64(1)<<40,
				).Scan(&used)
			},
		} {
			b.Run(fmt.Sprintf("%s-%d", name, callers), func(b *testing.B) {
				var n atomic.Int64
				var wg sync.WaitGroup

				start := time.Now()

				for range callers {
					wg.Go(func() {
						for n.Add(1) <= int64(b.N) {
							if err := spend(b.Context(), 1+rand.Int64N(logins)); err != nil {
								b.Error(err)
								return
							}
						}
					})
				}

				wg.Wait()
				b.ReportMetric(float64(b.N)/time.Since(start).Seconds(), "uses/s")
			})
		}
	}
}
