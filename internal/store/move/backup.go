package move

import (
	"bufio"
	"cmp"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash"
	"io"
	"time"

	"github.com/jeton-auth/jeton/internal/store/statements"
)

// A backup is a line "jeton backup VERSION", then records, compressed with gzip, then an
// end with the length and the SHA-256 of everything before it. A record is a letter, a
// length and that many bytes:
//
//	H  Head, as JSON
//	T  a table with its columns, as JSON
//	R  a row of it (row.go)
//	E  end of the table: the number of rows, and the greatest number that was given, as JSON
//	Z  end of the backup
const (
	// magic begins the first line, in plain text: file(1) and an operator see what it is.
	magic   = "jeton backup "
	version = 1
	// lastWord ends a backup. A file without it is truncated.
	lastWord = "jeton.end\n"
	tailSize = 8 + sha256.Size + len(lastWord)
)

// Head says what a backup is of.
type Head struct {
	Level   int       `json:"level"`  // Level of the program that made it
	Engine  string    `json:"engine"` // sqlite or postgres; it may be restored into either
	Program string    `json:"program"`
	Made    time.Time `json:"made_at"`
	Epoch   int64     `json:"epoch"`
}

// ending is the record after the rows of a table.
type ending struct {
	Rows int64 `json:"rows"`
	Last int64 `json:"last,omitempty"`
}

// Count is how many rows a table has.
type Count struct {
	Table string `json:"table"`
	Rows  int64  `json:"rows"`
}

// Summary lists what is in a backup.
type Summary struct {
	Head
	Tables []Count `json:"tables"`
}

// Rows returns how many rows there are in all.
func (s Summary) Rows() (n int64) {
	for _, c := range s.Tables {
		n += c.Rows
	}
	return n
}

// ErrOldSchema is the error of an engine for a database that has to be upgraded first.
var ErrOldSchema = statements.ErrOldSchema

// Backup writes one state of a database to w. Others may go on writing to the database.
// Epoch of the head is set here. Level is that of the schema of the database (LevelOf), 0 for
// Level. What was written is a backup only when Backup
// returns no error.
func Backup(ctx context.Context, from Source, w io.Writer, head Head) (Summary, error) {
	out := Summary{Head: head}
	out.Level = cmp.Or(head.Level, Level)
	raw := &sealing{w: bufio.NewWriterSize(w, 64<<10), sum: sha256.New()}
	if _, err := fmt.Fprintf(raw, "%s%d\n", magic, version); err != nil {
		return out, err
	}

	zip, err := gzip.NewWriterLevel(raw, gzip.BestSpeed)
	if err != nil {
		return out, err
	}

	// The epoch is read in the same state as the rows: a restore must exceed it.
	err = from.Snapshot(ctx, func(ctx context.Context, q statements.Queries) (err error) {
		out.Epoch, err = statements.EpochOf(ctx, q)
		if err != nil {
			return err
		}
		return writing{zip, nil}.all(ctx, from, q, &out)
	})
	if err != nil {
		return out, err
	}
	// Before the seal, as Close writes the rest of the compressed data.
	if err := zip.Close(); err != nil {
		return out, err
	}

	return out, raw.seal()
}

// sealing sums up what passes, and writes the end of it.
type sealing struct {
	w   *bufio.Writer
	sum hash.Hash
	n   uint64
}

// Write counts and sums up what the file really gets, after compression.
func (s *sealing) Write(b []byte) (int, error) {
	_, _ = s.sum.Write(b) // a hash takes everything
	s.n += uint64(len(b))
	return s.w.Write(b)
}

// seal writes the end: the length, the SHA-256 and lastWord. The checksum detects damage,
// not an attacker, who could compute it as well.
func (s *sealing) seal() error {
	tail := binary.BigEndian.AppendUint64(nil, s.n)
	tail = append(s.sum.Sum(tail), lastWord...)
	if _, err := s.w.Write(tail); err != nil {
		return err
	}

	return s.w.Flush()
}

// writing writes records.
type writing struct {
	w io.Writer
	b []byte
}

// all writes the records of every table from one snapshot, in the order of tables.
func (w writing) all(ctx context.Context, from Source, q statements.Queries, out *Summary) error {
	if err := w.document(headRecord, out.Head); err != nil {
		return err
	}

	for _, t := range tablesOf(out.Level) {
		n, err := w.table(ctx, from, q, t)
		if err != nil {
			return fmt.Errorf("back up %s: %w", t.Name, err)
		}
		out.Tables = append(out.Tables, Count{t.Name, n})
	}

	return w.record(endRecord, nil)
}

// table writes one table and returns its number of rows. The rows come in the order of
// their keys, by which Open detects duplicates without memory.
func (w writing) table(ctx context.Context, from Source, q statements.Queries, t table) (int64, error) {
	if err := w.document(tableRecord, t); err != nil {
		return 0, err
	}

	var e ending
	err := t.read(ctx, q, span{}, 0, func(r row) error {
		w.b = t.append(w.b[:0], r)
		// Fails now: a backup that Open refuses would be noticed only when it is needed.
		if len(w.b) > maxRow {
			return fmt.Errorf("a row has %d bytes: more than a backup holds", len(w.b))
		}

		e.Rows++
		return w.record(rowRecord, w.b)
	})
	if err == nil && t.gives {
		e.Last, err = from.Last(ctx, q, t.Name, t.Columns[0].Name)
	}

	if err != nil {
		return e.Rows, err
	}

	return e.Rows, w.document(tableEndRecord, e)
}

// document writes a record that is JSON.
func (w writing) document(letter byte, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return w.record(letter, b)
}

// record writes a letter, the length as a varint, and the bytes.
func (w writing) record(letter byte, b []byte) error {
	var head [1 + binary.MaxVarintLen64]byte
	head[0] = letter
	n := 1 + binary.PutUvarint(head[1:], uint64(len(b)))
	if _, err := w.w.Write(head[:n]); err != nil {
		return err
	}

	_, err := w.w.Write(b)
	return err
}
