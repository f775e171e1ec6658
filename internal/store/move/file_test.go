package move

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/jeton-auth/jeton"
)

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
				return bytes.Replace(b, []byte(`"level":15`), []byte(`"level":16`), 1)
			})),
			"newer jeton",
		},
		{
			"a table that is not ours",
			sealed(changed(t, good, 'T', func(b []byte) []byte {
				return bytes.Replace(b, []byte(`"uses"`), []byte(`"sqlite_schema"`), 1)
			})),
			"unknown",
		},
		{
			"a table that comes twice",
			sealed(changed(t, good, 'T', func(b []byte) []byte {
				return bytes.Replace(b, []byte(`"sources"`), []byte(`"logins"`), 1)
			})),
			"unknown or repeated",
		},
		{
			"a column that is not ours",
			sealed(changed(t, good, 'T', func(b []byte) []byte {
				return bytes.Replace(b, []byte(`"used"`), []byte(`"user"`), 1)
			})),
			"other columns",
		},
		{
			"a row too few",
			sealed(changed(t, good, 'E', func(b []byte) []byte {
				return bytes.Replace(b, []byte(`"rows":40`), []byte(`"rows":41`), 1)
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

// resealed gives changed content a right checksum: what an attacker can do, and a bug in
// Backup, too. Open must then find the fault in the content.
func resealed(b []byte) []byte {
	sum := sha256.Sum256(b)
	b = append(binary.BigEndian.AppendUint64(b, uint64(len(b))), sum[:]...)
	return append(b, lastWord...)
}

// TestAnAnnouncedLengthAllocatesNoMemory stands for a damaged or hostile file that
// announces the largest row and ends.
func TestAnAnnouncedLengthAllocatesNoMemory(t *testing.T) {
	b := binary.AppendUvarint([]byte{'R'}, maxRow)
	b = append(b, "short"...)
	r := reading{from: bufio.NewReader(bytes.NewReader(b))}
	if _, _, err := r.record(maxRow); !errors.Is(err, errBackup) {
		t.Errorf("got %v, want errBackup", err)
	}

	if r.b.Cap() > 4096 {
		t.Errorf("buffer has %d bytes, want at most 4096", r.b.Cap())
	}
}
