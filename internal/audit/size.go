package audit

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

const (
	// sizeInterval is how often the size of the log is compared with its limit.
	sizeInterval = time.Minute
	// measureStep and dropStep are how many events one step goes through, so that writers get their turn.
	measureStep = 4096
	dropStep    = 512
	minDropStep = 16
	// sizePart is what a subject may fill of the log with its own changes, and what is freed at once: a tenth.
	sizePart = 10
	// maxActors bounds how many subjects are kept while the log is measured.
	maxActors = 10_000
)

// Measured is what a step found of the events that it went through, or deleted of them.
type Measured struct {
	Last   int64            // Seq of the last one that it went through
	Events int              // how many it went through; 0: there are no more
	Bytes  int64            // of those found or deleted, with their indexes
	Actors map[string]int64 // bytes of the changes of each subject
	// Turn is what the next step of Drop is called with. Measure from the begin returns it, and Drop; "": another
	// node has deleted events meanwhile, and nothing was deleted.
	Turn string
}

// Excess chooses what a step deletes of at most Limit events after a Seq. Without Droppable and Actor it is all of
// them.
type Excess struct {
	Turn      string
	After     int64
	Limit     int
	Droppable bool   // refusals, admitted requests, and what says that events are missing
	Actor     string // all others, which are changes and logins, of one subject
}

// size is how much of a log has been measured.
type size struct {
	last   int64 // Seq of the last event that was measured
	events int64
	bytes  int64
	actors map[string]int64
	turn   string
}

// add adds what a step found.
func (s *size) add(found Measured) {
	s.last = found.Last
	s.events += int64(found.Events)
	s.bytes += found.Bytes
	for actor, n := range found.Actors {
		s.actors[actor] += n
	}

	// None of these has a tenth.
	if len(s.actors) > maxActors {
		small := s.bytes / maxActors
		maps.DeleteFunc(s.actors, func(_ string, n int64) bool { return n <= small })
	}
}

// Bytes returns about how much the log takes in the store, as of the last minute.
func (l *Log) Bytes() int64 { return l.bytes.Load() }

// Shrink keeps the log within Config.MaxSize; Run calls it once a minute. It deletes the oldest of the refusals and
// requests first, and changes and logins last: of these, the oldest of each subject that has more than a tenth of the
// size go before those of others. A subject who floods the log loses its own events.
func (l *Log) Shrink(ctx context.Context) error {
	l.shrinking.Lock()
	defer l.shrinking.Unlock()

	if l.stale.Swap(false) {
		l.held = size{}
	}
	if err := l.measure(ctx); err != nil {
		return err
	}
	if l.maxSize == 0 || l.held.bytes <= l.maxSize {
		return nil
	}

	// Again from the begin: other nodes may have deleted some.
	l.held = size{}
	if err := l.measure(ctx); err != nil {
		return err
	}
	if l.held.bytes <= l.maxSize {
		return nil
	}

	err := l.freePart(ctx)
	if errors.Is(err, errOther) {
		l.stale.Store(true)
		return nil
	}

	return err
}

// errOther means that another node deletes events. Both together would delete too much.
var errOther = errors.New("another node deletes audit events")

// measure adds the events that have not been measured yet.
func (l *Log) measure(ctx context.Context) error {
	if l.held.actors == nil {
		l.held.actors = map[string]int64{}
	}
	defer func() { l.bytes.Store(l.held.bytes) }()

	for {
		found, err := l.store.Measure(ctx, l.held.last, measureStep)
		if err != nil {
			return fmt.Errorf("measure the audit log: %w", err)
		}
		if l.held.last == 0 {
			l.held.turn = found.Turn
		}
		if found.Events == 0 {
			return nil
		}

		l.held.add(found)
	}
}

// freePart deletes events until a part of the size is free.
func (l *Log) freePart(ctx context.Context) error {
	defer func() { l.bytes.Store(l.held.bytes) }()

	part := l.maxSize / sizePart
	target := l.maxSize - part
	if err := l.free(ctx, Excess{Droppable: true}, target); err != nil {
		return err
	}

	for _, actor := range slices.Sorted(maps.Keys(l.held.actors)) {
		over := l.held.actors[actor] - part
		if over <= 0 || actor == "" {
			continue
		}
		if err := l.free(ctx, Excess{Actor: actor}, max(target, l.held.bytes-over)); err != nil {
			return err
		}
	}

	return l.free(ctx, Excess{}, target)
}

// free deletes the oldest events that x chooses until the log has the target, or none of them is left.
func (l *Log) free(ctx context.Context, x Excess, target int64) error {
	one := max(1, l.held.bytes/max(1, l.held.events))
	for l.held.bytes > target {
		// Not more than needed, if all of them are chosen.
		x.Turn = l.held.turn
		x.Limit = int(min(dropStep, max(minDropStep, (l.held.bytes-target)/one)))
		gone, err := l.store.Drop(ctx, x)
		if err != nil {
			return fmt.Errorf("delete audit events over audit.max_size: %w", err)
		}
		if gone.Turn == "" {
			return errOther
		}
		if gone.Events == 0 {
			return nil
		}

		l.held.turn = gone.Turn
		x.After = gone.Last
		l.held.bytes -= gone.Bytes
	}

	return nil
}

// shrink is Shrink, as Run calls it.
func (l *Log) shrink(ctx context.Context) {
	err := l.Shrink(ctx)
	if err != nil && ctx.Err() == nil {
		l.slog.Error("the size of the audit log was not checked", "error", err)
	}
}
