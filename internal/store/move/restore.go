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
		// Before makeRoom deletes it: the new epoch must exceed both.
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

		// In the same step: no server can see the old credentials in between.
		out, err = renew(ctx, to, tx, a, Level, max(had, after))
		return err
	})

	return out, err
}

// makeRoom empties the database, which must be empty already unless replace says otherwise.
// What says which database this is stays.
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

// batch is how many rows one statement writes.
const batch = 250

// load writes every row, and lets the database go on numbering where the backup stopped.
func (f *File) load(ctx context.Context, to Side, tx statements.Conn, report func(Progress)) error {
	l := &loader{
		ctx:    ctx,
		to:     to,
		tx:     tx,
		report: report,
		counts: map[string]int64{},
	}

	for _, c := range f.Tables {
		l.counts[c.Table] = c.Rows
	}

	return f.each(ctx, l)
}

// loader writes the rows of a backup in batches.
type loader struct {
	ctx     context.Context
	to      Side
	tx      statements.Conn
	report  func(Progress)
	counts  map[string]int64 // rows of each table
	current table            // of the waiting rows, with the columns of the file
	waiting []row
	done    int64 // rows of the current table that are written
}

// row queues a row, and writes the batch when it is full.
func (l *loader) row(t table, given []column, r row) error {
	l.current = t
	l.current.Columns = given
	l.waiting = append(l.waiting, r)

	if len(l.waiting) < batch {
		return nil
	}

	return l.flush()
}

// tableEnd writes what waits, and lets the database number on behind the greatest number
// that was ever given: behind the greatest that is left would give the number of a deleted
// row again.
func (l *loader) tableEnd(t table, e ending) error {
	// A batch never spans two tables.
	if err := l.flush(); err != nil {
		return err
	}

	l.done = 0
	if !t.gives {
		return nil
	}
	if err := l.to.Advance(l.ctx, l.tx, t.Name, t.Columns[0].Name, e.Last); err != nil {
		return fmt.Errorf("set numbers of %s: %w", t.Name, err)
	}

	return nil
}

// flush writes the rows that wait, in one statement.
func (l *loader) flush() error {
	if len(l.waiting) == 0 {
		return nil
	}
	if err := l.current.insert(l.ctx, l.to, l.tx, l.waiting); err != nil {
		return err
	}

	l.done += int64(len(l.waiting))
	l.waiting = l.waiting[:0]
	name := l.current.Name
	l.report(Progress{name, l.done, l.counts[name]})

	return nil
}
