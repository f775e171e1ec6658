package server

import (
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/jeton-auth/jeton"
)

// logLimit bounds how often a line is logged that every request may cause. It is safe for concurrent use.
type logLimit struct {
	most  int           // lines in a period
	every time.Duration // the period

	mu      sync.Mutex
	since   time.Time // start of the current period
	logged  int
	skipped int
}

// allows reports whether a line is to be logged, and how many were not since the last one that was.
func (l *logLimit) allows(now time.Time) (ok bool, skipped int) {
	l.mu.Lock()
	defer l.mu.Unlock()

	passed := now.Sub(l.since)
	// A clock that was set back must not silence the log until it has caught up.
	if passed < 0 || passed >= l.every {
		l.since = now
		l.logged = 0
	}

	if l.logged >= l.most {
		l.skipped++
		return false, 0
	}

	skipped = l.skipped
	l.skipped = 0
	l.logged++

	return true, skipped
}

// storeFailures returns a limit that keeps the log readable while the store is unavailable: then every request fails
// for the same reason.
func storeFailures() *logLimit { return &logLimit{most: loggedPerSecond, every: time.Second} }

// loggedPerSecond is how many failures of the store are logged in a second.
const loggedPerSecond = 5

// allowsError reports whether an error is to be logged. Failures of the store over the limit are
// counted and logged together in the next period.
func (l *logLimit) allowsError(err error, now time.Time, log *slog.Logger) bool {
	if !errors.Is(err, jeton.ErrUnavailable) {
		return true
	}

	ok, skipped := l.allows(now)
	if skipped > 0 {
		log.Error("more requests failed because the store is unavailable", "count", skipped)
	}

	return ok
}
