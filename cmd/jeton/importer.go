//go:build !walletonly

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"net/http"
	"os"
	"slices"
	"time"

	"github.com/jeton-auth/jeton/internal/account"
	"github.com/jeton-auth/jeton/internal/api"
	"github.com/jeton-auth/jeton/internal/naming"

	"golang.org/x/term"
)

// importer imports the rows of a file and reports the result of each.
type importer struct {
	ctl    *control
	rows   *userFile
	groups []string // of every user, in addition to those of the row
	out    io.Writer
	json   bool // print a line of JSON for each row, instead of text
	quiet  bool // no progress

	request api.Import // the next call
	lines   []int      // of request.Users
	size    int        // approximate size of request.Users, in bytes

	counts map[string]int
	total  int
	shown  time.Time // when progress was last shown
	// seen has the line of each name in a dry run, by a hash of the name to save memory.
	seen map[uint64]int
	seed maphash.Seed
}

// newImporter makes an importer that sends no request until it is run. The seed is random: a
// file cannot be made so that the names of a dry run collide.
func newImporter(f *importFlags, ctl *control, rows *userFile, out io.Writer) *importer {
	return &importer{
		ctl:     ctl,
		rows:    rows,
		groups:  f.groups,
		out:     out,
		json:    f.out.json,
		quiet:   f.out.json || !term.IsTerminal(int(os.Stderr.Fd())),
		request: f.request,
		counts:  map[string]int{},
		shown:   time.Now(),
		seen:    map[uint64]int{},
		seed:    maphash.MakeSeed(),
	}
}

// maxImportBytes bounds one call, whose body may have at most 64 KiB.
const maxImportBytes = 56 << 10

// run imports the rows of the file in their order, as many as fit into one call at a time. A
// crash or an interruption leaves the calls before it imported, and perhaps the current one: a
// second run skips their users.
func (m *importer) run(ctx context.Context) error {
	for {
		row, line, err := m.rows.next()
		if err == nil {
			if err := m.add(ctx, row, line); err != nil {
				return err
			}
			continue
		}

		// The rows before an invalid one are reported first, so that the report has the order of
		// the file; and a file that cannot be read any further is imported up to there.
		if err := m.flush(ctx); err != nil {
			return err
		}

		var invalid fault
		switch {
		case errors.Is(err, io.EOF):
			return m.sum()
		case !errors.As(err, &invalid):
			return err
		}

		m.refuse(line, row.Name, err.Error())
	}
}

// add adds a row to the next call.
func (m *importer) add(ctx context.Context, row api.Moved, line int) error {
	if len(m.groups) > 0 {
		all := slices.Clone(m.groups)
		if row.Groups != nil {
			all = append(all, *row.Groups...)
		}
		row.Groups = &all
	}

	b, err := json.Marshal(row)
	if err != nil {
		return err
	}

	if len(m.request.Users) == api.MaxImport || m.size+len(b)+1 > maxImportBytes {
		if err := m.flush(ctx); err != nil {
			return err
		}
	}

	if len(b) > maxImportBytes {
		m.refuse(line, row.Name, "the row is too long")
		return nil
	}

	m.request.Users = append(m.request.Users, row)
	m.lines = append(m.lines, line)
	m.size += len(b) + 1

	return nil
}

// flush imports the waiting rows and reports their results.
func (m *importer) flush(ctx context.Context) error {
	if len(m.request.Users) == 0 {
		return nil
	}

	var got api.Verdicts
	if err := m.ctl.call(ctx, http.MethodPost, "/api/v1/users/import", m.request, &got); err != nil {
		return fmt.Errorf(
			"lines %d to %d: %w; the %d rows before them are done, run the command again for the rest",
			m.lines[0], m.lines[len(m.lines)-1], err, m.total,
		)
	}

	if len(got.Verdicts) != len(m.lines) {
		return fmt.Errorf("got %d results for %d rows from the server", len(got.Verdicts), len(m.lines))
	}

	for i, v := range got.Verdicts {
		m.report(m.lines[i], v)
	}

	m.request.Users = m.request.Users[:0]
	m.lines = m.lines[:0]
	m.size = 0

	return nil
}

// verdictOf returns the text of a verdict; in a dry run, what would happen.
func (m *importer) verdictOf(v string) string {
	if m.request.DryRun {
		switch v {
		case string(account.Added):
			return "would add"
		case string(account.Changed):
			return "would change"
		}
	}

	return v
}

// rowVerdict is a line of JSON output.
type rowVerdict struct {
	Line int `json:"line"`
	api.Verdict
}

// firstLine returns the first line that would add a name. A dry run adds no users, so the store
// cannot notice that a later line has the same name.
func (m *importer) firstLine(name string, line int) int {
	_, folded, err := naming.User(name)
	if err != nil {
		return line
	}

	n := maphash.String(m.seed, folded)
	if m.seen[n] == 0 {
		m.seen[n] = line
	}

	return m.seen[n]
}

// refuse reports a row that is not sent to the server.
func (m *importer) refuse(line int, name, reason string) {
	m.report(line, api.Verdict{Name: name, Verdict: string(account.Refused), Reason: reason})
}

// report reports the verdict of a row.
func (m *importer) report(line int, v api.Verdict) {
	if m.request.DryRun && v.Verdict == string(account.Added) {
		first := m.firstLine(v.Name, line)
		if first < line {
			v.Verdict = string(account.Exists)
			v.Reason = fmt.Sprintf("line %d has the same name", first)
		}
	}

	m.total++
	m.counts[v.Verdict]++
	v.Verdict = m.verdictOf(v.Verdict)

	if m.json {
		_ = json.NewEncoder(m.out).Encode(rowVerdict{line, v})
		return
	}

	text := v.Verdict
	if v.Reason != "" {
		text += ": " + oneLine(v.Reason)
	}

	fmt.Fprintf(m.out, "line %-6d %-24s %s\n", line, oneLine(v.Name), text)
	m.progress()
}

// progress shows progress on a terminal, once a second.
func (m *importer) progress() {
	if m.quiet || time.Since(m.shown) < time.Second {
		return
	}
	m.shown = time.Now()
	fmt.Fprintf(os.Stderr, "%d rows, %d refused\n", m.total, m.counts[string(account.Refused)])
}

// sum prints the totals, and returns an error if rows were refused.
func (m *importer) sum() error {
	if !m.json {
		for _, v := range []account.Verdict{
			account.Added,
			account.Changed,
			account.Exists,
			account.InFile,
			account.Refused,
		} {
			n := m.counts[string(v)]
			if n > 0 || v == account.Added {
				fmt.Fprintf(m.out, "%s: %d\n", m.verdictOf(string(v)), n)
			}
		}

		fmt.Fprintf(m.out, "rows: %d\n", m.total)
		if !m.request.DryRun {
			fmt.Fprintln(m.out, "imported", m.ctl.where)
		}
	}

	refused := m.counts[string(account.Refused)]
	if refused > 0 {
		return exit{exitFailure, fmt.Sprintf("%d of %d rows were refused", refused, m.total)}
	}

	return nil
}
