package pages

import (
	"html/template"
	"time"
)

// timeTag is the layout of an HTML time that every browser reads.
const timeTag = "2006-01-02T15:04:05Z"

// when returns a time as an element that the script shows in the time zone of the browser. Without it, the time is in
// UTC and says so.
func (l *language) when(at time.Time) template.HTML {
	if at.IsZero() {
		return ""
	}

	at = at.UTC()
	return markup(
		`<time datetime="`, template.HTML(at.Format(timeTag)), `">`,
		template.HTML(template.HTMLEscapeString(l.date(at))), ` UTC</time>`,
	)
}

// date returns a day and a time of day.
func (l *language) date(at time.Time) string {
	month := l.months[at.Month()-1]
	if l.code == "de" {
		return at.Format("2. ") + month + at.Format(" 2006, 15:04")
	}

	return at.Format("2 ") + month + at.Format(" 2006, 15:04")
}

// span returns a length of time in one unit, such as 90 minutes.
func (l *language) span(d time.Duration) (template.HTML, error) { return l.inUnit("span.", d) }

// ago returns how long ago a time is, with the time itself to be shown by the browser.
func (l *language) ago(at, now time.Time) (template.HTML, error) {
	if at.IsZero() {
		return l.translate("ago.never")
	}
	if now.Sub(at) < time.Minute {
		return l.around(at, "ago.now")
	}

	// Seconds would be more exact than a page that is not loaded again.
	words, err := l.inUnit("ago.", now.Sub(at).Truncate(time.Minute))

	return l.element(at, words), err
}

// until returns in how much time something will be.
func (l *language) until(at, now time.Time) (template.HTML, error) {
	if !now.Before(at) {
		return l.around(at, "in.now")
	}

	words, err := l.inUnit("in.", at.Sub(now))

	return l.element(at, words), err
}

// around returns a message as an element of a time.
func (l *language) around(at time.Time, key string) (template.HTML, error) {
	words, err := l.translate(key)
	return l.element(at, words), err
}

// element returns words as an element of a time: the script adds the time itself as a title.
func (l *language) element(at time.Time, words template.HTML) template.HTML {
	at = at.UTC()
	return markup(
		`<time data-words="" datetime="`, template.HTML(at.Format(timeTag)), `" title="`,
		template.HTML(template.HTMLEscapeString(l.date(at))), ` UTC">`, words, `</time>`,
	)
}

// inUnit returns a length of time as a message: in the first unit of which it has at least two, or one and no rest.
func (l *language) inUnit(prefix string, d time.Duration) (template.HTML, error) {
	const day = 24 * time.Hour
	has := func(unit time.Duration) bool { return d >= 2*unit || d == unit }

	switch {
	case has(day):
		return l.translate(prefix+"days", int64(d/day))
	case has(time.Hour):
		return l.translate(prefix+"hours", int64(d/time.Hour))
	case has(time.Minute):
		return l.translate(prefix+"minutes", int64(d/time.Minute))
	}

	// Rounded up: a wait of half a second is not over after 0 seconds.
	return l.translate(prefix+"seconds", int64((max(d, 0)+time.Second-1)/time.Second))
}
