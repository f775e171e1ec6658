package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/count"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/store/postgres"

	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	// budgetOf is the number of the budget, and limitOf its limit.
	budgetOf, limitOf = 1, int64(1) << 40
	// conns is how many connections the store may open, and the bare loop.
	conns = 4
	// batched is how many rows one statement of the bare batch changes.
	batched = 256
)

// spends measures uses at the store, without HTTP, beside one conditional update after the
// other on as many connections.
func (b *bench) spends(ctx context.Context) error {
	d, err := b.newDatabase(ctx, stored{sessions: b.sessions})
	if err != nil {
		return err
	}
	defer d.drop()

	s, err := b.newSpending(ctx, d)
	if err != nil {
		return err
	}
	defer s.close()

	callers := []int{1, 16, 64}
	var subjects []subject
	for _, n := range callers {
		subjects = append(subjects, s.by(n, 1, s.bare(s.few)), s.by(n, 1, s.take))
	}

	subjects = append(subjects, s.by(64, 1, s.bare(s.many)), s.by(1, s.together(), s.batch))
	all, err := b.rounds(ctx, subjects...)
	if err != nil {
		return err
	}

	b.report.block(fmt.Sprintf(
		"Counted use at the store, no HTTP: PostgreSQL, %d connections, %s logins at random",
		conns, grouped(b.sessions),
	))

	for i, n := range callers {
		bare, ours := all[2*i], all[2*i+1]
		b.report.add(row{what: fmt.Sprintf("bare update, callers: %d", n), unit: "uses/s", sample: middle(bare)})
		line := row{
			what:   fmt.Sprintf("jeton, callers: %d", n),
			unit:   "uses/s",
			sample: middle(ours),
			ratio:  ratios(ours, bare),
		}
		if n == 64 {
			line.aim, line.met = ">= 4 x bare", met(line.ratio >= 4)
		}

		b.report.add(line)
	}

	last := all[2*len(callers):]
	b.report.add(row{what: "bare update, callers: 64, connections: 64", unit: "uses/s", sample: middle(last[0])})
	b.report.add(row{
		what: fmt.Sprintf(
			"bare, %d rows in one statement, one after the other (p50, p99: of a statement)",
			s.together(),
		),
		unit:   "rows/s",
		sample: middle(last[1]),
	})

	return nil
}

// spending is the store and the bare loop that it is compared with, on one database.
type spending struct {
	b         *bench
	logins    int
	db        *postgres.DB
	few, many *pgxpool.Pool
}

// newSpending opens the store, and two pools for the bare loop: with as many connections as
// the store, and with one for each caller.
func (b *bench) newSpending(ctx context.Context, d *database) (*spending, error) {
	s := &spending{b: b, logins: b.sessions}
	var err error
	s.db, err = postgres.Open(ctx, postgres.Config{
		URL:         jeton.NewSecret(d.url),
		Where:       "the benchmark's",
		Connections: conns,
		Staleness:   bound,
		Answer:      20 * time.Second,
		Connect:     20 * time.Second,
	})
	if err != nil {
		return nil, err
	}

	for p, n := range map[**pgxpool.Pool]int{&s.few: conns, &s.many: 64} {
		c, err := pgxpool.ParseConfig(d.url)
		if err == nil {
			c.MaxConns = int32(n)
			*p, err = pgxpool.NewWithConfig(ctx, c)
		}

		if err != nil {
			s.close()
			return nil, err
		}
	}

	// Both find a row and change it; the first use of a login is another matter.
	for _, text := range []string{
		"INSERT INTO uses (login, budget, used) SELECT login, 1, 0 FROM sessions",
		"VACUUM ANALYZE uses",
	} {
		if _, err := s.few.Exec(ctx, text); err != nil {
			s.close()
			return nil, err
		}
	}

	return s, nil
}

// close closes what newSpending has opened so far.
func (s *spending) close() {
	for _, p := range []*pgxpool.Pool{s.few, s.many} {
		if p != nil {
			p.Close()
		}
	}

	_ = s.db.Close()
}

// call does once what is measured.
type call func(context.Context) error

// any returns a login at random.
func (s *spending) any() int64 { return 1 + rand.Int64N(int64(s.logins)) }

// take takes one use as a server does.
func (s *spending) take(ctx context.Context) error {
	_, err := s.db.Spend(ctx, count.Use{Holder: s.any(), Budgets: []policy.Budget{{ID: budgetOf, Max: limitOf}}})
	return err
}

// bare takes one use with the least code: one conditional update.
func (s *spending) bare(pool *pgxpool.Pool) call {
	const text = "UPDATE uses SET used = used + 1 WHERE login = $1 AND budget = $2 AND used < $3 RETURNING used"
	return func(ctx context.Context) error {
		var used int64
		return pool.QueryRow(ctx, text, s.any(), budgetOf, limitOf).Scan(&used)
	}
}

// batch takes uses of many logins by one statement, and reads no result.
func (s *spending) batch(ctx context.Context) error {
	const text = "UPDATE uses u SET used = u.used + 1 FROM unnest($1::bigint[]) w (login) " +
		"WHERE u.login = w.login AND u.budget = $2 AND u.used < $3"

	n := s.together()
	first, list := rand.IntN(s.logins), make([]int64, n)
	for i := range list {
		list[i] = int64(1 + (first+i*(s.logins/n))%s.logins) // far apart, and no two the same
	}

	tag, err := s.few.Exec(ctx, text, list, budgetOf, limitOf)
	if err == nil && tag.RowsAffected() != int64(n) {
		err = fmt.Errorf("one statement changed %d rows, not %d", tag.RowsAffected(), n)
	}

	return err
}

// together is the number of rows of one batch, which needs as many logins.
func (s *spending) together() int { return min(batched, s.logins) }

// by measures the uses of that many concurrent callers; each call spends that many uses.
func (s *spending) by(callers, worth int, do call) subject {
	return func(ctx context.Context) (sample, error) {
		// Not measured: plans are made, and pages are read.
		if _, err := s.run(ctx, callers, s.b.warm, do); err != nil {
			return sample{}, err
		}

		before, begin := usage{server: cpuOf(os.Getpid()), all: cpuOfAll()}, time.Now()
		h, err := s.run(ctx, callers, s.b.options.run, do)
		if err != nil {
			return sample{}, err
		}

		seconds := time.Since(begin).Seconds()
		now := usage{server: cpuOf(os.Getpid()), all: cpuOfAll()}
		server, others := now.since(before, seconds)
		n := float64(h.count) * float64(worth)
		settle(ctx, os.Getpid())

		return sample{
			rate:   n / seconds,
			cpu:    server * 1e6 / max(n, 1),
			others: others,
			p50:    float64(h.quantile(.5)) / 1e6,
			p99:    float64(h.quantile(.99)) / 1e6,
		}, nil
	}
}

// run has callers do the same for a while, and returns the latencies of all.
func (s *spending) run(ctx context.Context, callers int, long time.Duration, do call) (*hist, error) {
	var wg sync.WaitGroup

	all, errs := make([]hist, callers), make([]error, callers)
	end := time.Now().Add(long)
	for i := range callers {
		wg.Go(func() {
			for errs[i] == nil {
				begin := time.Now()
				if begin.After(end) {
					return
				}

				errs[i] = do(ctx)
				all[i].add(time.Since(begin))
			}
		})
	}

	wg.Wait()
	sum := &hist{}
	for i := range all {
		sum.merge(&all[i])
	}

	return sum, errors.Join(errs...)
}
