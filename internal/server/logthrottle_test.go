package server

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
)

func TestFailuresOfTheStoreAreLoggedAFewTimesASecond(t *testing.T) {
	var out bytes.Buffer
	log := slog.New(slog.NewTextHandler(&out, nil))
	throttle := storeFailures()

	noon := time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)
	unavailable := fmt.Errorf("find session: %w", jeton.ErrUnavailable)

	count := func(n int, err error, at time.Time) (logged int) {
		for range n {
			if throttle.allowsError(err, at, log) {
				logged++
			}
		}

		return logged
	}
	if n := count(1000, unavailable, noon); n != loggedPerSecond {
		t.Errorf("%d of 1000 failures are logged, want %d", n, loggedPerSecond)
	}
	if n := count(1000, errors.New("another fault"), noon); n != 1000 {
		t.Errorf("%d of 1000 other failures are logged, want all", n)
	}

	if out.Len() > 0 {
		t.Errorf("logged within the second: %s, want nothing", &out)
	}
	if n := count(1, unavailable, noon.Add(time.Second)); n != 1 || !strings.Contains(out.String(), "count=995") {
		t.Errorf("in the next second %d are logged, and %q, want 1 and count=995", n, &out)
	}
	if n := count(9, unavailable, noon.Add(-time.Hour)); n != loggedPerSecond {
		t.Errorf("after the clock was set back %d are logged, want %d", n, loggedPerSecond)
	}
}
