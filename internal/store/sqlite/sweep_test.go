package sqlite

import (
	"bytes"
	"os"
	"testing"
	"time"
)

func TestASweepCopiesItsChangesIntoTheFile(t *testing.T) {
	b := newBench(t)
	file := func() []byte {
		data, err := os.ReadFile(b.path)
		must(t, err)
		return data
	}

	before := file()
	n, err := b.SweepSessions(t.Context(), noon, 10)
	must(t, err)
	same(t, "sessions swept away before any has ended", n, 0)

	if !bytes.Equal(file(), before) {
		t.Error("a sweep of nothing has written the file")
	}

	n, err = b.SweepSessions(t.Context(), noon.Add(2*time.Hour), 10)
	must(t, err)
	same(t, "sessions swept away", n, 1)

	if bytes.Equal(file(), before) {
		t.Error("changes of a sweep are left in the log")
	}
}

func TestASweepThatCannotCopyStillSweeps(t *testing.T) {
	b := newBench(t)
	must(t, b.aside.Close())
	n, err := b.SweepSessions(t.Context(), noon.Add(2*time.Hour), 10)
	must(t, err)
	same(t, "sessions swept away", n, 1)
}
