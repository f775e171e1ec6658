package pages

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
)

// sampleState returns the state of one of three servers that share a database.
func sampleState() serverState {
	var s serverState
	err := json.Unmarshal([]byte(`{
		"node": {
			"version": "1.2.3", "started_at": "2026-11-26T12:00:00Z", "services": 7,
			"audit_lost": 12, "connections": 148,
			"cache": {"sessions": 8500, "limit": 10000},
			"hasher": {"waiting": 3, "limit": 256, "workers": 2},
			"database": {
				"kind": "postgresql", "up": true, "revocation_bound_ms": 250,
				"lease_renewed_at": "2026-11-30T12:00:00Z",
				"connections_in_use": 16, "connections_max": 16,
				"nodes": [
					{"id": "node-a", "current": true, "revocation_bound_ms": 250},
					{"id": "node-b", "revocation_bound_ms": 250}
				]
			}
		},
		"counts": {"counted_at": "2026-11-30T11:59:30Z", "users": 1048576, "sessions": 12345, "tokens": 678}
	}`), &s)
	if err != nil {
		panic(err)
	}

	return s
}

// sampleDay returns events of the last day: more sign-ins by day, some refusals.
func sampleDay() []jeton.Event {
	var list []jeton.Event
	for hour := range 24 {
		for i := range (hour*7)%19 + 2 {
			at := noon.Add(-time.Duration(hour)*time.Hour - time.Minute)
			e := jeton.Event{Time: at, Action: "login", Outcome: "ok"}
			if i%6 == 5 {
				e.Outcome = "bad_credential"
			}
			list = append(list, e)
		}
	}

	return list
}

func adminOverviewSamples() map[string][]any {
	down := sampleState()
	down.Node.Database.Up = false
	down.Node.Database.Nodes = nil
	down.Node.Database.Renewed = time.Time{}

	one := serverState{}
	one.Node.Database.Kind = "sqlite"
	one.Node.Database.Up = true
	one.Node.Database.Nodes = sampleState().Node.Database.Nodes[:1]
	one.Node.Database.Nodes[0].Bound = 0

	return map[string][]any{"admin/overview": {
		overviewPage(sampleState(), sampleDay(), noon),
		overviewPage(down, make([]jeton.Event, maxChartEvents), noon),
		overviewPage(one, nil, noon),
	}}
}

func TestAChartCountsTheEventsOfEachHour(t *testing.T) {
	at := func(ago time.Duration, n int) []jeton.Event {
		list := make([]jeton.Event, n)
		for i := range list {
			list[i] = jeton.Event{Time: noon.Add(-ago), Outcome: "ok"}
		}

		return list
	}
	all := func(jeton.Event) bool { return true }

	for _, tc := range []struct {
		name   string
		events []jeton.Event
		total  int
		bar    int // to look at
		height int
	}{
		{"no events", nil, 0, 23, 1},
		{"one now", at(0, 1), 1, 23, 48},
		{"one almost an hour ago", at(59*time.Minute, 1), 1, 23, 48},
		{"one an hour ago", at(time.Hour, 1), 1, 22, 48},
		{"half as many as the most", append(at(0, 10), at(5*time.Hour, 5)...), 15, 18, 24},
		{"few beside many", append(at(0, 500), at(5*time.Hour, 1)...), 501, 18, 4},
		{"a day ago", at(24*time.Hour, 3), 0, 0, 1},
		{"of a clock that is ahead", at(-2*time.Hour, 3), 0, 23, 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := newChart(noon, tc.events, all)
			if len(c.Bars) != 24 || c.Total != tc.total || c.Bars[tc.bar].Height != tc.height {
				t.Errorf("got %d bars, total %d, bar %d %d high, want 24, %d and %d",
					len(c.Bars), c.Total, tc.bar, c.Bars[tc.bar].Height, tc.total, tc.height)
			}
			if b := c.Bars[tc.bar]; b.Y+b.Height != chartHeight {
				t.Errorf("the bar ends at %d, want the ground at %d", b.Y+b.Height, chartHeight)
			}
		})
	}
}

func TestALoadWarnsBeforeItIsFull(t *testing.T) {
	for _, tc := range []struct {
		value int64
		want  string
	}{{0, ""}, {79, ""}, {80, "low"}, {99, "low"}, {100, "spent"}, {101, "spent"}} {
		if got := (load{Value: tc.value, Max: 100}).State(); got != tc.want {
			t.Errorf("State of %d of 100 = %q, want %q", tc.value, got, tc.want)
		}
	}
}
