package server

import (
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/jeton-auth/jeton"
)

// away keeps the log readable while the store is away: then every request fails for the
// same reason, and what the operator has to know is said once and counted after that.
type away struct {
	mu     sync.Mutex
	since  time.Time // of the second that is running
	said   int
	unsaid int
}

// spoken is how many failures of the store are told of in a second, one by one.
const spoken = 5

// tell reports whether an error is to be logged by itself. Those of the store that are not
// are counted, and told of together.
func (a *away) tell(err error, now time.Time, log *slog.Logger) bool {
	if !errors.Is(err, jeton.ErrUnavailable) {
		return true
	}

	a.mu.Lock()
	defer a.mu.Unlock()

	passed := now.Sub(a.since)
	if passed < 0 || passed >= time.Second {
		if a.unsaid > 0 {
			log.Error("more requests failed since the store was not there", "count", a.unsaid)
		}

		a.since = now
		a.said = 0
		a.unsaid = 0
	}

	if a.said < spoken {
		a.said++
		return true
	}

	a.unsaid++

	return false
}
