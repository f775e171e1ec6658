package server

import (
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/jeton-auth/jeton"
)

// logThrottle keeps the log readable while the store is unavailable: then every request fails
// for the same reason. It logs a few failures per second and counts the others.
type logThrottle struct {
	mu      sync.Mutex
	since   time.Time // start of the current second
	logged  int
	skipped int
}

// loggedPerSecond is how many failures of the store are logged in a second.
const loggedPerSecond = 5

// allows reports whether an error is to be logged. Failures of the store over the limit are
// counted and logged together in the next second.
func (a *logThrottle) allows(err error, now time.Time, log *slog.Logger) bool {
	if !errors.Is(err, jeton.ErrUnavailable) {
		return true
	}

	a.mu.Lock()
	defer a.mu.Unlock()

	passed := now.Sub(a.since)
	// A clock that was set back must not silence the log until it has caught up.
	if passed < 0 || passed >= time.Second {
		if a.skipped > 0 {
			log.Error("more requests failed because the store is unavailable", "count", a.skipped)
		}

		a.since = now
		a.logged = 0
		a.skipped = 0
	}

	if a.logged < loggedPerSecond {
		a.logged++
		return true
	}

	a.skipped++

	return false
}
