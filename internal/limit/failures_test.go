package limit

import (
	"testing"
	"time"
)

// TestWhatFailedElsewhereIsTakenFromAnAccount raises a budget of ten by seven, as another node has written it.
func TestWhatFailedElsewhereIsTakenFromAnAccount(t *testing.T) {
	many := Rate{1000, time.Minute}
	cfg := Config{Pair: many, Account: Rate{10, time.Minute}, Source: many}
	l := open(t, cfg)
	l.raise(noon, "ADA", 7*time.Minute)

	for _, tc := range []struct {
		name    string
		after   time.Duration
		account string
		known   bool
		want    int
	}{
		{"of ten, three are left", 0, "ada", false, 3},
		{"none is left", 0, "ada", false, 0},
		{"at a known network they do not count", 0, "ada", true, 20},
		{"another account has all", 0, "ben", false, 10},
		{"two minutes later, two are back", 2 * time.Minute, "ada", false, 2},
	} {
		if got := allowed(t, l, 20, noon.Add(tc.after), tc.account, home, tc.known); got != tc.want {
			t.Errorf("%s: %d attempts allowed, want %d", tc.name, got, tc.want)
		}
	}

	// Less than what failed here gives nothing back.
	l.raise(noon.Add(2*time.Minute), "ada", time.Minute)
	if got := allowed(t, l, 20, noon.Add(2*time.Minute), "ada", home, false); got != 0 {
		t.Errorf("after a smaller one: %d attempts allowed, want 0", got)
	}

	// Of a node whose clock was a day ahead.
	l = open(t, cfg)
	l.raise(noon, "ada", 24*time.Hour)
	if got := allowed(t, l, 20, noon.Add(10*time.Minute), "ada", home, false); got != 10 {
		t.Errorf("ten minutes after one of a day: %d attempts allowed, want 10", got)
	}
}
