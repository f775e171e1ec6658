package yamlread

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Fault is one thing that is wrong in a file, and where.
type Fault struct {
	// File is the file, or the environment variable that the value came from.
	File string
	// Line and Column count from 1. They are 0 for the environment.
	Line, Column int
	// Path is the key, as in services[0].routes[2].match, or "" for the whole file.
	Path string
	// Text says what is wrong and what would be right.
	Text string
}

// String returns the fault on one line: FILE:LINE:COLUMN: KEY: TEXT.
func (f Fault) String() string {
	var b strings.Builder
	b.WriteString(f.File)

	if f.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", f.Line, f.Column)
	}
	if f.Path != "" {
		b.WriteString(": " + f.Path)
	}

	return b.String() + ": " + f.Text
}

// Faults is everything that is wrong in a file, in the order of the file.
type Faults []Fault

// Error returns one line for each fault.
func (fs Faults) Error() string {
	lines := make([]string, len(fs))
	for i, f := range fs {
		lines[i] = f.String()
	}
	return strings.Join(lines, "\n")
}

// sorted returns the faults by position, each once.
func (fs Faults) sorted() Faults {
	slices.SortStableFunc(fs, func(a, b Fault) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column),
			cmp.Compare(a.Path, b.Path), cmp.Compare(a.Text, b.Text))
	})
	return slices.Compact(fs)
}

// Quote returns a value as a fault shows it: in quotes, on one line, and cut short.
func Quote(s string) string { return strconv.Quote(clip(s)) }

// clip cuts s to about 60 bytes, between characters, so that one wrong value does not fill
// the terminal.
func clip(s string) string {
	const limit = 60
	if len(s) <= limit {
		return s
	}

	return strings.ToValidUTF8(s[:limit], "") + "…"
}
