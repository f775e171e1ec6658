package web

import (
	"log"
	"log/slog"
	"strings"
)

// ErrorLog returns the log that net/http wants, for its errors of broken connections. They are logged at level debug:
// clients can cause any number of them.
func ErrorLog(to *slog.Logger) *log.Logger { return log.New(errorLines{to}, "", 0) }

// errorLines is an io.Writer of lines of a log.
type errorLines struct{ log *slog.Logger }

func (e errorLines) Write(b []byte) (int, error) {
	e.log.Debug("connection error", "error", strings.TrimSpace(strings.ToValidUTF8(string(b), "?")))
	return len(b), nil
}
