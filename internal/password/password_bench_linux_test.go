package password

import (
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/argon2"
)

// BenchmarkHashing compares a pool that hashes in its process, and one with a child,
// with bare calls of argon2.IDKey on as many goroutines. The three take turns, so that
// a busy machine slows down all of them, and the ratios are medians over the turns.
// The goal is 0.95. Run it with -benchtime 5x or more: one turn is 300 hashes.
func BenchmarkHashing(b *testing.B) {
	const workers, turn = 2, 100
	inProcess := running(b, Config{Workers: workers, Queue: 16})
	inChild := running(b, Config{Workers: workers, Queue: 16, Command: as("hasher")})
	inProcess.params, inChild.params = Default, Default

	rate := func(work func()) float64 {
		began := time.Now()
		work()
		return turn / time.Since(began).Seconds()
	}

	load(b.Context(), b, inChild, 2, 2) // starts it
	var bare, first, second []float64
	for b.Loop() {
		n := rate(func() { hashBare(turn, workers) })
		bare = append(bare, n)
		first = append(first, rate(func() { load(b.Context(), b, inProcess, turn, 16) })/n)
		second = append(second, rate(func() { load(b.Context(), b, inChild, turn, 16) })/n)
	}

	b.ReportMetric(median(bare), "bare-hashes/s")
	b.ReportMetric(median(first), "in-process/bare")
	b.ReportMetric(median(second), "child/bare")
	b.ReportMetric(peakMiB(b, pid(inChild)), "child-peak-MiB")
}

// hashBare makes n hashes on that many goroutines.
func hashBare(n, workers int) {
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for range n / workers {
				argon2.IDKey(
					[]byte("12345678"), make([]byte, saltSize), Default.Passes, Default.MemoryKiB,
					Default.Lanes, keySize,
				)
			}
		})
	}

	wg.Wait()
}

func median(x []float64) float64 {
	slices.Sort(x)
	return x[len(x)/2]
}
