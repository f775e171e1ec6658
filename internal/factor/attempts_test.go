package factor

import (
	"errors"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
)

var noon = time.Date(2026, time.November, 30, 12, 0, 0, 0, time.UTC)

// TestAThousandGuesses tries a code every second: five are free, then one a minute is judged, up to twenty.
func TestAThousandGuesses(t *testing.T) {
	var a Attempts
	judged := 0

	for second := range 1000 {
		next, err := a.Take(noon.Add(time.Duration(second) * time.Second))
		if err == nil {
			a = next
			judged++
			continue
		}

		wait, ok := jeton.RetryAfter(err)
		if !errors.Is(err, jeton.ErrTooMany) || !ok || wait <= 0 || wait > longPause {
			t.Fatalf("guess after %d s: %v with wait %v, want jeton.ErrTooMany and a time to wait", second, err, wait)
		}
	}

	// Five at once, then one a minute.
	if want := fastFailures + 1000/60; judged != min(want, slowFailures) {
		t.Errorf("%d of 1000 guesses were judged, want %d", judged, min(want, slowFailures))
	}
}

func TestAttemptsInARowAreLimited(t *testing.T) {
	for _, tc := range []struct {
		name  string
		a     Attempts
		after time.Duration
		want  Attempts
		err   error
	}{
		{"the first", Attempts{}, 0, Attempts{1, noon}, nil},
		{"the fifth", Attempts{4, noon}, 0, Attempts{5, noon.Add(slowPause)}, nil},
		{"the sixth at once", Attempts{5, noon.Add(slowPause)}, 0, Attempts{5, noon.Add(slowPause)}, jeton.ErrTooMany},
		{
			"the sixth a minute later", Attempts{5, noon.Add(slowPause)}, slowPause,
			Attempts{6, noon.Add(2 * slowPause)}, nil,
		},
		{"the twentieth", Attempts{19, noon}, 0, Attempts{20, noon.Add(longPause)}, nil},
		{"the hundredth", Attempts{99, noon}, 0, Attempts{100, noon.Add(longPause)}, nil},
		{
			"one more, years later", Attempts{100, noon}, 1e5 * time.Hour,
			Attempts{100, noon}, jeton.ErrTooMany,
		},
		{
			"after the clock was set back a day", Attempts{5, noon.Add(slowPause)}, -24 * time.Hour,
			Attempts{6, noon.Add(slowPause - 24*time.Hour)}, nil,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := tc.a.Take(noon.Add(tc.after))
			if got != tc.want || !errors.Is(err, tc.err) {
				t.Errorf("Take = %v, %v, want %v, %v", got, err, tc.want, tc.err)
			}
		})
	}
}
