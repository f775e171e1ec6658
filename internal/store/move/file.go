package move

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"

	"github.com/jeton-auth/jeton"
)

// File is a backup that is whole: nothing of it is cut off or changed, and all of it can
// be read. One goroutine uses it.
type File struct {
	Summary
	from io.ReaderAt
	size int64 // without the end
	sum  []byte
}

// Open reads a backup of so many bytes from beginning to end, and returns
// jeton.ErrInvalid, saying what is wrong with it, for what is none, is not whole, or was
// made by a newer program. It takes little memory, whatever the file says.
func Open(ctx context.Context, from io.ReaderAt, size int64) (*File, error) {
	f, err := open(ctx, from, size)
	if errors.Is(err, errBackup) {
		return nil, jeton.WithDetail(jeton.ErrInvalid, err.Error())
	}
	return f, err
}

// errBackup is that a file is no backup, or none of use.
var errBackup = errors.New("the backup is of no use")

func bad(format string, args ...any) error {
	return fmt.Errorf("%w: %s", errBackup, fmt.Sprintf(format, args...))
}

func open(ctx context.Context, from io.ReaderAt, size int64) (*File, error) {
	if err := checkMagic(from, size); err != nil {
		return nil, err
	}

	tail := make([]byte, tailSize)
	f := &File{from: from, size: size - int64(tailSize)}
	if f.size < 0 {
		return nil, bad("it is cut short")
	}

	if _, err := from.ReadAt(tail, f.size); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if string(tail[8+sha256.Size:]) != lastWord || binary.BigEndian.Uint64(tail) != uint64(f.size) {
		return nil, bad("it is cut short, or its end is damaged")
	}

	f.sum = tail[8:][:sha256.Size]
	h := sha256.New()
	if _, err := io.Copy(h, io.NewSectionReader(from, 0, f.size)); err != nil {
		return nil, err
	}

	if !bytes.Equal(h.Sum(nil), f.sum) {
		return nil, bad("it is damaged: its checksum is not that of what is in it")
	}

	return f, f.each(ctx, func(
		t table,
		given []column,
		r row,
	) error {
		return nil
	}, func(table, ending) error { return nil })
}

// checkMagic tells what is no backup from one of a newer program: the rest of that may look
// like anything.
func checkMagic(from io.ReaderAt, size int64) error {
	line := make([]byte, len(magic)+12)
	n, err := from.ReadAt(line, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}

	line = line[:n]
	text, _, whole := bytes.Cut(line, []byte("\n"))
	number, ok := bytes.CutPrefix(text, []byte(magic))
	v, err := strconv.Atoi(string(number))
	switch {
	case size == 0:
		return bad("it is empty")
	case !ok && bytes.HasPrefix([]byte(magic), text) || ok && !whole:
		return bad("it is cut short, or its beginning is damaged")
	case !ok || err != nil || v < 1:
		return bad("it is not a backup of jeton")
	case v > version:
		return bad(
			"it is of version %d and this program reads up to %d: a newer jeton has made it; restore it with that",
			v,
			version,
		)
	}

	return nil
}

// each hands over every row, in the order of the file, and the end of every table. It
// sets the summary.
func (f *File) each(
	ctx context.Context,
	do func(t table, given []column, r row) error,
	end func(table, ending) error,
) error {
	h := sha256.New()
	from := bufio.NewReaderSize(io.TeeReader(io.NewSectionReader(f.from, 0, f.size), h), 64<<10)
	if _, err := from.ReadSlice('\n'); err != nil {
		return bad("it has no beginning")
	}

	zip, err := gzip.NewReader(from)
	if err != nil {
		return bad("it cannot be unpacked: %v", err)
	}

	zip.Multistream(false)
	r := reading{from: bufio.NewReader(zip)}
	f.Summary, err = r.all(ctx, do, end)
	if err != nil {
		return err
	}

	if _, err := from.ReadByte(); !errors.Is(err, io.EOF) {
		return bad("there is something behind its end")
	}
	// Somebody may have changed the file since it was opened.
	if !bytes.Equal(h.Sum(nil), f.sum) {
		return bad("it has changed while it was read")
	}

	return nil
}

// reading reads records.
type reading struct {
	from *bufio.Reader
	b    bytes.Buffer
}

// maxDocument bounds a record that is JSON, in bytes.
const maxDocument = 64 << 10

// all reads to the end. Rows are in the order of their keys, tables in ours, each once.
func (r *reading) all(
	ctx context.Context,
	do func(t table, given []column, r row) error,
	end func(table, ending) error,
) (Summary, error) {
	var out Summary
	if err := r.document('H', &out.Head); err != nil {
		return out, err
	}
	if out.Level > Level {
		return out, bad(
			"its rows are of level %d and this program knows %d: a newer jeton has made it; restore it with that",
			out.Level,
			Level,
		)
	}

	known := tables()
	for {
		letter, b, err := r.record(maxDocument)
		if err != nil {
			return out, err
		}
		if letter == 'Z' && len(b) == 0 {
			break
		}

		if letter != 'T' {
			return out, bad("a table was to come")
		}

		var given table
		if err := json.Unmarshal(b, &given); err != nil {
			return out, bad("the columns of a table cannot be read: %v", err)
		}

		at := slices.IndexFunc(known, func(t table) bool { return t.Name == given.Name })
		if at < 0 {
			return out, bad("table %.40q is unknown, or comes twice", given.Name)
		}

		t := known[at]
		known = slices.Delete(known, at, at+1)

		if err := t.fits(given, out.Level); err != nil {
			return out, err
		}

		n, err := r.table(ctx, t, given, do, end)
		if err != nil {
			return out, err
		}

		out.Tables = append(out.Tables, Count{t.Name, n})
	}

	if len(known) > 0 && out.Level == Level {
		return out, bad("table %s is missing", known[0].Name)
	}
	if _, err := r.from.ReadByte(); !errors.Is(err, io.EOF) {
		return out, bad("there is something behind its end")
	}

	return out, nil
}

// fits checks the columns of a table against ours. One of an older level may lack some,
// which then have the default of the database.
func (t table) fits(given table, level int) error {
	if level == Level && !slices.Equal(t.Columns, given.Columns) {
		return bad("table %s has other columns than this program knows", t.Name)
	}

	left := slices.Clone(t.Columns)
	for i, c := range given.Columns {
		at := slices.Index(left, c)
		if at < 0 || i < t.keys && c != t.Columns[i] {
			return bad("table %s has a column %.40q that this program does not know", t.Name, c.Name)
		}
		left = slices.Delete(left, at, at+1)
	}

	if len(given.Columns) < t.keys {
		return bad("table %s lacks its key", t.Name)
	}

	return nil
}

func (r *reading) table(
	ctx context.Context,
	t, given table,
	do func(t table, given []column, r row) error,
	end func(table, ending) error,
) (n int64, err error) {
	read := given
	read.keys = t.keys
	for last := row(nil); ; n++ {
		if err := ctx.Err(); err != nil {
			return n, err
		}

		letter, b, err := r.record(maxRow)
		if err != nil {
			return n, err
		}

		if letter == 'E' {
			var e ending
			if err := json.Unmarshal(b, &e); err != nil || e.Rows != n || e.Last < 0 {
				return n, bad("the end of table %s does not fit what is before it", t.Name)
			}
			return n, end(t, e)
		}

		if letter != 'R' {
			return n, bad("a row of %s was to come", t.Name)
		}

		values, err := read.parse(b)
		if err != nil {
			return n, bad("%v", err)
		}
		if last != nil && !read.less(last, values) {
			return n, bad("the rows of %s are out of order", t.Name)
		}

		last = values[:t.keys]
		if err := do(t, given.Columns, values); err != nil {
			return n, err
		}
	}
}

func (r *reading) document(letter byte, into any) error {
	got, b, err := r.record(maxDocument)
	if err == nil && got != letter {
		err = bad("record %q was to come", letter)
	}
	if err != nil {
		return err
	}

	if err := json.Unmarshal(b, into); err != nil {
		return bad("record %q cannot be read: %v", letter, err)
	}

	return nil
}

// record reads one record of at most so many bytes. What it returns is good until the
// next one is read. Memory grows with what comes, not with what is announced.
func (r *reading) record(most int64) (letter byte, b []byte, err error) {
	letter, err = r.from.ReadByte()
	if err != nil {
		return 0, nil, bad("it cannot be unpacked: %v", err)
	}

	n, err := binary.ReadUvarint(r.from)
	if err != nil {
		return 0, nil, bad("it cannot be unpacked: %v", err)
	}
	if n > uint64(most) {
		return 0, nil, bad("a record has %d bytes, and the most is %d", n, most)
	}

	r.b.Reset()
	if _, err := io.CopyN(&r.b, r.from, int64(n)); err != nil {
		return 0, nil, bad("it cannot be unpacked: %v", err)
	}

	return letter, r.b.Bytes(), nil
}
