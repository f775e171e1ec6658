package move

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/store/statements"
	"github.com/jeton-auth/jeton/internal/test/pgtest"
)

var shared = pgtest.Shared{NoSync: true}

func TestMain(m *testing.M) { os.Exit(shared.Main(m)) }

var noon = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)

// few is the number of rows in a chunk of these tests.
const few = 40

func TestACopyIsEqual(t *testing.T) {
	both(t, func(t *testing.T, from, to Side) {
		fill(t, from, 2*few+7)
		var last Progress
		done, err := copyBy(t.Context(), few, from, to, func(p Progress) { last = p })
		must(t, err)
		equal(t, from, to)

		want := sums(t, to)
		if fmt.Sprint(done.Tables) != fmt.Sprint(want) {
			t.Errorf("tables of the result = %v, want %v", done.Tables, want)
		}
		if last != (Progress{"meta", 1, 1}) {
			t.Errorf("last progress = %+v", last)
		}

		for _, each := range tables() {
			// SQLite numbers budgets from the greatest number in use
			more := int64(2*few + 107)
			if each.gives && each.Name != "budgets" {
				numbered(t, to, each.Name, more)
			}
		}

		n := int64((2*few+7)*(len(tables())-1) + 1)
		if done.Written != n || done.Removed != 0 {
			t.Errorf("%d rows written and %d removed, want %d and none", done.Written, done.Removed, n)
		}
	})
}

func TestThereAndBackIsEqual(t *testing.T) {
	from := newSQLite(t)
	there := newPostgres(t)
	back := newSQLite(t)
	fill(t, from, few+1)
	_, err := copyBy(t.Context(), few, from, there, silent)
	must(t, err)

	_, err = copyBy(t.Context(), few, there, back, silent)
	must(t, err)
	equal(t, from, back)
}

func TestASecondCopyWritesOnlyWhatDiffers(t *testing.T) {
	both(t, func(t *testing.T, from, to Side) {
		fill(t, from, 2*few)
		_, err := copyBy(t.Context(), few, from, to, silent)
		must(t, err)
		again, err := copyBy(t.Context(), few, from, to, silent)
		must(t, err)

		if again.Written != 0 || again.Removed != 0 {
			t.Errorf("copy without changes = %d rows written, %d removed, want none", again.Written, again.Removed)
		}

		exec(t, from,
			// A name moves from one row to an earlier one, and another name to a later one.
			"DELETE FROM users WHERE id IN (3, 60)",
			"UPDATE users SET name = 'x' WHERE id = 5",
			"DELETE FROM sessions WHERE login > 45",
			"DELETE FROM assertions",
			"UPDATE uses SET used = used + 1 WHERE login = 7",
			"UPDATE meta SET value = '8' WHERE name = 'epoch'",
		)

		names := [2]row{sample(tableOf(t, "users"), 59), sample(tableOf(t, "users"), 2)}
		names[0][0], names[1][0] = int64(3), int64(60)
		put(t, from, "users", names[0], names[1])
		third, err := copyBy(t.Context(), few, from, to, silent)
		must(t, err)

		most := int64(5 * few)
		if third.Written == 0 || third.Written > most {
			t.Errorf("%d rows written, want some, and at most %d", third.Written, most)
		}

		left, right := sums(t, from), sums(t, to)
		if fmt.Sprint(left) != fmt.Sprint(right) {
			t.Errorf("copy = %[2]v, want %[1]v as in the source", left, right)
		}
	})
}

// broken is a side whose nth step fails after its writes.
type broken struct {
	Side
	after int
}

// errBroken interrupts a copy, as a lost connection does.
var errBroken = errors.New("the line is cut")

// Step fails from its n-th call on, after it has written: the step is then rolled back.
func (b *broken) Step(ctx context.Context, write func(ctx context.Context, tx statements.Conn) error) error {
	b.after--
	return b.Side.Step(ctx, func(ctx context.Context, tx statements.Conn) error {
		err := write(ctx, tx)
		if b.after <= 0 && err == nil {
			err = errBroken
		}
		return err
	})
}

// TestAnInterruptedCopyContinues breaks off a copy after several numbers of steps, and runs
// it again. No row is written twice, and no server starts on the half.
func TestAnInterruptedCopyContinues(t *testing.T) {
	both(t, func(t *testing.T, from, to Side) {
		fill(t, from, few+1)
		var written int64
		for _, after := range []int{1, 2, 3, 9, 16, 25} { // in the end all but the last step

			half, err := copyBy(t.Context(), few, from, &broken{to, after}, silent)
			if !errors.Is(err, errBroken) {
				t.Fatalf("copy that fails after %d steps: %v", after, err)
			}

			err = to.Step(t.Context(), func(ctx context.Context, tx statements.Conn) error {
				return statements.Serve(ctx, tx)
			})
			wants := error(statements.ErrHalf)
			if after == 1 && err != nil || after > 1 && !errors.Is(err, wants) {
				t.Fatalf("start on the incomplete copy after %d steps: %v", after, err)
			}

			written += half.Written
		}

		whole, err := copyBy(t.Context(), few, from, to, silent)
		must(t, err)
		equal(t, from, to)
		all := int64((few+1)*(len(tables())-1) + 1)
		if written+whole.Written != all || whole.Written != 0 {
			t.Errorf(
				"%d rows written before and %d in the end, of %d: none has to be written twice",
				written, whole.Written, all,
			)
		}

		must(
			t,
			to.Step(t.Context(), func(ctx context.Context, tx statements.Conn) error {
				return statements.Serve(ctx, tx)
			}),
		)
		if _, err := copyBy(t.Context(), few, from, to, silent); !errors.Is(err, jeton.ErrConflict) {
			t.Errorf("copy over a database that a server has used = %v, want ErrConflict", err)
		}
	})
}

func TestADestinationWithOtherDataIsRefused(t *testing.T) {
	both(t, func(t *testing.T, from, to Side) {
		fill(t, from, 3)
		other := newSQLite(t)
		fill(t, other, 2)
		put(t, to, "revoked", sample(tableOf(t, "revoked"), 5))
		before := sums(t, to)

		refuse := func(from, to Side, says string) {
			t.Helper()
			if _, err := copyBy(
				t.Context(), few, from, to, silent,
			); !errors.Is(err, jeton.ErrConflict) || !strings.Contains(err.Error(), says) {
				t.Errorf("got %v, want ErrConflict with %q", err, says)
			}
		}

		refuse(from, to, "data of its own")
		after := sums(t, to)
		if fmt.Sprint(before) != fmt.Sprint(after) {
			t.Errorf("contents = %[2]v, want %[1]v as before", before, after)
		}

		refuse(from, from, "the same database")
		exec(t, to, "DELETE FROM revoked")
		_, err := copyBy(t.Context(), few, from, to, silent)
		must(t, err)
		refuse(other, to, "a copy of another database")

		equalButMeta(t, from, to)
	})
}

// equalButMeta compares two databases table by table.
func equalButMeta(t *testing.T, a, b Source) {
	t.Helper()
	left, right := sums(t, a), sums(t, b)
	if fmt.Sprint(left) != fmt.Sprint(right) {
		t.Errorf("sums differ: %v and %v", left, right)
	}
}

// TestACopyIsASnapshot changes the source while it is copied.
func TestACopyIsASnapshot(t *testing.T) {
	for _, e := range engines() {
		t.Run(e.name, func(t *testing.T) {
			from, to := e.open(t), newSQLite(t)
			fill(t, from, few+10)
			want := sums(t, from)
			// The source changes during the copy: with each progress report a user is deleted
			// and an event is added.
			n := 0

			_, err := copyBy(t.Context(), few, from, to, func(Progress) {
				n++
				exec(
					t, from, fmt.Sprintf("DELETE FROM users WHERE id = %d", n), "DELETE FROM sessions",
					"UPDATE meta SET value = '9' WHERE name = 'epoch'",
				)
				put(t, from, "audit", sample(tableOf(t, "audit"), 5000+n))
			})

			must(t, err)
			got := sums(t, to)
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("copy = %v, want %v", got, want)
			}

			now := sums(t, from)
			if n < 10 || fmt.Sprint(now) == fmt.Sprint(want) {
				t.Error("the source did not change: the test tests nothing")
			}
		})
	}
}

// TestTheListOfTablesIsTheSchema compares the list with what the engines have.
func TestTheListOfTablesIsTheSchema(t *testing.T) {
	const columns = `SELECT m.name, p.name, p.type || CASE WHEN p."notnull" = 0 AND p.pk = 0 THEN '?' ELSE '' END
FROM sqlite_schema m JOIN pragma_table_info(m.name) p WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite%'`
	const attributes = `SELECT table_name::text, column_name::text,
data_type::text || CASE is_nullable WHEN 'YES' THEN '?' ELSE '' END
|| CASE WHEN collation_name = 'C' THEN ' C' ELSE '' END
FROM information_schema.columns WHERE table_schema = current_schema()`

	for _, tc := range []struct {
		engine
		query   string
		types   map[kind][]string
		besides []string
	}{
		{
			engines()[0],
			columns,
			map[kind][]string{
				integer: {"INTEGER"},
				boolean: {"INTEGER"},
				text:    {"TEXT"},
				blob:    {"BLOB"},
				maybe:   {"BLOB?"},
			},
			[]string{"migrations", "tickets", "mails", "failed_attempts"},
		},
		{
			engines()[1],
			attributes,
			map[kind][]string{
				integer: {"bigint"},
				boolean: {"boolean"},
				text:    {"text", "text C"},
				blob:    {"bytea"},
				maybe:   {"bytea?"},
			},
			[]string{
				"migrations", "tickets", "mails", "failed_attempts", "changes", "nodes", "audit.wrote", "uses.took",
			},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := tc.open(t)
			have := map[string]string{}
			must(t, s.Snapshot(t.Context(), func(ctx context.Context, q statements.Queries) error {
				rows, err := q.Query(ctx, tc.query)
				if err != nil {
					return err
				}
				defer rows.Close()

				for rows.Next() {
					var table, column, kind string
					if err := rows.Scan(&table, &column, &kind); err != nil {
						return err
					}
					have[table+"."+column] = kind
				}

				return rows.Err()
			}))

			for _, each := range tables() {
				for i, c := range each.Columns {
					name := each.Name + "." + c.Name
					got, ok := have[name]
					delete(have, name)

					if !ok || !slices.Contains(tc.types[c.Kind], got) {
						t.Errorf("%s is %q in the list and %q in the schema", name, c.Kind, got)
					}
					if i < each.keys && c.Kind == text && tc.name == "postgres" && got != "text C" {
						t.Errorf("%s is %q: a key is not sorted by its bytes", name, got)
					}
				}
			}

			for name := range have {
				table, _, _ := strings.Cut(name, ".")
				if !slices.Contains(tc.besides, table) && !slices.Contains(tc.besides, name) {
					t.Errorf("%s is in the schema and not in the list, so it would not be moved", name)
				}
			}
		})
	}
}
