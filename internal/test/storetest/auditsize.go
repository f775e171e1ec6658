package storetest

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/audit"
)

// by returns an event of a subject.
func by(actor, action, outcome string) jeton.Event {
	return jeton.Event{
		Time:    noon,
		Actor:   actor,
		Action:  action,
		Outcome: outcome,
		Target:  strings.Repeat("é", 200), // 400 bytes
	}
}

// measured goes through the log in steps.
func measured(t *testing.T, s Store, step int) audit.Measured {
	t.Helper()
	all := audit.Measured{Actors: map[string]int64{}}
	for {
		m, err := s.Measure(t.Context(), all.Last, step)
		must(t, err)
		if m.Events == 0 {
			return all
		}

		all.Last = m.Last
		all.Events += m.Events
		all.Bytes += m.Bytes
		for actor, n := range m.Actors {
			all.Actors[actor] += n
		}
	}
}

func measuring(t *testing.T, s Store) {
	same(t, "the size of an empty log", measured(t, s, 10), audit.Measured{Actors: map[string]int64{}})

	must(t, s.Append(t.Context(), []jeton.Event{
		by("", audit.Request, "no_credential"),
		by("user:carl", audit.Request, audit.OK),
		by("user:carl", audit.Login, "bad_credential"),
		by("user:diane", audit.Login, audit.OK),
		by("user:diane", audit.TokenCreate, audit.OK),
		by("operator", audit.UserAdd, audit.OK),
	}))

	all := measured(t, s, 10)
	one := all.Bytes / 6
	if all.Events != 6 || one < 400 || one > 1000 {
		t.Errorf("%d events have %d bytes, want 6 of 400 to 1000 each", all.Events, all.Bytes)
	}

	diane, operator := all.Actors["user:diane"], all.Actors["operator"]
	if len(all.Actors) != 2 || diane < operator*3/2 || operator < 400 || diane+operator > 3*1000 {
		t.Errorf("subjects have %v, want the bytes of the two changes of diane and the one of the operator", all.Actors)
	}

	same(t, "the size in steps of one", measured(t, s, 1), all)
}

func turning(t *testing.T, s Store) {
	must(t, s.Append(t.Context(), []jeton.Event{
		event(audit.Request, "0"), event(audit.Request, "1"), event(audit.Request, "2"),
	}))
	m, err := s.Measure(t.Context(), 0, 10)
	must(t, err)

	drop := func(turn string) (next string) {
		t.Helper()
		gone, err := s.Drop(t.Context(), audit.Excess{Turn: turn, Limit: 1})
		must(t, err)
		return gone.Turn
	}

	next := drop(m.Turn)
	other := drop(m.Turn)
	if next == "" || other != "" {
		t.Errorf("turns after the steps of two nodes = %q and %q, want one, and none for the second", next, other)
	}
	same(t, "the events left", auditLog(t, s), []string{"request 1", "request 2"})

	drop(next)
	same(t, "the events left by the next step of the first", auditLog(t, s), []string{"request 2"})
}

// flooding fills logs of 100 kB with 500 events at a time, and looks at what is left.
func flooding(t *testing.T, open Open) {
	const most, rounds, events = 100_000, 3, 500
	before := []jeton.Event{
		by("user:diane", audit.Login, audit.OK),
		by("operator", audit.UserAdd, audit.OK),
	}

	for _, tc := range []struct {
		name  string
		flood func(i int) jeton.Event
		keeps bool // what was before
	}{
		{"refusals", func(int) jeton.Event { return by("", audit.Request, "no_credential") }, true},
		{"refused logins", func(int) jeton.Event { return by("user:diane", audit.Login, "bad_credential") }, true},
		{"admitted requests", func(int) jeton.Event { return by("user:diane", audit.Request, audit.OK) }, true},
		{"changes of one user", func(int) jeton.Event { return by("user:mallory", audit.TokenCreate, audit.OK) }, true},
		{"logins of one user", func(int) jeton.Event { return by("user:mallory", audit.Login, audit.OK) }, true},
		{
			"changes of many users",
			func(i int) jeton.Event { return by(fmt.Sprint("user:", i%100), audit.TokenCreate, audit.OK) },
			false,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := open(t)
			log := audit.New(audit.Config{
				Store:   s,
				Log:     slog.New(slog.DiscardHandler),
				Now:     func() time.Time { return noon },
				Keep:    time.Hour,
				MaxSize: most,
			})

			must(t, s.Append(t.Context(), before))
			for range rounds {
				flood := make([]jeton.Event, events)
				for i := range flood {
					flood[i] = tc.flood(i)
				}
				must(t, s.Append(t.Context(), flood))
				must(t, log.Shrink(t.Context()))

				all := measured(t, s, 1000)
				if all.Bytes > most || all.Bytes < most/2 || all.Bytes != log.Bytes() {
					t.Fatalf("the log has %d bytes, and says %d, want 50000 to 100000", all.Bytes, log.Bytes())
				}
			}

			left, err := s.Events(t.Context(), audit.Filter{})
			must(t, err)

			kept := slices.ContainsFunc(left, func(e jeton.Event) bool { return e.Action == audit.UserAdd })
			if kept != tc.keeps {
				t.Errorf("the change of the operator is in the log: %t, want %t", kept, tc.keeps)
			}

			newest := tc.flood(events - 1)
			if left[len(left)-1].Actor != newest.Actor || left[len(left)-1].Action != newest.Action {
				t.Errorf("the newest event is %+v, want the last of the flood", left[len(left)-1])
			}
		})
	}
}
