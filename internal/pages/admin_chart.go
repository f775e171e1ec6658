package pages

import (
	"time"

	"github.com/jeton-auth/jeton"
)

// The events that charts show.
const (
	chartHours     = 24
	maxChartEvents = 1000
)

// The size of a chart in its own units, in which a bar and the gap after it are 10 wide.
const (
	chartHeight = 48
	chartBar    = 10
	chartGap    = 3
)

// chart shows how many events there were in each of the last hours, the last hour on the right.
type chart struct {
	Text  Text // says the same in words
	Total int
	Bars  []chartRect
}

// chartRect is a bar of a chart.
type chartRect struct{ X, Y, Width, Height int }

// newChart counts the events that a function chooses.
func newChart(now time.Time, events []jeton.Event, chosen func(jeton.Event) bool) chart {
	var c chart
	var counts [chartHours]int
	for _, e := range events {
		ago := int(now.Sub(e.Time) / time.Hour)
		if ago < 0 || ago >= chartHours || !chosen(e) {
			continue
		}
		counts[chartHours-1-ago]++
		c.Total++
	}

	most := 1
	for _, n := range counts {
		most = max(most, n)
	}

	for i, n := range counts {
		// An hour without events has a line, so that the chart has a ground; one with some is seen beside the most.
		height := 1
		if n > 0 {
			height = max(4, n*chartHeight/most)
		}
		c.Bars = append(c.Bars, chartRect{
			X:      i * chartBar,
			Y:      chartHeight - height,
			Width:  chartBar - chartGap,
			Height: height,
		})
	}

	return c
}
