package revoke

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// result is the figures of all rounds.
type result struct {
	Nodes        []string `json:"nodes"`
	Rounds       int      `json:"rounds"`
	Connections  int      `json:"connections"` // at each node
	Accepted     int64    `json:"uses_accepted"`
	Late         int64    `json:"uses_accepted_too_late"`
	Unclear      int64    `json:"uses_unclear"` // no answer, or one of 500 and above
	LastAccepted spread   `json:"last_accepted_minus_acknowledged_us"`
	Acknowledged spread   `json:"logout_acknowledged_after_us"`

	worst round
}

// add adds the figures of a round.
func (r *result) add(one round) {
	r.Accepted += one.accepted
	r.Late += one.late
	r.Unclear += one.unclear

	if r.worst.where == "" || one.last > r.worst.last {
		r.worst = one
	}
}

// breach returns an error if the promise was broken.
func (r *result) breach() error {
	if r.worst.last <= 0 {
		return nil
	}
	return fmt.Errorf("a session was ACCEPTED AFTER ITS LOGOUT: %d uses were sent after the logout had been answered "+
		"and were let through, the last %v after it, at %s", r.Late, r.worst.last, r.worst.where)
}

// writeJSON writes the result for programs.
func (r *result) writeJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

// writeTable writes the result for a terminal.
func (r *result) writeTable(w io.Writer) error {
	fmt.Fprintf(w, "%d rounds at %d nodes; %d uses were let through, %d of them too late\n",
		r.Rounds, len(r.Nodes), r.Accepted, r.Late)

	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	for _, row := range [][]string{
		{"", "MIN", "P50", "P99", "MAX"},
		r.LastAccepted.row("last accepted - acknowledged"),
		r.Acknowledged.row("logout acknowledged after"),
	} {
		fmt.Fprintln(t, strings.Join(row, "\t"))
	}

	return t.Flush()
}

// spread is the distribution of a figure over the rounds, in microseconds.
type spread struct {
	Min int64 `json:"min"`
	P50 int64 `json:"p50"`
	P99 int64 `json:"p99"`
	Max int64 `json:"max"`
}

// spreadOf sorts the figures of the rounds. Positive ones are rounded up, so that a breach
// of less than a microsecond stays one.
func spreadOf(figures []time.Duration) spread {
	sorted := slices.Sorted(slices.Values(figures))
	at := func(percent int) int64 {
		d := sorted[(len(sorted)*percent+99)/100-1] // nearest rank
		us := d.Microseconds()
		if d > 0 && time.Duration(us)*time.Microsecond < d {
			us++
		}

		return us
	}

	return spread{
		Min: at(1),
		P50: at(50),
		P99: at(99),
		Max: at(100),
	}
}

func (s spread) row(name string) []string {
	row := []string{name}
	for _, us := range []int64{s.Min, s.P50, s.P99, s.Max} {
		row = append(row, (time.Duration(us) * time.Microsecond).String())
	}

	return row
}
