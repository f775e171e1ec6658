package postgres

import (
	"context"
	"fmt"
	"slices"

	"github.com/jeton-auth/jeton"

	"github.com/jackc/pgx/v5"
)

// spendSeveral answers uses of several budgets each, all of them or none, in one
// transaction.
func (db *DB) spendSeveral(ctx context.Context, batch []*job) (again []*job) {
	var holders, budgets []int64
	for _, j := range batch {
		for _, b := range j.use.Budgets {
			holders, budgets = append(holders, j.use.Holder), append(budgets, b.ID)
		}
	}

	var verdicts []error
	var lefts [][]int64

	err := db.retrySpend(ctx, func(ctx context.Context) error {
		return pgx.BeginFunc(ctx, db.pool, func(tx pgx.Tx) error {
			counts, err := lockCounts(ctx, tx, holders, budgets)
			if err != nil {
				return err
			}

			verdicts, lefts = make([]error, len(batch)), make([][]int64, len(batch))
			changed := map[countKey]bool{}
			for i, j := range batch {
				lefts[i], verdicts[i] = j.take(counts, changed)
			}

			return writeCounts(ctx, tx, counts, changed)
		})
	})

	for i, j := range batch {
		switch {
		case err != nil:
			j.answer(nil, err)
		case verdicts[i] == errRetry:
			again = append(again, j)
		default:
			j.answer(lefts[i], verdicts[i])
		}
	}

	return again
}

var errRetry = fmt.Errorf("%w: the holder is being ended", jeton.ErrUnavailable)

// lockedCount is a count whose row is held.
type lockedCount struct {
	used         int64
	exists       bool // there is one
	holderExists bool // the holder is
}

// take takes one use of every budget of a job, or of none.
func (j *job) take(counts map[countKey]*lockedCount, changed map[countKey]bool) (left []int64, err error) {
	for _, b := range j.use.Budgets {
		c := counts[countKey{j.use.Holder, b.ID}]
		switch {
		case !c.holderExists:
			return nil, jeton.ErrBadCredential
		case !c.exists:
			return nil, errRetry
		}

		left = append(left, b.Max-c.used)
	}

	if slices.Min(left) <= 0 {
		return left, jeton.ErrSpent
	}

	for i, b := range j.use.Budgets {
		p := countKey{j.use.Holder, b.ID}
		counts[p].used++
		changed[p] = true
		left[i] = b.Max - counts[p].used
	}

	return left, nil
}

// lockCounts makes the counts that are not there yet, and holds all of them to the end of
// the transaction.
func lockCounts(ctx context.Context, tx pgx.Tx, holders, budgets []int64) (map[countKey]*lockedCount, error) {
	if _, err := tx.Exec(ctx, insertCountsSQL, holders, budgets); err != nil {
		return nil, err
	}

	rows, err := tx.Query(ctx, lockCountsSQL, holders, budgets)
	if err != nil {
		return nil, err
	}

	counts := map[countKey]*lockedCount{}
	var p countKey
	var used *int64
	var there bool

	_, err = pgx.ForEachRow(rows, []any{&p.holder, &p.budget, &used, &there}, func() error {
		c := &lockedCount{holderExists: there}
		if used != nil {
			c.used, c.exists = *used, true
		}

		counts[p] = c
		return nil
	})

	return counts, err
}

// writeCounts writes the counts that have changed. Each is held, and is what it was.
func writeCounts(ctx context.Context, tx pgx.Tx, counts map[countKey]*lockedCount, changed map[countKey]bool) error {
	if len(changed) == 0 {
		return nil
	}

	var holders, budgets, used []int64
	for p := range changed {
		holders, budgets, used = append(holders, p.holder), append(budgets, p.budget), append(used, counts[p].used)
	}

	tag, err := tx.Exec(ctx, updateCountsSQL, holders, budgets, used)
	if err == nil && tag.RowsAffected() != int64(len(changed)) {
		err = fmt.Errorf("%d of %d counts that were held are gone", len(changed)-int(tag.RowsAffected()), len(changed))
	}

	return err
}
