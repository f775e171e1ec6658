//go:build !walletonly

package main

import (
	"bytes"
	"io"
	"sync/atomic"
	"time"
)

// The lines that wait for the reader of the log, at most. A reader that is as far behind has stopped
// rather than paused.
const (
	maxLogLines = 8192
	maxLogBytes = 1 << 20
)

// logPatience is how long a server that ends waits for the reader of its log.
const logPatience = 10 * time.Second

// logWriter writes log lines in the background: a reader that has stopped reading, such as a stopped
// container runtime, would otherwise hold up every request that logs something. It counts the lines
// that did not fit, and those that could not be written.
type logWriter struct {
	to      io.Writer
	lines   chan logLine
	waiting atomic.Int64 // bytes of the lines that have not been written
	lost    atomic.Int64
}

// logLine is a line, or the mark of a flush: a channel that is closed where the lines before it are
// written.
type logLine struct {
	text    []byte
	flushed chan<- struct{}
}

// newLogWriter returns a writer that runs until the process ends.
func newLogWriter(to io.Writer) *logWriter {
	w := &logWriter{to: to, lines: make(chan logLine, maxLogLines)}
	go w.run()

	return w
}

// Write implements io.Writer. It does not wait, and reports no error: package slog would drop it, and
// the next line is tried again.
func (w *logWriter) Write(line []byte) (int, error) {
	size := int64(len(line))
	if w.waiting.Add(size) > maxLogBytes {
		w.lose(size)
		return len(line), nil
	}

	select {
	case w.lines <- logLine{text: bytes.Clone(line)}: // slog uses its buffer again
	default:
		w.lose(size)
	}

	return len(line), nil
}

// lose counts a line that is not going to be written.
func (w *logWriter) lose(size int64) {
	w.waiting.Add(-size)
	w.lost.Add(1)
}

// run writes the lines, one a time: a line of another process on the same pipe then stays whole.
func (w *logWriter) run() {
	for line := range w.lines {
		if line.flushed != nil {
			close(line.flushed)
			continue
		}

		if _, err := w.to.Write(line.text); err != nil {
			w.lost.Add(1)
		}
		w.waiting.Add(-int64(len(line.text)))
	}
}

// flush waits until the lines so far are written, and no longer than the given time.
func (w *logWriter) flush(patience time.Duration) {
	late := time.After(patience)
	flushed := make(chan struct{})

	select {
	case w.lines <- logLine{flushed: flushed}:
	case <-late:
		return
	}

	select {
	case <-flushed:
	case <-late:
	}
}
