package limit

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"

	"golang.org/x/text/secure/precis"
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
		{"it succeeded: the earlier failure is forgotten for the pair only", (*Attempt).Succeeded, 3, 4, 19},
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

func TestSpellings(t *testing.T) {
	spellings := []string{
		"zoë", "Zoë", "ZOË", "zOË", "zoe\u0308", "ZOE\u0308", "Zoe\u0308", " zoë", "zoë ", "\tZoë\n",
		"\u00a0zoë", "\u3000zoë\u3000", "ｚｏë", "ＺＯË", "Ｚｏë", "ｚｏｅ\u0308", "𝐳𝐨ë", "𝗭𝗢Ë", "ⓩⓞë", "ℤoë",
	}

	l := open(t, Config{Pair: ample, Account: Rate{5, time.Minute}, Source: ample})
	passed := 0
	for i := range 1000 {
		passed += allowed(t, l, 1, noon, spellings[i%len(spellings)], home, false)
	}

	if passed != 5 {
		t.Errorf("%d attempts allowed with %d spellings, want 5", passed, len(spellings))
	}

	for _, other := range []string{"zoe", "zo", "zoëe", "z oë", ""} {
		if fold(other) == fold("zoë") {
			t.Errorf("%q shares the budget of zoë, want its own", other)
		}
	}

	for _, same := range [][2]string{{"straße", "STRASSE"}, {"ΟΔΟΣ", "οδος"}, {"ﬁlip", "FILIP"}, {"K8s", "k8s"}} {
		if fold(same[0]) != fold(same[1]) {
			t.Errorf("%q and %q have two budgets, want one", same[0], same[1])
		}
	}
}

// TestFoldIsCoarserThanUserNames checks for each letter that spellings which are one user name
// (RFC 8265) have one budget.
func TestFoldIsCoarserThanUserNames(t *testing.T) {
	for r := rune('!'); r < 0x20000; r++ {
		s := "a" + string(r)
		f := fold(s)
		again := fold(f)
		if again != f {
			t.Errorf("fold(%+q) = %+q, which folds to %+q, want itself", s, f, again)
		}

		if name, err := precis.UsernameCaseMapped.String(s); err == nil && fold(name) != f {
			t.Errorf("%+q and %+q are one user name and have two budgets, want one", s, name)
		}
	}
}

func TestSources(t *testing.T) {
	for _, tc := range []struct {
		name string
		a, b string // "" is the invalid address
		same bool
	}{
		{"two IPv4 addresses", "192.0.2.1", "192.0.2.2", false},
		{"an IPv4 address in IPv6 form", "192.0.2.1", "::ffff:192.0.2.1", true},
		{"two IPv4 addresses in IPv6 form", "::ffff:192.0.2.1", "::ffff:192.0.2.2", false},
		{"two addresses in one /64", "2001:db8::1", "2001:db8::ffff:1:2:3", true},
		{"two /64 in one /48", "2001:db8:0:1::1", "2001:db8:0:2::1", false},
		{"one address in two zones", "fe80::1%eth0", "fe80::1%eth1", true},
		{"no address, twice", "", "", true},
		{"no address and the zero address", "", "0.0.0.0", false},
		{"the zero addresses of both kinds", "0.0.0.0", "::", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var a, b netip.Addr
			if tc.a != "" {
				a = netip.MustParseAddr(tc.a)
			}
			if tc.b != "" {
				b = netip.MustParseAddr(tc.b)
			}

			if same := Network(a) == Network(b); same != tc.same {
				t.Errorf("one source = %t, want %t", same, tc.same)
			}
		})
	}
}

func TestKeys(t *testing.T) {
	seen := map[key][]string{}
	for _, parts := range [][]string{
		{"a", "bc"},
		{"ab", "c"},
		{"abc"},
		{"abc", ""},
		{"", "abc"},
		{"a", "b", "c"},
		{"\x01abc"},
		{"a\x02bc"},
		{"a\x00", "b"},
		{"a", "\x00b"},
		{},
	} {
		k := keyOf(parts...)
		if other, ok := seen[k]; ok {
			t.Errorf("%q and %q have the same key", parts, other)
		}
		seen[k] = parts
	}
}

func TestLongNames(t *testing.T) {
	l := open(t, cfg)
	long := strings.Repeat("A", 1<<20)
	if got := allowed(t, l, 10, noon, long, home, false); got != 3 {
		t.Errorf("%d attempts allowed for a long name, want 3", got)
	}

	if got := allowed(t, l, 10, noon, long[1:], home, false); got != 3 {
		t.Errorf("%d attempts allowed for another, want 3", got)
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

// bucket is a leaky bucket, the model of a budget.
type bucket struct {
	level time.Duration
	at    time.Time
}

// TestAgainstModel compares random attempts with leaky buckets in a map. Time goes forward
// at random, and sometimes back by more than reorder.
func TestAgainstModel(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	rates := []Rate{{3, 7 * time.Second}, {5, 3 * time.Second}, {8, time.Second}} // pair, account, source
	l := open(t, Config{Pair: rates[0], Account: rates[1], Source: rates[2]})

	model := []map[string]*bucket{{}, {}, {}}
	type pending struct {
		a    *Attempt
		keys [3]string
	}
	var open []pending

	now := noon
	passed, refused := 0, 0
	for step := range 20_000 {
		if len(open) > 10 || len(open) > 0 && rnd.IntN(3) == 0 {
			i := rnd.IntN(len(open))
			p := open[i]
			open = append(open[:i], open[i+1:]...)
			outcome := rnd.IntN(3) // failed, succeeded, cancelled
			if outcome > 0 {
				for i, k := range p.keys {
					if b := model[i][k]; k != "" && b != nil {
						b.level = max(0, b.level-rates[i].Every)
					}
				}
			}

			switch outcome {
			case 1:
				p.a.Succeeded()
				delete(model[0], p.keys[0])
			case 2:
				p.a.Cancel()
			}

			continue
		}

		switch rnd.IntN(20) {
		case 0:
			if rnd.IntN(10) > 0 {
				break
			}
			now = now.Add(time.Duration(rnd.Int64N(int64(30 * time.Second))))
		case 1:
			if rnd.IntN(20) == 0 {
				now = now.Add(-reorder - 1 - time.Duration(rnd.Int64N(int64(time.Hour))))
			}
		case 2, 3, 4, 5, 6, 7:
			now = now.Add(time.Duration(rnd.Int64N(int64(time.Second))))
		}

		for _, m := range model {
			for _, b := range m {
				gone := now.Sub(b.at)
				if gone > 0 {
					b.level = max(0, b.level-gone)
				}
				b.at = now
			}
		}

		name := fmt.Sprint("user", rnd.IntN(4))
		from := address(rnd.IntN(4))
		known := rnd.IntN(3) == 0
		keys := [3]string{name + " from " + from.String(), name, from.String()}
		if known {
			keys[1] = ""
		}

		var wait time.Duration
		for i, k := range keys {
			if b := model[i][k]; k != "" && b != nil {
				wait = max(wait, b.level+rates[i].Every-time.Duration(rates[i].Burst)*rates[i].Every)
			}
		}

		a, err := l.Begin(now, name, from, known)
		got, _ := jeton.RetryAfter(err)
		if got != wait || (err == nil) != (wait == 0) {
			t.Fatalf("step %d: wait = %v (%v), want %v as in the model", step, got, err, wait)
		}

		if err != nil {
			refused++
			continue
		}

		passed++

		for i, k := range keys {
			if k == "" {
				continue
			}
			if model[i][k] == nil {
				model[i][k] = &bucket{at: now}
			}

			model[i][k].level += rates[i].Every
		}

		open = append(open, pending{a, keys})
	}

	if passed < 1000 || refused < 1000 {
		t.Errorf("%d attempts allowed and %d refused, want at least 1000 of each", passed, refused)
	}

	for _, tab := range []*table{l.pair, l.account, l.source} {
		checkHeap(t, tab)
	}
}

// checkHeap checks the order of the heap and its index.
func checkHeap(t *testing.T, tab *table) {
	t.Helper()
	if len(tab.index) != len(tab.heap) || len(tab.heap) > tab.limit {
		t.Errorf(
			"%d in the index and %d in the heap, want the same and at most %d",
			len(tab.index),
			len(tab.heap),
			tab.limit,
		)
	}

	for i, e := range tab.heap {
		if at, ok := tab.index[e.key]; !ok || int(at) != i {
			t.Fatalf("index of entry %d = %d, %t", i, at, ok)
		}
		if i > 0 && tab.heap[(i-1)/2].full > e.full {
			t.Fatalf("entry %d is full before its parent", i)
		}
	}
}

func TestMemoryIsBounded(t *testing.T) {
	var before, after runtime.MemStats

	runtime.GC()
	runtime.ReadMemStats(&before)
	tab := newTable(Rate{3, time.Hour}, 10_000)
	for i := range 1_000_000 {
		tab.take(key{byte(i >> 16), byte(i >> 8), byte(i)}, int64(i))
	}

	runtime.GC()
	runtime.ReadMemStats(&after)
	grown := int64(after.HeapAlloc) - int64(before.HeapAlloc)
	if grown > 2<<20 {
		t.Errorf("a table of 10,000 takes %d KiB after a million keys, want at most 2 MiB", grown>>10)
	}

	checkHeap(t, tab)
}

func TestAFloodOfKeysDoesNotDisplaceUsedBudgets(t *testing.T) {
	hourly := Rate{3, time.Hour}
	l := open(t, Config{
		Pair:    hourly,
		Account: hourly,
		Source:  hourly,
		MaxKeys: 1000,
	})

	allowed(t, l, 3, noon, "ada", home, false)

	for i := range 20_000 {
		if _, err := l.Begin(noon, fmt.Sprint("user", i), address(i), false); err != nil {
			t.Fatal(err)
		}
	}

	for _, tab := range []*table{l.pair, l.account, l.source} {
		checkHeap(t, tab)
	}

	got := allowed(t, l, 3, noon, "ada", home, false)
	if got != 0 {
		t.Errorf("%d attempts allowed after the flood, want 0: the budget was used up", got)
	}

	// For each new budget, up to two full ones are dropped.
	for i := range 600 {
		allowed(t, l, 1, noon.Add(4*time.Hour), fmt.Sprint("later", i), address(i), false)
	}

	n := len(l.account.heap)
	if n != 600 {
		t.Errorf("%d accounts in the table, want 600: the others are full", n)
	}
}

// TestTableStaysInOrder calls the methods of a table in random order.
func TestTableStaysInOrder(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	tab := newTable(Rate{3, time.Second}, 50)
	for range 20_000 {
		k := key{byte(rnd.IntN(80))}

		switch rnd.IntN(4) {
		case 0:
			tab.giveBack(k)
		case 1:
			tab.reset(k)
		default:
			tab.take(k, rnd.Int64N(int64(time.Minute)))
		}

		checkHeap(t, tab)
		if t.Failed() {
			return
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
