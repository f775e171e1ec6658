package limit

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
)

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
	good := map[string]bool{} // pairs that have succeeded
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
			outcome := max(0, rnd.IntN(9)-6) // mostly failed; succeeded, cancelled
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
				good[p.keys[0]] = true
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

		var wait, pairWait time.Duration
		var left [3]bool
		for i, k := range keys {
			var w time.Duration
			if b := model[i][k]; b != nil {
				w = max(0, b.level+rates[i].Every-time.Duration(rates[i].Burst)*rates[i].Every)
			}
			wait = max(wait, w)
			left[i] = w == 0
			if i == 0 {
				pairWait = w
			}
		}

		// Elsewhere the three budgets are alike; at a source that is known, only the first refuses.
		if (known || good[keys[0]]) && pairWait == 0 {
			wait = 0
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
			if !left[i] {
				keys[i] = ""
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
			len(tab.index), len(tab.heap), tab.limit,
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
	for i := range 200_000 {
		tab.take(key{byte(i >> 16), byte(i >> 8), byte(i)}, int64(i))
	}

	runtime.GC()
	runtime.ReadMemStats(&after)
	grown := int64(after.HeapAlloc) - int64(before.HeapAlloc)
	if grown > 2<<20 {
		t.Errorf("a table of 10,000 takes %d KiB after 200,000 keys, want at most 2 MiB", grown>>10)
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
