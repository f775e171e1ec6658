package audit

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/jeton-auth/jeton"
)

// gaps counts events that are not in the log, by the reason.
type gaps struct {
	tooFast   atomic.Int64 // they came faster than they are kept
	unwritten atomic.Int64 // the store did not take them, as on a full disk
}

// drop counts events that were not written, in one of the counters of gaps. A later event says how many are missing.
func (l *Log) drop(reason *atomic.Int64, n int) {
	reason.Add(int64(n))
	l.dropped.Add(int64(n))
}

// mentionGaps writes how many events are missing, and reports whether the store has taken that. The caller holds
// writing. It does so once a minute, or in a flood each batch would have such an event; last is for the end.
func (l *Log) mentionGaps(ctx context.Context, now time.Time, last bool) bool {
	since := now.Sub(l.reported)
	if !last && since < sumInterval && since >= 0 {
		return true
	}

	tooFast, unwritten := l.unreported.tooFast.Swap(0), l.unreported.unwritten.Swap(0)
	var events []jeton.Event
	mention := func(n int64, why string) {
		if n > 0 {
			reason := fmt.Sprintf("%d events were dropped: %s", n, why)
			events = append(events, jeton.Event{
				Time:    now,
				Action:  Missing,
				Outcome: OK,
				Reason:  reason,
			})
		}
	}
	mention(tooFast, "they came faster than they are kept")
	mention(unwritten, "the database could not be written")
	if len(events) == 0 {
		return true
	}

	if err := l.store.Append(ctx, events); err != nil {
		// They stay missing, and are not lost events themselves.
		l.unreported.tooFast.Add(tooFast)
		l.unreported.unwritten.Add(unwritten)
		l.slog.Warn("the audit log does not say yet how many events are missing", "error", err)

		return false
	}
	l.reported = now

	return true
}
