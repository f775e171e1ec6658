package postgres

import (
	"cmp"
	"context"
	"slices"

	"github.com/jeton-auth/jeton"
)

// countKey is what a count hangs on.
type countKey struct{ holder, budget int64 }

// countGroup is what the jobs of a batch want of one count.
type countGroup struct {
	countKey
	limit int64
	jobs  []*job
}

// groupByCount sorts jobs by what they want, in the order in which rows are locked everywhere.
// Jobs that know of another limit of the same count wait for the next batch.
func groupByCount(batch []*job) (list []*countGroup, later []*job) {
	byPair := make(map[countKey]*countGroup, len(batch))
	for _, j := range batch {
		b := j.use.Budgets[0]
		p := countKey{j.use.Holder, b.ID}
		w := byPair[p]
		if w == nil {
			w = &countGroup{countKey: p, limit: b.Max}
			byPair[p] = w
			list = append(list, w)
		}

		if w.limit != b.Max {
			later = append(later, j)
			continue
		}

		w.jobs = append(w.jobs, j)
	}

	slices.SortFunc(list, func(a, b *countGroup) int {
		return cmp.Or(cmp.Compare(a.holder, b.holder), cmp.Compare(a.budget, b.budget))
	})

	return list, later
}

// spendSingle answers uses of one budget each, with one statement for all of them; those
// that found no count to take from need another.
func (db *DB) spendSingle(ctx context.Context, batch []*job) (again []*job) {
	list, again := groupByCount(batch)
	took, err := db.takeUses(ctx, spendBatch, list)
	if err != nil {
		return append(again, answerAll(list, err)...)
	}

	var missed []*countGroup
	for i, w := range list {
		if took[i].taken == 0 {
			missed = append(missed, w)
			continue
		}
		again = append(again, w.answer(took[i])...)
	}

	if len(missed) == 0 {
		return again
	}
	if took, err = db.takeUses(ctx, firstUsesSQL, missed); err != nil {
		return append(again, answerAll(missed, err)...)
	}

	for i, w := range missed {
		again = append(again, w.answer(took[i])...)
	}

	return again
}

func answerAll(list []*countGroup, err error) []*job {
	for _, w := range list {
		for _, j := range w.jobs {
			j.answer(nil, err)
		}
	}

	return nil
}

// takeUses runs one of the two statements.
func (db *DB) takeUses(ctx context.Context, text string, list []*countGroup) ([]takeResult, error) {
	n := len(list)
	numbers := make([]int64, 4*n)
	holders := numbers[:n]
	budgets := numbers[n : 2*n]
	wants := numbers[2*n : 3*n]

	mosts := numbers[3*n:]
	for i, w := range list {
		holders[i] = w.holder
		budgets[i] = w.budget
		wants[i] = int64(len(w.jobs))
		mosts[i] = w.limit
	}

	took := make([]takeResult, n)
	err := db.retrySpend(ctx, func(ctx context.Context) error {
		clear(took) // what an attempt said that was taken back is not so
		rows, err := db.pool.Query(ctx, text, holders, budgets, wants, mosts)
		if err != nil {
			return err
		}
		defer rows.Close()

		for rows.Next() {
			var place int64
			var t takeResult
			into := []any{&place, &t.taken, &t.used, &t.holderExists}
			if err := rows.Scan(into[:len(rows.FieldDescriptions())]...); err != nil {
				return err
			}

			took[place-1] = t
		}

		return rows.Err()
	})

	return took, err
}

// takeResult is what the statement says of one wish.
type takeResult struct {
	taken        int64 // how many uses it took
	used         int64 // how many are used by now; of a count that it did not touch: at the latest
	holderExists bool  // the holder is there
}

// answer answers the jobs of a wish in the order in which they came, and returns those to
// which the statement has no answer.
func (w *countGroup) answer(t takeResult) (again []*job) {
	for i, j := range w.jobs {
		n := int64(i)
		switch {
		case n < t.taken:
			j.answer([]int64{w.limit - t.used + t.taken - n - 1}, nil)
		case t.taken > 0 || t.used >= w.limit: // it takes all that is left, or all that is wanted
			j.answer([]int64{0}, jeton.ErrSpent)
		case !t.holderExists:
			j.answer(nil, jeton.ErrBadCredential)
		default:
			again = append(again, j)
		}
	}

	return again
}
