package measure

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// Numbers are the counts of a tree, without its tests unless the name says otherwise.
type Numbers struct {
	Lines      int
	TestLines  int
	Wide       int
	Crowded    int
	Parallel   int
	Inits      int
	Comments   int // lines that are a comment, anywhere
	Body       int // lines inside functions
	Blank      int // of Body
	InComments int // of Body
	Statements int // of the product: no tests, no helpers, no benchmarks

	lengths []int // of functions
}

// Sum adds up the counts of files.
func Sum(files []*File) Numbers {
	var n Numbers

	for _, f := range files {
		if f.Kind == Test {
			n.TestLines += len(f.Lines)
			continue
		}

		n.add(f)
	}

	slices.Sort(n.lengths)

	return n
}

func (n *Numbers) add(f *File) {
	n.Lines += len(f.Lines)
	n.Wide += len(f.Wide())
	n.Crowded += len(f.Crowded())
	n.Parallel += len(f.Parallel())
	n.Inits += len(f.Inits())
	n.Comments += len(f.matching(func(line string) bool {
		return strings.HasPrefix(strings.TrimSpace(line), "//")
	}))

	for _, fn := range f.Functions() {
		n.Body += fn.Lines
		n.Blank += fn.Blank
		n.InComments += fn.Comments
		n.lengths = append(n.lengths, fn.Lines)
	}

	if f.Kind == Product {
		n.Statements += f.Statements()
	}
}

// Length returns the length of a function that a share of all functions does not exceed.
func (n Numbers) Length(share float64) int {
	if len(n.lengths) == 0 {
		return 0
	}
	return n.lengths[min(int(share*float64(len(n.lengths))), len(n.lengths)-1)]
}

// Column is a tree and its counts.
type Column struct {
	Name string
	Numbers
}

// rows are the lines of the table.
var rows = []struct {
	title string
	cell  func(n Numbers) string
}{
	{"lines", func(n Numbers) string { return fmt.Sprintf("%.1fk", float64(n.Lines)/1000) }},
	{"tests / code", func(n Numbers) string { return fmt.Sprintf("%.2f", ratio(n.TestLines, n.Lines)) }},
	{"function p90 / p99 / longest", func(n Numbers) string {
		return fmt.Sprintf("%d / %d / %d", n.Length(0.9), n.Length(0.99), n.Length(1))
	}},
	{"blank lines inside functions", func(n Numbers) string { return percent(n.Blank, n.Body) }},
	{"comment lines inside functions", func(n Numbers) string { return percent(n.InComments, n.Body) }},
	{"lines over 120 columns", func(n Numbers) string { return percent(n.Wide, n.Lines) }},
	{"lines with 5 or more `Key: value,`", func(n Numbers) string { return fmt.Sprint(n.Crowded) }},
	{"3-way and wider assignments, per 10k in-function lines", func(n Numbers) string {
		return tenThousandth(n.Parallel, n.Body)
	}},
	{"`if`/`switch` with an unusual init statement, per 10k", func(n Numbers) string {
		return tenThousandth(n.Inits, n.Body)
	}},
	{"all comment lines", func(n Numbers) string { return percent(n.Comments, n.Lines) }},
	{"product statements", func(n Numbers) string { return fmt.Sprint(n.Statements) }},
}

// Print writes the table of the columns in Markdown.
func Print(w io.Writer, columns []Column) error {
	var b strings.Builder

	b.WriteString("| |")
	for _, c := range columns {
		fmt.Fprintf(&b, " %s |", c.Name)
	}
	b.WriteString("\n|---|" + strings.Repeat("---|", len(columns)) + "\n")

	for _, row := range rows {
		fmt.Fprintf(&b, "| %s |", row.title)
		for _, c := range columns {
			fmt.Fprintf(&b, " %s |", row.cell(c.Numbers))
		}
		b.WriteString("\n")
	}

	_, err := io.WriteString(w, b.String())

	return err
}

func ratio(part, whole int) float64 { return float64(part) / float64(max(whole, 1)) }

func percent(part, whole int) string { return fmt.Sprintf("%.1f %%", 100*ratio(part, whole)) }

func tenThousandth(part, whole int) string { return fmt.Sprintf("%.0f", 10_000*ratio(part, whole)) }
