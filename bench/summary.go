package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
)

// headline is a measurement that the summary shows, beside the least code that does the same.
type headline struct {
	what   string // of jeton
	beside string // what it is compared with
	ours   []sample
	base   []sample
}

// headline adds a measurement to the summary.
func (r *report) headline(what, beside string, ours, base []sample) {
	r.headlines = append(r.headlines, headline{what, beside, ours, base})
}

// ofCore returns how many requests one processor could answer in a second, by the processor time that each took. It
// moves less than a rate with other work on the machine.
func ofCore(list []sample) float64 {
	us := pick(list, func(s sample) float64 { return s.cpu })
	if us == 0 {
		return 0
	}
	return 1e6 / us
}

// byCPU returns the median over the rounds of the base's processor time divided by that of the same round.
func (h headline) byCPU() float64 {
	var values []float64
	for i := range h.ours {
		if h.ours[i].cpu > 0 {
			values = append(values, h.base[i].cpu/h.ours[i].cpu)
		}
	}

	return median(values)
}

// printSummary writes the headlines as a table.
func (r *report) printSummary(w io.Writer) {
	fmt.Fprintf(w, "%s Other work on the machine: %s cores.\n\n", r.machine, figure(r.otherWork()))
	fmt.Fprintln(w,
		"| | a second, on one core | CPU us each | beside | that, on one core | ratio by CPU | ratio by rate |")
	fmt.Fprintln(w, "| --- | --- | --- | --- | --- | --- | --- |")
	for _, h := range r.headlines {
		fmt.Fprintf(w, "| %s | %s | %s | %s | %s | %.2f | %.2f |\n", h.what, figure(ofCore(h.ours)),
			some(middle(h.ours).cpu), h.beside, figure(ofCore(h.base)), h.byCPU(), ratios(h.ours, h.base))
	}
}

// otherWork returns how many processors were busy with something else, by the median of all headlines.
func (r *report) otherWork() float64 {
	var values []float64
	for _, h := range r.headlines {
		for _, s := range append(h.ours, h.base...) {
			values = append(values, s.others)
		}
	}

	return median(values)
}

// The measures of the chart, in pixels.
const (
	chartWidth = 760
	chartLabel = 190 // width of the labels
	chartBar   = 14  // height of a bar
	chartRow   = 44  // height of a headline: two bars and room
	chartRest  = 110 // right of the longest bar, for its figure
)

// chart returns the headlines as a picture: two bars each, jeton's and that of the least code. It has no script and no
// font of its own, and its colours are readable on white and on black.
func (r *report) chart() []byte {
	most := 1.0
	for _, h := range r.headlines {
		most = max(most, ofCore(h.ours), ofCore(h.base))
	}

	height := chartRow*len(r.headlines) + 10
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img"`,
		chartWidth, height, chartWidth, height)
	fmt.Fprint(&b, " aria-label=\"Requests a second on one core\" font-family=\"sans-serif\" font-size=\"12\">\n")

	for i, h := range r.headlines {
		y := chartRow*i + 8
		fmt.Fprintf(&b, "<text x=\"%d\" y=\"%d\" text-anchor=\"end\" fill=\"#808080\">%s</text>\n",
			chartLabel-8, y+chartBar+4, escaped(h.what))
		bar(&b, y, ofCore(h.ours)/most, "#2f7ed8", figure(ofCore(h.ours)))
		bar(&b, y+chartBar+2, ofCore(h.base)/most, "#9a9a9a", figure(ofCore(h.base))+" "+h.beside)
	}
	b.WriteString("</svg>\n")

	return b.Bytes()
}

// bar writes a bar of a share of the width, and its figure after or, if that has no room, within it.
func bar(w io.Writer, y int, share float64, colour, text string) {
	length := int(share * (chartWidth - chartLabel - chartRest))
	x, anchor, ink := chartLabel+length+6, "start", "#808080"
	if x+7*len(text) > chartWidth {
		x, anchor, ink = chartLabel+length-6, "end", "#000000"
	}

	fmt.Fprintf(w, "<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" fill=\"%s\"/>\n",
		chartLabel, y, length, chartBar, colour)
	fmt.Fprintf(w, "<text x=\"%d\" y=\"%d\" text-anchor=\"%s\" fill=\"%s\">%s</text>\n",
		x, y+chartBar-3, anchor, ink, escaped(text))
}

// escaped returns a text for XML.
func escaped(text string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(text)
}

// The lines of a page between which the summary is.
const (
	summaryBegin = "<!-- summary: begin -->\n"
	summaryEnd   = "<!-- summary: end -->\n"
)

// saveSummary writes the summary into a page, and the chart beside it, under the same name with .svg.
func (r *report) saveSummary(path string) error {
	page, err := os.ReadFile(path)
	if err != nil {
		return err
	}

	before, rest, ok := bytes.Cut(page, []byte(summaryBegin))
	_, after, ok2 := bytes.Cut(rest, []byte(summaryEnd))
	if !ok || !ok2 {
		return fmt.Errorf("%s does not hold the lines %q and %q", path, summaryBegin, summaryEnd)
	}

	var b bytes.Buffer
	b.Write(before)
	b.WriteString(summaryBegin)
	r.printSummary(&b)
	b.WriteString(summaryEnd)
	b.Write(after)
	if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
		return err
	}

	return os.WriteFile(strings.TrimSuffix(path, ".md")+".svg", r.chart(), 0o644)
}
