package yamlread

import (
	"errors"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Duration is a length of time: what time.ParseDuration reads, and d for days.
type Duration time.Duration

// Std returns d as a time.Duration.
func (d Duration) Std() time.Duration { return time.Duration(d) }

// String returns d as time.Duration writes it, without units that are zero.
func (d Duration) String() string {
	text := d.Std().String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}

	return text
}

// unitPattern is a number with a unit that time.ParseDuration knows.
const unitPattern = `[0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h)`

// durationPattern is what a duration looks like, days first. The JSON Schema uses
// it too, so it has only what Go and ECMAScript both understand.
const durationPattern = `([0-9]+d(` + unitPattern + `)*|(` + unitPattern + `)+)`

var durationShape = regexp.MustCompile(`^` + durationPattern + `$`)

// day is always 24 hours: lifetimes do not depend on daylight saving time.
const day = 24 * time.Hour

// ParseDuration reads a length of time such as 30s, 1h30m or 1d12h.
func ParseDuration(text string) (Duration, error) {
	if !durationShape.MatchString(text) {
		return 0, durationFault(text)
	}

	tooLong := errors.New(invalid("duration", text, "less than 290 years"))
	// time.ParseDuration, which reads the rest, knows no days.
	count, rest, hasDays := strings.Cut(text, "d")
	if !hasDays {
		count, rest = "0", text
	}

	n, err := strconv.ParseInt(count, 10, 64)
	if err != nil || n > int64(math.MaxInt64/day) {
		return 0, tooLong
	}

	days := time.Duration(n) * day
	if rest == "" {
		return Duration(days), nil
	}

	hours, err := time.ParseDuration(rest)
	if err != nil || days > math.MaxInt64-hours {
		return 0, tooLong
	}

	return Duration(days + hours), nil
}

// durationFault says why text is not a duration, as near to what was meant as it can.
func durationFault(text string) error {
	if strings.HasPrefix(text, "-") {
		return errors.New(invalid("duration", text, "0s or longer"))
	}
	if _, err := strconv.ParseFloat(text, 64); err == nil {
		return errors.New(invalid("duration", text, "a unit (ms, s, m, h or d); did you mean "+Quote(text+"s")+"?"))
	}

	return errors.New(invalid("duration", text, "a form such as 30s, 1h30m or 7d"))
}
