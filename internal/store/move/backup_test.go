package move

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/audit"
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
		b := backupOf(t, from)
		f := opened(t, b)
		if f.Epoch != 7 || f.Engine != "sqlite" || !f.Made.Equal(noon) ||
			f.Rows() != int64((batch+3)*(len(tables())-1)+1) {
			t.Errorf("summary = %+v", f.Summary)
		}

		var last Progress
		done, err := f.Restore(t.Context(), to, trusting(), false, 0, func(p Progress) { last = p })
		must(t, err)

		if done != (statements.Renewed{Epoch: 8}) || last != (Progress{"meta", 1, 1}) {
			t.Errorf("result = %+v, last progress = %+v", done, last)
		}

		exec(
			t,
			to,
			"UPDATE meta SET value = '7' WHERE name = 'epoch'",
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
			t,
			from,
			"UPDATE keys SET retires = 1, closes = 2 WHERE kid LIKE '%00001%'",
			fmt.Sprintf("UPDATE keys SET retires = -1, closes = -1, revoked = (1 = 0) WHERE kid LIKE '%%00002%%'"),
		)

		f := opened(t, backupOf(t, from))
		done, err := f.Restore(t.Context(), to, Ask{Now: noon, Event: restoring()}, false, 40, silent)
		must(t, err)

		if done.Epoch != 41 || done.Sessions != 4 || done.Tokens != 4 || done.Keys < 1 {
			t.Errorf("result = %+v", done)
		}

		counts := map[string]int64{}
		for _, s := range sums(t, to) {
			counts[s.Table] = s.Rows
		}

		for name, want := range map[string]int64{
			"sessions":   0,
			"tokens":     0,
			"uses":       0,
			"users":      4,
			"clients":    4,
			"keys":       4,
			"revoked":    4,
			"assertions": 4,
			"logins":     4,
			"audit":      5,
			"meta":       2,
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
					good,
					forever,
					early,
					restored,
					action,
				)
			}

			return err
		}))
	})
}

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
				t,
				to,
				"UPDATE meta SET value = '30' WHERE name = 'epoch'",
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
					return statements.Serve(
						ctx,
						tx,
					)
				}),
			)
		})
	}
}

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

func TestAnIncompleteBackupIsRefused(t *testing.T) {
	s := newSQLite(t)
	fill(t, s, 40)
	good := backupOf(t, s)

	refused := func(t *testing.T, b []byte, says string) {
		t.Helper()
		f, err := openBytes(t, b)
		if !errors.Is(err, jeton.ErrInvalid) || f != nil {
			t.Fatalf("got %v, want ErrInvalid", err)
		}

		if !strings.Contains(jeton.Detail(err), says) {
			t.Errorf("got %q, want %q in it", err, says)
		}
	}

	t.Run("cut anywhere", func(t *testing.T) {
		for i := range 50 {
			refused(t, good[:len(good)*i/50], "")
		}

		for n := len(good) - tailSize - 2; n < len(good); n++ {
			refused(t, good[:n], "cut short")
		}
	})

	t.Run("a bit flipped anywhere", func(t *testing.T) {
		for range 400 {
			b, at := bytes.Clone(good), rand.IntN(len(good)*8)
			b[at/8] ^= 1 << (at % 8)
			refused(t, b, "")
		}
	})

	for _, tc := range []struct {
		name string
		file []byte
		says string
	}{
		{"an empty file", nil, "empty"},
		{"one letter", []byte("j"), "cut short"},
		{"a picture", append([]byte("\x89PNG\r\n\x1a\n"), good...), "not a backup"},
		{"a database of SQLite", append([]byte("SQLite format 3\x00"), make([]byte, 4096)...), "not a backup"},
		{"a dump of PostgreSQL", []byte("PGDMP\x01\x0e\x00"), "not a backup"},
		{"a newer version", bytes.Replace(good, []byte("backup 1\n"), []byte("backup 2\n"), 1), "newer jeton"},
		{
			"a version of many digits",
			bytes.Replace(good, []byte("backup 1\n"), []byte("backup 111111\n"), 1),
			"newer jeton",
		},
		{"a version below all", bytes.Replace(good, []byte("backup 1\n"), []byte("backup 0\n"), 1), "not a backup"},
		{"two of them", append(bytes.Clone(good), good...), "cut short"},
		{
			"newer rows",
			sealed(changed(t, good, 'H', func(b []byte) []byte {
				return bytes.Replace(
					b,
					[]byte(`"level":1`),
					[]byte(`"level":2`),
					1,
				)
			})),
			"newer jeton",
		},
		{
			"a table that is not ours",
			sealed(changed(t, good, 'T', func(b []byte) []byte {
				return bytes.Replace(
					b,
					[]byte(`"uses"`),
					[]byte(`"sqlite_schema"`),
					1,
				)
			})),
			"unknown",
		},
		{
			"a table that comes twice",
			sealed(changed(t, good, 'T', func(b []byte) []byte {
				return bytes.Replace(
					b,
					[]byte(`"sources"`),
					[]byte(`"logins"`),
					1,
				)
			})),
			"unknown or repeated",
		},
		{
			"a column that is not ours",
			sealed(changed(t, good, 'T', func(b []byte) []byte {
				return bytes.Replace(
					b,
					[]byte(`"used"`),
					[]byte(`"user"`),
					1,
				)
			})),
			"other columns",
		},
		{
			"a row too few",
			sealed(changed(t, good, 'E', func(b []byte) []byte {
				return bytes.Replace(
					b,
					[]byte(`"rows":40`),
					[]byte(`"rows":41`),
					1,
				)
			})),
			"does not match",
		},
		{
			"a row that is too long",
			sealed(changed(t, good, 'R', func(b []byte) []byte { return append(b, 0) })),
			"extra bytes",
		},
		{
			"a row that is too short",
			sealed(changed(t, good, 'R', func(b []byte) []byte { return b[:len(b)-1] })),
			"cannot be read",
		},
		{
			"rows in no order",
			sealed(changed(t, good, 'R', func(b []byte) []byte { return append([]byte{2}, b[1:]...) })),
			"",
		},
		{"no end", sealed(changed(t, good, 'Z', func(b []byte) []byte { return []byte("x") })), "instead of a table"},
		{"something behind the end", resealed(append(bytes.Clone(good[:len(good)-tailSize]), 'x')), "trailing data"},
		{"something packed behind the end", sealed(append(unpacked(t, good), 'x')), "trailing data"},
	} {
		t.Run(tc.name, func(t *testing.T) { refused(t, tc.file, tc.says) })
	}
}

// unpacked returns the uncompressed records of a backup.
func unpacked(t testing.TB, b []byte) []byte {
	t.Helper()
	_, rest, _ := bytes.Cut(b, []byte("\n"))
	zip, err := gzip.NewReader(bytes.NewReader(rest[:len(rest)-tailSize]))
	if err != nil {
		t.Fatal(err)
	}

	zip.Multistream(false)
	plain, err := io.ReadAll(zip)
	if err != nil {
		t.Fatal(err)
	}

	return plain
}

// changed returns the records of a backup, with those of one letter changed.
func changed(t testing.TB, b []byte, letter byte, change func([]byte) []byte) []byte {
	t.Helper()
	r := reading{from: bufio.NewReader(bytes.NewReader(unpacked(t, b)))}
	var out bytes.Buffer
	w := writing{w: &out}
	for {
		l, body, err := r.record(maxRow)
		if err != nil {
			return out.Bytes()
		}

		body = bytes.Clone(body)
		if l == letter {
			body = change(body)
		}
		if err := w.record(l, body); err != nil {
			t.Fatal(err)
		}
	}
}

// sealed makes a file of records, with a right checksum.
func sealed(records []byte) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s%d\n", magic, version)
	zip := gzip.NewWriter(&b)
	_, _ = zip.Write(records)
	_ = zip.Close()

	return resealed(b.Bytes())
}

func resealed(b []byte) []byte {
	sum := sha256.Sum256(b)
	b = append(binary.BigEndian.AppendUint64(b, uint64(len(b))), sum[:]...)
	return append(b, lastWord...)
}

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
		t.Context(),
		to,
		trusting(),
		false,
		0,
		silent,
	); err == nil || !strings.Contains(err.Error(), "has changed") {
		t.Errorf("got %v", err)
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
				t,
				to,
				"UPDATE meta SET value = '7' WHERE name = 'epoch'",
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
	const level, list = 1, "ebd843c892167e3f"

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

	for _, e := range engines() {
		t.Run(e.name, func(t *testing.T) {
			to := e.open(t)
			_, err := opened(t, b).Restore(t.Context(), to, trusting(), false, 0, silent)
			must(t, err)
			exec(t, to, "UPDATE meta SET value = '7' WHERE name = 'epoch'", "DELETE FROM audit WHERE seq > 3")
			equal(t, want, to)
		})
	}
}

func TestAnAnnouncedLengthAllocatesNoMemory(t *testing.T) {
	b := binary.AppendUvarint([]byte{'R'}, maxRow)
	b = append(b, "short"...)
	r := reading{from: bufio.NewReader(bytes.NewReader(b))}
	if _, _, err := r.record(maxRow); !errors.Is(err, errBackup) {
		t.Errorf("got %v", err)
	}

	if r.b.Cap() > 4096 {
		t.Errorf("buffer has %d bytes", r.b.Cap())
	}
}
