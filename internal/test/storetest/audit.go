package storetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/audit"
)

// Audit checks that the audit log keeps its events, in order.
func Audit(t *testing.T, open Open) {
	t.Run("events are filtered and listed oldest first", func(t *testing.T) { choosing(t, open(t)) })
	each(t, open, []test{
		{"an event is returned as it was appended", eventComesBack},
		{"without a limit a thousand are returned", thousand},
		{"the oldest are deleted, up to a limit, and their numbers not used again", forgetting},
		{"the size of events is that of their texts, by subject", measuring},
		{"of two nodes that measured the same log one deletes events", turning},
	})
	t.Run("a flood keeps the log within its size", func(t *testing.T) { flooding(t, open) })
}

// eventComesBack has text in it that a log viewer or a statement could trip over: quotes, a
// line break, a character that reverses the direction of writing.
func eventComesBack(t *testing.T, s Store) {
	none, err := s.Events(t.Context(), audit.Filter{})
	must(t, err)

	if len(none) != 0 {
		t.Errorf("events of an empty audit log = %v, want none", none)
	}

	must(t, s.Append(t.Context(), nil))
	full := jeton.Event{
		Time:    noon.Add(7 * time.Millisecond),
		Request: "r_1",
		Actor:   "user:diane",
		Action:  audit.Request,
		Target:  "GET /'; DROP TABLE audit; --",
		Service: "shop",
		Outcome: "spent",
		Reason:  "no uses \"left\"\n\u202e",
		Source:  source,
		Checks:  []jeton.Check{{Name: "credential", Value: "session", Result: "pass"}, {Name: "uses", Result: "fail"}},
	}

	bare := jeton.Event{Time: noon, Action: audit.Start, Outcome: audit.OK}
	must(t, s.Append(t.Context(), []jeton.Event{full, bare}))
	got, err := s.Events(t.Context(), audit.Filter{})
	must(t, err)

	if len(got) != 2 || got[0].Seq <= 0 || got[1].Seq <= got[0].Seq {
		t.Fatalf("events are %+v, want two with growing numbers", got)
	}

	full.Seq, bare.Seq = got[0].Seq, got[1].Seq
	same(t, "the events", got, []jeton.Event{full, bare})
}

// choosing names each event by a digit.
func choosing(t *testing.T, s Store) {
	// Times go back and forth as a clock does; the order is that of writing.
	for i := range 9 {
		e := jeton.Event{
			Time:    noon.Add(time.Duration(i%3) * time.Hour),
			Action:  audit.Request,
			Target:  fmt.Sprint(i),
			Request: fmt.Sprintf("r_%d", i%2),
			Actor:   fmt.Sprintf("user:u_%d", i%4),
			Service: fmt.Sprintf("s_%d", i%3),
			Outcome: audit.OK,
		}
		if i == 8 {
			e.Request = ""
			e.Action = audit.Login
			e.Outcome = "forbidden"
		}
		must(t, s.Append(t.Context(), []jeton.Event{e}))
	}

	all, err := s.Events(t.Context(), audit.Filter{})
	must(t, err)

	for _, tc := range []struct {
		name   string
		filter audit.Filter
		want   string
	}{
		{"all", audit.Filter{}, "012345678"},
		{"the first of all", audit.Filter{Limit: 2}, "01"},
		{"after one", audit.Filter{After: all[5].Seq}, "678"},
		{"after one, the first", audit.Filter{After: all[5].Seq, Limit: 1}, "6"},
		{"after the last", audit.Filter{After: all[8].Seq}, ""},
		{"the newest", audit.Filter{Last: 3}, "678"},
		{"the newest, whatever came before", audit.Filter{Last: 3, After: all[7].Seq}, "678"},
		{"the newest, limited", audit.Filter{Last: 3, Limit: 2}, "78"},
		{"more of the newest than there are", audit.Filter{Last: 100}, "012345678"},
		{"of a request", audit.Filter{Request: "r_1"}, "1357"},
		{"of a request, the first", audit.Filter{Request: "r_1", Limit: 2}, "13"},
		{"of a request after one", audit.Filter{Request: "r_1", After: all[3].Seq}, "57"},
		{"of a request, the newest", audit.Filter{Request: "r_1", Last: 2}, "57"},
		{"of an unknown request", audit.Filter{Request: "r_"}, ""},
		{"of a user", audit.Filter{User: "u_3"}, "37"},
		{"of a part of a user's name", audit.Filter{User: "u"}, ""},
		{"of a service", audit.Filter{Service: "s_2"}, "258"},
		{"of an action", audit.Filter{Action: audit.Login}, "8"},
		{"of an outcome", audit.Filter{Outcome: "forbidden"}, "8"},
		{"of a time or later", audit.Filter{Since: noon.Add(time.Hour)}, "124578"},
		{"before a time", audit.Filter{Until: noon.Add(time.Hour)}, "036"},
		{
			"the newest between two times",
			audit.Filter{Since: noon.Add(time.Hour), Until: noon.Add(2 * time.Hour), Last: 2},
			"47",
		},
		{"of a user and a request", audit.Filter{User: "u_3", Request: "r_1", Last: 1}, "7"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			events, err := s.Events(t.Context(), tc.filter)
			must(t, err)
			got := ""
			for _, e := range events {
				got += e.Target
			}

			if got != tc.want {
				t.Errorf("Events(%+v) = %q, want %q", tc.filter, got, tc.want)
			}
		})
	}
}

// thousand checks the limit for callers that set none.
func thousand(t *testing.T, s Store) {
	events := make([]jeton.Event, 1001)
	for i := range events {
		events[i] = event(audit.Request, fmt.Sprint(i))
	}

	must(t, s.Append(t.Context(), events))

	for _, tc := range []struct {
		filter audit.Filter
		want   int
	}{{audit.Filter{}, 1000}, {audit.Filter{Limit: 1001}, 1001}} {
		got, err := s.Events(t.Context(), tc.filter)
		must(t, err)
		if len(got) != tc.want || got[len(got)-1].Target != fmt.Sprint(tc.want-1) {
			t.Errorf("Events(%+v) returned %d, want the first %d", tc.filter, len(got), tc.want)
		}
	}
}

// forgetting deletes in steps, and checks that numbers of deleted events are not given
// again: a follower would miss the new events.
func forgetting(t *testing.T, s Store) {
	for i := range 6 {
		e := event(audit.Request, fmt.Sprint(i))
		e.Time = noon.Add(time.Duration(i) * time.Minute)
		must(t, s.Append(t.Context(), []jeton.Event{e}))
	}

	all, err := s.Events(t.Context(), audit.Filter{})
	must(t, err)

	// The fifth is of just that time, and stays.
	for _, want := range []int{3, 1, 0} {
		n, err := s.Forget(t.Context(), noon.Add(4*time.Minute), 3)
		must(t, err)
		if n != want {
			t.Errorf("Forget = %d, want %d", n, want)
		}
	}

	same(t, "the events left", auditLog(t, s), []string{"request 4", "request 5"})
	n, err := s.Forget(t.Context(), noon.Add(time.Hour), 100)
	if err != nil || n != 2 {
		t.Errorf("Forget = %d, %v, want the last 2", n, err)
	}

	must(t, s.Append(t.Context(), []jeton.Event{event(audit.Request, "new")}))
	got, err := s.Events(t.Context(), audit.Filter{After: all[5].Seq})
	must(t, err)

	if len(got) != 1 {
		t.Errorf("events after the last number = %v, want one", got)
	}
}
