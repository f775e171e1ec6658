package move

import (
	"context"
	"fmt"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/store/statements"
)

// Restore puts what is in a backup into a database and begins a new epoch, in one step. A
// database that is not empty is emptied if replace says so, and refused with
// jeton.ErrConflict otherwise. after is an epoch that others may have seen, as of the
// database that this one replaces; 0 for none.
func (f *File) Restore(
	ctx context.Context,
	to Side,
	a Ask,
	replace bool,
	after int64,
	report func(Progress),
) (out statements.Renewed, err error) {
	err = to.Step(ctx, func(ctx context.Context, tx statements.Conn) error {
		had, err := statements.EpochOf(ctx, tx)
		if err != nil {
			return err
		}
		if err := makeRoom(ctx, tx, replace); err != nil {
			return err
		}

		if err := f.load(ctx, to, tx, report); err != nil {
			return err
		}

		out, err = renew(ctx, to, tx, a, max(had, after))
		return err
	})

	return out, err
}

func makeRoom(ctx context.Context, tx statements.Conn, replace bool) error {
	empty, err := isEmpty(ctx, tx)
	if err != nil {
		return err
	}
	if !empty && !replace {
		return jeton.WithDetail(jeton.ErrConflict, "the database is not empty; --replace gives up what is in it")
	}

	for _, t := range tables() {
		if _, err := t.remove(ctx, tx, span{}); err != nil {
			return err
		}
	}

	// A mark of a copy says nothing of what comes now.
	for _, mark := range []string{statements.MetaCopying, statements.MetaCopied} {
		if err := statements.SetMeta(ctx, tx, mark, ""); err != nil {
			return err
		}
	}

	return nil
}

// batch is how many rows are written at once.
const batch = 250

// load writes every row, and makes the numbers go on where they were.
func (f *File) load(ctx context.Context, to Side, tx statements.Conn, report func(Progress)) error {
	counts := map[string]int64{}
	for _, c := range f.Tables {
		counts[c.Table] = c.Rows
	}

	var waiting []row
	var in table // whose rows wait, with the columns of the file
	var done int64

	flush := func() error {
		if len(waiting) == 0 {
			return nil
		}
		if err := in.insert(ctx, to, tx, waiting); err != nil {
			return err
		}

		done += int64(len(waiting))
		waiting = waiting[:0]
		report(Progress{in.Name, done, counts[in.Name]})

		return nil
	}

	take := func(t table, given []column, r row) error {
		in = t
		in.Columns = given
		waiting = append(waiting, r)
		if len(waiting) < batch {
			return nil
		}

		return flush()
	}

	return f.each(ctx, take, func(t table, e ending) error {
		if err := flush(); err != nil {
			return err
		}

		done = 0
		if !t.gives {
			return nil
		}
		if err := to.Advance(ctx, tx, t.Name, t.Columns[0].Name, e.Last); err != nil {
			return fmt.Errorf("set numbers of %s: %w", t.Name, err)
		}

		return nil
	})
}
