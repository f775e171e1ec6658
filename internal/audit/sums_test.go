package audit

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
)

// refuse records refusals of an address.
func refuse(l *Log, n int, at time.Time, source string) {
	for range n {
		l.Record(jeton.Event{
			Time:    at,
			Action:  Request,
			Service: "shop",
			Outcome: "no_credential",
			Reason:  "no credential",
			Source:  source,
		})
	}
}

// standsFor returns how many refusals of an address the events in a store stand for, and how many events they are.
func (m *memory) standsFor(t *testing.T, source string) (refusals, events int) {
	t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()

	for _, e := range m.events {
		if e.Source != source {
			continue
		}

		n := 1
		_, text, ok := strings.Cut(e.Reason, "the last of ")
		if ok {
			if _, err := fmt.Sscanf(text, "%d ", &n); err != nil {
				t.Errorf("reason %q has no number: %v", e.Reason, err)
			}
		}

		refusals += n
		events++
	}

	return refusals, events
}

func TestRefusalsBeyondABurstAreSummed(t *testing.T) {
	m := &memory{}
	l := newLog(m)
	now := noon
	l.now = func() time.Time { return now }

	const flood, few = 5000, 3
	single := int(rates[kindRefusal].burst) / 2
	refuse(l, flood, now, "192.0.2.1")
	refuse(l, few, now, "192.0.2.2")
	l.flush(t.Context())

	now = noon.Add(sumInterval)
	l.flush(t.Context())

	for _, tc := range []struct {
		source           string
		refusals, events int
	}{
		{"192.0.2.1", flood, single + 1},
		{"192.0.2.2", few, few},
	} {
		refusals, events := m.standsFor(t, tc.source)
		if refusals != tc.refusals || events != tc.events {
			const text = "%s: %d events stand for %d refusals, want %d for %d"
			t.Errorf(text, tc.source, events, refusals, tc.events, tc.refusals)
		}
	}

	if l.Summed() != int64(flood-single) || l.Dropped() != 0 {
		t.Errorf("Summed = %d, Dropped = %d, want %d and 0", l.Summed(), l.Dropped(), flood-single)
	}
}

func TestAnIntervalThatHasNotEndedIsWrittenAtTheEnd(t *testing.T) {
	m := &memory{}
	l := newLog(m)
	const flood = 3000
	single := int(rates[kindRefusal].burst) / 2
	refuse(l, flood, noon, "192.0.2.1")
	l.flush(t.Context())

	refusals, _ := m.standsFor(t, "192.0.2.1")
	if refusals != single {
		t.Errorf("within the interval, events stand for %d refusals, want %d", refusals, single)
	}

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := l.Run(ctx); err != nil {
		t.Fatal(err)
	}

	refusals, _ = m.standsFor(t, "192.0.2.1")
	if refusals != flood {
		t.Errorf("at the end, events stand for %d refusals, want %d", refusals, flood)
	}
}

// TestAFloodGrowsTheLogSlowly is that of many addresses, each of which claims many names, for an hour.
func TestAFloodGrowsTheLogSlowly(t *testing.T) {
	m := &memory{}
	l := newLog(m)
	now := noon
	l.now = func() time.Time { return now }

	long := strings.Repeat("long", 10_000)
	const hour = 60
	total := 0
	for minute := range hour {
		now = noon.Add(time.Duration(minute) * time.Minute)
		for i := range 2000 {
			total++
			l.Record(jeton.Event{
				Time:    now,
				Actor:   fmt.Sprintf("user:name%d", i),
				Action:  Login,
				Outcome: "bad_credential",
				Source:  fmt.Sprintf("192.0.2.%d", i%200),
				Target:  long,
			})
		}
		l.flush(t.Context())
	}
	l.write(t.Context(), true)

	// The burst; two a second; and a sum for each kind, in each minute.
	most := int(rates[kindLogin].burst) + hour*(60*int(rates[kindLogin].sustained)+maxSums+1)
	if len(m.events) > most {
		t.Errorf("%d refusals have %d events, want at most %d", total, len(m.events), most)
	}

	stand := 0
	for i := range 200 {
		n, _ := m.standsFor(t, fmt.Sprintf("192.0.2.%d", i))
		stand += n
	}
	if stand != total {
		t.Errorf("the events stand for %d refusals, want %d", stand, total)
	}

	for _, e := range m.events {
		if len(e.Target) > maxText+len("…") {
			t.Fatalf("an event has a target of %d bytes, want at most %d", len(e.Target), maxText)
		}
	}
}

func TestAFloodOfOneSourceLeavesEventsToOthers(t *testing.T) {
	m := &memory{}
	l := newLog(m)
	now := noon
	l.now = func() time.Time { return now }

	// In the tenth minute of it.
	for range 10 {
		now = now.Add(time.Minute)
		refuse(l, 5000, now, "192.0.2.1")
		l.flush(t.Context())
	}
	refuse(l, 1, now, "192.0.2.2")
	l.flush(t.Context())

	_, events := m.standsFor(t, "192.0.2.2")
	if events != 1 {
		t.Errorf("a refusal of another source has %d events at once, want 1", events)
	}
}

func TestAFloodOfRefusalsHidesNothingElse(t *testing.T) {
	m := &memory{}
	l := newLog(m)
	for i := range 3 * int(rates[kindRefusal].burst) {
		refuse(l, 1, noon, fmt.Sprintf("192.0.2.%d", i%200))
	}

	others := []jeton.Event{
		{
			Time:    noon,
			Action:  Login,
			Outcome: "bad_credential",
			Actor:   "user:diane",
		},
		{
			Time:    noon,
			Action:  Request,
			Outcome: OK,
			Actor:   "user:carl",
		},
	}
	for _, e := range others {
		l.Record(e)
	}
	l.flush(t.Context())

	for _, want := range others {
		found := false
		for _, e := range m.events {
			found = found || e.Actor == want.Actor
		}
		if !found {
			t.Errorf("the event of %s is not in the log", want.Actor)
		}
	}
}

func TestAFloodOfRequestsHidesNoChange(t *testing.T) {
	m := &memory{}
	l := newLog(m)
	for range 2 * int(rates[kindAllowed].burst) {
		l.Record(jeton.Event{Time: noon, Action: Request, Outcome: OK})
	}
	l.Record(jeton.Event{Time: noon, Action: UserLink, Outcome: OK})
	l.flush(t.Context())

	if !slices.ContainsFunc(m.events, func(e jeton.Event) bool { return e.Action == UserLink }) {
		t.Error("the change is not in the log")
	}
}

// TestTheSumOfAllOthersBlamesNoSource is for what comes when each likeness that has a sum of its own is taken.
func TestTheSumOfAllOthersBlamesNoSource(t *testing.T) {
	m := &memory{}
	l := newLog(m)
	for i := range maxSums + int(rates[kindRefusal].burst) {
		refuse(l, 1, noon, fmt.Sprintf("2001:db8::%x", i))
	}
	refuse(l, 1, noon, "192.0.2.1")
	l.write(t.Context(), true)

	last := m.events[len(m.events)-1]
	if last.Source != "192.0.2.1" || !strings.Contains(last.Reason, "refusals of all sources and reasons") {
		t.Errorf("sum = %q of %s, want one of all sources after the last one", last.Reason, last.Source)
	}
}
