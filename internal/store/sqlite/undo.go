package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// copiesKept is how many copies from before an upgrade are kept beside a database.
const copiesKept = 2

// before begins the rest of the name of such a copy; the first step that was missing follows.
const before = ".before-"

// Copy is a copy of a database that was kept before an upgrade.
type Copy struct {
	Path   string
	Schema int // number of its last step
}

// CopyBefore returns where the copy of a database is that is kept before step number n.
func CopyBefore(path string, n int) string { return path + before + strconv.Itoa(n) }

// Copies returns the copies that are beside a database, that of the newest schema first. It looks at
// their names alone.
func Copies(path string) ([]Copy, error) {
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		return nil, err
	}

	var list []Copy
	for _, e := range entries {
		number, ok := strings.CutPrefix(e.Name(), filepath.Base(path)+before)
		n, err := strconv.Atoi(number)
		if ok && err == nil && n > 1 && number == strconv.Itoa(n) {
			list = append(list, Copy{filepath.Join(filepath.Dir(path), e.Name()), n - 1})
		}
	}

	slices.SortFunc(list, func(a, b Copy) int { return b.Schema - a.Schema })

	return list, nil
}

// dropOldCopies removes all but the newest copies beside the database that are from before step number
// n or an earlier one. One of a newer version, whose upgrade was undone, is newer by its number alone.
func (db *DB) dropOldCopies(n int) error {
	list, err := Copies(db.path)
	if err != nil {
		return err
	}

	list = slices.DeleteFunc(list, func(c Copy) bool { return c.Schema >= n })
	for _, c := range list[min(copiesKept, len(list)):] {
		if err := Remove(c.Path); err != nil {
			return err
		}
		db.log.Info("the copy from before an older upgrade is removed", "file", c.Path)
	}

	return nil
}

// FirstSteps is the schema of this program up to step number n, for Config.Schema.
func FirstSteps(n int) fs.FS { return firstSteps{schema, n} }

// firstSteps shows the first n files of a folder.
type firstSteps struct {
	fs.FS
	n int
}

// Glob implements fs.GlobFS, by which migrations lists the steps.
func (f firstSteps) Glob(pattern string) ([]string, error) {
	names, err := fs.Glob(f.FS, pattern)
	return names[:min(f.n, len(names))], err
}

// Difference is how many rows of a table are only in one of two databases, or not the same in both.
type Difference struct {
	Table string `json:"table"`
	Rows  int64  `json:"rows"`
}

// Since returns what has been written to a database since the copy was made, by table. It applies the
// steps of this program to a duplicate of the copy, and compares all rows: the steps alone make no
// difference. Neither file is changed; no other process may write to the database.
func Since(ctx context.Context, c Config, kept Copy) (list []Difference, err error) {
	old, err := duplicated(ctx, kept.Path)
	if err != nil {
		return nil, fmt.Errorf("copy database %s: %w", kept.Path, advise(err))
	}
	defer func() { err = errors.Join(err, Remove(old)) }()

	upgrade := Config{
		Path:    old,
		Upgrade: true,
		Schema:  c.Schema,
		trial:   true,
	}
	db := newDB(upgrade)
	err = errors.Join(db.openFiles(ctx), db.closeFiles())
	if err != nil {
		return nil, fmt.Errorf("upgrade a duplicate of %s: %w", kept.Path, advise(err))
	}

	err = reading(ctx, c.Path, func(conn *sql.Conn) error {
		if _, err := conn.ExecContext(ctx, "ATTACH $1 AS old", old); err != nil {
			return err
		}

		list, err = compared(ctx, conn)
		return err
	})

	return list, err
}

// UpgradedAt returns when the first step after a copy was applied to a database: the copy is from just before.
func UpgradedAt(ctx context.Context, c Config, kept Copy) (at time.Time, err error) {
	err = reading(ctx, c.Path, func(conn *sql.Conn) error {
		var milli int64
		err := conn.QueryRowContext(ctx, "SELECT at FROM migrations WHERE number = $1", kept.Schema+1).Scan(&milli)
		at = time.UnixMilli(milli)

		return err
	})

	return at, err
}

// compared compares each table of the database with that of the same name in the attached one. Both
// have the same schema.
func compared(ctx context.Context, conn *sql.Conn) (list []Difference, err error) {
	// The rows of migrations have the time of the step; those of meta below change without a reason
	// to keep them. sqlite_sequence has the numbers that were given, also of rows that are deleted.
	const tables = `SELECT name FROM main.sqlite_schema WHERE type = 'table'
  AND (name NOT LIKE 'sqlite_%' OR name = 'sqlite_sequence') AND name <> 'migrations' ORDER BY name`

	rows, err := conn.QueryContext(ctx, tables)
	if err != nil {
		return nil, err
	}
	defer rows.Close()

	var names []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, err
		}
		names = append(names, name)
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}

	for _, name := range names {
		where := ""
		if name == "meta" {
			where = " WHERE name NOT IN ('id', 'copying', 'copied', 'probe', 'sweep', 'managers')"
		}

		// A changed row is in both halves, so the greater one counts.
		half := "(SELECT count(*) FROM (SELECT * FROM %[3]s.%[1]s%[2]s EXCEPT SELECT * FROM %[4]s.%[1]s%[2]s))"
		text := "SELECT max(" + fmt.Sprintf(half, name, where, "main", "old") + ", " +
			fmt.Sprintf(half, name, where, "old", "main") + ")"

		d := Difference{Table: name}
		if err := conn.QueryRowContext(ctx, text).Scan(&d.Rows); err != nil {
			return nil, fmt.Errorf("compare table %s: %w", name, err)
		}
		if d.Rows > 0 {
			list = append(list, d)
		}
	}

	return list, nil
}

// Duplicate writes one state of the database at path to a new file, for its owner alone, and gives it
// the mode and the owner of the first. It may be in use.
func Duplicate(ctx context.Context, path, to string) error {
	f, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}

	err = reading(ctx, path, func(conn *sql.Conn) error { return vacuumInto(ctx, conn, path, f) })

	return errors.Join(err, f.Close())
}
