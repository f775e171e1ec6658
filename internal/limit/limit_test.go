package limit

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/policy"
)

var (
	noon  = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	home  = netip.MustParseAddr("192.0.2.1")
	cfg   = Config{Pair: Rate{3, time.Minute}, Account: Rate{5, time.Minute}, Source: Rate{20, time.Second}}
	ample = Rate{1 << 20, time.Second}
)

func open(t *testing.T, cfg Config) *Limiter {
	t.Helper()
	l, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}

	return l
}

// allowed returns how many of n failing attempts at one time are allowed.
func allowed(t *testing.T, l *Limiter, n int, now time.Time, account string, from netip.Addr, known bool) int {
	t.Helper()
	passed := 0
	for range n {
		if _, err := l.Begin(now, account, from, known); err == nil {
			passed++
		} else if _, ok := jeton.RetryAfter(err); !errors.Is(err, jeton.ErrTooMany) || !ok {
			t.Fatalf("Begin = %v, want ErrTooMany with a time to wait", err)
		}
	}

	return passed
}

// address returns a different address for each n.
func address(n int) netip.Addr {
	return netip.AddrFrom4([4]byte{198, byte(18 + n>>16), byte(n >> 8), byte(n)})
}

func TestEachBudgetAlone(t *testing.T) {
	for _, tc := range []struct {
		name  string
		begin func(l *Limiter, i int) error
		want  int
	}{
		{"one account from one source", func(l *Limiter, i int) error {
			_, err := l.Begin(noon, "ada", home, true)
			return err
		}, 3},
		{"one account from many sources", func(l *Limiter, i int) error {
			_, err := l.Begin(noon, "ada", address(i), false)
			return err
		}, 5},
		{"one account from many sources that are known", func(l *Limiter, i int) error {
			_, err := l.Begin(noon, "ada", address(i), true)
			return err
		}, 100},
		{"many accounts from one source", func(l *Limiter, i int) error {
			_, err := l.Begin(noon, fmt.Sprint("user", i), home, false)
			return err
		}, 20},
		{"many accounts from many sources", func(l *Limiter, i int) error {
			_, err := l.Begin(noon, fmt.Sprint("user", i), address(i), false)
			return err
		}, 100},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l, passed := open(t, cfg), 0
			for i := range 100 {
				if tc.begin(l, i) == nil {
					passed++
				}
			}

			if passed != tc.want {
				t.Errorf("%d of 100 attempts allowed, want %d", passed, tc.want)
			}
		})
	}
}

func TestRefill(t *testing.T) {
	for _, tc := range []struct {
		name  string
		after time.Duration
		want  int // attempts allowed, after all three were used at noon
	}{
		{"at once", 0, 0},
		{"a nanosecond early", time.Minute - 1, 0},
		{"after a minute", time.Minute, 1},
		{"a nanosecond before the second", 2*time.Minute - 1, 1},
		{"after two minutes", 2 * time.Minute, 2},
		{"after three minutes", 3 * time.Minute, 3},
		{"after a day, no more than the burst", 24 * time.Hour, 3},
		{"the clock was set back by an hour", -time.Hour, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l := open(t, cfg)
			allowed(t, l, 3, noon, "ada", home, true)
			got := allowed(t, l, 10, noon.Add(tc.after), "ada", home, true)
			if got != tc.want {
				t.Errorf("%d attempts allowed, want %d", got, tc.want)
			}
		})
	}
}

func TestARefusalTakesNothingAndSaysHowLongToWait(t *testing.T) {
	l := open(t, cfg)
	allowed(t, l, 3, noon, "ada", home, false)

	for _, tc := range []struct {
		after, want time.Duration
	}{{0, time.Minute}, {time.Second, 59 * time.Second}, {time.Minute - 1, 1}} {
		for range 50 {
			_, err := l.Begin(noon.Add(tc.after), "ada", home, false)
			if got, _ := jeton.RetryAfter(err); got != tc.want {
				t.Fatalf("wait after %v = %v, want %v", tc.after, got, tc.want)
			}
		}
	}

	// 150 attempts were refused; only the first 3 took from the budgets.
	if got := allowed(t, l, 50, noon, "ada", address(1), false); got != 2 {
		t.Errorf("%d more attempts allowed for the account, want 2", got)
	}
	if got := allowed(t, l, 50, noon, "grace", home, true); got != 3 {
		t.Errorf("%d attempts allowed for another account from the source, want 3", got)
	}
}

func TestTheLongestWaitIsReturned(t *testing.T) {
	c := cfg
	c.Source = Rate{1, time.Hour}
	l := open(t, c)
	allowed(t, l, 1, noon, "ada", home, false)
	_, err := l.Begin(noon, "ada", home, false)
	got, _ := jeton.RetryAfter(err)
	if got != time.Hour {
		t.Errorf("wait = %v, want 1h, that of the source", got)
	}
}

func TestClockSetBack(t *testing.T) {
	for _, tc := range []struct {
		name  string
		times []time.Duration // after noon; three attempts each, from the second on
		want  []int
	}{
		{
			"by an hour: the clock continues from there",
			[]time.Duration{
				0,
				-time.Hour,
				-time.Hour + 59*time.Second,
				-time.Hour + time.Minute,
				-time.Hour + 4*time.Minute,
			},
			[]int{3, 0, 0, 1, 3},
		},
		{
			"again and again",
			[]time.Duration{0, -time.Hour, -2 * time.Hour, -3 * time.Hour, -3*time.Hour + time.Minute},
			[]int{3, 0, 0, 0, 1},
		},
		{
			"by half a second: the clock stands still until then",
			[]time.Duration{0, -500 * time.Millisecond, 0, time.Minute - 1, time.Minute},
			[]int{3, 0, 0, 0, 1},
		},
		{
			"by half a second, often",
			[]time.Duration{
				0,
				-500 * time.Millisecond,
				0,
				-500 * time.Millisecond,
				0,
				-500 * time.Millisecond,
				time.Minute - 1,
			},
			[]int{3, 0, 0, 0, 0, 0, 0},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l := open(t, cfg)
			for i, after := range tc.times {
				got := allowed(t, l, 3, noon.Add(after), "ada", home, true)
				if got != tc.want[i] {
					t.Errorf("step %d, at noon%+v: %d attempts allowed, want %d", i, after, got, tc.want[i])
				}
			}
		})
	}
}

func TestEndOfAnAttempt(t *testing.T) {
	for _, tc := range []struct {
		name              string
		end               func(*Attempt)
		pair, acct, peers int // attempts allowed afterwards by each budget
	}{
		{"it failed", func(*Attempt) {}, 1, 3, 18},
		{"it was cancelled", (*Attempt).Cancel, 2, 4, 19},
		{"it succeeded: only the pair counts, and its failure is forgotten", (*Attempt).Succeeded, 3, 50, 50},
		{"it was cancelled twice", func(a *Attempt) { a.Cancel(); a.Cancel() }, 2, 4, 19},
		{"it was cancelled, then it succeeded", func(a *Attempt) { a.Cancel(); a.Succeeded() }, 2, 4, 19},
	} {
		// Each budget is tested alone; the others are ample.
		budgets := []struct {
			name string
			cfg  Config
			want int
		}{
			{"pair", Config{Pair: cfg.Pair, Account: ample, Source: ample}, tc.pair},
			{"account", Config{Pair: ample, Account: cfg.Account, Source: ample}, tc.acct},
			{"source", Config{Pair: ample, Account: ample, Source: cfg.Source}, tc.peers},
		}

		for _, b := range budgets {
			t.Run(tc.name+", "+b.name, func(t *testing.T) {
				l := open(t, b.cfg)
				allowed(t, l, 1, noon, "ada", home, false)
				a, err := l.Begin(noon, "ada", home, false)
				if err != nil {
					t.Fatal(err)
				}

				tc.end(a)
				got := allowed(t, l, 50, noon, "ada", home, false)
				if got != b.want {
					t.Errorf("%d attempts allowed, want %d", got, b.want)
				}
			})
		}
	}

	var none *Attempt
	none.Cancel()
	none.Succeeded()
}

func TestSuccessesTakeNothing(t *testing.T) {
	l := open(t, cfg)
	for range 1000 {
		a, err := l.Begin(noon, "ada", home, false)
		if err != nil {
			t.Fatal(err)
		}
		a.Succeeded()
	}

	for _, tab := range []*table{l.pair, l.account, l.source} {
		for _, e := range tab.heap {
			if e.full > 0 {
				t.Errorf("a budget is full after %v, want now", time.Duration(e.full))
			}
		}
	}
}

func TestAttackersCannotLockTheUserOut(t *testing.T) {
	l := open(t, cfg)
	tried := 0
	for now := noon; now.Before(noon.Add(time.Hour)); now = now.Add(10 * time.Second) {
		for i := range 50 {
			tried += allowed(t, l, 1, now, "ada", address(i), false)
		}
	}

	if tried < 60 || tried > 65 {
		t.Errorf("attackers had %d guesses in an hour, want about 65", tried)
	}

	later := noon.Add(time.Hour)
	if got := allowed(t, l, 10, later, "ada", address(99), false); got > 1 {
		t.Errorf("%d attempts from a new address allowed, want at most 1", got)
	}
	if got := allowed(t, l, 10, later, "ada", home, true); got != 3 {
		t.Errorf("%d attempts of the user allowed, want 3", got)
	}
}

// TestStrangersAtTheSameSource checks that a user who is known there is not locked out by guesses at other names.
func TestStrangersAtTheSameSource(t *testing.T) {
	for _, tc := range []struct {
		name    string
		inStore bool // the store knows that the user has logged in from the source
		succeed bool // the user has logged in since the process began
		want    int  // attempts of the user that are allowed
	}{
		{"unknown there", false, false, 0},
		{"known by the store", true, false, 3},
		{"known by a success", false, true, 3},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l := open(t, cfg)
			if tc.succeed {
				a, err := l.Begin(noon, "ada", home, false)
				if err != nil {
					t.Fatal(err)
				}
				a.Succeeded()
			}

			for i := range 100 {
				_, _ = l.Begin(noon, fmt.Sprint("user", i), home, false)
			}

			got := allowed(t, l, 10, noon, "Ada", home, tc.inStore)
			if got != tc.want {
				t.Errorf("%d attempts of the user allowed, want %d", got, tc.want)
			}
		})
	}
}

func TestAnUnknownAddressIsNeverKnown(t *testing.T) {
	l := open(t, cfg)
	a, err := l.Begin(noon, "ada", policy.UnknownSource, true)
	if err != nil {
		t.Fatal(err)
	}
	a.Succeeded()

	for i := range 100 {
		_, _ = l.Begin(noon, fmt.Sprint("user", i), policy.UnknownSource, true)
	}

	if got := allowed(t, l, 10, noon, "ada", policy.UnknownSource, true); got != 0 {
		t.Errorf("%d attempts allowed, want 0", got)
	}
	if got := allowed(t, l, 10, noon, "ada", netip.Addr{}, false); got != 3 {
		t.Errorf("%d attempts without an address allowed, want 3", got)
	}
}

func TestCheckTakesNothing(t *testing.T) {
	l := open(t, cfg)
	for range 100 {
		if err := l.Check(noon, "ada", home, false); err != nil {
			t.Fatalf("Check = %v, want nil", err)
		}
	}

	allowed(t, l, 10, noon, "ada", home, false)
	if err := l.Check(noon, "ada", home, false); !errors.Is(err, jeton.ErrTooMany) {
		t.Errorf("Check of a used-up budget = %v, want ErrTooMany", err)
	}
}

// TestAKnownSourceIsNotRevealed checks that attempts which fail have the same outcome at each step, whether the
// account is known at the source or not.
func TestAKnownSourceIsNotRevealed(t *testing.T) {
	outcomes := func(known bool) []string {
		l := open(t, cfg)
		var list []string

		for i := range 60 {
			name, from, isKnown := "ada", home, known
			if i%3 == 1 {
				name, isKnown = fmt.Sprint("user", i), false // uses up the budget of the source
			}
			if i%3 == 2 {
				from, isKnown = address(i), false // uses up the budget of the account
			}

			a, err := l.Begin(noon, name, from, isKnown)
			if err == nil {
				err = a.Refusal() // the password is wrong
			}

			wait, _ := jeton.RetryAfter(err)
			list = append(list, fmt.Sprint(i, jeton.Code(err), wait))
		}

		return list
	}

	known, unknown := outcomes(true), outcomes(false)
	for i := range known {
		if known[i] != unknown[i] {
			t.Errorf("attempt at a known source: %s, at another: %s", known[i], unknown[i])
		}
	}
}

func TestPairsAreBounded(t *testing.T) {
	p := newPairs(100)
	for i := range 10_000 {
		p.add(keyOf(fmt.Sprint(i)))
		if n := len(p.recent) + len(p.older); n > 100 {
			t.Fatalf("%d pairs after %d, want at most 100", n, i)
		}
		if i > 20 && !p.has(keyOf(fmt.Sprint(i-20))) {
			t.Fatalf("pair %d is forgotten after 20 others", i-20)
		}
	}
}

func TestConcurrentAttemptsDoNotExceedTheBurst(t *testing.T) {
	l := open(t, Config{Pair: Rate{7, time.Minute}, Account: ample, Source: ample})
	var passed atomic.Int64
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			for range 20 {
				if _, err := l.Begin(noon, "ada", home, false); err == nil {
					passed.Add(1)
				}
			}
		})
	}

	wg.Wait()
	if passed.Load() != 7 {
		t.Errorf("%d of 1000 attempts allowed, want 7", passed.Load())
	}
}

// TestConcurrentUse gives everything back from many goroutines; then every budget is full.
func TestConcurrentUse(t *testing.T) {
	l := open(t, Config{Pair: ample, Account: ample, Source: ample})
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 500 {
				a, err := l.Begin(noon, fmt.Sprint("user", i%5), address(g%3), i%2 == 0)
				if err != nil {
					t.Errorf("Begin: %v", err)
				}
				a.Cancel()
			}
		})
	}

	wg.Wait()

	for _, tab := range []*table{l.pair, l.account, l.source} {
		checkHeap(t, tab)

		for _, e := range tab.heap {
			if e.full > 0 {
				t.Errorf("a budget is full after %v, want now", time.Duration(e.full))
			}
		}
	}
}

func TestNew(t *testing.T) {
	good := Rate{1, time.Second}
	for _, tc := range []struct {
		name string
		cfg  Config
		want string
	}{
		{"valid", Config{Pair: good, Account: good, Source: good}, ""},
		{"empty", Config{}, "Pair: invalid Burst 0"},
		{"no account budget", Config{Pair: good, Source: good}, "Account: invalid Burst 0"},
		{"no interval", Config{Pair: good, Account: good, Source: Rate{Burst: 1}}, "Source: invalid Every 0s"},
		{"negative interval", Config{Pair: Rate{1, -1}, Account: good, Source: good}, "Pair: invalid Every -1ns"},
		{
			"overflow",
			Config{Pair: Rate{1 << 40, time.Hour}, Account: good, Source: good},
			"longer than 36 years",
		},
		{"negative size", Config{
			Pair:    good,
			Account: good,
			Source:  good,
			MaxKeys: -1,
		}, "invalid MaxKeys -1"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := New(tc.cfg)
			if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
				t.Errorf("New = %v, want %q", err, tc.want)
			}
		})
	}
}
