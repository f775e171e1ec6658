//go:build !walletonly

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/jeton-auth/jeton/internal/server"

	"golang.org/x/term"
)

// warnings is the log of a command: warnings and errors, on standard error.
func warnings() *slog.Logger {
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
}

// interrupted returns an error that says what Ctrl-C has left behind.
func interrupted(ctx context.Context, err error, left string) error {
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return exit{exitFailure, left}
	}
	return err
}

// progress shows progress on a terminal, and nothing otherwise.
type progress struct {
	w     io.Writer
	wrote bool
}

// newProgress returns a progress that prints nothing if w is not a terminal: in a log,
// carriage returns are noise.
func newProgress(w io.Writer) *progress {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return &progress{}
	}
	return &progress{w: w}
}

// rows shows the progress of a copy or a restore. It overwrites its line (ESC [K clears the
// rest).
func (p *progress) rows(at server.Progress) {
	if p.w != nil {
		fmt.Fprintf(p.w, "\r\x1b[K%s: %d of %d rows", at.Table, at.Rows, at.Of)
		p.wrote = true
	}
}

// bytes shows how much of a backup has arrived. The total is not known.
func (p *progress) bytes(n int64) {
	if p.w != nil {
		fmt.Fprintf(p.w, "\r\x1b[K%d MiB", n>>20)
		p.wrote = true
	}
}

// end clears the line.
func (p *progress) end() {
	if p.wrote {
		fmt.Fprint(p.w, "\r\x1b[K")
	}
}
