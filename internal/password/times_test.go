package password

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
)

func TestALoginThatTakesLongIsLoggedOnceAMinute(t *testing.T) {
	const second, minute = time.Second, time.Minute

	now := time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)
	var log bytes.Buffer
	p, err := New(Config{Log: slog.New(slog.NewTextHandler(&log, nil)), Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}

	for _, tc := range []struct {
		name   string
		after  time.Duration
		waited time.Duration
		worked time.Duration
		want   []string // in the log; nil: nothing
	}{
		{"a fast one", 0, second, second, nil},
		{
			"slow for other programs", 0, second, 4 * second,
			[]string{"waited_ms=1000 hashing_ms=4000 count=1", "move them"},
		},
		{"another one within the minute", minute - 1, 9 * second, second, nil},
		{"slow for many logins", 1, 9 * second, second, []string{"count=2", "raise hashing.workers"}},
	} {
		log.Reset()
		now = now.Add(tc.after)
		p.note(tc.waited, tc.worked)
		if tc.want == nil && log.Len() > 0 {
			t.Errorf("%s: logged %s, want nothing", tc.name, log.String())
		}
		for _, want := range tc.want {
			if !strings.Contains(log.String(), want) {
				t.Errorf("%s: logged %q, want %q in it", tc.name, log.String(), want)
			}
		}
	}

	if got, want := p.Times(), (Times{4, 20 * second, 7 * second}); got != want {
		t.Errorf("Times = %+v, want %+v", got, want)
	}
}

// TestTheTimeOfAPasswordBeginsWhenItWaits lets the clock move on by a second whenever it is read.
func TestTheTimeOfAPasswordBeginsWhenItWaits(t *testing.T) {
	now := time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)
	p := running(t, Config{Workers: 1, Params: cheap, Now: func() time.Time {
		now = now.Add(time.Second)
		return now
	}})

	if _, _, err := p.Verify(t.Context(), "", jeton.NewSecret("12345678")); err != nil {
		t.Fatal(err)
	}
	if got, want := p.Times(), (Times{1, time.Second, time.Second}); got != want {
		t.Errorf("Times = %+v, want %+v: waiting ends when a worker begins", got, want)
	}
}
