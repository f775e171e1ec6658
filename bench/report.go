package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
	"strings"
	"time"
)

// report is the result of a run.
type report struct {
	machine   string
	blocks    []resultBlock
	notes     []string
	headlines []headline
}

// resultBlock is the rows of one block, under a heading.
type resultBlock struct {
	title string
	rows  []row
}

// row is one line of the table. It has a sample, or a value of another kind.
type row struct {
	what  string
	value float64 // 0: the sample's rate
	unit  string
	ratio float64 // 0: none
	aim   string
	met   *bool // nil: there is no aim
	sample
}

// met returns the pointer that a row needs.
func met(ok bool) *bool { return &ok }

// block begins a block. Like the rows, it is shown at once: a run takes many minutes.
func (r *report) block(title string) {
	r.blocks = append(r.blocks, resultBlock{title: title})
	fmt.Fprintln(os.Stderr, "  "+title)
}

// add adds a row to the current block.
func (r *report) add(line row) {
	last := &r.blocks[len(r.blocks)-1]
	last.rows = append(last.rows, line)
	fmt.Fprintln(os.Stderr, "    "+line.String())
}

// note adds a sentence below the table, such as why something was not measured.
func (r *report) note(text string) {
	r.notes = append(r.notes, text)
	fmt.Fprintln(os.Stderr, "  "+text)
}

// describe notes the machine and the minute.
func (r *report) describe(dir string) error {
	sync, err := syncTime(dir)
	if err != nil {
		return err
	}

	r.machine = fmt.Sprintf("%s. %d cores (%s), Linux %s, %s %s/%s, fdatasync of 8 KiB %d us.",
		time.Now().UTC().Format("2006-01-02 15:04 MST"),
		runtime.NumCPU(), processor(), kernel(), runtime.Version(), runtime.GOOS, runtime.GOARCH, sync.Microseconds())

	return nil
}

// processor names the processor. On ARM the kernel does not name it in /proc/cpuinfo.
func processor() string {
	b, _ := os.ReadFile("/proc/cpuinfo")
	_, rest, ok := strings.Cut(string(b), "model name")
	if ok {
		line, _, _ := strings.Cut(rest, "\n")
		return strings.TrimSpace(strings.TrimLeft(line, "\t :"))
	}

	return runtime.GOARCH
}

// String prints the line as a row of a markdown table.
func (r row) String() string {
	value, verdict := r.value, ""
	if value == 0 {
		value = r.rate
	}
	if r.met != nil {
		verdict = map[bool]string{true: "yes", false: "**no**"}[*r.met]
	}

	ratio, others := "", ""
	if r.ratio != 0 {
		ratio = fmt.Sprintf("%.2f", r.ratio)
	}
	if r.rate != 0 {
		others = fmt.Sprintf("%.2f", r.others)
	}

	return "| " + strings.Join([]string{
		r.what,
		figure(value) + " " + r.unit,
		ratio,
		r.aim,
		verdict,
		some(r.cpu),
		some(r.p50),
		some(r.p99),
		others,
	}, " | ") + " |"
}

// some prints a figure, if it was measured.
func some(v float64) string {
	if v == 0 {
		return ""
	}
	return figure(v)
}

// figure prints three digits, and all that are before the point.
func figure(v float64) string {
	switch {
	case v >= 1000:
		return grouped(int(v + .5))
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	}

	return fmt.Sprintf("%.2f", v)
}

// grouped prints a number with commas between its thousands.
func grouped(n int) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// print writes the report as Markdown, with the aims that were missed at the end.
func (r *report) print(w io.Writer) {
	fmt.Fprintf(w, "%s\n\n", r.machine)
	fmt.Fprintln(w, "| measured | median | ratio | aim | met | CPU us/req | p50 ms | p99 ms | other work, cores |")
	fmt.Fprintln(w, "| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
	var missed []string
	for _, b := range r.blocks {
		fmt.Fprintf(w, "| **%s** | | | | | | | | |\n", b.title)

		for _, line := range b.rows {
			fmt.Fprintln(w, line)
			if line.met != nil && !*line.met {
				missed = append(missed, fmt.Sprintf("%s; %s: aim %s", b.title, line.what, line.aim))
			}
		}
	}

	fmt.Fprintln(w)

	for _, n := range r.notes {
		fmt.Fprintln(w, n)
	}

	if len(missed) == 0 {
		fmt.Fprintln(w, "Every aim was met.")
		return
	}

	fmt.Fprintln(w, "Missed:")
	fmt.Fprintln(w)

	for _, m := range missed {
		fmt.Fprintln(w, "- "+m)
	}
}

// marks returns the lines between which a file holds the last run of these blocks. A page
// holds several; the text around them stays.
func marks(only []string) (begin, end string) {
	run := "go -C bench run ."
	if len(only) > 0 {
		run += " -only " + strings.Join(only, ",")
	}
	return "<!-- " + run + " -o writes from here -->\n", "<!-- to here -->\n"
}

// around returns what a report file holds before and after the last run of these blocks.
func around(path string, only []string) (before, after []byte, err error) {
	old, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return []byte("# Performance\n\n"), nil, nil
	}
	if err != nil {
		return nil, nil, err
	}

	begin, end := marks(only)
	before, rest, ok := bytes.Cut(old, []byte(begin))
	_, after, ok2 := bytes.Cut(rest, []byte(end))
	if !ok || !ok2 {
		return nil, nil, fmt.Errorf(
			"%s does not hold the lines %q and %q",
			path, strings.TrimSpace(begin), strings.TrimSpace(end),
		)
	}

	return before, after, nil
}

// save writes the report into a file, in place of the last run of the same blocks.
func (r *report) save(path string, only []string) error {
	before, after, err := around(path, only)
	if err != nil {
		return err
	}

	begin, end := marks(only)
	var b bytes.Buffer
	b.Write(before)
	b.WriteString(begin)
	r.print(&b)

	b.WriteString(end)
	b.Write(after)

	return os.WriteFile(path, b.Bytes(), 0o644)
}
