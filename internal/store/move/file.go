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

// File is a complete backup: nothing of it is missing or changed, and all of it can be read.
// It is not safe for concurrent use.
type File struct {
	Summary
	from io.ReaderAt
	size int64 // without the end
	sum  []byte
}

// Open reads a backup of size bytes from beginning to end. For a file that is not a backup,
// is not complete, or was made by a newer program, it returns jeton.ErrInvalid with the
// reason. It takes little memory, whatever the file says.
func Open(ctx context.Context, from io.ReaderAt, size int64) (*File, error) {
	f, err := open(ctx, from, size)
	if errors.Is(err, errBackup) {
		return nil, jeton.WithDetail(jeton.ErrInvalid, err.Error())
	}
	return f, err
}

// errBackup means that a file is not a backup, or cannot be used.
var errBackup = errors.New("the backup cannot be used")

// bad returns an error that a file causes, as opposed to the disk that it is read from.
func bad(format string, args ...any) error {
	return fmt.Errorf("%w: %s", errBackup, fmt.Sprintf(format, args...))
}

// open checks a file in order of trust: the first line, the end, the checksum, and only
// then the content, which is parsed and was compressed.
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
	// The length detects a file that was cut and joined so that its end looks right.
	if string(tail[8+sha256.Size:]) != lastWord || binary.BigEndian.Uint64(tail) != uint64(f.size) {
		return nil, bad("it is cut short, or its end is damaged")
	}

	f.sum = tail[8:][:sha256.Size]
	// The checksum before the content: nothing of a damaged file is unpacked.
	h := sha256.New()
	if _, err := io.Copy(h, io.NewSectionReader(from, 0, f.size)); err != nil {
		return nil, err
	}

	if !bytes.Equal(h.Sum(nil), f.sum) {
		return nil, bad("it is damaged: its checksum is wrong")
	}

	// Every row is parsed once before Restore empties the database.
	return f, f.each(ctx, discard{})
}

// discard is the receiver of a backup that is only checked.
type discard struct{}

// row does nothing: each has parsed the row, which is all that is to be checked.
func (discard) row(table, []column, row) error { return nil }
func (discard) tableEnd(table, ending) error   { return nil }

// checkMagic distinguishes a backup of a newer program, the rest of which may look like
// anything, from what is not a backup.
func checkMagic(from io.ReaderAt, size int64) error {
	// 12 bytes are enough for the number of the version and the end of the line.
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
			"version %d, and this program reads up to %d: restore it with the newer jeton that made it",
			v, version,
		)
	}

	return nil
}

// receiver gets the rows of a backup.
type receiver interface {
	row(t table, given []column, r row) error
	tableEnd(t table, e ending) error
}

// each passes every row, in the order of the file, and the end of every table to a receiver.
// It sets the summary.
func (f *File) each(ctx context.Context, to receiver) error {
	h := sha256.New()
	from := bufio.NewReaderSize(io.TeeReader(io.NewSectionReader(f.from, 0, f.size), h), 64<<10)
	if _, err := from.ReadSlice('\n'); err != nil {
		return bad("it has no beginning")
	}

	zip, err := gzip.NewReader(from)
	if err != nil {
		return bad("it cannot be unpacked: %v", err)
	}

	// A second gzip stream behind the first would be data that the reader of the rows never
	// checks.
	zip.Multistream(false)
	r := reading{from: bufio.NewReader(zip)}
	f.Summary, err = r.all(ctx, to)
	if err != nil {
		return err
	}

	if _, err := from.ReadByte(); !errors.Is(err, io.EOF) {
		return bad("trailing data after its end")
	}
	// The file may have changed since it was opened.
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

// The letters of the records of a backup: a head, then for each table its columns, its rows
// and its end, and last the end of the backup.
const (
	headRecord     = 'H'
	tableRecord    = 'T'
	rowRecord      = 'R'
	tableEndRecord = 'E'
	endRecord      = 'Z'
)

// all reads to the end. Rows are in the order of their keys, tables in ours, each once.
func (r *reading) all(ctx context.Context, to receiver) (Summary, error) {
	var out Summary
	if err := r.document(headRecord, &out.Head); err != nil {
		return out, err
	}

	// Rows of a newer level may mean more than this program keeps, such as a new limit.
	if out.Level > Level {
		return out, bad(
			"its rows are of level %d and this program supports up to %d: restore it with the newer jeton that made it",
			out.Level, Level,
		)
	}

	missing := tables()
	for {
		given, more, err := r.nextTable()
		if err != nil {
			return out, err
		}
		if !more {
			break
		}

		i := slices.IndexFunc(missing, func(t table) bool { return t.Name == given.Name })
		if i < 0 {
			return out, bad("table %.40q is unknown or repeated", given.Name)
		}

		t := missing[i]
		missing = slices.Delete(missing, i, i+1)

		if err := t.fits(given, out.Level); err != nil {
			return out, err
		}

		n, err := r.table(ctx, t, given, to)
		if err != nil {
			return out, err
		}

		out.Tables = append(out.Tables, Count{t.Name, n})
	}

	// An older level may lack tables; this level has all of them.
	if len(missing) > 0 && out.Level == Level {
		return out, bad("table %s is missing", missing[0].Name)
	}
	if _, err := r.from.ReadByte(); !errors.Is(err, io.EOF) {
		return out, bad("trailing data after its end")
	}

	return out, nil
}

// nextTable reads the columns of the next table, or reports that the backup ends here.
func (r *reading) nextTable() (given table, more bool, err error) {
	letter, b, err := r.record(maxDocument)
	if err != nil {
		return table{}, false, err
	}

	switch {
	case letter == endRecord && len(b) == 0:
		return table{}, false, nil
	case letter != tableRecord:
		return table{}, false, bad("record %q instead of a table", letter)
	}

	if err := json.Unmarshal(b, &given); err != nil {
		return table{}, false, bad("the columns of a table are not valid JSON: %v", err)
	}

	return given, true, nil
}

// fits checks the columns of a table against ours. One of an older level may lack some,
// which then have the default of the database.
func (t table) fits(given table, level int) error {
	if level == Level && !slices.Equal(t.Columns, given.Columns) {
		return bad("table %s has other columns than this program knows", t.Name)
	}

	// Each column is removed once it was seen, so none may come twice.
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

// table reads the rows of a table up to its end and returns their number. given are the
// columns of the file, t is the table of this program.
func (r *reading) table(ctx context.Context, t, given table, to receiver) (n int64, err error) {
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

		if letter == tableEndRecord {
			var e ending
			if err := json.Unmarshal(b, &e); err != nil || e.Rows != n || e.Last < 0 {
				return n, bad("the end of table %s does not match its rows", t.Name)
			}
			return n, to.tableEnd(t, e)
		}

		if letter != rowRecord {
			return n, bad("record %q instead of a row of %s", letter, t.Name)
		}

		values, err := read.parse(b)
		if err != nil {
			return n, bad("%v", err)
		}
		// Also rejects a key that occurs twice, without holding all keys in memory.
		if last != nil && !read.less(last, values) {
			return n, bad("the rows of %s are out of order", t.Name)
		}

		last = values[:t.keys]
		if err := to.row(t, given.Columns, values); err != nil {
			return n, err
		}
	}
}

// document reads a record that is JSON and has the letter.
func (r *reading) document(letter byte, into any) error {
	got, b, err := r.record(maxDocument)
	if err == nil && got != letter {
		err = bad("record %q instead of %q", got, letter)
	}
	if err != nil {
		return err
	}

	if err := json.Unmarshal(b, into); err != nil {
		return bad("record %q cannot be read: %v", letter, err)
	}

	return nil
}

// record reads one record of at most limit bytes. The result is valid until the next call.
// Memory grows with the bytes that arrive, not with the announced length.
func (r *reading) record(limit int64) (letter byte, b []byte, err error) {
	letter, err = r.from.ReadByte()
	if err != nil {
		return 0, nil, bad("it cannot be unpacked: %v", err)
	}

	n, err := binary.ReadUvarint(r.from)
	if err != nil {
		return 0, nil, bad("it cannot be unpacked: %v", err)
	}
	// Before anything is read: the length comes from the file.
	if n > uint64(limit) {
		return 0, nil, bad("a record has %d bytes, want at most %d", n, limit)
	}

	r.b.Reset()
	if _, err := io.CopyN(&r.b, r.from, int64(n)); err != nil {
		return 0, nil, bad("it cannot be unpacked: %v", err)
	}

	return letter, r.b.Bytes(), nil
}
