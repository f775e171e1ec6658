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

func TestAStoreThatIsAwayIsNotToldOfAThousandTimes(t *testing.T) {
	var out bytes.Buffer
	log := slog.New(slog.NewTextHandler(&out, nil))
	var a away

	noon := time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)
	gone := fmt.Errorf("find session: %w", jeton.ErrUnavailable)

	count := func(n int, err error, at time.Time) (told int) {
		for range n {
			if a.tell(err, at, log) {
				told++
			}
		}

		return told
	}
	if n := count(1000, gone, noon); n != spoken {
		t.Errorf("%d of 1000 failures are logged, want %d", n, spoken)
	}
	if n := count(1000, errors.New("a fault of ours"), noon); n != 1000 {
		t.Errorf("%d of 1000 other failures are logged, want all", n)
	}

	if out.Len() > 0 {
		t.Errorf("they are told of together before the second is over: %s", &out)
	}
	if n := count(1, gone, noon.Add(time.Second)); n != 1 || !strings.Contains(out.String(), "count=995") {
		t.Errorf("in the next second %d is logged, and %q of those before", n, &out)
	}
	if n := count(9, gone, noon.Add(-time.Hour)); n != spoken {
		t.Errorf("after the clock has jumped back %d are logged, want %d", n, spoken)
	}
}
