// Package audit keeps the record of what happened: logins, refusals with every
// check that led to them, revocations and changes.
//
// The record is append-only. An event of something that changes state is written in
// the same step as the change, by the store that makes it, so neither is there
// without the other. Refusals change nothing; Note queues them and they are written
// together a moment later. A flood of refusals can neither slow down what is allowed
// nor fill the disk: beyond a burst, so many are kept each second, and of the surplus the
// record says how many are missing. The package never sees a secret and never decides.
package audit

import (
	"context"
	"fmt"
	"log/slog"
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
	Login           = "login"
	Logout          = "logout"
	LogoutAll       = "logout.all"
	Request         = "request"
	SessionEnd      = "session.end"
	LoginAllowed    = "login.allowed"
	UserAdd         = "user.add"
	UserChange      = "user.change"
	UserPassword    = "user.password"
	UserRemove      = "user.remove"
	UserExport      = "user.export"
	ClientAdd       = "client.add"
	ClientChange    = "client.change"
	ClientSecret    = "client.secret"
	ClientEndTokens = "client.end-tokens"
	ClientRemove    = "client.remove"
	ClientKeyAdd    = "client.key.add"
	ClientKeyRetire = "client.key.retire"
	KeyMake         = "key.make"
	KeyRotate       = "key.rotate"
	KeyRevoke       = "key.revoke"
	TokenIssue      = "token.issue"
	TokenCreate     = "token.create"
	TokenRotate     = "token.rotate"
	TokenInspect    = "token.inspect"
	TokenRevoke     = "token.revoke"
	Backup          = "backup"
	Restore         = "restore"
	Epoch           = "epoch"
	Missing         = "audit.missing"
	Start           = "server.start"
	Reload          = "server.reload"
)

// Log is the record of one server.
type Log struct {
	store Store
	slog  *slog.Logger
	now   func() time.Time
	keep  time.Duration

	mu      sync.Mutex
	waiting []jeton.Event
	rooms   [kinds]room // each its own, so that a flood of one kind does not hide another
	wake    chan struct{}
	missing atomic.Int64 // events that found no room and that the record does not know of yet
	lost    atomic.Int64 // all of them since the start
	writing sync.Mutex   // held by flush, so that who reads the record waits for what is on its way
}

// room is how many events of a kind may be kept at once.
type room struct {
	left   float64
	filled time.Time // when it was last added to
}

func (r *room) take(now time.Time) bool {
	// Times come slightly out of order. Going back with each would fill the room again and
	// again; staying behind a clock that has really jumped back would never fill it.
	since := now.Sub(r.filled)
	if since > 0 || since < -time.Minute {
		r.left = min(burst, r.left+max(0, since.Seconds())*sustained)
		r.filled = now
	}

	if r.left < 1 {
		return false
	}

	r.left--

	return true
}

// The kinds of event that are bounded apart.
const (
	kindRefusal = iota
	kindLogin
	kindAllowed
	kinds
)

func kindOf(e jeton.Event) int {
	switch {
	case e.Action == Login:
		return kindLogin
	case e.Outcome == OK:
		return kindAllowed
	}

	return kindRefusal
}

// Config is what New needs.
type Config struct {
	Store Store
	Log   *slog.Logger
	Now   func() time.Time
	Keep  time.Duration // how long events are kept
}

const (
	// burst is how many events of a kind are kept at once, and so how many may wait to be
	// written: a megabyte or two.
	burst = 4096
	// sustained is how many a second are kept beyond that: a few gigabytes in a
	// month of uninterrupted flood.
	sustained = 100
	// together is how many events one commit carries, so that others get their turn.
	together = 128
)

// New returns a record that writes once Run is called.
func New(c Config) *Log {
	l := &Log{
		store: c.Store,
		slog:  c.Log,
		now:   c.Now,
		keep:  c.Keep,
		wake:  make(chan struct{}, 1),
	}
	for i := range l.rooms {
		l.rooms[i] = room{burst, c.Now()}
	}
	return l
}

// Record queues an event that changes nothing. It never waits.
func (l *Log) Record(e jeton.Event) {
	l.mu.Lock()
	kept := l.rooms[kindOf(e)].take(e.Time)
	if kept {
		l.waiting = append(l.waiting, e)
	}

	l.mu.Unlock()
	if !kept {
		l.lose(1)
	}

	select {
	case l.wake <- struct{}{}:
	default:
	}
}

func (l *Log) lose(n int) {
	l.missing.Add(int64(n))
	l.lost.Add(int64(n))
}

// Dropped returns how many events found no room since the start. The record says so, too.
func (l *Log) Dropped() int64 { return l.lost.Load() }

// Events returns the events that f chooses, oldest first, after writing down those
// that still wait.
func (l *Log) Events(ctx context.Context, f Filter) ([]jeton.Event, error) {
	l.flush(ctx)
	return l.store.Events(ctx, f)
}

// Run writes queued events until ctx ends, then writes the rest. Every hour it forgets what
// is older than is kept.
func (l *Log) Run(ctx context.Context) error {
	var forgetting sync.WaitGroup
	defer forgetting.Wait()

	forgetting.Go(func() { sweep.Loop(ctx, time.Hour, l.forget) }) // events do not wait for it
	// A short wait lets refusals share a commit.
	const gather = 100 * time.Millisecond
	for {
		select {
		case <-ctx.Done():
			l.flush(ctx)
			return nil
		case <-l.wake:
			pause := gather
			if !l.flush(ctx) {
				pause = time.Second // the log says once a second that the store is away
			}

			select {
			case <-ctx.Done():
			case <-time.After(pause):
			}
		}
	}
}

// flush writes what waits. Nobody who asked for it can end it early by going away: what
// is on its way to the store may be written, and would be counted as missing. It reports
// whether the store took all of it.
func (l *Log) flush(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()

	l.writing.Lock()
	defer l.writing.Unlock()

	l.mu.Lock()
	batch := l.waiting
	l.waiting = nil
	l.mu.Unlock()
	missing := l.missing.Swap(0)
	if missing > 0 {
		batch = append(batch, jeton.Event{
			Time:    l.now(),
			Action:  Missing,
			Outcome: OK,
			Reason:  fmt.Sprintf("%d events came faster than they are kept", missing),
		})
	}

	for len(batch) > 0 {
		n := min(together, len(batch))
		if err := l.store.Append(ctx, batch[:n]); err != nil {
			if missing > 0 { // the line that says so was the last of the batch
				batch = batch[:len(batch)-1]
				l.missing.Add(missing)
			}

			l.lose(len(batch))
			l.slog.Error("audit events were not written", "count", len(batch), "error", err)

			return false
		}

		batch = batch[n:]
	}

	return true
}

func (l *Log) forget(ctx context.Context) {
	err := sweep.Run(ctx, func(ctx context.Context, most int) (int, error) {
		return l.store.Forget(ctx, l.now().Add(-l.keep), most)
	})
	if err != nil {
		l.slog.Error("old audit events were not removed", "error", err)
	}
}
