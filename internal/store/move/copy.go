package move

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/store/statements"
)

// chunk is the number of rows that are compared, and replaced, at once.
const chunk = 1000

// Sum is the checksum of a table.
type Sum struct {
	Table  string `json:"table"`
	Rows   int64  `json:"rows"`
	SHA256 string `json:"sha256"`
}

// Copied is the result of a copy.
type Copied struct {
	Tables  []Sum `json:"tables"`  // of both sides
	Written int64 `json:"written"` // rows that were not there yet, or were others
	Removed int64 `json:"removed"` // rows that were others, or that the source does not have
}

// Copy makes a database equal to another one. It writes only the chunks that differ, so it may
// be interrupted and run again, also when the source has changed. The destination must be
// empty, or a copy of this source that no server has started on; otherwise Copy returns
// jeton.ErrConflict and changes nothing. No server starts on an incomplete copy.
func Copy(ctx context.Context, from Source, to Side, report func(Progress)) (Copied, error) {
	return copyBy(ctx, chunk, from, to, report)
}

// copyBy is Copy with chunks of a given size. Tests make them small, so that a few rows
// span several.
func copyBy(ctx context.Context, size int, from Source, to Side, report func(Progress)) (Copied, error) {
	var out Copied
	err := from.Snapshot(ctx, func(ctx context.Context, q statements.Queries) (err error) {
		id, err := statements.Meta(ctx, q, statements.MetaID)
		if err != nil {
			return err
		}

		c := copying{
			from:   q,
			to:     to,
			size:   size,
			report: report,
			out:    &out,
		}
		// Marked before the first row is written: a server refuses the database if a crash
		// comes next.
		if err := to.Step(ctx, func(ctx context.Context, tx statements.Conn) error {
			return claim(ctx, tx, id)
		}); err != nil {
			return err
		}

		for _, t := range tables() {
			if err := c.table(ctx, t); err != nil {
				return fmt.Errorf("copy %s: %w", t.Name, err)
			}
		}

		if err := c.numbers(ctx, from); err != nil {
			return err
		}

		// Both sides are read again: the chunks were compared one by one, while others might
		// write.
		out.Tables, err = c.compare(ctx)
		if err != nil {
			return err
		}

		return to.Step(ctx, func(ctx context.Context, tx statements.Conn) error {
			// Both marks in one step: it is never both a half and a whole copy.
			if err := statements.SetMeta(ctx, tx, statements.MetaCopied, id); err != nil {
				return err
			}
			return statements.SetMeta(ctx, tx, statements.MetaCopying, "")
		})
	})

	return out, err
}

// claim marks the destination as half a copy of a source, if it may be one.
func claim(ctx context.Context, tx statements.Conn, source string) error {
	var marks [3]string
	for i, name := range []string{statements.MetaID, statements.MetaCopying, statements.MetaCopied} {
		var err error
		marks[i], err = statements.Meta(ctx, tx, name)
		if err != nil {
			return err
		}
	}

	empty, err := isEmpty(ctx, tx)
	if err != nil {
		return err
	}

	switch {
	case source == "":
		return jeton.WithDetail(
			jeton.ErrConflict,
			"the source has no id; start its server with this version of jeton once",
		)
	case marks[0] == source:
		return jeton.WithDetail(jeton.ErrConflict, "both are the same database")
	// An earlier run on the same source was interrupted, or its copy is to be refreshed.
	case marks[1] == source || marks[2] == source || empty && marks[1] == "":
	case marks[1] != "" || marks[2] != "":
		return jeton.WithDetail(jeton.ErrConflict, "the destination is a copy of another database; name an empty one")
	default:
		return jeton.WithDetail(jeton.ErrConflict, "the destination has data of its own; name an empty database")
	}

	// A ticket that a first start issued there, such as for the setup, would be valid for the copy.
	for _, table := range []string{"tickets", "mails"} {
		if _, err := tx.Exec(ctx, "DELETE FROM "+table); err != nil {
			return err
		}
	}

	if err := statements.SetMeta(ctx, tx, statements.MetaCopied, ""); err != nil {
		return err
	}

	return statements.SetMeta(ctx, tx, statements.MetaCopying, source)
}

// copying is a copy that is under way.
type copying struct {
	from   statements.Queries
	to     Side
	size   int // of a chunk
	report func(Progress)
	out    *Copied
}

// table makes one table equal. It removes every chunk that differs before it writes any:
// a name that moved from one row to another is never there twice.
func (c *copying) table(ctx context.Context, t table) error {
	all, err := t.count(ctx, c.from)
	if err != nil {
		return err
	}

	c.report(Progress{t.Name, 0, all})
	var other []span
	var done int64
	for low := row(nil); ; {
		// Spans are by key and not by row number, so rows that only one side has do not shift
		// them.
		s := span{low: low}
		chunk, err := c.next(ctx, t, &s)
		if err != nil {
			return err
		}

		there, err := c.present(ctx, t, s)
		if err != nil {
			return err
		}

		if bytes.Equal(chunk.sum(), there.sum()) {
			done += chunk.rows
			c.report(Progress{t.Name, done, all})
		} else {
			other = append(other, s)
			if there.rows > 0 {
				if err := c.clear(ctx, t, s); err != nil {
					return err
				}
			}
		}

		if s.high == nil {
			break
		}

		low = s.high
	}

	for _, s := range other {
		n, err := c.fill(ctx, t, s)
		if err != nil {
			return err
		}

		done += n
		c.report(Progress{t.Name, done, all})
	}

	return nil
}

// next returns the digest of the chunk after s.low and sets s.high to its last key. The last
// chunk has no end.
func (c *copying) next(ctx context.Context, t table, s *span) (*digest, error) {
	h := newDigest(t)
	var last row

	err := t.read(ctx, c.from, *s, c.size, func(r row) error {
		last = r[:t.keys]
		h.add(r)
		return nil
	})

	if h.rows == int64(c.size) {
		s.high = last
	}

	return h, err
}

// present returns the digest of the rows that the destination has in the span.
func (c *copying) present(ctx context.Context, t table, s span) (*digest, error) {
	h := newDigest(t)
	err := c.to.Snapshot(ctx, func(ctx context.Context, q statements.Queries) error {
		return t.read(ctx, q, s, 0, func(r row) error {
			h.add(r)
			return nil
		})
	})

	return h, err
}

// clear removes the rows of a span from the destination.
func (c *copying) clear(ctx context.Context, t table, s span) error {
	return c.to.Step(ctx, func(ctx context.Context, tx statements.Conn) error {
		n, err := t.remove(ctx, tx, s)
		c.out.Removed += n
		return err
	})
}

// fill writes a chunk where the destination has nothing.
func (c *copying) fill(ctx context.Context, t table, s span) (int64, error) {
	var rows []row
	err := t.read(ctx, c.from, s, c.size, func(r row) error {
		rows = append(rows, r)
		return nil
	})
	if err != nil || len(rows) == 0 {
		return 0, err
	}

	err = c.to.Step(ctx, func(ctx context.Context, tx statements.Conn) error { return t.insert(ctx, c.to, tx, rows) })
	if err == nil {
		c.out.Written += int64(len(rows))
	}

	return int64(len(rows)), err
}

// numbers makes the numbers of the destination go on behind those of both.
func (c *copying) numbers(ctx context.Context, from Source) error {
	return c.to.Step(ctx, func(ctx context.Context, tx statements.Conn) error {
		for _, t := range tables() {
			if !t.gives {
				continue
			}

			last, err := from.Last(ctx, c.from, t.Name, t.Columns[0].Name)
			if err != nil {
				return fmt.Errorf("read numbers of %s: %w", t.Name, err)
			}
			if err := c.to.Advance(ctx, tx, t.Name, t.Columns[0].Name, last); err != nil {
				return fmt.Errorf("set numbers of %s: %w", t.Name, err)
			}
		}

		return nil
	})
}

// compare reads both sides from beginning to end.
func (c *copying) compare(ctx context.Context) (sums []Sum, err error) {
	err = c.to.Snapshot(ctx, func(ctx context.Context, q statements.Queries) error {
		for _, t := range tables() {
			source, err := t.sum(ctx, c.from)
			if err != nil {
				return err
			}

			copied, err := t.sum(ctx, q)
			if err != nil {
				return err
			}
			if source != copied {
				return fmt.Errorf(
					"%s has %d rows and SHA-256 %s in the source, %d and %s in the copy: "+
						"check that nothing else writes to it, and run the same command again",
					t.Name,
					source.Rows,
					source.SHA256,
					copied.Rows,
					copied.SHA256,
				)
			}

			sums = append(sums, source)
		}

		return nil
	})

	return sums, err
}

// sum reads a whole table and returns its checksum, which is the same on both engines: it
// is over values, not over how an engine stores them.
func (t table) sum(ctx context.Context, q statements.Queries) (Sum, error) {
	h := newDigest(t)
	err := t.read(ctx, q, span{}, 0, func(r row) error {
		h.add(r)
		return nil
	})

	return Sum{t.Name, h.rows, hex.EncodeToString(h.sum())}, err
}

// digest sums up rows in their order.
type digest struct {
	t    table
	h    hash.Hash
	rows int64
	b    []byte
}

// newDigest returns the digest of no rows.
func newDigest(t table) *digest { return &digest{t: t, h: sha256.New()} }

// add adds a row. Its bytes are those of a backup, and no two rows have the same (see
// append).
func (d *digest) add(r row) {
	d.b = d.t.append(d.b[:0], r)
	d.rows++
	_, _ = d.h.Write(d.b) // a hash takes everything
}

// sum returns the digest of the rows so far.
func (d *digest) sum() []byte { return d.h.Sum(nil) }
