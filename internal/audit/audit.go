// Package audit keeps the record of what happened: logins, refusals with every
// check that led to them, revocations and changes.
//
// The record is append-only. An event of something that changes state is written in
// the same step as the change, by the store that makes it, so neither is there
// without the other. Refusals change nothing; Note queues them and they are written
// together a moment later, so that a flood of refusals cannot slow down what is
// allowed. When more come than can be written, the surplus is counted and the record
// says how many are missing. The package never sees a secret and never decides.
package audit

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"jeton"
)

// Store keeps events. Methods are safe for concurrent use.
type Store interface {
	// Append adds events in order. When it returns nil they are durable.
	Append(ctx context.Context, events []jeton.Event) error
	// Events returns at most limit events after seq, oldest first, that match the filter.
	Events(ctx context.Context, f Filter) ([]jeton.Event, error)
	// Forget removes at most limit events from before the time and says how many it removed.
	Forget(ctx context.Context, before time.Time, limit int) (int, error)
}

// Filter chooses events. Zero fields choose all.
type Filter struct {
	After   int64  // events with a greater Seq
	Last    int    // when not 0: only so many, the newest, and After is ignored
	Request string // events of one request
	Limit   int    // at most so many; 0 means 1000
}

// Outcome OK is what an event says when nothing was wrong.
const OK = "ok"

// The actions that events name.
const (
	Login        = "login"
	Logout       = "logout"
	LogoutAll    = "logout.all"
	Request      = "request"
	SessionEnd   = "session.end"
	LoginAllowed = "login.allowed"
	UserAdd      = "user.add"
	UserChange   = "user.change"
	UserPassword = "user.password"
	UserRemove   = "user.remove"
	Missing      = "audit.missing"
	Start        = "server.start"
	Reload       = "server.reload"
)

// Log is the record of one server.
type Log struct {
	store Store
	slog  *slog.Logger
	now   func() time.Time
	keep  time.Duration

	mu      sync.Mutex
	waiting []jeton.Event
	wake    chan struct{}
	missing atomic.Int64 // events that found the queue full and have not been accounted for
}

// Config is what New needs.
type Config struct {
	Store Store
	Log   *slog.Logger
	Now   func() time.Time
	Keep  time.Duration // how long events are kept
}

// queue is how many refusals may wait to be written. At some 500 bytes each this
// bounds the memory that a flood can take.
const queue = 4096

// New returns a record that writes once Run is called.
func New(c Config) *Log {
	return &Log{store: c.Store, slog: c.Log, now: c.Now, keep: c.Keep, wake: make(chan struct{}, 1)}
}

// Note queues an event that changes nothing. It never waits.
func (l *Log) Note(e jeton.Event) {
	l.mu.Lock()
	full := len(l.waiting) >= queue
	if !full {
		l.waiting = append(l.waiting, e)
	}
	l.mu.Unlock()
	if full {
		l.missing.Add(1)
	}
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// Missing returns how many events found the queue full and are not accounted for in
// the record yet.
func (l *Log) Missing() int64 { return l.missing.Load() }

// Events returns the events that f chooses, oldest first, after writing down those
// that still wait.
func (l *Log) Events(ctx context.Context, f Filter) ([]jeton.Event, error) {
	l.flush(ctx)
	return l.store.Events(ctx, f)
}

// Run writes queued events until ctx ends, then writes the rest.
func (l *Log) Run(ctx context.Context) error {
	sweep := time.NewTicker(time.Hour)
	defer sweep.Stop()
	// A short wait lets the refusals of a flood share a commit.
	const gather = 50 * time.Millisecond
	for {
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
			defer cancel()
			l.flush(last)
			return nil
		case <-l.wake:
			l.flush(ctx)
			select {
			case <-ctx.Done():
			case <-time.After(gather):
			}
		case <-sweep.C:
			l.forget(ctx)
		}
	}
}

func (l *Log) flush(ctx context.Context) {
	l.mu.Lock()
	batch := l.waiting
	l.waiting = nil
	l.mu.Unlock()
	if n := l.missing.Swap(0); n > 0 {
		batch = append(batch, jeton.Event{Time: l.now(), Action: Missing, Outcome: OK, Reason: fmt.Sprintf("%d refusals came faster than they could be written", n)})
	}
	if len(batch) == 0 {
		return
	}
	if err := l.store.Append(ctx, batch); err != nil {
		l.missing.Add(int64(len(batch)))
		l.slog.Error("audit events were not written", "count", len(batch), "error", err)
	}
}

func (l *Log) forget(ctx context.Context) {
	const step = 1000
	for ctx.Err() == nil {
		n, err := l.store.Forget(ctx, l.now().Add(-l.keep), step)
		if err != nil {
			l.slog.Error("old audit events were not removed", "error", err)
			return
		}
		if n < step {
			return
		}
	}
}
