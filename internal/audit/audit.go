// Package audit keeps the audit log: logins, refusals with each check, revocations and
// changes.
//
// The log is append-only. The event of a change is written by the store in the same
// transaction as the change. Record queues other events, such as refusals, and Run
// writes them a moment later.
//
// A flood of refusals neither slows down other requests nor fills the disk. Beyond a
// burst, refusals that are alike are summed: once a minute, the event of the last one has
// their number. Of other events a limited number is kept each second, and the log says how
// many were dropped. Beyond its maximum size it loses the oldest refusals first, and changes
// and logins last.
//
// The package makes no decisions, and events contain no secrets: packages gate and
// signin see to that.
//
// # Files
//
//	audit.go    the log: recording, writing and reading events
//	actions.go  the actions of events
//	sums.go     refusals that are alike, as one event
//	gaps.go     how many events are missing, and why
//	size.go     the size of the log, and deleting beyond its maximum
//
// # Example
//
//	log := audit.New(audit.Config{Store: store, Log: logger, Now: time.Now, Keep: 90 * 24 * time.Hour})
//	go log.Run(ctx)
//
//	log.Record(jeton.Event{Time: now, Actor: "user:diane", Action: audit.Request, Outcome: "forbidden"})
//	events, err := log.Events(ctx, audit.Filter{Last: 20})
package audit

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/sweep"
)

// Store keeps events. Methods are safe for concurrent use.
type Store interface {
	// Append adds events in order. When it returns nil they are durable.
	Append(ctx context.Context, events []jeton.Event) error
	// Events returns the events that match the filter, oldest first.
	Events(ctx context.Context, f Filter) ([]jeton.Event, error)
	// Forget deletes at most limit events from before the time and returns how many.
	Forget(ctx context.Context, before time.Time, limit int) (int, error)
	// Measure measures at most limit events after the one of a Seq, in their order.
	Measure(ctx context.Context, after int64, limit int) (Measured, error)
	// Drop deletes events, and what is kept of ended tokens beside them. Of nodes that have the same turn, one
	// deletes.
	Drop(ctx context.Context, x Excess) (Measured, error)
}

// Filter chooses events. Zero fields choose all.
type Filter struct {
	After   int64     // events with a greater Seq
	Before  int64     // events with a smaller Seq; 0: all
	Last    int       // if not 0: only this many, the newest; After is ignored
	Request string    // ID of a request
	User    string    // who did it, or to whom it was done
	Action  string    // such as Login
	Service string    // name of the service
	Outcome string    // OK, or the code of a refusal
	Since   time.Time // events of this time or later
	Until   time.Time // events before this time
	Limit   int       // maximum number; 0 means 1000
}

// OK is the outcome of an event that is not a refusal.
const OK = "ok"

// Log is the audit log of one server.
type Log struct {
	store Store
	slog  *slog.Logger
	now   func() time.Time
	keep  time.Duration
	clock *sweep.Clock

	mu         sync.Mutex
	waiting    []jeton.Event
	buckets    [kinds]bucket // one per kind, so that a flood of one kind does not hide another
	sums       [kinds]sums
	wake       chan struct{}
	summed     atomic.Int64 // refusals without an event of their own since the start
	unreported gaps         // dropped events that the log does not mention yet
	reported   time.Time    // when the log mentioned some last; writing guards it
	dropped    atomic.Int64 // all of them since the start
	writing    sync.Mutex   // held by flush, so that a reader waits for a flush in progress

	maxSize   int64
	shrinking sync.Mutex // held by Shrink
	held      size
	stale     atomic.Bool  // events were deleted that held has
	bytes     atomic.Int64 // of held
}

// bucket is a token bucket: how many events of a kind may be queued now.
type bucket struct {
	rate
	left   float64
	filled time.Time // when left was last increased
}

// rate is how many events of a kind may be queued at once, and how many a second beyond that.
type rate struct{ burst, sustained float64 }

// take takes one event from the bucket, or reports that the event is to be dropped.
func (b *bucket) take(now time.Time) bool {
	// Times are slightly out of order. Following each of them back would fill the bucket again
	// and again; never following a clock that was set back would not fill it at all.
	since := now.Sub(b.filled)
	if since > 0 || since < -time.Minute {
		b.left = min(b.burst, b.left+max(0, since.Seconds())*b.sustained)
		b.filled = now
	}

	if b.left < 1 {
		return false
	}

	b.left--

	return true
}

// The kinds of event that have a bucket each.
const (
	kindRefusal = iota
	kindLogin
	kindAllowed
	kindChange
	kinds
)

// kindOf returns the bucket of an event. Refused logins are apart from refused requests, of
// which a client can cause more. Changes, such as a sign-in link for another user, are apart from admitted
// requests: their caller could hide one behind a flood.
func kindOf(e jeton.Event) int {
	switch {
	// Only they can be as many as a caller sends.
	case e.Outcome == OK && (e.Action == Request || e.Action == TokenInspect || e.Action == TokenIssue):
		return kindAllowed
	case e.Outcome == OK:
		return kindChange
	case e.Action == Login, e.Action == TokenIssue:
		return kindLogin
	}

	return kindRefusal
}

// rates are the limits of each kind. Any caller can cause refusals, one after the other: those
// beyond two a second have a place in a sum. 4,096 events take a megabyte or two.
var rates = [kinds]rate{
	kindRefusal: {2048, 2},
	kindLogin:   {2048, 2},
	kindAllowed: {4096, 100},
	kindChange:  {4096, 100},
}

// Config is what New needs.
type Config struct {
	Store Store
	Log   *slog.Logger
	Now   func() time.Time
	Keep  time.Duration // how long events are kept
	Clock *sweep.Clock  // that they are deleted by; nil: Now
	// MaxSize is how many bytes the log may have in the store; 0: any number. It is compared once a minute.
	MaxSize int64
}

const (
	// maxBatch is how many events one commit contains, so that other writers get their turn.
	maxBatch = 128
	// maxText is how long a text of a queued event may be, in bytes: a path is the caller's.
	maxText = 512
)

// New returns a log that writes events while Run runs.
func New(c Config) *Log {
	l := &Log{
		store: c.Store,
		slog:  c.Log,
		now:   c.Now,
		keep:  c.Keep,
		clock: c.Clock,
		wake:  make(chan struct{}, 1),

		maxSize: c.MaxSize,
	}

	for i := range l.buckets {
		l.buckets[i] = bucket{rates[i], rates[i].burst, c.Now()}
	}

	return l
}

// Record queues an event that changes nothing, or adds it to a sum. It never waits for the store. A refused
// login has a line in the server's log as well, also when it has no event.
func (l *Log) Record(e jeton.Event) {
	l.logRefusedLogin(e)

	e.Actor = clip(e.Actor)
	e.Target = clip(e.Target)
	e.Reason = clip(e.Reason)

	l.mu.Lock()
	kept := l.place(e)
	l.mu.Unlock()

	if !kept {
		l.drop(&l.unreported.tooFast, 1)
	}

	// The channel has one place: a wake-up that waits there covers this event, too.
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// place queues or sums an event, or returns false. The caller holds mu.
func (l *Log) place(e jeton.Event) bool {
	kind := kindOf(e)
	bucket := &l.buckets[kind]
	if e.Outcome == OK {
		kept := bucket.take(e.Time)
		if kept {
			l.waiting = append(l.waiting, e)
		}

		return kept
	}

	s := l.sums[kind].find(e)
	if (s.single < maxSingle || bucket.left > bucket.burst/2) && bucket.take(e.Time) {
		s.single++
		l.waiting = append(l.waiting, e)

		return true
	}

	s.more++
	s.last = e
	l.summed.Add(1)

	return true
}

// clip returns the beginning of a text that a caller may have chosen.
func clip(text string) string {
	if len(text) <= maxText {
		return text
	}
	return strings.ToValidUTF8(text[:maxText], "") + "…"
}

// logRefusedLogin writes a line for each refused login of a user or client. The guide documents its
// fields, which programs such as fail2ban read: source and outcome stay the first.
func (l *Log) logRefusedLogin(e jeton.Event) {
	if e.Outcome == OK || e.Action != Login && e.Action != TokenIssue {
		return
	}

	l.slog.Warn(
		"login refused",
		"source", e.Source,
		"outcome", e.Outcome,
		"service", e.Service,
		"action", e.Action,
		"actor", e.Actor,
		"reason", e.Reason,
		"request_id", e.Request,
	)
}

// Summed returns how many refusals since the start have no event of their own.
func (l *Log) Summed() int64 { return l.summed.Load() }

// Dropped returns how many events were dropped since the start.
func (l *Log) Dropped() int64 { return l.dropped.Load() }

// Events returns the events that match f, oldest first, after writing queued ones.
func (l *Log) Events(ctx context.Context, f Filter) ([]jeton.Event, error) {
	l.flush(ctx)
	return l.store.Events(ctx, f)
}

// Run writes queued events until ctx ends, then writes the rest. Every hour it deletes
// events that are older than Config.Keep, and every minute those over Config.MaxSize.
func (l *Log) Run(ctx context.Context) error {
	var forgetting sync.WaitGroup
	defer forgetting.Wait()

	// They do not delay events.
	forgetting.Go(func() { sweep.Loop(ctx, time.Hour, l.forget) })
	forgetting.Go(func() { sweep.Loop(ctx, sizeInterval, l.shrink) })

	tick := time.NewTicker(sumInterval) // for sums to which nothing more is added
	defer tick.Stop()

	// A short wait lets events share a commit.
	const gather = 100 * time.Millisecond
	for {
		select {
		case <-ctx.Done():
			l.write(ctx, true)
			return nil
		case <-tick.C:
			l.flush(ctx)
		case <-l.wake:
			pause := gather
			if !l.flush(ctx) {
				pause = time.Second // so that the error is logged once a second
			}

			select {
			case <-ctx.Done():
			case <-time.After(pause):
			}
		}
	}
}

// flush writes the queued events, and the sums of an interval that is over. It reports
// whether the store has taken all of them.
func (l *Log) flush(ctx context.Context) bool { return l.write(ctx, false) }

// write is flush; last writes the sums of the current interval as well. A caller who goes
// away does not cancel it: the store might write a batch that is then counted as dropped.
func (l *Log) write(ctx context.Context, last bool) bool {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()

	// In this order everywhere: writing, then mu. mu is never held during a write.
	l.writing.Lock()
	defer l.writing.Unlock()

	now := l.now()
	l.mu.Lock()
	batch := l.waiting
	l.waiting = nil
	for kind := range l.sums {
		if last || l.sums[kind].due(now) {
			batch = append(batch, l.sums[kind].take()...)
		}
	}
	l.mu.Unlock()

	for len(batch) > 0 {
		n := min(maxBatch, len(batch))
		if err := l.store.Append(ctx, batch[:n]); err != nil {
			// Keeping them for a retry would grow without limit while the store is down.
			l.drop(&l.unreported.unwritten, len(batch))
			l.slog.Error("audit events were not written and are lost", "count", len(batch), "error", err)

			return false
		}

		batch = batch[n:]
	}

	return l.mentionGaps(ctx, now, last)
}

// forget deletes events that are older than Config.Keep, in small steps so that writers get
// their turn.
func (l *Log) forget(ctx context.Context) {
	err := sweep.Run(ctx, func(ctx context.Context, limit int) (int, error) {
		before, err := l.clock.Before(ctx, l.now(), l.keep)
		if err != nil {
			return 0, err
		}

		n, err := l.store.Forget(ctx, before, limit)
		if n > 0 {
			l.stale.Store(true)
		}

		return n, err
	})
	if err != nil {
		l.slog.Error("old audit events were not deleted", "error", err)
	}
}
