// Package move copies a database to another one, of either engine, and backs it up to a file
// and restores it.
//
// It reads one state of the database, while others may write. A copy is compared with that
// state row by row before it is reported complete. An interrupted copy or backup is never
// taken for a complete one. A file that is truncated, damaged, newer than this program or not
// a backup is refused before anything is changed. After a restore every credential is ended,
// unless the operator trusts them.
//
// Snapshots and the numbering of rows are for the engines, internal/store/sqlite and
// internal/store/postgres. The data directory and the paths are for internal/server.
//
// # Files
//
//	tables.go    which tables and columns are moved; a test compares them with both schemas
//	row.go       one row as bytes, the same for both engines
//	side.go      what an engine does for a move
//	copy.go      one database to another, only where they differ
//	backup.go    a database to a file, and the form of that file
//	file.go      a file, checked from its first to its last byte
//	restore.go   a file to a database
//	epoch.go     a new epoch after a restore (decision 0012)
//	declared.go  users and clients, and what a configuration file would change
//	counts.go    how many rows each table has
//	examine.go   signing keys and damage, for 'jeton doctor'
package move

import (
	"context"
	"fmt"
	"strings"

	"github.com/jeton-auth/jeton/internal/store/statements"
)

// metaOwn leaves out the rows of meta that say which database this is.
const metaOwn = statements.MetaOwn

// Source is a database that is read. Others may write it meanwhile.
type Source interface {
	// Snapshot calls read with one consistent state. q runs one query at a time.
	Snapshot(ctx context.Context, read func(ctx context.Context, q statements.Queries) error) error
	// Last returns the greatest number that a row of a table was ever given, at least the
	// greatest that q shows; 0 for none.
	Last(ctx context.Context, q statements.Queries, table, column string) (int64, error)
}

// Side is a database that is written, while no server uses it.
type Side interface {
	Source
	// Step runs one transaction of any length. It returns an error when a server uses the
	// database.
	Step(ctx context.Context, write func(ctx context.Context, tx statements.Conn) error) error
	// Insert adds rows to a table inside a step: int64, bool, string, []byte or nil by column.
	Insert(ctx context.Context, tx statements.Conn, table string, columns []string, rows [][]any) error
	// Advance makes the next number of a table greater than last, unless it is already.
	Advance(ctx context.Context, tx statements.Conn, table, column string, last int64) error
}

// Progress is how much of a table is done.
type Progress struct {
	Table string
	Rows  int64
	Of    int64 // rows in total
}

// where returns a WHERE clause of the conditions that are not empty.
func where(conditions ...string) string {
	var set []string
	for _, c := range conditions {
		if c != "" {
			set = append(set, c)
		}
	}

	if len(set) == 0 {
		return ""
	}

	return " WHERE " + strings.Join(set, " AND ")
}

// span is the rows of a table whose keys lie behind low and not behind high. The zero
// value is all.
type span struct{ low, high row }

// conditions phrases a span, and its arguments.
func (s span) conditions(t table) (string, []any) {
	list, args := []string{t.own}, []any{}
	bound := func(sign string, key row) {
		if key == nil {
			return
		}

		marks := make([]string, len(key))
		for i, v := range key {
			args = append(args, v)
			marks[i] = fmt.Sprintf("$%d", len(args))
		}

		list = append(list, t.key()+" "+sign+" ("+strings.Join(marks, ", ")+")")
	}

	bound(">", s.low)
	bound("<=", s.high)

	return where(list...), args
}

// read hands the rows of a span to each, in the order of their keys, at most limit or, for
// 0, all.
func (t table) read(ctx context.Context, q statements.Queries, s span, limit int, each func(row) error) error {
	cond, args := s.conditions(t)
	text := "SELECT " + names(t.Columns) + " FROM " + t.Name + cond + " ORDER BY " + names(t.Columns[:t.keys])
	if limit > 0 {
		text += fmt.Sprintf(" LIMIT %d", limit)
	}

	rows, err := q.Query(ctx, text, args...)
	if err != nil {
		return fmt.Errorf("read %s: %w", t.Name, err)
	}
	defer rows.Close()

	for rows.Next() {
		if err := ctx.Err(); err != nil {
			return err
		}

		r, err := t.scan(rows)
		if err != nil {
			return err
		}
		if err := each(r); err != nil {
			return err
		}
	}

	if err := rows.Err(); err != nil {
		return fmt.Errorf("read %s: %w", t.Name, err)
	}

	return nil
}

// count returns the number of rows to move, for the progress.
func (t table) count(ctx context.Context, q statements.Queries) (n int64, err error) {
	if err = q.QueryRow(ctx, "SELECT count(*) FROM "+t.Name+where(t.own)).Scan(&n); err != nil {
		err = fmt.Errorf("count %s: %w", t.Name, err)
	}
	return n, err
}

// remove removes the rows of a span.
func (t table) remove(ctx context.Context, tx statements.Conn, s span) (int64, error) {
	cond, args := s.conditions(t)
	n, err := tx.Exec(ctx, "DELETE FROM "+t.Name+cond, args...)
	if err != nil {
		return 0, fmt.Errorf("empty %s: %w", t.Name, err)
	}

	return n, nil
}

// insert adds rows.
func (t table) insert(ctx context.Context, to Side, tx statements.Conn, rows []row) error {
	list := make([][]any, len(rows))
	for i, r := range rows {
		list[i] = r
	}

	columns := make([]string, len(t.Columns))
	for i, c := range t.Columns {
		columns[i] = c.Name
	}

	if err := to.Insert(ctx, tx, t.Name, columns, list); err != nil {
		return fmt.Errorf("fill %s: %w", t.Name, err)
	}

	return nil
}

// isEmpty reports whether a database holds nothing that would be moved.
func isEmpty(ctx context.Context, q statements.Queries) (bool, error) {
	for _, t := range tables() {
		none := true
		if err := t.read(ctx, q, span{}, 1, func(row) error { none = false; return nil }); err != nil || !none {
			return false, err
		}
	}

	return true, nil
}
