package audit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var noon = time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)

// memory is a store that blocks or fails when a test asks for it.
type memory struct {
	mu      sync.Mutex
	events  []jeton.Event
	batches int
	fail    error
	block   chan struct{} // when not nil, Append waits until it is closed or ctx ends
	entered chan struct{} // receives when Append waits
	old     int           // events that Forget finds
	forgets []time.Time
}

func (m *memory) Append(ctx context.Context, events []jeton.Event) error {
	if m.block != nil {
		select {
		case m.entered <- struct{}{}:
		default:
		}

		select {
		case <-m.block:
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", jeton.ErrUnavailable, ctx.Err())
		}
	}

	m.mu.Lock()
	defer m.mu.Unlock()

	if m.fail != nil {
		return m.fail
	}

	m.batches++
	m.events = append(m.events, events...)

	return nil
}

func (m *memory) Events(context.Context, Filter) ([]jeton.Event, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.events, m.fail
}

func (m *memory) Forget(_ context.Context, before time.Time, limit int) (int, error) {
	m.forgets = append(m.forgets, before)
	n := min(limit, m.old)
	m.old -= n
	return n, m.fail
}

// Measure implements Store for a log without a maximum size.
func (m *memory) Measure(context.Context, int64, int) (Measured, error) { return Measured{}, m.fail }

// Drop implements Store.
func (m *memory) Drop(context.Context, Excess) (Measured, error) { return Measured{}, m.fail }

func newLog(m *memory) *Log {
	return New(Config{
		Store: m,
		Log:   slog.New(slog.DiscardHandler),
		Now:   func() time.Time { return noon },
		Keep:  time.Hour,
	})
}

// run starts the log; stop ends it and waits.
func run(t *testing.T, l *Log) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := l.Run(ctx); err != nil {
			t.Errorf("Run = %v, want nil", err)
		}
	})

	stop = func() { cancel(); wg.Wait() }
	t.Cleanup(stop)

	return stop
}

func record(l *Log, from, to int) {
	for i := from; i < to; i++ {
		e := jeton.Event{Time: noon, Outcome: OK, Target: fmt.Sprint(i)}
		l.Record(e)
	}
}

// check expects the events numbered from 0, in order, and the number that the log reports as
// dropped.
func (m *memory) check(t *testing.T, want, dropped int) {
	t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()

	written, reported := 0, 0
	for _, e := range m.events {
		if e.Action == Missing {
			k := 0
			_, err := fmt.Sscanf(e.Reason, "%d ", &k)
			if err != nil || k == 0 || e.Outcome != OK || !e.Time.Equal(noon) {
				t.Errorf("event of dropped events = %+v, want a number, OK, at noon", e)
			}

			reported += k
			continue
		}

		if e.Target != fmt.Sprint(written) {
			t.Fatalf("event %d has target %s, want %d", written, e.Target, written)
		}

		written++
	}

	if written != want || reported != dropped {
		t.Errorf("%d events written and %d reported as dropped, want %d and %d", written, reported, want, dropped)
	}
}

func TestQueuedEventsAreWrittenInOrderInFewBatches(t *testing.T) {
	m := &memory{}
	l := newLog(m)
	record(l, 0, 500)
	stop := run(t, l)

	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		m.mu.Lock()
		done := len(m.events) == 500
		m.mu.Unlock()

		if done {
			break
		}
	}

	m.check(t, 500, 0)
	want := (500 + maxBatch - 1) / maxBatch
	if m.batches != want {
		t.Errorf("500 events were written in %d batches, want %d", m.batches, want)
	}

	stop()
}

func TestRunWritesTheRestWhenItEnds(t *testing.T) {
	m := &memory{}
	l := newLog(m)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	record(l, 0, 100)

	if err := l.Run(ctx); err != nil {
		t.Errorf("Run = %v, want nil", err)
	}

	m.check(t, 100, 0)
}

func TestRecordNeverBlocks(t *testing.T) {
	m := &memory{block: make(chan struct{}), entered: make(chan struct{}, 16)}
	l := newLog(m)
	stop := run(t, l)
	record(l, 0, 1)
	<-m.entered // the store blocks on the first

	burst := int(rates[kindAllowed].burst)
	record(l, 1, burst)

	for range 1000 {
		l.Record(jeton.Event{Time: noon, Outcome: OK, Target: "surplus"})
	}

	n := l.Dropped()
	if n != 1000 {
		t.Errorf("Dropped = %d, want the 1000 beyond the burst", n)
	}

	close(m.block)
	stop()
	m.check(t, burst, 1000)
}

func TestOnlyPartOfAFloodIsKept(t *testing.T) {
	l := newLog(&memory{})
	burst, sustained := int64(rates[kindAllowed].burst), int64(rates[kindAllowed].sustained)
	flood := func(n int, at ...time.Duration) (kept int64) {
		before := l.Dropped()
		for i := range n {
			l.Record(jeton.Event{Time: noon.Add(at[i%len(at)]), Outcome: OK})
		}
		return int64(n) - (l.Dropped() - before)
	}

	for _, tc := range []struct {
		name string
		at   []time.Duration
		want int64
	}{
		{"a burst", []time.Duration{0}, burst},
		{"a second later", []time.Duration{time.Second}, sustained},
		{
			"at times slightly out of order",
			[]time.Duration{time.Second, 900 * time.Millisecond, time.Second, 0},
			0,
		},
		{"half a second later, out of order", []time.Duration{1500 * time.Millisecond, time.Second}, sustained / 2},
		{"after the clock was set back", []time.Duration{-time.Hour}, 0},
		{"a second after that", []time.Duration{time.Second - time.Hour}, sustained},
		{"after a day", []time.Duration{24 * time.Hour}, burst},
	} {
		if kept := flood(int(2*burst), tc.at...); kept != tc.want {
			t.Errorf("%s: %d of %d are kept, want %d", tc.name, kept, 2*burst, tc.want)
		}
	}
}

func TestEventsThatCouldNotBeWrittenAreReportedAsDropped(t *testing.T) {
	m := &memory{fail: jeton.ErrUnavailable}
	l := newLog(m)
	l.drop(&l.unreported.tooFast, 5)

	for round := range 3 { // the store stays down; each event is counted once
		for range maxBatch + 10 {
			l.Record(jeton.Event{Time: noon, Outcome: OK, Target: "lost"})
		}

		l.flush(t.Context())
		n, want := l.Dropped(), int64(5+(maxBatch+10)*(round+1))
		if n != want {
			t.Errorf("Dropped = %d, want %d", n, want)
		}
	}

	m.fail = nil
	record(l, 0, 3)
	l.flush(t.Context())
	m.check(t, 3, 35+3*maxBatch)
	l.flush(t.Context())

	m.check(t, 3, 35+3*maxBatch)

	var reasons []string
	for _, e := range m.events[3:] {
		reasons = append(reasons, e.Reason)
	}
	want := []string{
		"5 events were dropped: they came faster than they are kept",
		fmt.Sprintf("%d events were dropped: the database could not be written", 30+3*maxBatch),
	}
	if !slices.Equal(reasons, want) {
		t.Errorf("reasons = %q, want %q", reasons, want)
	}
}

func TestEventsReturnsQueuedEvents(t *testing.T) {
	m := &memory{}
	l := newLog(m)
	record(l, 0, 3)
	events, err := l.Events(t.Context(), Filter{})
	if err != nil || len(events) != 3 {
		t.Errorf("Events = %d events, %v, want the 3 queued ones", len(events), err)
	}

	m.fail = jeton.ErrUnavailable
	if _, err := l.Events(t.Context(), Filter{}); !errors.Is(err, jeton.ErrUnavailable) {
		t.Errorf("Events of a store that is down = %v, want ErrUnavailable", err)
	}
}

func TestACancelledReaderDropsNoEvents(t *testing.T) {
	m := &memory{block: make(chan struct{}), entered: make(chan struct{}, 1)}
	l := newLog(m)
	record(l, 0, 3)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { _, _ = l.Events(ctx, Filter{}) })

	<-m.entered
	cancel()
	time.Sleep(10 * time.Millisecond) // so that giving up would be seen
	close(m.block)
	wg.Wait()

	m.check(t, 3, 0)
	n := l.Dropped()
	if n != 0 {
		t.Errorf("Dropped = %d, want 0", n)
	}
}

func TestConcurrentEventsAreWrittenOrReported(t *testing.T) {
	m := &memory{}
	l := newLog(m)
	stop := run(t, l)
	var wg sync.WaitGroup
	for range 32 {
		wg.Go(func() {
			for range 300 {
				l.Record(jeton.Event{Time: noon, Action: Request, Outcome: OK})
			}
		})
	}

	wg.Wait()
	stop()
	written, reported := 0, 0
	for _, e := range m.events {
		if e.Action != Missing {
			written++
			continue
		}

		k := 0
		if _, err := fmt.Sscanf(strings.Fields(e.Reason)[0], "%d", &k); err != nil {
			t.Error(err)
		}

		reported += k
	}

	if written+reported != 32*300 {
		t.Errorf("%d events written and %d reported as dropped, want %d in total", written, reported, 32*300)
	}
}

func TestForgetDeletesAllOldEventsInBatches(t *testing.T) {
	m := &memory{old: 1000}
	newLog(m).forget(t.Context())

	if m.old != 0 || len(m.forgets) < 2 {
		t.Errorf("%d old events are left after %d batches, want none after several", m.old, len(m.forgets))
	}

	for _, before := range m.forgets {
		if !before.Equal(noon.Add(-time.Hour)) {
			t.Errorf("Forget was called with %v, want an hour ago", before)
		}
	}

	m = &memory{old: 1000, fail: jeton.ErrUnavailable}
	newLog(m).forget(t.Context())

	if len(m.forgets) != 1 {
		t.Errorf("a store that is down was asked %d times, want once", len(m.forgets))
	}
}
