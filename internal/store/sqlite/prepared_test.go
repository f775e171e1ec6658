package sqlite

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/account"
	"github.com/jeton-auth/jeton/internal/store/statements"
)

// some reads a few numbers, for which it has no table.
const some = "SELECT $1 UNION ALL SELECT $1 + 1 UNION ALL SELECT $1 + 2"

// numbers reads the rows of some, and calls between after each.
func numbers(ctx context.Context, q statements.Queries, from int, between func() error) ([]int, error) {
	rows, err := q.Query(ctx, some, from)
	if err != nil {
		return nil, err
	}
	defer rows.Close()

	var list []int
	for rows.Next() {
		var n int
		if err := errors.Join(rows.Scan(&n), between()); err != nil {
			return nil, err
		}
		list = append(list, n)
	}

	return list, rows.Err()
}

func TestAStatementRunsAgainWhileItsRowsAreRead(t *testing.T) {
	b := newBench(t)
	ctx := t.Context()

	// The third run is of the prepared statement, with another of it inside.
	check := func(q statements.Queries) error {
		for range 3 {
			outer, err := numbers(ctx, q, 10, func() error {
				inner, err := numbers(ctx, q, 20, func() error { return nil })
				if !slices.Equal(inner, []int{20, 21, 22}) {
					t.Errorf("inner rows = %v, want 20 to 22", inner)
				}
				return err
			})
			if err != nil {
				return err
			}
			if !slices.Equal(outer, []int{10, 11, 12}) {
				t.Errorf("outer rows = %v, want 10 to 12", outer)
			}
		}

		return nil
	}

	must(t, b.do(ctx, func(_ context.Context, tx statements.Conn) error { return check(tx) }))
	must(t, check(engine{b.DB}))
}

func TestOnlyTheStatementsThatRanLastAreKeptPrepared(t *testing.T) {
	b := newBench(t)
	ctx := t.Context()

	must(t, b.do(ctx, func(_ context.Context, tx statements.Conn) error {
		// Its rows are open while all others come, and evict it.
		_, err := numbers(ctx, tx, 1, func() error { return nil })
		if err != nil {
			return err
		}

		list, err := numbers(ctx, tx, 1, func() error {
			for i := range 2 * mostPrepared {
				for range 2 {
					var n int
					if err := tx.QueryRow(ctx, fmt.Sprintf("SELECT %d", i)).Scan(&n); err != nil || n != i {
						t.Fatalf("SELECT %d = %d, %v", i, n, err)
					}
				}
			}
			return nil
		})
		if !slices.Equal(list, []int{1, 2, 3}) {
			t.Errorf("rows of an evicted statement = %v, want 1 to 3", list)
		}

		return err
	}))

	c := b.writer.prepared
	if len(c.byText) != mostPrepared || c.recent.Len() != mostPrepared {
		t.Errorf("%d texts in a list of %d, want %d", len(c.byText), c.recent.Len(), mostPrepared)
	}
	if c.byText[some] != nil {
		t.Error("the statement that ran first is still kept")
	}
}

func TestAPreparedStatementThatFailedRunsAgain(t *testing.T) {
	b := newBench(t)
	ctx := t.Context()

	for i := range 4 {
		err := b.AddUser(ctx, account.Account{Name: "diane", Folded: "diane", Version: 1}, jeton.Event{})
		if !errors.Is(err, jeton.ErrConflict) {
			t.Errorf("adding a user of the same name, time %d: %v, want %v", i, err, jeton.ErrConflict)
		}

		name := fmt.Sprint("user", i)
		must(t, b.AddUser(ctx, account.Account{
			Name:    name,
			Folded:  name,
			UUID:    name,
			Version: 1,
		}, jeton.Event{}))
	}
}

func TestAPreparedStatementFollowsTheSchema(t *testing.T) {
	b := newBench(t)
	ctx := t.Context()

	const list = "SELECT * FROM shelf"
	for _, step := range []struct {
		change string
		want   int
	}{
		{"CREATE TABLE shelf (a INTEGER)", 1},
		{"ALTER TABLE shelf ADD COLUMN b INTEGER", 2},
	} {
		must(t, b.do(ctx, func(ctx context.Context, tx statements.Conn) error {
			_, err := tx.Exec(ctx, step.change)
			return err
		}))

		for range 3 {
			must(t, b.do(ctx, func(ctx context.Context, tx statements.Conn) error {
				r, err := tx.Query(ctx, list)
				if err != nil {
					return err
				}
				defer r.Close()

				columns, err := r.(rows).Columns()
				if len(columns) != step.want {
					t.Errorf("after %s, columns = %v, want %d", step.change, columns, step.want)
				}
				return err
			}))
		}
	}
}
