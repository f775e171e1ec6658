package web

import (
	"log"
	"log/slog"
	"strings"
)

// Noise returns the log that net/http wants, for its errors of broken connections. They are logged at level debug:
// clients can cause any number of them.
func Noise(to *slog.Logger) *log.Logger { return log.New(noise{to}, "", 0) }

// noise is an io.Writer.
type noise struct{ log *slog.Logger }

func (n noise) Write(b []byte) (int, error) {
	n.log.Debug("connection error", "error", strings.TrimSpace(strings.ToValidUTF8(string(b), "?")))
	return len(b), nil
}
