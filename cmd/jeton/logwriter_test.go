//go:build !walletonly

package main

import (
	"errors"
	"io"
	"strings"
	"testing"
	"time"
)

// stuck is a writer whose reader has stopped: it writes when it is released.
type stuck struct {
	released chan struct{}
	text     strings.Builder
}

func (s *stuck) Write(b []byte) (int, error) {
	<-s.released
	return s.text.Write(b)
}

func TestALogWriterCountsTheLinesThatItsReaderLeaves(t *testing.T) {
	for _, tc := range []struct {
		name string
		size int // of a line, in bytes
	}{
		{"many short lines", 10},
		{"a few long ones", 100 << 10},
	} {
		t.Run(tc.name, func(t *testing.T) {
			to := &stuck{released: make(chan struct{})}
			w := newLogWriter(to)
			line := strings.Repeat("x", tc.size-1) + "\n"

			written := 0
			for w.lost.Load() == 0 {
				_, _ = io.WriteString(w, line)
				written++
			}
			w.flush(0) // does not wait for the reader

			if waiting := w.waiting.Load(); waiting > maxLogBytes {
				t.Errorf("%d bytes wait, want at most %d", waiting, maxLogBytes)
			}

			close(to.released)
			w.flush(time.Minute)

			got := strings.Count(to.text.String(), line)
			if want := written - 1; got != want || w.waiting.Load() != 0 {
				t.Errorf("%d lines are written and %d bytes wait, want %d and none", got, w.waiting.Load(), want)
			}
		})
	}
}

// broken is a writer whose reader has gone away.
type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errors.New("broken pipe") }

func TestALogWriterCountsTheLinesThatFail(t *testing.T) {
	w := newLogWriter(broken{})
	_, _ = io.WriteString(w, "one\n")
	_, _ = io.WriteString(w, "two\n")
	w.flush(time.Minute)

	if got := w.lost.Load(); got != 2 {
		t.Errorf("%d lines are lost, want 2", got)
	}
}
