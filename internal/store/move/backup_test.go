package move

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/factor"
	"github.com/jeton-auth/jeton/internal/store/statements"
)

// backupOf returns a backup of a database.
func backupOf(t *testing.T, s Source) []byte {
	t.Helper()
	var b bytes.Buffer
	_, err := Backup(t.Context(), s, &b, Head{Engine: "sqlite", Program: "test", Made: noon})
	must(t, err)
	return b.Bytes()
}

func openBytes(t *testing.T, b []byte) (*File, error) {
	t.Helper()
	return Open(t.Context(), bytes.NewReader(b), int64(len(b)))
}

func opened(t *testing.T, b []byte) *File {
	t.Helper()
	f, err := openBytes(t, b)
	must(t, err)
	return f
}

// trusting asks for a new epoch that changes nothing else.
func trusting() Ask { return Ask{Now: noon, Trust: true, Event: restoring()} }

// restoring is the audit event of a restore.
func restoring() jeton.Event {
	return jeton.Event{
		Time:    noon,
		Actor:   "operator",
		Action:  audit.Restore,
		Target:  "database",
		Outcome: audit.OK,
	}
}

func TestARestoreRestoresEverything(t *testing.T) {
	both(t, func(t *testing.T, from, to Side) {
		fill(t, from, batch+3)
		exec(t, from, "INSERT INTO meta (name, value) VALUES ('subjects', 'kept')")
		b := backupOf(t, from)
		f := opened(t, b)
		if f.Epoch != 7 || f.Engine != "sqlite" || !f.Made.Equal(noon) ||
			f.Rows() != int64((batch+3)*(len(tables())-1)+2) {
			t.Errorf("summary = %+v, want epoch 7, sqlite, noon and all rows", f.Summary)
		}

		var last Progress
		done, err := f.Restore(t.Context(), to, trusting(), false, 0, func(p Progress) { last = p })
		must(t, err)

		if done != (statements.Renewed{Epoch: 8}) || last != (Progress{"meta", 2, 2}) {
			t.Errorf("result = %+v, last progress = %+v, want epoch 8 and meta complete", done, last)
		}

		exec(
			t, to, "UPDATE meta SET value = '7' WHERE name = 'epoch'",
			fmt.Sprintf("DELETE FROM audit WHERE seq > %d", batch+3),
		)

		equal(t, from, to)

		for _, each := range tables() {
			if each.gives && each.Name != "budgets" {
				numbered(t, to, each.Name, batch+103+jump)
			}
		}
	})
}

func TestARestoreEndsWhatCouldHaveBeenSpentOrRevoked(t *testing.T) {
	both(t, func(t *testing.T, from, to Side) {
		fill(t, from, 4)
		exec(
			t, from, "UPDATE keys SET retires = 1, closes = 2 WHERE kid LIKE '%00001%'",
			fmt.Sprintf("UPDATE keys SET retires = -1, closes = -1, revoked = (1 = 0) WHERE kid LIKE '%%00002%%'"),
			"UPDATE factors SET kind = 'totp' WHERE id LIKE '%00001%'",
			"UPDATE factors SET kind = 'recovery' WHERE id LIKE '%00002%'",
		)

		f := opened(t, backupOf(t, from))
		done, err := f.Restore(t.Context(), to, Ask{Now: noon, Event: restoring()}, false, 40, silent)
		must(t, err)

		if done.Epoch != 41 || done.Sessions != 4 || done.Tokens != 4 || done.Keys < 1 {
			t.Errorf("result = %+v, want epoch 41, 4 sessions, 4 tokens and the keys", done)
		}

		counts := map[string]int64{}
		for _, s := range sums(t, to) {
			counts[s.Table] = s.Rows
		}

		for name, want := range map[string]int64{
			"sessions":         0,
			"tokens":           0,
			"grants":           0,
			"connections":      0,
			"uses":             0,
			"invitations":      0,
			"devices":          0,
			"users":            4,
			"identities":       4,
			"factors":          3, // without the recovery code
			"factor_attempts":  4,
			"relying_sessions": 4,
			"clients":          4,
			"keys":             4,
			"revoked":          4,
			"assertions":       4,
			"logins":           4,
			"audit":            5,
			"meta":             2,
		} {
			if counts[name] != want {
				t.Errorf("%d rows of %s, want %d", counts[name], name, want)
			}
		}

		must(t, to.Snapshot(t.Context(), func(ctx context.Context, q statements.Queries) error {
			var good, forever, early int
			var restored, action string

			err := errors.Join(
				q.QueryRow(ctx, "SELECT count(*) FROM keys WHERE NOT revoked").Scan(&good),
				q.QueryRow(ctx, "SELECT count(*) FROM keys WHERE retires < 0 OR closes < 0").Scan(&forever),
				q.QueryRow(ctx, "SELECT count(*) FROM keys WHERE retires = 1 AND closes = 2").Scan(&early),
				q.QueryRow(ctx, "SELECT value FROM meta WHERE name = 'restored_at'").Scan(&restored),
				q.QueryRow(ctx, "SELECT action FROM audit ORDER BY seq DESC LIMIT 1").Scan(&action),
			)

			if good != 0 || forever != 0 || early != 1 || restored != fmt.Sprint(noon.UnixMilli()) ||
				action != audit.Restore {
				t.Errorf(
					"%d keys are good, %d kept for ever, %d as they were; restored at %s; the record says %q",
					good, forever, early, restored, action,
				)
			}

			return err
		}))
	})
}

// TestNoCodeIsGoodAgainAfterARestore: a code may have been used in the lost time, also of trusted credentials.
func TestNoCodeIsGoodAgainAfterARestore(t *testing.T) {
	both(t, func(t *testing.T, from, to Side) {
		fill(t, from, 2)
		past := factor.StepAt(noon) + 1 // the code of the next step is accepted at noon
		exec(t, from, "UPDATE factors SET kind = 'totp'", fmt.Sprintf(
			"UPDATE factors SET counter = %d WHERE counter = 2", past+1,
		))

		_, err := opened(t, backupOf(t, from)).Restore(t.Context(), to, trusting(), false, 0, silent)
		must(t, err)

		var first, last int64
		must(t, to.Snapshot(t.Context(), func(ctx context.Context, q statements.Queries) error {
			return q.QueryRow(ctx, "SELECT min(counter), max(counter) FROM factors").Scan(&first, &last)
		}))
		if first != past || last != past+1 {
			t.Errorf("counters after the restore: got %d and %d, want %d and %d", first, last, past, past+1)
		}
	})
}

// TestNumbersAreNeverUsedTwice restores one backup three times: rows that were numbered
// after the backup, and lost, must not share their number with new ones.
func TestNumbersAreNeverUsedTwice(t *testing.T) {
	from := newSQLite(t)
	fill(t, from, 3)
	f := opened(t, backupOf(t, from))
	given := map[int64]bool{}
	// The same file, three times, each time without a trace of the earlier ones.
	for i := range 3 {
		to := newSQLite(t)
		a := trusting()
		a.Now = noon.Add(time.Duration(i) * time.Minute)
		_, err := f.Restore(t.Context(), to, a, false, 0, silent)
		must(t, err)

		n := numbered(t, to, "sessions", 103+jump)
		if given[n] {
			t.Errorf("number %d was used twice", n)
		}

		given[n] = true
		if n > 1<<53 {
			t.Errorf("number %d is larger than JSON can hold", n)
		}
	}
}

// TestAWrongClockLowersNoNumber restores on a machine whose clock is years behind.
func TestAWrongClockLowersNoNumber(t *testing.T) {
	for _, at := range []time.Time{time.Unix(0, 0), {}, time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC)} {
		s := newSQLite(t)
		fill(t, s, 3)
		a := trusting()
		a.Now = at
		_, err := Renew(t.Context(), s, a)
		must(t, err)

		numbered(t, s, "users", 103+jump)
	}
}

func TestARestoreOverOtherDataIsRefused(t *testing.T) {
	for _, e := range engines() {
		t.Run(e.name, func(t *testing.T) {
			from, to := e.open(t), e.open(t)
			fill(t, from, 5)
			fill(t, to, 9)
			exec(
				t, to, "UPDATE meta SET value = '30' WHERE name = 'epoch'",
				"INSERT INTO meta (name, value) VALUES ('copying', 'another')",
			)

			before := sums(t, to)

			f := opened(t, backupOf(t, from))
			if _, err := f.Restore(t.Context(), to, trusting(), false, 0, silent); !errors.Is(err, jeton.ErrConflict) {
				t.Errorf("got %v, want ErrConflict", err)
			}

			after := sums(t, to)
			if fmt.Sprint(before) != fmt.Sprint(after) {
				t.Errorf("contents = %[2]v, want %[1]v as before", before, after)
			}

			done, err := f.Restore(t.Context(), to, trusting(), true, 0, silent)
			must(t, err)

			if done.Epoch != 31 {
				t.Errorf("epoch = %d, want more than 30, which may have been used", done.Epoch)
			}

			numbered(t, to, "users", 109+jump) // both databases have given numbers
			must(
				t,
				to.Step(t.Context(), func(ctx context.Context, tx statements.Conn) error {
					return statements.Serve(ctx, tx)
				}),
			)
		})
	}
}

// TestARestoreThatFailsChangesNothing lets the restore into a database with rows fail: the
// rows are there afterwards.
func TestARestoreThatFailsChangesNothing(t *testing.T) {
	for _, e := range engines() {
		t.Run(e.name, func(t *testing.T) {
			from, to := e.open(t), e.open(t)
			fill(t, from, 5)
			fill(t, to, 2)
			before := sums(t, to)
			f := opened(t, backupOf(t, from))
			if _, err := f.Restore(t.Context(), &broken{
				to,
				1,
			}, trusting(), true, 0, silent); !errors.Is(err, errBroken) {
				t.Fatal(err)
			}

			after := sums(t, to)
			if fmt.Sprint(before) != fmt.Sprint(after) {
				t.Errorf("contents = %[2]v, want %[1]v as before", before, after)
			}
		})
	}
}

// TestAFileThatChangesWhileItIsRestoredIsRefused replaces the file between its check and
// its use.
func TestAFileThatChangesWhileItIsRestoredIsRefused(t *testing.T) {
	from, to := newSQLite(t), newSQLite(t)
	fill(t, from, 3)
	b := backupOf(t, from)
	f := opened(t, b)
	exec(t, from, "UPDATE users SET password = 'mine'")

	other := backupOf(t, from)
	if len(other) != len(b) {
		t.Logf("%d and %d bytes", len(b), len(other))
	}

	f.from, f.size = bytes.NewReader(other), int64(len(other)-tailSize)
	if _, err := f.Restore(
		t.Context(), to, trusting(), false, 0, silent,
	); err == nil || !strings.Contains(err.Error(), "has changed") {
		t.Errorf("got %v, want a fault that says the file has changed", err)
	}

	if sums(t, to)[0].Rows != 0 {
		t.Error("the restore has written rows, want none")
	}
}

func TestABackupIsASnapshot(t *testing.T) {
	for _, e := range engines() {
		t.Run(e.name, func(t *testing.T) {
			const many = 4 * batch // more than waits to be written

			s := e.open(t)
			fill(t, s, many)
			want := sums(t, s)
			var b bytes.Buffer

			n := 0
			w := writerFunc(func(p []byte) (int, error) {
				n++
				exec(t, s, fmt.Sprintf("DELETE FROM audit WHERE seq < %d", n*10), "DELETE FROM uses")
				return b.Write(p)
			})

			_, err := Backup(t.Context(), s, w, Head{})
			must(t, err)
			to := newSQLite(t)
			_, err = opened(t, b.Bytes()).Restore(t.Context(), to, trusting(), false, 0, silent)
			must(t, err)

			exec(
				t, to, "UPDATE meta SET value = '7' WHERE name = 'epoch'",
				fmt.Sprintf("DELETE FROM audit WHERE seq > %d", many),
			)

			got := sums(t, to)
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("backup = %v, want %v", got, want)
			}

			if n < 2 || fmt.Sprint(sums(t, s)) == fmt.Sprint(want) {
				t.Errorf("the database did not change meanwhile, %d writes: the test tests nothing", n)
			}
		})
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

func TestTextsAreMovedInAFormThatBothEnginesHold(t *testing.T) {
	from, to := newSQLite(t), newPostgres(t)
	fill(t, from, 2)
	exec(t, from, "UPDATE audit SET reason = 'a' || char(0) || CAST(x'ff' AS TEXT) || 'b' WHERE seq = 1")
	_, err := copyBy(t.Context(), few, from, to, silent)
	must(t, err)

	equal(t, from, to)
	again, err := copyBy(t.Context(), few, from, to, silent)
	must(t, err)

	if again.Written != 0 {
		t.Errorf("a second copy wrote %d rows, want none", again.Written)
	}
}

func TestALevelIsForOneListOfTables(t *testing.T) {
	b, err := json.Marshal(tables())
	must(t, err)
	sum := sha256.Sum256(b)
	// A change of the list needs a higher Level and the new sum here.
	const level, list = 15, "9ae100ec5f87a8fd"

	got := hex.EncodeToString(sum[:8])
	if Level != level || got != list {
		t.Errorf("level %d has the list %s, want level %d and %s", Level, got, level, list)
	}
}

func TestAnOlderLevelLeavesOutWhatItDoesNotKnow(t *testing.T) {
	users := tableOf(t, "users")
	for _, tc := range []struct {
		name  string
		level int
		drop  string
		want  bool
	}{
		{"a column of an older level is missing", Level - 1, "last_name", true},
		{"a column of this level is missing", Level, "last_name", false},
		{"a key is missing", Level - 1, "id", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			given := table{Name: "users"}
			for _, c := range users.Columns {
				if c.Name != tc.drop {
					given.Columns = append(given.Columns, c)
				}
			}

			if err := users.fits(given, tc.level); (err == nil) != tc.want {
				t.Errorf("fits = %v", err)
			}
		})
	}
}

// TestAnOldBackupIsRead reads a file that the first version with backups has made.
func TestAnOldBackupIsRead(t *testing.T) {
	b, err := os.ReadFile("testdata/version1.backup")
	must(t, err)
	want := newSQLite(t)
	fill(t, want, 3)
	exec(
		t, want,
		// Level 1 had no such columns: users are valid everywhere, sessions have no parent, tokens no last use, and no
		// client acts for their owners.
		"UPDATE users SET service = '', verified = (1 = 0)",
		"UPDATE sessions SET parent = 0, methods = '', proved = -1, agent = ''",
		"UPDATE clients SET openid = ''",
		"UPDATE tokens SET used = -1, actors = '[]', shares = '[]'",
	)

	for _, e := range engines() {
		t.Run(e.name, func(t *testing.T) {
			to := e.open(t)
			_, err := opened(t, b).Restore(t.Context(), to, trusting(), false, 0, silent)
			must(t, err)
			exec(t, to, "UPDATE meta SET value = '7' WHERE name = 'epoch'", "DELETE FROM audit WHERE seq > 3")

			// Level 1 had no such tables.
			for n := range 3 {
				put(t, to, "ended_tokens", sample(tableOf(t, "ended_tokens"), n))
				put(t, to, "grants", sample(tableOf(t, "grants"), n))
				put(t, to, "identities", sample(tableOf(t, "identities"), n))
				put(t, to, "connections", sample(tableOf(t, "connections"), n))
				put(t, to, "factors", sample(tableOf(t, "factors"), n))
				put(t, to, "factor_attempts", sample(tableOf(t, "factor_attempts"), n))
				put(t, to, "invitations", sample(tableOf(t, "invitations"), n))
				put(t, to, "devices", sample(tableOf(t, "devices"), n))
				put(t, to, "relying_sessions", sample(tableOf(t, "relying_sessions"), n))
			}
			equal(t, want, to)
		})
	}
}
