package config

import (
	"errors"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// unitPattern is a number with a unit that time.ParseDuration knows.
const unitPattern = `[0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h)`

// durationPattern is what a duration looks like, days first. The JSON Schema
// uses it too, so it stays within what Go and ECMAScript both understand.
const durationPattern = `([0-9]+d(` + unitPattern + `)*|(` + unitPattern + `)+)`

var durationShape = regexp.MustCompile(`^` + durationPattern + `$`)

const day = 24 * time.Hour

// parseDuration reads a length of time such as 30s, 1h30m or 1d12h.
func parseDuration(text string) (Duration, error) {
	if !durationShape.MatchString(text) {
		return 0, durationFault(text)
	}

	var days time.Duration
	if count, rest, ok := strings.Cut(text, "d"); ok {
		n, err := strconv.ParseInt(count, 10, 64)
		if err != nil || n > int64(math.MaxInt64/day) {
			return 0, errors.New("is longer than 290 years; a shorter time is right")
		}
		days, text = time.Duration(n)*day, rest
	}

	if text == "" {
		return Duration(days), nil
	}

	rest, err := time.ParseDuration(text)
	if err != nil || days > math.MaxInt64-rest {
		return 0, errors.New("is longer than 290 years; a shorter time is right")
	}

	return Duration(days + rest), nil
}

// durationFault says why text is no duration, as near to what was meant as it can.
func durationFault(text string) error {
	if strings.HasPrefix(text, "-") {
		return errors.New("is negative; a duration is 0s or longer")
	}
	if _, err := strconv.ParseFloat(text, 64); err == nil {
		return errors.New(quote(text) + " has no unit; did you mean \"" + clip(text) + "s\"? (ms, s, m, h or d)")
	}

	return errors.New(quote(text) + " is no duration; write it as in 30s, 1h30m or 7d")
}
