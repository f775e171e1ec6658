package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jeton-auth/jeton"

	"github.com/jackc/pgx/v5"
)

// spendSeveral answers uses of several budgets each, all of them or none, in one transaction.
func (db *DB) spendSeveral(ctx context.Context, batch []*job) (retry []*job) {
	var holders, budgets []int64
	for _, j := range batch {
		for _, b := range j.use.Budgets {
			holders = append(holders, j.use.HolderOf(b))
			budgets = append(budgets, b.ID)
		}
	}

	lefts := make([][]int64, len(batch))
	errs := make([]error, len(batch))
	err := db.retrySpend(ctx, func(ctx context.Context) error {
		return pgx.BeginFunc(ctx, db.pool, func(tx pgx.Tx) error {
			counts, err := lockCounts(ctx, tx, holders, budgets)
			if err != nil {
				return err
			}

			for i, j := range batch {
				// Again at each attempt, by the counts that this one has locked.
				lefts[i], errs[i] = j.take(counts)
			}

			return writeCounts(ctx, tx, counts)
		})
	})

	for i, j := range batch {
		switch {
		case err != nil:
			j.answer(nil, err)
		case errors.Is(errs[i], errRetry):
			retry = append(retry, j)
		default:
			j.answer(lefts[i], errs[i])
		}
	}

	return retry
}

// errRetry rolls back a use whose holder is locked by a step that removes it. The next
// attempt finds the holder gone or, after a rollback, there.
var errRetry = fmt.Errorf("%w: the holder is being removed", jeton.ErrUnavailable)

// lockedCount is a count in a transaction that holds its row.
type lockedCount struct {
	used         *int64 // nil when there is no row
	changed      bool
	holderExists bool
}

// take takes one use of every budget of a job, or of none.
func (j *job) take(counts map[countKey]*lockedCount) (left []int64, err error) {
	for _, b := range j.use.Budgets {
		c := counts[countKey{j.use.HolderOf(b), b.ID}]
		if !c.holderExists {
			return nil, jeton.ErrBadCredential
		}
		if c.used == nil {
			return nil, errRetry
		}

		left = append(left, b.Max-*c.used)
	}

	// All budgets are looked at before any is taken from: a use takes of all or of none.
	if slices.Min(left) <= 0 {
		return left, jeton.ErrSpent
	}

	for i, b := range j.use.Budgets {
		c := counts[countKey{j.use.HolderOf(b), b.ID}]
		*c.used++
		c.changed = true
		left[i] = b.Max - *c.used
	}

	return left, nil
}

// lockCounts inserts the counts that have no row yet, and locks all of them until the end of the
// transaction.
func lockCounts(ctx context.Context, tx pgx.Tx, holders, budgets []int64) (map[countKey]*lockedCount, error) {
	// Only a row that is there can be locked.
	if _, err := tx.Exec(ctx, insertCountsSQL, holders, budgets); err != nil {
		return nil, err
	}

	rows, err := tx.Query(ctx, lockCountsSQL, holders, budgets)
	if err != nil {
		return nil, err
	}

	counts := map[countKey]*lockedCount{}
	var key countKey
	var c lockedCount

	_, err = pgx.ForEachRow(rows, []any{&key.holder, &key.budget, &c.used, &c.holderExists}, func() error {
		counts[key] = &lockedCount{used: c.used, holderExists: c.holderExists}
		return nil
	})

	return counts, err
}

// writeCounts writes the counts that have changed. Their rows are locked, so each is still what
// it was when it was read.
func writeCounts(ctx context.Context, tx pgx.Tx, counts map[countKey]*lockedCount) error {
	var holders, budgets, used []int64
	for key, c := range counts {
		if c.changed {
			holders = append(holders, key.holder)
			budgets = append(budgets, key.budget)
			used = append(used, *c.used)
		}
	}

	if len(used) == 0 {
		return nil
	}

	tag, err := tx.Exec(ctx, updateCountsSQL, holders, budgets, used)
	if err == nil && tag.RowsAffected() != int64(len(used)) {
		err = fmt.Errorf("%d of %d locked counts are missing", int64(len(used))-tag.RowsAffected(), len(used))
	}

	return err
}
