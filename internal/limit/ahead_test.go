package limit_test

import (
	"errors"
	"log/slog"
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/limit"
	"github.com/jeton-auth/jeton/internal/store/sqlite"
)

var noon = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

// TestFailuresOfALongerTimeThanThereCanBeAreShortened looks at an account once a second, as a flood of strangers does.
func TestFailuresOfALongerTimeThanThereCanBeAreShortened(t *testing.T) {
	for _, tc := range []struct {
		name   string
		at     time.Time     // of ten failures
		before time.Duration // one was forgiven after it
	}{
		{"of a node whose clock was ten years ahead", noon.AddDate(10, 0, 0), time.Minute},
		{"of a limit that was lowered since", noon, time.Hour},
		{"of the same limit", noon, time.Minute},
	} {
		t.Run(tc.name, func(t *testing.T) {
			db, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(t.TempDir(), "jeton.db")})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = db.Close() })

			now := tc.at
			failures := func(rate limit.Rate) *limit.Failures {
				f, err := limit.NewFailures(limit.FailuresConfig{
					Store:   db,
					Now:     func() time.Time { return now },
					Account: rate,
					Log:     slog.New(slog.DiscardHandler),
				})
				if err != nil {
					t.Fatal(err)
				}

				return f
			}

			for range 10 {
				if err := failures(limit.Rate{Burst: 10, Every: tc.before}).Add(t.Context(), "diane"); err != nil {
					t.Fatal(err)
				}
			}

			rate := limit.Rate{Burst: 10, Every: time.Minute}
			checkForgiven(t, failures(rate), rate, time.Minute, func(at time.Time) { now = at })
		})
	}
}

// checkForgiven checks that the next attempt is allowed after a time, and not before. set sets the clock.
func checkForgiven(t *testing.T, f *limit.Failures, rate limit.Rate, after time.Duration, set func(time.Time)) {
	t.Helper()
	l, err := limit.New(limit.Config{Pair: rate, Account: rate, Source: rate})
	if err != nil {
		t.Fatal(err)
	}

	for waited := time.Duration(0); waited <= 2*after; waited += time.Second {
		now := noon.Add(waited)
		set(now)
		if err := f.Apply(t.Context(), l, "diane"); err != nil {
			t.Fatal(err)
		}

		_, err := l.Begin(now, "diane", netip.MustParseAddr("192.0.2.7"), false)
		if err == nil {
			if waited < after {
				t.Errorf("an attempt is allowed after %v, want after %v", waited, after)
			}
			return
		}
		if !errors.Is(err, jeton.ErrTooMany) {
			t.Fatal(err)
		}
	}

	t.Errorf("no attempt is allowed in %v, want one after %v", 2*after, after)
}
