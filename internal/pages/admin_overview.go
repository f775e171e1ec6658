package pages

import (
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/web"
)

// serverState is the state of the server, as the API returns it.
type serverState struct {
	Node struct {
		Version   string        `json:"version"`
		Started   time.Time     `json:"started_at"`
		Services  int           `json:"services"`
		Database  databaseState `json:"database"`
		AuditLost int64         `json:"audit_lost"`

		Cache struct {
			Sessions int64 `json:"sessions"`
			Limit    int64 `json:"limit"`
		} `json:"cache"`
		Hasher struct {
			Waiting int64 `json:"waiting"`
			Limit   int64 `json:"limit"`
			Workers int   `json:"workers"`
		} `json:"hasher"`
		Connections int64 `json:"connections"`
	} `json:"node"`
	Counts struct {
		At       time.Time `json:"counted_at"`
		Users    int64     `json:"users"`
		Sessions int64     `json:"sessions"`
		Tokens   int64     `json:"tokens"`
	} `json:"counts"`
}

// databaseState is the state of the database.
type databaseState struct {
	Kind    string    `json:"kind"`
	Up      bool      `json:"up"`
	Bound   int64     `json:"revocation_bound_ms"`
	Renewed time.Time `json:"lease_renewed_at"`
	InUse   int64     `json:"connections_in_use"`
	Most    int64     `json:"connections_max"`
	Nodes   []struct {
		ID      string `json:"id"`
		Current bool   `json:"current"`
		Bound   int64  `json:"revocation_bound_ms"`
	} `json:"nodes"`
}

// overviewView is the view of admin/overview.
type overviewView struct {
	Note      *Note // nil: nothing to say
	State     serverState
	SignIns   chart
	Refusals  chart
	Partial   bool // the charts begin later than a day ago
	Database  Tag
	Bound     Text
	Pool      *load // nil: the database has no connections to share
	Cache     load
	Hasher    load
	AuditLost Text // "": nothing was dropped
	Nodes     []nodeRow
}

// nodeRow is a process that shares the database.
type nodeRow struct {
	ID    string // "": the only one
	Tags  []Tag
	Bound Text
}

// load shows how much of something is in use: {{template "meter" .Load}}.
type load struct {
	Text  Text
	Value int64
	Max   int64
}

// State returns "spent" for all, "low" for four fifths and more, or "", as Meter does of what is left.
func (l load) State() string {
	switch {
	case l.Value >= l.Max:
		return "spent"
	case l.Value*5 >= l.Max*4:
		return "low"
	}

	return ""
}

// overview answers GET /admin.
func (p *Pages) overview(w *web.Reply, r *http.Request) error {
	var state serverState
	if err := p.call(w, r, http.MethodGet, "/overview", nil, nil, &state); err != nil {
		return err
	}

	since := p.Now().Add(-chartHours * time.Hour)
	query := url.Values{"last": {strconv.Itoa(maxChartEvents)}, "since": {since.UTC().Format(time.RFC3339)}}

	var events []jeton.Event
	if err := p.call(w, r, http.MethodGet, "/audit", query, nil, &events); err != nil {
		return err
	}

	v := overviewPage(state, events, p.Now())
	var err error
	v.Note, err = p.factorDue(w, r)
	if err != nil {
		return err
	}

	return p.show(w, r, http.StatusOK, "admin/overview", v)
}

// overviewPage returns the page of the state and the events of the last day.
func overviewPage(s serverState, events []jeton.Event, now time.Time) overviewView {
	n := s.Node
	v := overviewView{
		State:   s,
		Partial: len(events) == maxChartEvents,
		SignIns: newChart(now, events, func(e jeton.Event) bool {
			return e.Action == audit.Login && e.Outcome == audit.OK
		}),
		Refusals: newChart(now, events, func(e jeton.Event) bool { return e.Outcome != audit.OK }),
		Database: Tag{Kind: Good, Text: text("admin.overview.up")},
		Bound:    boundText(n.Database.Bound),
		Cache: load{
			Text:  text("admin.overview.cache.used", n.Cache.Sessions, n.Cache.Limit),
			Value: n.Cache.Sessions,
			Max:   max(1, n.Cache.Limit),
		},
		Hasher: load{
			Text:  text("admin.overview.hasher.used", n.Hasher.Waiting, n.Hasher.Limit, n.Hasher.Workers),
			Value: n.Hasher.Waiting,
			Max:   max(1, n.Hasher.Limit),
		},
	}
	v.SignIns.Text = text("admin.overview.signed-in", v.SignIns.Total)
	v.Refusals.Text = text("admin.overview.refused", v.Refusals.Total)

	if !n.Database.Up {
		v.Database = Tag{Kind: Bad, Text: text("admin.overview.down")}
	}
	if n.AuditLost > 0 {
		v.AuditLost = text("admin.overview.audit-lost", n.AuditLost)
	}
	if n.Database.Most > 0 {
		v.Pool = &load{
			Text:  text("admin.overview.pool.used", n.Database.InUse, n.Database.Most),
			Value: n.Database.InUse,
			Max:   n.Database.Most,
		}
	}

	v.Nodes = nodeRows(n.Database)

	return v
}

// nodeRows returns the processes that share a database.
func nodeRows(d databaseState) []nodeRow {
	var list []nodeRow
	for _, n := range d.Nodes {
		row := nodeRow{ID: n.ID, Bound: boundText(n.Bound)}
		if d.Kind == "sqlite" {
			row.ID = ""
		}
		if n.Current {
			row.Tags = []Tag{{Kind: Good, Text: text("admin.overview.this-node")}}
		}
		list = append(list, row)
	}

	return list
}

// boundText returns how soon a revocation holds, in words.
func boundText(milliseconds int64) Text {
	if milliseconds == 0 {
		return text("admin.overview.at-once")
	}

	return text("admin.overview.within", milliseconds)
}
