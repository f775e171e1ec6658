package postgres

import (
	"cmp"
	"context"
	"slices"

	"github.com/jeton-auth/jeton"
)

// countKey names a count: of a holder and one of its budgets.
type countKey struct{ holder, budget int64 }

// countGroup is the jobs of a batch that take from one count, in the order in which they came.
type countGroup struct {
	countKey
	limit int64
	jobs  []*job
}

// takeResult is what a statement has done for a group.
type takeResult struct {
	taken        int64 // how many uses it took: as many as it could
	used         int64 // how many are used afterwards; when it took none, at the latest
	holderExists bool
}

// groupByCount sorts jobs into groups, in the order in which all nodes lock rows. Jobs with
// another limit for the same count wait for the next batch.
func groupByCount(batch []*job) (groups []*countGroup, later []*job) {
	byKey := make(map[countKey]*countGroup, len(batch))
	for _, j := range batch {
		budget := j.use.Budgets[0]
		key := countKey{j.use.HolderOf(budget), budget.ID}
		g := byKey[key]
		if g == nil {
			g = &countGroup{countKey: key, limit: budget.Max}
			byKey[key] = g
			groups = append(groups, g)
		}

		if g.limit != budget.Max {
			later = append(later, j)
			continue
		}

		g.jobs = append(g.jobs, j)
	}

	slices.SortFunc(groups, func(a, b *countGroup) int {
		return cmp.Or(cmp.Compare(a.holder, b.holder), cmp.Compare(a.budget, b.budget))
	})

	return groups, later
}

// spendSingle answers uses of one budget each, with one statement for all of them. Groups for
// which it found no count to take from need another: their count may have no row yet.
func (db *DB) spendSingle(ctx context.Context, batch []*job) (retry []*job) {
	groups, retry := groupByCount(batch)
	for _, text := range []string{spendBatch, firstUsesSQL} {
		results, err := db.takeUses(ctx, text, groups)
		if err != nil {
			answerGroups(groups, err)
			return retry
		}

		var missed []*countGroup
		for i, g := range groups {
			if results[i].taken == 0 && text == spendBatch {
				missed = append(missed, g)
			} else {
				retry = append(retry, g.answer(results[i])...)
			}
		}

		if len(missed) == 0 {
			return retry
		}
		groups = missed
	}

	return retry
}

// answer answers the jobs of a group, the first ones first. It returns those that the statement
// could not decide.
func (g *countGroup) answer(r takeResult) (retry []*job) {
	granted, rest := g.jobs[:r.taken], g.jobs[r.taken:]

	left := g.limit - (r.used - r.taken) // before the first of them
	for _, j := range granted {
		left--
		j.answer([]int64{left}, nil)
	}

	switch {
	case r.taken > 0 || r.used >= g.limit:
		// The statement took all it could: no use is left for the rest.
		answerAll(rest, []int64{0}, jeton.ErrSpent)
	case !r.holderExists:
		answerAll(rest, nil, jeton.ErrBadCredential)
	default:
		return rest
	}

	return nil
}

// answerAll gives all jobs of a group the same answer.
func answerAll(jobs []*job, left []int64, err error) {
	for _, j := range jobs {
		j.answer(left, err)
	}
}

// answerGroups answers all jobs with the error of their statement.
func answerGroups(groups []*countGroup, err error) {
	for _, g := range groups {
		answerAll(g.jobs, nil, err)
	}
}

// takeUses runs one of the two statements.
func (db *DB) takeUses(ctx context.Context, text string, groups []*countGroup) ([]takeResult, error) {
	n := len(groups)
	numbers := make([]int64, 4*n)
	holders := numbers[:n]
	budgets := numbers[n : 2*n]
	wants := numbers[2*n : 3*n]
	limits := numbers[3*n:]
	for i, g := range groups {
		holders[i] = g.holder
		budgets[i] = g.budget
		wants[i] = int64(len(g.jobs))
		limits[i] = g.limit
	}

	results := make([]takeResult, n)
	err := db.retrySpend(ctx, func(ctx context.Context) error {
		clear(results) // of an attempt that was rolled back
		rows, err := db.pool.Query(ctx, text, holders, budgets, wants, limits)
		if err != nil {
			return err
		}
		defer rows.Close()

		for rows.Next() {
			var place int64
			var r takeResult
			columns := []any{&place, &r.taken, &r.used, &r.holderExists} // spendBatch has no last one
			if err := rows.Scan(columns[:len(rows.FieldDescriptions())]...); err != nil {
				return err
			}

			// The statement returns groups in any order.
			results[place-1] = r
		}

		return rows.Err()
	})

	return results, err
}
