// Package fuzz is apart from internal/store/move because the tests there bring SQLite with
// them, which makes fuzzing as slow as its code is large.
package fuzz

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"runtime"
	"testing"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/store/move"
)

const (
	firstLine = "jeton backup 1\n"
	tail      = 8 + sha256.Size + len(lastWord)
	lastWord  = "jeton.end\n"
)

// FuzzOpen hands over records in a file whose length and checksum are right: nothing but
// the reader stands between them and the database.
func FuzzOpen(f *testing.F) {
	whole, err := os.ReadFile("../testdata/version1.backup")
	if err != nil {
		f.Fatal(err)
	}

	zip, err := gzip.NewReader(bytes.NewReader(whole[len(firstLine) : len(whole)-tail]))
	if err != nil {
		f.Fatal(err)
	}

	records, err := io.ReadAll(zip)
	if err != nil {
		f.Fatal(err)
	}
	if _, err := move.Open(f.Context(), bytes.NewReader(sealed(records)), int64(len(sealed(records)))); err != nil {
		f.Fatalf("the seed is refused: %v", err)
	}

	f.Add(records)
	f.Add(records[:len(records)/2])
	f.Add([]byte("H\xff\xff\xff\xff\xff\xff\xff\xff\x7f{"))
	f.Add([]byte("H\x02{}R\x80\x80\x80\x08"))
	f.Fuzz(func(t *testing.T, records []byte) {
		b := sealed(records)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		file, err := move.Open(t.Context(), bytes.NewReader(b), int64(len(b)))
		runtime.ReadMemStats(&after)

		// Memory grows with what comes and not with what is announced.
		took, most := after.TotalAlloc-before.TotalAlloc, uint64(1<<20+200*len(records))
		if took > most {
			t.Errorf("%d bytes made it take %d", len(records), took)
		}
		if (file == nil) == (err == nil) {
			t.Errorf("it returns %v and %v", file, err)
		}

		if err != nil && !errors.Is(err, jeton.ErrInvalid) {
			t.Errorf("an error that is none of a backup: %v", err)
		}
	})
}

func sealed(records []byte) []byte {
	b := bytes.NewBufferString(firstLine)
	zip, err := gzip.NewWriterLevel(b, gzip.NoCompression)
	if err == nil {
		_, _ = zip.Write(records)
		_ = zip.Close()
	}

	sum := sha256.Sum256(b.Bytes())
	_ = binary.Write(b, binary.BigEndian, uint64(b.Len()))
	b.Write(sum[:])
	b.WriteString(lastWord)

	return b.Bytes()
}
