package move

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/store/postgres"
	"github.com/jeton-auth/jeton/internal/store/sqlite"
	"github.com/jeton-auth/jeton/internal/store/statements"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// engine opens empty sides.
type engine struct {
	name string
	open func(t *testing.T) Side
}

// engines are both engines: every test of a move runs on each, and between them.
func engines() []engine {
	return []engine{{"sqlite", newSQLite}, {"postgres", newPostgres}}
}

func newSQLite(t *testing.T) Side {
	t.Helper()
	return sideOf(t, filepath.Join(t.TempDir(), "jeton.db"))
}

func sideOf(t *testing.T, path string) Side {
	t.Helper()
	s, err := sqlite.OpenSide(t.Context(), sqlite.Config{Path: path})
	must(t, err)
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func newPostgres(t *testing.T) Side {
	t.Helper()
	s, err := postgres.OpenSide(t.Context(), postgres.Config{
		URL:   jeton.NewSecret(shared.Database(t)),
		Where: "the test's",
	})
	must(t, err)
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// both runs a test for every pair of engines.
func both(t *testing.T, run func(t *testing.T, from, to Side)) {
	for _, a := range engines() {
		for _, b := range engines() {
			t.Run(a.name+" to "+b.name, func(t *testing.T) { run(t, a.open(t), b.open(t)) })
		}
	}
}

// exec runs statements as one step.
func exec(t *testing.T, s Side, texts ...string) {
	t.Helper()
	must(t, s.Step(t.Context(), func(ctx context.Context, tx statements.Conn) error {
		for _, text := range texts {
			if _, err := tx.Exec(ctx, text); err != nil {
				return fmt.Errorf("%s: %w", text, err)
			}
		}

		return nil
	}))
}

// put adds rows.
func put(t *testing.T, s Side, name string, rows ...row) {
	t.Helper()
	must(
		t,
		s.Step(t.Context(), func(ctx context.Context, tx statements.Conn) error {
			return tableOf(t, name).insert(ctx, s, tx, rows)
		}),
	)
}

func tableOf(t *testing.T, name string) table {
	t.Helper()

	for _, each := range tables() {
		if each.Name == name {
			return each
		}
	}

	t.Fatalf("no table %s", name)
	return table{}
}

// sample returns row n of a table: every column has a value that depends on n.
func sample(t table, n int) row {
	r := make(row, len(t.Columns))
	for i, c := range t.Columns {
		switch c.Kind {
		case integer:
			r[i] = int64(n + 1)
		case boolean:
			r[i] = (n+i)%2 == 0
		case text:
			r[i] = fmt.Sprintf("%s %05d \u00e9\t\"'%%", c.Name, n)
		case blob:
			r[i] = bytes.Repeat([]byte{byte(n), byte(n >> 8), 0xff, 0}, n%9)
			if c.Name != "sealed" {
				r[i] = []byte(fmt.Sprintf("\x00\xff%s%d", c.Name, n)) // those are unique
			}
		case maybe:
			if n%2 == 0 {
				r[i] = []byte{byte(n)}
			}
		}
	}

	return r
}

// fill puts a number of rows into every table.
func fill(t *testing.T, s Side, rows int) {
	t.Helper()

	for _, each := range tables() {
		if each.Name == "meta" {
			continue
		}

		var list []row
		for n := range rows {
			r := sample(each, n)
			if each.Name == "uses" {
				r[0] = int64(n - rows/2) // tokens have the numbers below 0
			}
			list = append(list, r)
		}

		put(t, s, each.Name, list...)
	}

	exec(t, s, "INSERT INTO meta (name, value) VALUES ('epoch', '7')")

	for _, each := range tables() {
		if each.gives {
			must(t, s.Step(t.Context(), func(ctx context.Context, tx statements.Conn) error {
				return s.Advance(ctx, tx, each.Name, each.Columns[0].Name, int64(rows+100))
			}))
		}
	}
}

// sums returns what every table holds.
func sums(t *testing.T, s Source) (list []Sum) {
	t.Helper()
	must(t, s.Snapshot(t.Context(), func(ctx context.Context, q statements.Queries) error {
		for _, each := range tables() {
			sum, err := each.sum(ctx, q)
			if err != nil {
				return err
			}
			list = append(list, sum)
		}

		return nil
	}))

	return list
}

// equal checks that two databases hold the same rows, and that no table is empty.
func equal(t *testing.T, a, b Source) {
	t.Helper()
	left, right := sums(t, a), sums(t, b)
	for i := range left {
		if left[i] != right[i] {
			t.Errorf("sums differ: %+v and %+v", left[i], right[i])
		}
		if left[i].Rows == 0 {
			t.Errorf("%s is empty: the test compares nothing", left[i].Table)
		}
	}
}

// numbered checks that a new row of a table gets a greater number than all before.
func numbered(t *testing.T, s Side, table string, more int64) int64 {
	t.Helper()
	var got int64

	each := tableOf(t, table)
	r := sample(each, 900_000)
	must(t, s.Step(t.Context(), func(ctx context.Context, tx statements.Conn) error {
		marks, args := make([]string, len(r)-1), []any(r[1:])
		for i := range marks {
			marks[i] = fmt.Sprintf("$%d", i+1)
		}

		text := "INSERT INTO " + each.Name + " (" + names(each.Columns[1:]) + ") VALUES (" + strings.Join(
			marks,
			", ",
		) + ") RETURNING " + each.Columns[0].Name
		return tx.QueryRow(ctx, text, args...).Scan(&got)
	}))

	if got <= more {
		t.Errorf("the next number of %s is %d, want one above %d", table, got, more)
	}

	return got
}

// silent is a progress that shows nothing.
func silent(Progress) {}
