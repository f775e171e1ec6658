package limit

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
)

// exhausted returns a limiter whose budgets strangers have used up: of the account, of its source, and of both.
func exhausted(t *testing.T) *Limiter {
	t.Helper()
	l := open(t, cfg)
	allowed(t, l, 10, noon, "ada", home, false)
	for i := range 100 {
		_, _ = l.Begin(noon, "ada", address(i), false)
		_, _ = l.Begin(noon, fmt.Sprint("user", i), home, false)
	}

	return l
}

// allowedIn is allowed for attempts in a browser.
func allowedIn(t *testing.T, l *Limiter, n int, now time.Time, account, browser string) int {
	t.Helper()
	passed := 0
	for range n {
		if _, err := l.BeginInBrowser(now, account, home, browser); err == nil {
			passed++
		} else if _, ok := jeton.RetryAfter(err); !errors.Is(err, jeton.ErrTooMany) || !ok {
			t.Fatalf("BeginInBrowser = %v, want ErrTooMany with a time to wait", err)
		}
	}

	return passed
}

func TestStrangersDoNotThrottleAKnownBrowser(t *testing.T) {
	l := exhausted(t)
	for _, step := range []struct {
		name             string
		account, browser string
		after            time.Duration
		want             int // of 10 attempts that fail
	}{
		{"the browser", "ada", "laptop", 0, 3},
		{"the browser again", "ADA ", "laptop", 0, 0},
		{"another browser", "ada", "phone", 0, 3},
		{"the browser for another account", "user0", "laptop", 0, 3},
		// One of the account from the source, and one of the browser.
		{"the browser a minute later", "ada", "laptop", time.Minute, 2},
	} {
		if got := allowedIn(t, l, 10, noon.Add(step.after), step.account, step.browser); got != step.want {
			t.Errorf("%s: %d attempts allowed, want %d", step.name, got, step.want)
		}
	}

	if got := allowed(t, l, 10, noon, "ada", home, true); got != 0 {
		t.Errorf("%d attempts allowed without the browser, want 0", got)
	}
}

func TestASuccessInAKnownBrowserGivesStrangersNoAttempts(t *testing.T) {
	l := exhausted(t)
	allowedIn(t, l, 2, noon, "ada", "laptop")
	a, err := l.BeginInBrowser(noon, "ada", home, "laptop")
	if err != nil {
		t.Fatal(err)
	}
	a.Succeeded()

	if got := allowed(t, l, 10, noon, "ada", home, false); got != 0 {
		t.Errorf("%d attempts of strangers allowed, want 0", got)
	}
	if got := allowedIn(t, l, 10, noon, "ada", "laptop"); got != 3 {
		t.Errorf("%d attempts in the browser allowed, want 3", got)
	}
}

// TestAKnownBrowserIsNotRevealed checks that wrong passwords have the outcome that they have elsewhere.
func TestAKnownBrowserIsNotRevealed(t *testing.T) {
	l := exhausted(t)
	_, elsewhere := l.Begin(noon, "ada", home, false)
	want, _ := jeton.RetryAfter(elsewhere)

	for i := range 5 {
		a, err := l.BeginInBrowser(noon, "ada", home, "laptop")
		if err == nil {
			err = a.Refusal()
		}

		got, _ := jeton.RetryAfter(err)
		if !errors.Is(err, jeton.ErrTooMany) || got != want {
			t.Errorf("attempt %d: %v with %v to wait, want ErrTooMany with %v", i, err, got, want)
		}
	}
}
